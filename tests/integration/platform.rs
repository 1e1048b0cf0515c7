//! WeChat's `access_token` for the owner's other services.

use futures_util::future::join_all;
use http::Method;
use platform::Deps;
use serde_json::{Value, json};
use tests::{APPID, Laptop, Start, Tokens, send};

const OTHER: &str = "wx0000000000000002";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn deps(laptop: &Laptop) -> Deps {
    Deps::from_env(laptop.world.env.clone()).await.unwrap()
}

/// What the invocation answers, or the sentence with which it fails.
async fn tried(deps: &Deps, request: Value) -> Result<Value, String> {
    let request = serde_json::from_value(request).map_err(|defect| defect.to_string())?;
    let answer = platform::handle(deps.clone(), request).await;
    answer.map(|answer| serde_json::to_value(answer).unwrap()).map_err(|error| error.to_string())
}

async fn give(deps: &Deps) -> Value {
    tried(deps, json!({ "appid": APPID })).await.unwrap()
}

/// The token that WeChat gives to whoever asks it now.
async fn at_wechat(laptop: &Laptop, appid: &str, secret: &str) -> Value {
    let body = json!({ "grant_type": "client_credential", "appid": appid, "secret": secret });
    let url = format!("{}/cgi-bin/stable_token", laptop.world.wechat_url);
    send(tests::client().post(url).json(&body)).await.ok()["access_token"].clone()
}

async fn redeem(laptop: &Laptop, user: &Tokens) {
    let code = laptop.sim("phone", json!({ "user": "alice" }))["code"].clone();
    laptop.post_as(&user.access, "/v1/phone", &json!({ "code": code })).await.ok();
}

async fn check(laptop: &Laptop, user: &Tokens) -> Value {
    let request = laptop.method(Method::GET, "/v1/session?wechat=check").bearer_auth(&user.access);
    send(request).await.ok()["wechat_session"].clone()
}

async fn two_apps() -> Laptop {
    Start::default().apps(json!({ "apps": { APPID: { "secret": "one" }, OTHER: { "secret": "two" } } })).go().await
}

#[tokio::test]
async fn the_token_is_wechats_with_the_seconds_that_it_has_left() {
    let laptop = Laptop::start().await;
    let deps = deps(&laptop).await;

    let first = give(&deps).await;
    laptop.clock.advance(1_000);
    let later = give(&deps).await;

    let token = at_wechat(&laptop, APPID, SECRET).await;
    assert_eq!(first, json!({ "access_token": token, "expires_in": 7_200 }));
    assert_eq!(later, json!({ "access_token": token, "expires_in": 6_200 }));
}

#[tokio::test]
async fn phone_session_and_the_owner_share_one_token() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let beside = laptop.beside().await;

    redeem(&laptop, &alice).await;
    let checked = check(&laptop, &alice).await;
    let given = [give(&deps(&laptop).await).await, give(&deps(&beside).await).await];

    assert_eq!(checked, "ok");
    assert_eq!(laptop.simulator.calls("stable_token"), 1);
    let token = at_wechat(&laptop, APPID, SECRET).await;
    assert!(given.iter().all(|given| given["access_token"] == token));
}

#[tokio::test]
async fn a_token_that_the_owner_fetched_serves_phone_and_session() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    give(&deps(&laptop).await).await;

    redeem(&laptop, &alice).await;
    check(&laptop, &alice).await;

    assert_eq!(laptop.simulator.calls("stable_token"), 1);
}

#[tokio::test]
async fn the_appid_is_needed_only_where_there_are_several() {
    let (one, two) = (Laptop::start().await, two_apps().await);
    let (of_one, of_two) = (deps(&one).await, deps(&two).await);
    let unnamed = Err("the appid is not configured, or is missing".to_owned());

    assert_eq!(tried(&of_one, json!({})).await.unwrap()["access_token"], at_wechat(&one, APPID, SECRET).await);
    assert_eq!(tried(&of_one, json!({ "appid": null })).await.unwrap()["expires_in"], 7_200);
    assert_eq!(tried(&of_two, json!({})).await, unnamed);
    for (appid, secret) in [(APPID, "one"), (OTHER, "two")] {
        let given = tried(&of_two, json!({ "appid": appid })).await.unwrap();
        assert_eq!(given["access_token"], at_wechat(&two, appid, secret).await, "{appid}");
    }
}

#[tokio::test]
async fn an_unknown_appid_is_one_sentence_and_never_reaches_wechat() {
    let laptop = Laptop::start().await;
    let deps = deps(&laptop).await;

    for appid in [OTHER, "", "wx other", "wx#", &"w".repeat(65), "微信"] {
        let refused = tried(&deps, json!({ "appid": appid })).await;
        assert_eq!(refused, Err("the appid is not configured, or is missing".to_owned()), "{appid}");
    }
    for other in [json!(null), json!([{}]), json!("read"), json!({ "appid": 1 }), json!({ "app_id": APPID })] {
        assert!(tried(&deps, other.clone()).await.is_err(), "{other}");
    }
    assert_eq!(laptop.simulator.calls("stable_token"), 0);
}

#[tokio::test]
async fn a_failure_is_a_sentence_without_address_secret_or_token() {
    for fault in [
        json!({ "kind": "reset" }),
        json!({ "kind": "html" }),
        json!({ "kind": "truncated" }),
        json!({ "kind": "status", "status": 502 }),
        json!({ "kind": "errcode", "errcode": 40125, "errmsg": format!("invalid appsecret {SECRET}") }),
        json!({ "kind": "errcode", "errcode": -1 }),
        json!({ "kind": "errcode", "errcode": 45009 }),
        json!({ "kind": "status", "status": 200, "body": format!("{{\"access_token\":\"{SECRET}\",\"expires_in\":0}}") }),
    ] {
        let laptop = Laptop::start().await;
        laptop.script("stable_token", &fault, None);

        let handled = platform::handle(deps(&laptop).await, serde_json::from_value(json!({})).unwrap());
        let sentence = laptop.logged(handled).await.map(drop).unwrap_err().to_string();

        let line = laptop.log().pop().unwrap();
        assert!(!sentence.is_empty() && sentence.lines().count() == 1, "{sentence}");
        for secret in ["http", "127.0.0.1", "cgi-bin", "stable_token", SECRET] {
            assert!(!sentence.contains(secret) && !line.contains(secret), "{fault}: {secret} in {sentence} or {line}");
        }
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["level"], "ERROR");
    }
}

#[tokio::test]
async fn a_wechat_that_is_not_there_is_a_sentence_without_its_address() {
    let dead = "http://127.0.0.1:9";
    let world = Start::default().var("WXAUTH_WECHAT_URL", dead).without_simulator().await;
    let deps = Deps::from_env(world.env.clone()).await.unwrap();

    let sentence = tried(&deps, json!({})).await.unwrap_err();

    for secret in ["http", "127.0.0.1", SECRET] {
        assert!(!sentence.contains(secret), "{secret} stands in {sentence}");
    }
}

#[tokio::test]
async fn the_old_token_serves_while_its_renewal_fails() {
    let laptop = Laptop::start().await;
    let warm = deps(&laptop).await;
    let first = give(&warm).await;
    laptop.script("stable_token", &json!({ "kind": "errcode", "errcode": 40164 }), None);
    laptop.clock.advance(7_200 - 200);

    let renewed = give(&warm).await;
    let in_a_new_process = give(&deps(&laptop).await).await;

    for given in [renewed, in_a_new_process] {
        assert_eq!(given, json!({ "access_token": first["access_token"], "expires_in": 200 }));
    }
    assert!(laptop.simulator.calls("stable_token") > 1, "a renewal was tried");
}

#[tokio::test]
async fn a_failed_renewal_is_not_tried_again_with_every_request() {
    let laptop = Laptop::start().await;
    let deps = deps(&laptop).await;
    give(&deps).await;
    laptop.script("stable_token", &json!({ "kind": "errcode", "errcode": 40164 }), None);
    laptop.clock.advance(7_200 - 200);

    for _ in 0..29 {
        give(&deps).await;
        laptop.clock.advance(1);
    }

    assert_eq!(laptop.simulator.calls("stable_token"), 2);
}

#[tokio::test]
async fn no_token_is_given_that_would_end_on_the_way() {
    let laptop = Laptop::start().await;
    let deps = deps(&laptop).await;
    let first = give(&deps).await;
    laptop.script("stable_token", &json!({ "kind": "errcode", "errcode": 40164 }), None);
    laptop.clock.advance(7_200 - 11);
    assert_eq!(give(&deps).await["expires_in"], 11);

    laptop.clock.advance(1);
    assert!(tried(&deps, json!({})).await.is_err());

    laptop.simulator.clear_script();
    let next = give(&deps).await;
    assert_ne!(next["access_token"], first["access_token"]);
    assert_eq!(next["expires_in"], 7_200);
}

/// Bound: whatever the number of callers and processes, one call for a token, be the old one renewed or gone.
#[tokio::test]
async fn a_hundred_callers_in_four_processes_fetch_one_new_token() {
    let laptop = Laptop::start().await;
    let besides = [laptop.beside().await, laptop.beside().await, laptop.beside().await];
    let mut processes = vec![deps(&laptop).await];
    for beside in &besides {
        processes.push(deps(beside).await);
    }
    for deps in &processes {
        give(deps).await;
    }
    laptop.script("stable_token", &json!({ "kind": "latency", "ms": 300 }), None);

    for (round, later) in [(2, 7_200 - 240), (3, 7_200)] {
        laptop.clock.advance(later);
        let callers = (0..100).map(|caller| tried(&processes[caller % 4], json!({ "appid": APPID })));
        let given = join_all(callers).await;

        assert!(given.iter().all(Result::is_ok), "round {round}: {given:?}");
        assert_eq!(laptop.simulator.calls("stable_token"), round);
    }
}

#[tokio::test]
async fn a_refused_secret_is_marked_for_the_alarm() {
    let laptop = Laptop::start().await;
    laptop.script("stable_token", &json!({ "kind": "errcode", "errcode": 40125 }), None);

    let sentence = tried(&deps(&laptop).await, json!({})).await.unwrap_err();

    assert!(sentence.contains("40125"), "the owner needs the number: {sentence}");
}

/// WeChat replaced the token; `phone` met that and put the new one into the table, of which this process knows nothing.
#[tokio::test]
async fn who_says_that_wechat_refused_the_token_gets_the_new_one() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let deps = deps(&laptop).await;
    let old = give(&deps).await["access_token"].clone();
    laptop.clock.advance(30);
    let app = wechat_simulator::App::demo();
    let forced = json!({
        "grant_type": "client_credential", "appid": app.appid, "secret": app.secret, "force_refresh": true,
    });
    let address = format!("{}/cgi-bin/stable_token", laptop.world.wechat_url);
    let new = tests::send(tests::client().post(address).json(&forced)).await.ok()["access_token"].clone();
    laptop.clock.advance(600);
    redeem(&laptop, &alice).await;
    let calls = laptop.simulator.calls("stable_token");

    let given = tried(&deps, json!({ "appid": APPID, "refused": old })).await.unwrap();

    assert_eq!(given["access_token"], new);
    assert_eq!(give(&deps).await["access_token"], new);
    assert_eq!(laptop.simulator.calls("stable_token"), calls, "it lay in the table");
}
