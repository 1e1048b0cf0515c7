//! Events of API Gateway: see `tests/support/fuzz/gateway.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzz::GATEWAY.take(input));
