//! Texts as refresh tokens: see `tests/suites/fuzz/refresh_token.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::suites::fuzz::REFRESH_TOKEN.take(input));
