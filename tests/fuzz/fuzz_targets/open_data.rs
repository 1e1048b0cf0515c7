//! Encrypted data: see `tests/support/fuzz/open_data.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzz::OPEN_DATA.take(input));
