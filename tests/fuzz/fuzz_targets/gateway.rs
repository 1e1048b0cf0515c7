//! Events of API Gateway: see `tests/suites/fuzz/gateway.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::suites::fuzz::GATEWAY.take(input));
