//! `rawData`, which is signed, beside the data, which is encrypted: what both say of a profile is the same.

use serde_json::{Value, json};
use tests::{APPID, Laptop, Tokens};

use crate::vectors::signature;

/// What `wx.getUserInfo` gives alice under this name.
fn given(laptop: &Laptop, name: &str) -> Value {
    let _ = laptop.sim("user", json!({ "user": "alice", "nickName": name, "avatarUrl": format!("https://a/{name}") }));
    laptop.sim("userinfo", json!({ "user": "alice" }))
}

/// The signed half of one call and the encrypted half of another: each is WeChat's.
fn mixed(signed: &Value, encrypted: &Value) -> Value {
    let mut mixed = encrypted.clone();
    for name in ["rawData", "signature"] {
        mixed[name] = signed[name].clone();
    }
    mixed
}

#[tokio::test]
async fn a_signed_name_that_is_not_the_encrypted_one_does_not_verify() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (before, after) = (given(&laptop, "小明"), given(&laptop, "小明👀"));

    for mixed in [mixed(&before, &after), mixed(&after, &before)] {
        let answer = laptop.post_as(&alice.access, "/v1/userinfo", &mixed).await;
        answer.is_problem(409, "session_key_expired", "relogin_then_retap");
    }
    for whole in [before, after] {
        laptop.post_as(&alice.access, "/v1/userinfo", &whole).await.ok();
    }
}

#[tokio::test]
async fn a_login_with_such_a_profile_lacks_it_and_stands() {
    for (is_whole, name) in [(true, "小明"), (false, "小明👀")] {
        let laptop = Laptop::start().await;
        let code = laptop.code("alice");
        let user_info = mixed(&given(&laptop, name), &given(&laptop, "小明"));

        let answer = laptop.post("/v1/login", &json!({ "code": code, "userInfo": user_info })).await.ok();

        assert_eq!(answer["userInfo"].is_object(), is_whole, "{name}");
    }
}

const KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";

/// Alice, whose `session_key` is known.
async fn with_key(laptop: &Laptop) -> Tokens {
    let code = laptop.code("alice");
    let _ = laptop.sim("user", json!({ "user": "alice", "session_key": KEY }));
    laptop.login_with(&json!({ "code": code })).await
}

/// Whether a profile verifies whose signed and whose encrypted members are these.
async fn verifies(laptop: &Laptop, alice: &Tokens, raw_data: &str, members: &str) -> bool {
    let plaintext = format!(r#"{{{members},"watermark":{{"timestamp":1,"appid":"{APPID}"}}}}"#);
    let mut body = laptop.sim("encrypt", json!({ "user": "alice", "plaintext": plaintext }));
    body["rawData"] = raw_data.into();
    body["signature"] = signature(raw_data, KEY).into();
    let answer = laptop.post_as(&alice.access, "/v1/userinfo", &body).await;
    if answer.status != 200 {
        answer.is_problem(409, "session_key_expired", "relogin_then_retap");
    }
    answer.status == 200
}

#[tokio::test]
async fn what_is_signed_and_what_is_encrypted_of_a_profile_is_the_same() {
    let laptop = Laptop::start().await;
    let alice = with_key(&laptop).await;
    let whole = r#""nickName":"n","gender":1,"language":"zh_CN","city":"c","province":"p","country":"CN","avatarUrl":"https://a/0""#;
    let raw = format!("{{{whole}}}");
    for (name, value) in [
        ("nickName", r#""m""#),
        ("gender", "2"),
        ("language", r#""en""#),
        ("city", r#""C""#),
        ("province", r#""q""#),
        ("country", r#""US""#),
        ("avatarUrl", r#""https://a/132""#),
    ] {
        let changed = whole.split(',').map(|member| {
            if member.starts_with(&format!("\"{name}\"")) { format!("\"{name}\":{value}") } else { member.to_owned() }
        });
        let changed = changed.collect::<Vec<_>>().join(",");
        assert!(changed != whole && !verifies(&laptop, &alice, &raw, &changed).await, "{changed}");
    }
    assert!(verifies(&laptop, &alice, &raw, whole).await);
}

#[tokio::test]
async fn an_honest_profile_verifies_however_its_two_halves_are_written() {
    let laptop = Laptop::start().await;
    let alice = with_key(&laptop).await;
    for (raw_data, members) in [
        // What is left of a profile since 2022; the marks of it are in one half.
        (
            r#"{"nickName":"微信用户","gender":0,"language":"","city":"","province":"","country":"","avatarUrl":"https://a/0","is_demote":true}"#,
            r#""nickName":"微信用户","gender":0,"language":"","city":"","province":"","country":"","avatarUrl":"https://a/0""#,
        ),
        (
            r#"{"nickName":"\u5c0f\u660e\ud83d\udc40","avatarUrl":"https:\/\/a\/0"}"#,
            r#""nickName":"小明👀","avatarUrl":"https://a/0""#,
        ),
        (r#"{ "gender": "1", "nickName": "n" }"#, r#""nickName":"n","gender":1"#),
        (r#"{"nickName":"\ud83d"}"#, r#""nickName":"\ud83d""#),
        (r#"{"nickName":"n","city":"c"}"#, r#""nickName":"n""#),
        (r#"{"nickName":"n"}"#, r#""nickName":"n","city":"c""#),
        (r#"{"nickName":"n","city":null,"country":""}"#, r#""nickName":"n","city":"c","country":"CN""#),
        (r#"{"nickName":"n","city":"c","country":"CN"}"#, r#""nickName":"n","city":"","country":null"#),
        (r#"{"nickName":"n","more":1}"#, r#""nickName":"n","more":2"#),
        ("{}", r#""nickName":"n""#),
    ] {
        assert!(verifies(&laptop, &alice, raw_data, members).await, "{raw_data} {members}");
    }
    for (raw_data, members) in [
        (r#"{"nickName":"\ud83d"}"#, r#""nickName":"\ud83e""#),
        (r#"{"nickName":["n"]}"#, r#""nickName":["m"]"#),
        (r#"{"nickName":"n","nickName":"m"}"#, r#""nickName":"m""#),
        ("n", r#""nickName":"n""#),
        ("", r#""nickName":"n""#),
    ] {
        assert!(!verifies(&laptop, &alice, raw_data, members).await, "{raw_data} {members}");
    }
}
