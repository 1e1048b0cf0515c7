//! Pushes: see `tests/support/fuzz/push.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzz::PUSH.take(input));
