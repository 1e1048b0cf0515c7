//! The authorizer for the owner's other APIs.

use std::sync::Arc;

use authorizer::Deps;
use serde_json::{Value, json};
use shared::{entropy::OsEntropy, env::Env, http::record::Log, vars::Vars};
use tests::{APPID, Laptop, Start, authorizer_event, jwt_claims};

async fn decide(deps: &Deps, event: Value) -> Value {
    let decision = authorizer::handle(deps.clone(), serde_json::from_value(event).unwrap()).await.unwrap();
    serde_json::to_value(decision).unwrap()
}

async fn deps(laptop: &Laptop) -> Deps {
    Deps::from_env(laptop.world.env.clone()).await.unwrap()
}

#[tokio::test]
async fn a_living_session_is_a_yes_with_openid_appid_and_sid() {
    let laptop = Laptop::start().await;
    let (alice, deps) = (laptop.login("alice").await, deps(&laptop).await);

    let answer = decide(&deps, authorizer_event(&format!("Bearer {}", alice.access))).await;

    let sid = &jwt_claims(&alice.access)["sid"];
    let context = json!({ "openid": alice.openid, "appid": APPID, "sid": sid });
    assert_eq!(answer, json!({ "isAuthorized": true, "context": context }));
}

#[tokio::test]
async fn whatever_is_no_token_of_a_living_session_is_a_no() {
    let laptop = Laptop::start().await;
    let (alice, deps) = (laptop.login("alice").await, deps(&laptop).await);
    let stranger = Laptop::start().await.login("alice").await;
    let no = json!({ "isAuthorized": false, "context": {} });

    for bad in [
        "",
        "Bearer",
        "Bearer x",
        &alice.access,
        &format!("Bearer {}", stranger.access),
        &format!("Bearer {}", alice.refresh),
    ] {
        assert_eq!(decide(&deps, authorizer_event(bad)).await, no, "{bad}");
    }
    let mut without = authorizer_event("");
    without["headers"] = Value::Null;
    assert_eq!(decide(&deps, without).await, no);

    // A login on the same device is the end of the session before it: seen at once.
    laptop.clock.advance(1);
    laptop.login_with(&json!({ "code": laptop.code("alice"), "device": alice.device })).await;
    assert_eq!(decide(&deps, authorizer_event(&format!("Bearer {}", alice.access))).await, no);
}

#[tokio::test]
async fn a_rest_or_websocket_api_gets_a_policy() {
    let laptop = Laptop::start().await;
    let (alice, deps) = (laptop.login("alice").await, deps(&laptop).await);
    let arn = "arn:aws-cn:execute-api:cn-north-1:123456789012:rest/prod/GET/things";
    let bearer = format!("Bearer {}", alice.access);
    let token = json!({ "type": "TOKEN", "authorizationToken": bearer, "methodArn": arn });
    let request =
        json!({ "type": "REQUEST", "version": "1.0", "headers": { "Authorization": bearer }, "methodArn": arn });
    let refused = json!({ "type": "TOKEN", "authorizationToken": "Bearer x", "methodArn": arn });

    for event in [token, request] {
        let answer = decide(&deps, event).await;
        let statement = &answer["policyDocument"]["Statement"][0];
        assert_eq!((&statement["Effect"], &statement["Resource"]), (&json!("Allow"), &json!(arn)));
        assert_eq!(answer["context"]["openid"], alice.openid);
        assert_eq!(answer["principalId"], answer["context"]["sid"], "no openid in the gateway's log");
    }
    let answer = decide(&deps, refused).await;
    assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Deny");
    assert_eq!(answer["context"], json!({}));
}

#[tokio::test]
async fn the_issuer_counts_only_where_it_is_set() {
    let laptop = Start::default().var("WXAUTH_ISSUER", "https://one.example.com").go().await;
    let alice = laptop.login("alice").await;
    let bearer = format!("Bearer {}", alice.access);
    let with = async |issuer: Option<&str>| {
        let mut deps = deps(&laptop).await;
        deps.authenticator.config.issuer = issuer.map(str::to_owned);
        decide(&deps, authorizer_event(&bearer)).await["isAuthorized"].clone()
    };

    assert_eq!(with(Some("https://one.example.com")).await, true);
    assert_eq!(with(Some("https://two.example.com")).await, false);
    assert_eq!(with(None).await, true);
}

#[tokio::test]
async fn a_failure_of_ours_is_thrown_and_never_a_no() {
    let laptop = Laptop::start().await;
    let (alice, deps) = (laptop.login("alice").await, deps(&laptop).await);
    let (client, table) = laptop.dynamodb();
    client.delete_table().table_name(table).send().await.unwrap();
    let event = serde_json::from_value(authorizer_event(&format!("Bearer {}", alice.access))).unwrap();
    assert!(authorizer::handle(deps, event).await.is_err());

    let vars: Vars = [
        ("WXAUTH_TABLE", "wxauth"),
        ("WXAUTH_JWKS", "file:/nowhere"),
        ("AWS_REGION", "x"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ]
    .into_iter()
    .collect();
    let env = Env::new(vars, Arc::new(laptop.clock.clone()), Arc::new(OsEntropy), Log::new(|_| ())).unwrap();
    let blind = Deps::from_env(env).await.unwrap();
    let event = serde_json::from_value(authorizer_event(&format!("Bearer {}", alice.access))).unwrap();
    assert!(authorizer::handle(blind, event).await.is_err());
}
