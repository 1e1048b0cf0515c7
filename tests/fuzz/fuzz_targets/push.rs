//! Pushes: see `tests/suites/fuzz/push.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::suites::fuzz::PUSH.take(input));
