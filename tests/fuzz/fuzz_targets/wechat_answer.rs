//! WeChat's answers: see `tests/suites/fuzz/wechat_answer.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::suites::fuzz::WECHAT_ANSWER.take(input));
