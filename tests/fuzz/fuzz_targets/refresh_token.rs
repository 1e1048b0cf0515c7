//! Texts as refresh tokens: see `tests/support/fuzz/refresh_token.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzz::REFRESH_TOKEN.take(input));
