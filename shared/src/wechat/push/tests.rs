//! Pushes against the published vectors: what is taken, what is answered, and for how long.

use super::*;
use crate::{entropy::Entropy, ids::OpenId};
use serde_json::Value;

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/fixtures/wechat-push.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn config(vector: &Value) -> Config {
    let key = vector["encoding_aes_key"].as_str().map(str::to_owned);
    Config::parse(vector["token"].as_str().unwrap().to_owned(), key).unwrap()
}

/// What the mini program reads of a request.
fn read(config: &Config, appid: &AppId, query: &PushQuery, body: &str, now: Secs) -> Result<Push, PushDefect> {
    let body = Body::read(body.as_bytes());
    config.signed(query, Some(&body)).ok_or(PushDefect::Unsigned)?.read(appid, &body, now)
}

/// What it answers to the console.
fn echo(config: &Config, query: &PushQuery, now: Secs) -> Result<String, PushDefect> {
    config.signed(query, None).ok_or(PushDefect::Unsigned)?;
    query.echo(now).map(str::to_owned)
}

/// When all vectors were signed.
const SIGNED: Secs = 1_700_000_000;

#[test]
fn every_push_is_taken_or_not() {
    for vector in vectors().iter().filter(|vector| vector["method"] == "POST") {
        let Ok(query) = PushQuery::deserialize(&vector["query"]) else {
            assert_eq!(vector["expect"], "error", "{}", vector["id"]);
            continue;
        };
        let appid = AppId::parse(vector["appid"].as_str().unwrap()).unwrap();
        let push = read(&config(vector), &appid, &query, vector["body"].as_str().unwrap(), SIGNED);

        assert_eq!(push.is_ok(), vector["expect"] == "ok", "{}: {push:?}", vector["id"]);
        if let Ok(Push { concern, .. }) = push {
            let message = &vector["event"];
            let event = match message["Event"].as_str() {
                Some("user_info_modified") => Some(Event::UserInfoModified),
                Some("user_authorization_revoke") => {
                    Some(Event::UserAuthorizationRevoke { phone: message["RevokeInfo"] == "8" })
                }
                Some("user_authorization_cancellation") => Some(Event::UserAuthorizationCancellation),
                _ => None,
            };
            let expected = event.map_or(Concern::Other, |event| Concern::User {
                openid: OpenId::parse(message["OpenID"].as_str().unwrap()).unwrap(),
                event,
            });
            assert_eq!(concern, expected, "{}", vector["id"]);
        }
    }
}

#[test]
fn every_question_of_the_console_is_wechats_or_not() {
    for vector in vectors().iter().filter(|vector| vector["method"] == "GET") {
        let query = PushQuery::deserialize(&vector["query"]);
        let echo = query.ok().and_then(|query| echo(&config(vector), &query, SIGNED).ok());

        let expected = vector["echostr"].as_str().filter(|_| vector["expect"] == "ok");
        assert_eq!(echo.as_deref(), expected, "{}", vector["id"]);
    }
}

#[test]
fn a_signature_counts_for_ten_minutes() {
    let vectors = vectors();
    let vector = vectors.iter().find(|vector| vector["method"] == "GET" && vector["expect"] == "ok").unwrap();
    let query = PushQuery::deserialize(&vector["query"]).unwrap();

    for at in [SIGNED + FRESH, SIGNED - FRESH] {
        assert!(echo(&config(vector), &query, at).is_ok());
    }
    for at in [SIGNED + FRESH + 1, SIGNED - FRESH - 1] {
        assert_eq!(echo(&config(vector), &query, at), Err(PushDefect::Stale));
    }
}

#[test]
fn a_value_is_taken_without_what_was_pasted_around_it() {
    let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    for (before, after) in [("", ""), (" ", "\n"), ("\t", "\r\n"), ("\u{feff}", "\u{200b}"), ("\u{a0}", "\u{3000}")] {
        let around = |text: &str| format!("{before}{text}{after}");
        let config = Config::parse(around("token"), Some(around(key))).unwrap();
        assert_eq!((config.token().expose(), config.encoding_aes_key()), ("token", Some(Ok(()))));
    }
    for nothing in ["", " ", "\u{200b}\n"] {
        assert_eq!(Config::parse(nothing.to_owned(), None).unwrap_err(), ConfigDefect::Token);
        let keyless = Config::parse("token".to_owned(), Some(nothing.to_owned())).unwrap();
        assert_eq!(keyless.encoding_aes_key(), None);
    }
    for bad in [&key[1..], &format!("{key}H"), &key.replace('a', "-"), &key.replace('a', "\u{200b}")] {
        let config = Config::parse("token".to_owned(), Some(bad.to_owned())).unwrap();
        assert_eq!(config.encoding_aes_key(), Some(Err(ConfigDefect::AesKey)), "{bad}");
    }
}

/// The file with answers, and with messages of every event.
fn second() -> Value {
    serde_json::from_str(include_str!("../../../../tests/fixtures/wechat-push-2.json")).unwrap()
}

/// Randomness that is known.
struct Known([u8; 16]);

impl Entropy for Known {
    fn fill(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

#[test]
fn the_official_requests_say_what_the_page_says() {
    let mut seen = 0;
    for vector in second()["vectors"].as_array().unwrap().iter().filter(|vector| vector["kind"] == "receive") {
        let (query, now) = (PushQuery::deserialize(&vector["query"]).unwrap(), vector["query"]["timestamp"].as_str());
        let now = now.unwrap().parse().unwrap();
        let appid = AppId::parse(vector["appid"].as_str().unwrap()).unwrap();
        seen += 1;
        if vector["method"] == "GET" {
            assert_eq!(echo(&config(vector), &query, now).unwrap(), vector["echostr"]);
            continue;
        }
        let push = read(&config(vector), &appid, &query, vector["body"].as_str().unwrap(), now).unwrap();
        assert_eq!(push.message.said_to_owner(), vector["event"], "{}", vector["id"]);
    }
    assert_eq!(seen, 3);
}

#[test]
fn an_answer_is_encrypted_and_signed_as_in_the_vectors() {
    let mut seen = 0;
    for vector in second()["vectors"].as_array().unwrap().iter().filter(|vector| vector["kind"] == "reply") {
        let text = |name: &str| vector[name].as_str().unwrap();
        let (appid, now) = (AppId::parse(text("appid")).unwrap(), vector["timestamp"].as_u64().unwrap());
        let random = u128::from_str_radix(text("random"), 16).unwrap().to_be_bytes();
        let entropy = Known(random);
        let config = config(vector);
        let key = config.aes_key.as_ref().unwrap().as_ref().unwrap();

        let encrypted = key.seal(text("plaintext"), &appid, &entropy).unwrap();
        let time = now.to_string();
        let signature = signature::push(vec![config.token.expose(), &time, text("nonce"), &encrypted]);

        assert_eq!(
            (encrypted.as_str(), signature.as_str()),
            (text("encrypt"), text("msg_signature")),
            "{}",
            vector["id"]
        );
        assert_eq!(&*key.open(&encrypted, &appid).unwrap(), text("plaintext").as_bytes());
        seen += 1;
    }
    assert_eq!(seen, 8);
}

/// The query and the body of a push of the secure mode, with what `second` says in its answers.
fn secure(message: &str, timestamp: Secs, nonce: &str) -> (Config, AppId, PushQuery, String) {
    let file = second();
    let vector =
        file["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == "reply-json-errcode").unwrap();
    let (config, appid) = (config(vector), AppId::parse(vector["appid"].as_str().unwrap()).unwrap());
    let key = config.aes_key.as_ref().unwrap().as_ref().unwrap();
    let encrypted = key.seal(message, &appid, &Known([1; 16])).unwrap();
    let time = timestamp.to_string();
    let signature = signature::push(vec![config.token.expose(), &time, nonce, &encrypted]);
    let query = json!({ "msg_signature": signature, "timestamp": time, "nonce": nonce });
    let body = if message.starts_with('<') {
        format!("<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>")
    } else {
        json!({ "ToUserName": "gh_1", "Encrypt": encrypted }).to_string()
    };
    (config, appid, PushQuery::deserialize(query).unwrap(), body)
}

const DELIVERY: &str = r#"{"MsgType":"event","Event":"xpay_goods_deliver_notify","OutTradeNo":"1"}"#;

#[test]
fn an_answer_has_the_form_of_its_vector() {
    for (id, message) in [
        ("reply-json-errcode", DELIVERY),
        (
            "reply-xml-errcode",
            "<xml><MsgType>event</MsgType><Event>xpay_coin_pay_notify</Event><OutTradeNo>1</OutTradeNo></xml>",
        ),
    ] {
        let file = second();
        let vector = file["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == id).unwrap();
        let text = |name: &str| vector[name].as_str().unwrap();
        let (config, appid, query, body) = secure(message, SIGNED, text("nonce"));
        let push = read(&config, &appid, &query, &body, SIGNED).unwrap();
        let answer = Answer::read(b"", &push.message, SIGNED).unwrap();
        let random = u128::from_str_radix(text("random"), 16).unwrap().to_be_bytes();
        let reply =
            config.reply(&push, &query, &answer, &Sealing { appid: &appid, now: SIGNED, entropy: &Known(random) });

        let expected = Message::read(text("body").as_bytes()).unwrap();
        let given = Message::read(reply.text.as_bytes()).unwrap();
        assert_eq!(given.said_to_owner(), expected.said_to_owner(), "{id}");
        for name in ["Encrypt", "MsgSignature", "TimeStamp", "Nonce"] {
            assert_eq!(given.get(name).unwrap(), expected.get(name).unwrap(), "{id}: {name}");
        }
        assert!(reply.text.contains(if id.contains("xml") {
            "<TimeStamp>1700000000<"
        } else {
            "\"TimeStamp\":1700000000"
        }));
    }
}

#[test]
fn what_is_encrypted_about_money_is_taken_for_a_day_and_all_else_for_ten_minutes() {
    let event = r#"{"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"oA"}"#;
    for (message, span) in [(DELIVERY, FRESH_ABOUT_MONEY), (event, FRESH), (r#"{"MsgType":"text","MsgId":1}"#, FRESH)] {
        let (config, appid, query, body) = secure(message, SIGNED, "1");
        let read = |at| read(&config, &appid, &query, &body, at).map(drop);
        for at in [SIGNED - span, SIGNED + span] {
            assert_eq!(read(at), Ok(()), "{message}");
        }
        for at in [SIGNED - span - 1, SIGNED + span + 1] {
            assert_eq!(read(at), Err(PushDefect::Stale), "{message}");
        }
        // What is known of it is kept for longer than it is taken, also where the nonce reads as a later time.
        assert!(query.repeated_until(SIGNED - span) > SIGNED + FRESH_ABOUT_MONEY);
        let later = SIGNED + 30 * 86_400;
        let (.., query, _) = secure(message, SIGNED, &later.to_string());
        assert!(query.repeated_until(SIGNED) >= later + FRESH_ABOUT_MONEY);
    }
    // In the plain mode, no signature covers the message.
    let plain = Config::parse("t".to_owned(), None).unwrap();
    let time = SIGNED.to_string();
    let query = json!({ "signature": signature::push(vec!["t", &time, "1"]), "timestamp": time, "nonce": "1" });
    let query = PushQuery::deserialize(query).unwrap();
    let read = |at| read(&plain, &AppId::parse("wx1").unwrap(), &query, DELIVERY, at).map(drop);
    assert_eq!((read(SIGNED + FRESH), read(SIGNED + FRESH + 1)), (Ok(()), Err(PushDefect::Stale)));
}

/// WeChat signs the texts one after the other. So the signature of a message is also that of its end, where the beginning of `Encrypt`
/// is a part of the nonce; and what somebody wrote may stand where a message begins then.
#[test]
fn the_end_of_a_message_is_no_message_under_its_signature() {
    let config =
        Config::parse("token".to_owned(), Some("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned())).unwrap();
    let (key, appid) = (config.aes_key.as_ref().unwrap().as_ref().unwrap(), AppId::parse("wx1").unwrap());
    let (before, after) = ("<xml><MsgType>text</MsgType><Content><![CDATA[", "]]></Content></xml>");
    let inner = "<xml><MsgType>event</MsgType><Event>user_authorization_cancellation</Event><OpenID>oA</OpenID>";
    let inner = format!("{inner}<Content><![CDATA[{}", "x".repeat(0x105 - inner.len() - 18 - after.len()));
    // After 48 times so many bytes, a block has the place of the random bytes, and then comes the length.
    let cut = 2 * 48;
    let filler = "x".repeat(cut + 16 - 20 - before.len());
    let message = format!("{before}{filler}\0\0\u{1}\u{5}{inner}{after}");
    let begin_with_capitals =
        |encrypted: &String| [0, cut / 3 * 4].iter().all(|at| encrypted.as_bytes()[*at].is_ascii_uppercase());
    let sealed = (0..=u8::MAX).filter_map(|random| key.seal(&message, &appid, &Known([random; 16])));
    let encrypted = sealed.into_iter().find(begin_with_capitals).unwrap();
    let (begin, end) = encrypted.split_at(cut / 3 * 4);
    let time = SIGNED.to_string();
    let nonce = format!("9{begin}");
    let signature = signature::push(vec!["token", &time, "9", &encrypted]);

    assert_eq!(signature, signature::push(vec!["token", &time, &nonce, end]));
    let opened = Message::read(&key.open(end, &appid).unwrap()).unwrap().concern().unwrap();
    assert!(matches!(opened, Concern::User { event: Event::UserAuthorizationCancellation, .. }));
    let read = |nonce: &str, encrypted: &str| {
        let query = json!({ "msg_signature": signature, "timestamp": time, "nonce": nonce });
        let body = json!({ "ToUserName": "gh_1", "Encrypt": encrypted }).to_string();
        read(&config, &appid, &PushQuery::deserialize(query).unwrap(), &body, SIGNED).map(|push| push.concern)
    };
    assert_eq!((read("9", &encrypted), read(&nonce, end)), (Ok(Concern::Other), Err(PushDefect::Unsigned)));
}

#[test]
fn a_signature_is_kept_as_long_as_its_texts_give_a_time_however_they_are_divided() {
    let query = |timestamp: &str, nonce: &str| {
        PushQuery::deserialize(json!({ "signature": "s", "timestamp": timestamp, "nonce": nonce })).unwrap()
    };
    let (seen, anew) = (query("1795782741", "795869141"), query("1795869141", "179578274"));
    let signed = |query: &PushQuery| signature::push(vec!["t", &query.timestamp, &query.nonce]);

    assert_eq!(signed(&seen), signed(&anew));
    assert!(seen.usable_until(1_795_782_741) >= 1_795_869_141 + FRESH);
    assert_ne!(seen.bound_to([1; 32]), anew.bound_to([1; 32]));
    for no_time in ["+795782741", "01795782741", "179578274", "1795782741.0", ""] {
        assert_eq!(query(no_time, "1").is_within(FRESH, 1_795_782_741), Err(PushDefect::Stale), "{no_time}");
    }
}
