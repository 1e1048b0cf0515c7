//! Another `session_key`, because somebody may know the present one: the old one is of no use any more, and nobody is logged out.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::{
    clock::Deadline,
    ids::OpenId,
    platform_token::{PlatformError, calls::ResetSessionKey},
    secret_text::SessionKey,
    wechat::app::App,
};
use tests::{APPID, Laptop, Tokens};

use super::{ask, deps, get_session, request, tried};

const OLD: &str = "o8x5w1S96v44S3700UEUhw==";

/// A user whose key somebody knows.
async fn leaked() -> (Laptop, Tokens) {
    let laptop = Laptop::start().await;
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    let _ = laptop.sim("user", json!({ "user": "alice", "session_key": OLD }));
    let alice = laptop.login("alice").await;
    (laptop, alice)
}

/// Phone data that the present key at WeChat encrypts: what the button gives.
fn data(laptop: &Laptop) -> Value {
    let event = laptop.sim("phone", json!({ "user": "alice" }));
    json!({ "encryptedData": event["encryptedData"], "iv": event["iv"] })
}

async fn reads(laptop: &Laptop, alice: &Tokens, data: &Value) -> bool {
    let answer = laptop.post_as(&alice.access, "/v1/phone", data).await;
    if answer.status != 200 {
        answer.is_problem(409, "session_key_expired", "relogin_then_retap");
    }
    answer.status == 200
}

async fn signature(laptop: &Laptop, alice: &Tokens, check: bool) -> Value {
    let deps = sign::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let request = json!({ "appid": APPID, "openid": alice.openid, "message": "{}", "check": check });
    let answer = sign::handle(deps, serde_json::from_value(request).unwrap()).await.unwrap();
    serde_json::to_value(answer).unwrap()
}

#[tokio::test]
async fn after_a_reset_the_new_key_is_used_the_old_one_is_not_and_every_device_stays_logged_in() {
    let (laptop, alice) = leaked().await;
    let other = laptop.login("alice").await;
    let (forged, before) = (data(&laptop), signature(&laptop, &alice, true).await);

    assert_eq!(ask(&laptop, "reset_session_key", &alice).await, json!({ "session_key": "replaced" }));

    assert!(!reads(&laptop, &alice, &forged).await);
    assert!(reads(&laptop, &alice, &data(&laptop)).await, "and no login was needed");
    let after = signature(&laptop, &alice, true).await;
    assert!(after["signature"].is_string() && after != before, "{after}");
    for device in [&alice, &other] {
        get_session(&laptop, device).await.ok();
        laptop.refresh(&device.refresh).await.ok();
    }
    assert_eq!(laptop.checked(&alice).await, "ok");
    laptop.login("alice").await;
}

#[tokio::test]
async fn the_key_before_the_present_one_goes_too() {
    let (laptop, alice) = leaked().await;
    let forged = data(&laptop);
    let _ = laptop.sim("settings", json!({ "session_key": "replace" }));
    laptop.login("alice").await;
    assert!(reads(&laptop, &alice, &forged).await, "for ten minutes");

    assert_eq!(ask(&laptop, "reset_session_key", &alice).await, json!({ "session_key": "replaced" }));

    assert!(!reads(&laptop, &alice, &forged).await);
}

#[tokio::test]
async fn a_key_that_wechat_replaced_already_is_dropped() {
    for errcode in [87009, 87007] {
        let (laptop, alice) = leaked().await;
        let forged = data(&laptop);
        let _ = laptop.sim("settings", json!({ "stale_key_errcode": errcode }));
        let _ = laptop.sim("user", json!({ "user": "alice", "session_key": "tiihtNczf5v6AKRyjwEUhQ==" }));

        assert_eq!(ask(&laptop, "reset_session_key", &alice).await, json!({ "session_key": "dropped" }));

        assert!(!reads(&laptop, &alice, &forged).await);
        assert_eq!(signature(&laptop, &alice, false).await, json!({ "refused": "stale", "action": "relogin" }));
        get_session(&laptop, &alice).await.ok();
        assert_eq!(ask(&laptop, "reset_session_key", &alice).await, json!({ "session_key": "absent" }));
        laptop.login("alice").await;
        assert!(reads(&laptop, &alice, &data(&laptop)).await);
    }
}

#[tokio::test]
async fn where_there_is_no_key_wechat_is_not_asked() {
    let (laptop, alice) = leaked().await;
    let nobody = json!({ "operation": "reset_session_key", "appid": APPID, "openid": "oNobody" });
    let foreign = json!({ "operation": "reset_session_key", "appid": "wx0000000000000002", "openid": alice.openid });
    ask(&laptop, "delete", &alice).await;

    assert_eq!(ask(&laptop, "reset_session_key", &alice).await, json!({ "session_key": "absent" }));
    assert_eq!(tried(&laptop, nobody).await, Ok(json!({ "session_key": "absent" })));
    assert_eq!(tried(&laptop, foreign).await, Err("the appid is not configured".to_owned()));

    assert_eq!(laptop.simulator.calls("resetusersessionkey"), 0);
    assert!(laptop.items().await.is_empty(), "nothing of the user comes back");
}

#[tokio::test]
async fn a_blocked_users_key_can_be_reset_and_the_block_stays() {
    let (laptop, alice) = leaked().await;
    ask(&laptop, "block", &alice).await;

    assert_eq!(ask(&laptop, "reset_session_key", &alice).await, json!({ "session_key": "replaced" }));

    assert!(ask(&laptop, "read", &alice).await["user"]["blocked_at"].is_number());
    laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.is_problem(403, "user_blocked", "stop");
}

#[tokio::test]
async fn a_wechat_that_does_not_say_is_a_failure_and_the_same_again_finds_out() {
    for fault in [
        json!({ "kind": "errcode", "errcode": 45011 }),
        json!({ "kind": "errcode", "errcode": -1 }),
        json!({ "kind": "html" }),
        json!({ "kind": "reset" }),
        json!({ "kind": "status", "status": 200, "body": r#"{"errcode":0}"# }),
        json!({ "kind": "errcode", "errcode": 48001 }),
    ] {
        let (laptop, alice) = leaked().await;
        let before = laptop.items().await;
        laptop.script("resetusersessionkey", &fault, None);
        let failed = tried(&laptop, request("reset_session_key", &alice)).await;
        assert!(failed.is_err(), "{fault}: {failed:?}");
        assert_eq!(
            laptop.items().await.get(&(format!("{APPID}#{}", alice.openid), "user".into())),
            before.get(&(format!("{APPID}#{}", alice.openid), "user".into())),
            "nothing is decided: {fault}"
        );
        laptop.simulator.clear_script();

        assert_eq!(ask(&laptop, "reset_session_key", &alice).await, json!({ "session_key": "replaced" }), "{fault}");
    }
}

#[tokio::test]
async fn a_reset_whose_answer_is_lost_is_not_sent_again_by_itself_and_leaves_no_key_behind() {
    let (laptop, alice) = leaked().await;
    let forged = data(&laptop);
    laptop.script_after("resetusersessionkey", &json!({ "kind": "reset" }), Some(1));

    assert!(tried(&laptop, request("reset_session_key", &alice)).await.is_err());
    assert_eq!(laptop.simulator.calls("resetusersessionkey"), 1);

    assert_eq!(ask(&laptop, "reset_session_key", &alice).await, json!({ "session_key": "dropped" }));
    assert!(!reads(&laptop, &alice, &forged).await);
    laptop.login("alice").await;
    assert!(reads(&laptop, &alice, &data(&laptop)).await);
}

/// WeChat gave the old key to a login that is on its way while the key is reset.
#[tokio::test]
async fn a_login_that_arrived_before_the_reset_does_not_bring_the_old_key_back() {
    let (mut laptop, alice) = leaked().await;
    let forged = data(&laptop);
    let code = laptop.code("alice");
    let (beside, mut wire) = tests::wire::beside(&mut laptop).await;
    laptop.clock.tick();
    let (mut reset, body) = (Value::Null, json!({ "code": code }));

    let late = wire.step(beside.post("/v1/login", &body), async |waiting| {
        if reset.is_null() {
            // WeChat was asked, and nothing is written yet.
            beside.clock.tick();
            reset = ask(&laptop, "reset_session_key", &alice).await;
        }
        waiting.pass().await;
    });
    let late = Box::pin(late).await;

    assert_eq!(reset, json!({ "session_key": "replaced" }));
    late.is_problem(503, "retry_login", "relogin");
    assert!(!reads(&laptop, &alice, &forged).await);
    assert!(reads(&laptop, &alice, &data(&laptop)).await);
    get_session(&laptop, &alice).await.ok();
}

/// A WeChat that had replaced the key for another reset before it looked at this one.
struct Outrun(admin::Deps, Value);

#[async_trait]
impl ResetSessionKey for Outrun {
    async fn reset(
        &self,
        _: &App,
        _: &OpenId,
        _: &SessionKey,
        _: Deadline,
    ) -> Result<Option<SessionKey>, PlatformError> {
        let request = serde_json::from_value(self.1.clone()).unwrap();
        let first = admin::handle(self.0.clone(), request).await.unwrap();
        assert_eq!(serde_json::to_value(first).unwrap(), json!({ "session_key": "replaced" }));
        Ok(None)
    }
}

#[tokio::test]
async fn of_two_resets_at_once_the_slower_keeps_the_key_of_the_other() {
    let (laptop, alice) = leaked().await;
    let forged = data(&laptop);
    let deps = deps(&laptop).await;
    let slower = admin::Deps { platform: Arc::new(Outrun(deps.clone(), request("reset_session_key", &alice))), ..deps };

    let request = serde_json::from_value(request("reset_session_key", &alice)).unwrap();
    let answer = admin::handle(slower, request).await.unwrap();

    assert_eq!(serde_json::to_value(answer).unwrap(), json!({ "session_key": "replaced" }));
    assert!(signature(&laptop, &alice, true).await["signature"].is_string());
    assert!(!reads(&laptop, &alice, &forged).await);
    assert!(reads(&laptop, &alice, &data(&laptop)).await);
}
