//! Encrypted data: see `tests/suites/fuzz/open_data.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::suites::fuzz::OPEN_DATA.take(input));
