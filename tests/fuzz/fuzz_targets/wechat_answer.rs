//! WeChat's answers: see `tests/support/fuzz/wechat_answer.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzz::WECHAT_ANSWER.take(input));
