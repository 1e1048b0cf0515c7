//! The owner's mini programs on the laptop: WeChat itself is asked for them.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::RawQuery, routing::get};
use serde_json::{Value, json};
use tests::{APPID, Start, client, send};

const REAL: &str = "wxfedcba9876543210";

fn apps() -> Value {
    json!({ "apps": { REAL: { "secret": "the-real-secret" } } })
}

/// As `cargo run -- --apps FILE` starts it.
fn by_flag() -> Start {
    Start::default().apps(apps()).with(|settings| {
        settings.vars.clear();
        settings.foreign_codes = true;
    })
}

#[tokio::test]
async fn mini_programs_of_a_file_are_asked_for_at_wechat_itself() {
    let flag = by_flag().without_simulator().await;
    let folder = tests::Folder::new();
    let file = folder.0.join("apps.json");
    std::fs::write(&file, apps().to_string()).unwrap();
    let variable = Start::default().with(move |settings| {
        settings.vars = vec![("WXAUTH_APPS".to_owned(), format!("file:{}", file.display()))];
    });
    let variable = variable.without_simulator().await;

    for world in [flag, variable] {
        assert_eq!(world.wechat_url, "https://api.weixin.qq.com");
        assert!(world.simulator.is_none());
        assert_eq!(world.appids, [REAL]);
    }
}

#[tokio::test]
async fn the_demo_app_is_simulated_and_so_are_others_if_so_told() {
    let demo = Start::default().with(|settings| settings.vars.clear()).go().await;
    let told = by_flag().with(|settings| settings.wechat_url = Some("simulator".to_owned())).go().await;

    assert_eq!(
        (demo.world.appids.as_slice(), told.world.appids.as_slice()),
        (&[APPID.to_owned()][..], &[REAL.to_owned()][..])
    );
    told.login("alice").await;
}

/// A stand-in for WeChat that keeps the query of each exchange.
async fn wechat() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let exchange = async move |RawQuery(query): RawQuery| {
        kept.lock().unwrap().push(query.unwrap_or_default());
        r#"{"openid":"oRealUserOfTheRealMiniProgram","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#
    };
    let router = Router::new().route("/sns/jscode2session", get(exchange));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, router).await });
    (url, asked)
}

#[tokio::test]
async fn a_code_of_the_developer_tools_goes_to_the_wechat_that_is_named_with_the_owners_secret() {
    let (url, asked) = wechat().await;
    let named = url.clone();
    let world = by_flag().with(move |settings| settings.wechat_url = Some(named)).without_simulator().await;

    let body = json!({ "code": "033Ab9Ga1-Tools_Tools_Tools00001" });
    let login = send(client().post(format!("{}/v1/login", world.url)).json(&body)).await;

    assert_eq!(login.ok()["openid"], "oRealUserOfTheRealMiniProgram");
    assert_eq!(world.wechat_url, url);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "{asked:?}");
    for part in [&format!("appid={REAL}"), "secret=the-real-secret", "js_code=033Ab9Ga1-Tools_Tools_Tools00001"] {
        assert!(asked[0].contains(part), "{asked:?}");
    }
}
