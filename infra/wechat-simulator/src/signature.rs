//! The two signatures that a `session_key` makes, the one that an AppKey makes, and the one of a push: all in lower-case hex.
//!
//! The first two take the key as its base64 text, not as the 16 bytes behind it, as the official samples in the tests
//! below show.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};

/// What the client gets with `rawData`: SHA-1 over the text and then the key.
pub(crate) fn of_raw_data(raw_data: &str, session_key: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(raw_data.as_bytes());
    hash.update(session_key.as_bytes());
    lower_hex(hash.finish().as_ref())
}

/// The user-state signature: HMAC-SHA256 over the body of the request, empty for a GET.
pub(crate) fn of_session(session_key: &str, message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, session_key.as_bytes());
    lower_hex(hmac::sign(&key, message).as_ref())
}

/// The payment signature, `paySig`: HMAC-SHA256 over `requestVirtualPayment`, or the name of an event, and the data after it.
pub(crate) fn of_payment(app_key: &str, name: &str, data: &str) -> String {
    of_session(app_key, format!("{name}&{data}").as_bytes())
}

/// `signature` and `msg_signature` of a push: SHA-1 over the texts, put in order. Its key, the Token, is one of them.
pub(crate) fn of_push<const N: usize>(mut texts: [&str; N]) -> String {
    texts.sort_unstable();
    lower_hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, texts.concat().as_bytes()).as_ref())
}

pub(crate) fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn raw_data_is_signed_as_in_the_official_sample() {
        let raw = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;

        let signature = of_raw_data(raw, "HyVFkGl5F5OQWJZZaNzBBg==");

        assert_eq!(signature, "75e81ceda165f4ffa64f4068af58c64b8f54b88c");
    }

    #[test]
    fn pushes_are_signed_as_in_the_vectors() {
        let file: Value = serde_json::from_str(include_str!("../../../tests/fixtures/wechat-push.json")).unwrap();

        for vector in file["vectors"].as_array().unwrap().iter().filter(|vector| vector["expect"] == "ok") {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let query = |name: &str| text(&vector["query"][name]);

            let signature = of_push([&text(&vector["token"]), &query("timestamp"), &query("nonce")]);

            assert_eq!(signature, query("signature"), "{}", vector["id"]);
        }
    }

    #[test]
    fn events_of_mini_games_are_signed_as_in_the_vectors() {
        let file: Value = serde_json::from_str(include_str!("../../../tests/fixtures/wechat-user-state.json")).unwrap();
        let of_events = |vector: &&Value| vector["kind"] == "pay_event_sig";
        let vectors: Vec<_> = file["vectors"].as_array().unwrap().iter().filter(of_events).collect();

        for vector in &vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let signature = of_payment(text("app_key"), text("event"), text("payload"));

            assert_eq!(signature, text("pay_event_sig"), "{}", vector["id"]);
            assert!(vector["wrong"].as_object().unwrap().values().all(|wrong| *wrong != signature));
        }
        assert_eq!(vectors.len(), 2);
    }

    #[test]
    fn session_is_signed_as_in_the_official_sample() {
        let key = "o0q0otL8aEzpcZL/FT9WsQ==";

        assert_eq!(
            of_session(key, br#"{"foo":"bar"}"#),
            "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b"
        );
        assert_eq!(of_session(key, b""), "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128");
    }
}
