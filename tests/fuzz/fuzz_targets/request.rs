//! Requests to every route: see `tests/support/fuzz/request.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzz::REQUEST.take(input));
