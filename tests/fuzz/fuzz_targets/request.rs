//! Requests to every route: see `tests/suites/fuzz/request.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::suites::fuzz::REQUEST.take(input));
