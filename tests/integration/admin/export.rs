//! What is stored about a user, without secrets.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::json;
use tests::{APPID, BEGIN, KEY, Laptop, Start, Tokens};

use super::{ask, attempt, redeem};

#[tokio::test]
async fn export_shows_all_that_is_stored() {
    let laptop = Laptop::start().await;
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
    let alice = laptop.login("alice").await;
    laptop.clock.advance(200);
    redeem(&laptop, &alice, "alice").await.ok();
    attempt(&laptop, &alice).await.is_problem(409, "session_key_expired", "relogin_then_retap");
    laptop.refresh(&alice.refresh).await.ok();

    let answer = ask(&laptop, "export", &alice).await;

    let now = BEGIN + 200;
    assert_eq!(
        answer,
        json!({
            "appid": APPID,
            "openid": alice.openid,
            "user": {
                "unionid": "uAlice", "first_login": BEGIN, "last_login": BEGIN, "blocked_at": null,
                "session_key": true, "tries": 1, "tries_from": now, "login_tries": null, "login_tries_from": null,
                "phone_tries": 1, "phone_tries_from": now, "phone_codes": 1,
            },
            "sessions": [{
                "device": alice.device_id(), "created_at": BEGIN, "rotated_at": now, "rotated_before": BEGIN, "generation": 1,
                "idle": now + 604_800, "absolute": BEGIN + 2_592_000, "unionid": null,
            }],
        })
    );
}

#[tokio::test]
async fn neither_export_nor_read_holds_a_key_a_family_a_token_or_a_number() {
    let laptop = Start::default().var("WXAUTH_UNIONID_CLAIM", "true").go().await;
    let session_key = "tiihtNczf5v6AKRyjwEUhQ==";
    let code = laptop.code("alice");
    let user =
        json!({ "user": "alice", "session_key": session_key, "phoneNumber": "13912345678", "unionid": "uAlice" });
    let _ = laptop.sim("user", user);
    let login = laptop.login_with_key(KEY, &json!({ "code": code })).await;
    let alice = Tokens::of(&login);
    redeem(&laptop, &alice, "alice").await.ok();

    let answers = [ask(&laptop, "export", &alice).await, ask(&laptop, "read", &alice).await].map(|it| it.to_string());

    // Every value in bytes is a secret, sealed or not, but the device, which the answer names.
    let bytes = laptop.items().await.into_values().flatten().filter(|(name, _)| name != "device");
    let mut secrets: Vec<Vec<u8>> =
        bytes.filter_map(|(_, value)| value.as_b().ok().map(|blob| blob.as_ref().to_vec())).collect();
    assert!(secrets.len() >= 6, "keys, families and records are in the table: {}", secrets.len());
    secrets.push(STANDARD.decode(session_key).unwrap());
    let mut spellings = vec![
        session_key.to_owned(),
        alice.access.clone(),
        alice.refresh.clone(),
        "13912345678".to_owned(),
        code,
        KEY.to_owned(),
    ];
    for secret in &secrets {
        let list = serde_json::to_string(secret).unwrap();
        let list = list.trim_matches(['[', ']']).to_owned();
        spellings.extend([STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret), tests::hex(secret), list]);
    }
    for answer in answers {
        for spelling in &spellings {
            assert!(!answer.contains(spelling.as_str()), "{spelling} stands in {answer}");
        }
    }
}
