//! Each mini program has a platform token of its own, which all processes share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;
use http::HeaderMap;
use local::World;
use serde_json::json;
use tests::{APPID, Folder, Laptop, Response, Start, Tokens, send};
use tokio::sync::Notify;

use super::{ONE, TWO, login, phone_by_code, two_apps};

#[tokio::test]
async fn each_app_has_its_own_and_wechat_refuses_the_others() {
    let laptop = two_apps().await;
    let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "bob").await);
    for _ in 0..2 {
        assert_eq!([laptop.checked(&one).await, laptop.checked(&two).await], ["ok", "ok"]);
        phone_by_code(&laptop, ONE, "alice", &one).await.ok();
        phone_by_code(&laptop, TWO, "bob", &two).await.ok();
    }

    assert_eq!(laptop.simulator.calls("stable_token"), 2);
    // Such a mistake would be seen: WeChat's answers to the token of the other app.
    let http = tests::client();
    let token = async |appid: &str, secret: &str| {
        let body = json!({ "grant_type": "client_credential", "appid": appid, "secret": secret });
        let address = format!("{}/cgi-bin/stable_token", laptop.world.wechat_url);
        send(http.post(address).json(&body)).await.text_of("access_token")
    };
    let (of_one, of_two) = (token(ONE, "secret one").await, token(TWO, "secret two").await);
    assert_ne!(of_one, of_two);
    let address = format!(
        "{}/wxa/checksession?access_token={of_two}&openid={}&signature=00&sig_method=hmac_sha256",
        laptop.world.wechat_url, one.openid
    );
    assert_eq!(send(http.get(address)).await.json()["errcode"], 40003);
    let code = laptop.sim("phone", json!({ "user": "alice", "appid": ONE }))["code"].clone();
    let address = format!("{}/wxa/business/getuserphonenumber?access_token={of_two}", laptop.world.wechat_url);
    assert_eq!(send(http.post(address).json(&json!({ "code": code }))).await.json()["errcode"], 40013);
}

/// `misconfigured` would ring an alarm, at the will of any user of two mini programs.
#[tokio::test]
async fn a_phone_code_of_the_other_app_is_the_users_fault_and_not_the_owners() {
    let laptop = two_apps().await;
    let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "alice").await);

    let refused = phone_by_code(&laptop, TWO, "alice", &one).await;

    refused.is_problem(403, "data_rejected", "stop");
    assert!(laptop.line(&refused).contains(r#""level":"INFO""#), "{}", laptop.line(&refused));
    phone_by_code(&laptop, TWO, "alice", &two).await.ok();
}

#[tokio::test]
async fn one_that_was_moved_to_the_item_of_another_app_is_not_used() {
    let laptop = two_apps().await;
    let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "bob").await);
    phone_by_code(&laptop, ONE, "alice", &one).await.ok();
    phone_by_code(&laptop, TWO, "bob", &two).await.ok();
    let stored = laptop.items().await;
    let token = |appid: &str| stored[&(format!("app#{appid}"), "access_token".to_owned())].clone();
    let (client, table) = laptop.dynamodb();
    for (here, there) in [(ONE, TWO), (TWO, ONE)] {
        let mut item = token(here);
        item.insert("sealed".to_owned(), token(there)["sealed"].clone());
        client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
    }

    // Another function, which remembers no token of its own.
    let answers = [laptop.checked(&one).await, laptop.checked(&two).await];

    assert_eq!(answers, ["ok", "ok"]);
    assert_eq!(laptop.simulator.calls("stable_token"), 4, "both were fetched anew");
}

#[tokio::test]
async fn one_apps_refused_token_leaves_the_others_alone() {
    let laptop = two_apps().await;
    let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "bob").await);
    assert_eq!([laptop.checked(&one).await, laptop.checked(&two).await], ["ok", "ok"]);
    let stored = laptop.items().await;
    let of_two = &stored[&(format!("app#{TWO}"), "access_token".to_owned())];
    laptop.clock.advance(30);
    let body = json!({
        "grant_type": "client_credential", "appid": ONE, "secret": "secret one", "force_refresh": true,
    });
    let address = format!("{}/cgi-bin/stable_token", laptop.world.wechat_url);
    send(tests::client().post(address).json(&body)).await.ok()["access_token"].as_str().unwrap();

    assert_eq!([laptop.checked(&one).await, laptop.checked(&two).await], ["ok", "ok"]);

    assert_eq!(laptop.simulator.calls("stable_token"), 4, "two at first, the forced one, and ours for app one");
    assert_eq!(&laptop.items().await[&(format!("app#{TWO}"), "access_token".to_owned())], of_two);
}

/// A hundred requests over four processes, half to the phone and half to the session, all of them while WeChat takes
/// its time to give a platform token.
async fn a_hundred_at_once(processes: &[Laptop; 4], users: &[(String, Tokens)]) -> Vec<Response> {
    processes[0].script("stable_token", &json!({ "kind": "latency", "ms": 1_000 }), Some(1));
    let taps: Vec<_> = (0..100)
        .map(|at| {
            let user = &users[at % users.len()].0;
            processes[0].sim("phone", json!({ "user": user }))["code"].clone()
        })
        .collect();
    join_all(taps.iter().zip(0..).map(async |(code, at)| {
        // Not all in the same millisecond: the embedded table is slower than DynamoDB.
        tokio::time::sleep(std::time::Duration::from_millis(8 * at)).await;
        let at = usize::try_from(at).unwrap();
        let (laptop, access) = (&processes[at % 4], &users[at % users.len()].1.access);
        if (at / 4) % 2 == 0 {
            return laptop.get(access, "/v1/session?wechat=check").await;
        }
        laptop.post_as(access, "/v1/phone", &json!({ "code": code })).await
    }))
    .await
}

/// Four processes that know a platform token, and 25 users whose access tokens are new after so many seconds.
async fn four_processes(seconds: u64) -> ([Laptop; 4], Vec<(String, Tokens)>) {
    let one = Laptop::start().await;
    let processes = [one.beside().await, one.beside().await, one.beside().await, one];
    let alice = processes[0].login("alice").await;
    for laptop in &processes {
        assert_eq!(laptop.checked(&alice).await, "ok");
        phone_by_code(laptop, APPID, "alice", &alice).await.ok();
    }
    assert_eq!(processes[0].simulator.calls("stable_token"), 1, "the first one");
    processes[0].clock.advance(seconds);
    let mut users = Vec::new();
    for number in 0..25 {
        let user = format!("user{number}");
        let tokens = processes[0].login(&user).await;
        users.push((user, tokens));
    }
    (processes, users)
}

#[track_caller]
fn all_are_good(answers: &[Response]) {
    let checks = answers.iter().filter(|answer| answer.ok()["wechat_session"] == "ok").count();
    let numbers = answers.iter().filter(|answer| answer.ok()["phoneNumber"].is_string()).count();
    assert_eq!((checks, numbers), (52, 48));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_of_four_processes_at_its_end_cost_one_call() {
    let (processes, users) = Box::pin(four_processes(7_200)).await;

    let answers = a_hundred_at_once(&processes, &users).await;

    all_are_good(&answers);
    assert_eq!(processes[0].simulator.calls("stable_token"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_of_four_processes_before_its_end_cost_one_call() {
    let (processes, users) = Box::pin(four_processes(7_000)).await;

    let answers = a_hundred_at_once(&processes, &users).await;

    all_are_good(&answers);
    assert_eq!(processes[0].simulator.calls("stable_token"), 2);
}

/// Another process with the keys in this folder, which reaches the table through `dynamodb_url`.
async fn process(laptop: &Laptop, folder: &Folder, dynamodb_url: &str) -> World {
    let file = |name: &str| format!("file:{}", folder.0.join(name).display());
    Start::default()
        .var("WXAUTH_WECHAT_URL", &laptop.world.wechat_url)
        .var("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url)
        .var("WXAUTH_ISSUER", &laptop.world.url)
        .var("WXAUTH_KEYRING", &file("keyring.json"))
        .var("WXAUTH_SIGNING_KEYS", &file("signing-keys.json"))
        .var("WXAUTH_JWKS", &file("jwks.json"))
        .without_simulator()
        .await
}

/// A way to the table on which the first request for a lease waits until it is let go.
async fn slow_lease(dynamodb_url: &str) -> (String, Arc<Notify>, Arc<Notify>) {
    let (arrived, go) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let (at, gate, to) = (Arc::clone(&arrived), Arc::clone(&go), dynamodb_url.to_owned());
    let is_first = Arc::new(AtomicBool::new(true));
    let forward = async move |mut headers: HeaderMap, body: String| {
        if body.contains("leased_until") && is_first.swap(false, Ordering::SeqCst) {
            at.notify_one();
            gate.notified().await;
        }
        headers.remove("host");
        let answer = send(tests::client().post(&to).headers(headers).body(body)).await;
        (answer.status, answer.headers, answer.text)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(forward);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, arrived, go)
}

#[tokio::test]
async fn who_takes_the_lease_after_another_has_fetched_finds_the_token_and_does_not_fetch() {
    let folder = Folder::new();
    let laptop = Start::default().folder(&folder).go().await;
    let alice = laptop.login("alice").await;
    let (url, arrived, go) = slow_lease(&laptop.world.dynamodb_url).await;
    let slow = process(&laptop, &folder, &url).await;
    let request = tests::client().get(format!("{}/v1/session?wechat=check", slow.url)).bearer_auth(&alice.access);

    // It has looked into the table and found nothing; before it takes the lease, another one fetches and is done.
    let late = tokio::spawn(send(request));
    arrived.notified().await;
    assert_eq!(laptop.checked(&alice).await, "ok");
    go.notify_one();

    assert_eq!(late.await.unwrap().ok()["wechat_session"], "ok");
    assert_eq!(laptop.simulator.calls("stable_token"), 1);
}
