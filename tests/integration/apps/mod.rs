//! Several mini programs behind one deployment, and the secrets and platform tokens of each.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use http::{HeaderMap, Method, StatusCode};
use local::World;
use serde_json::{Value, json};
use tests::{APPID, Answer, BEGIN, Folder, Laptop, Start, Tokens, jwt_claims, send};
use tokio::sync::Notify;

use crate::session::{Items, items};

const ONE: &str = "wx0000000000000001";
const TWO: &str = "wx0000000000000002";

fn both() -> Value {
    json!({ "apps": { ONE: { "secret": "secret one" }, TWO: { "secret": "secret two" } } })
}

async fn two_apps() -> Laptop {
    Start::default().apps(both()).go().await
}

/// What `wx.login` gives a user of this app.
fn code(laptop: &Laptop, appid: &str, user: &str) -> Value {
    laptop.sim("login", json!({ "user": user, "appid": appid }))["code"].clone()
}

async fn login(laptop: &Laptop, appid: &str, user: &str) -> Tokens {
    laptop.login_with(&json!({ "code": code(laptop, appid, user), "appid": appid })).await
}

/// The same openid text for alice in both apps: two people.
fn same_openid(laptop: &Laptop) -> String {
    let openid = laptop.sim("user", json!({ "user": "alice", "appid": ONE }))["openid"].clone();
    let set = laptop.sim("user", json!({ "user": "alice", "appid": TWO, "openid": openid }));
    assert_eq!(set["openid"], openid);
    openid.as_str().unwrap().to_owned()
}

async fn get(laptop: &Laptop, access: &str, path: &str) -> Answer {
    send(laptop.method(Method::GET, path).bearer_auth(access)).await
}

async fn delete(laptop: &Laptop, access: &str, path: &str) -> Answer {
    send(laptop.method(Method::DELETE, path).bearer_auth(access)).await
}

async fn checked(laptop: &Laptop, user: &Tokens) -> Value {
    get(laptop, &user.access, "/v1/session?wechat=check").await.ok()["wechat_session"].clone()
}

/// The phone number of a user by a new phone code.
async fn phone_by_code(laptop: &Laptop, appid: &str, user: &str, tokens: &Tokens) -> Answer {
    let code = laptop.sim("phone", json!({ "user": user, "appid": appid }))["code"].clone();
    laptop.post_as(&tokens.access, "/v1/phone", &json!({ "code": code })).await
}

#[tokio::test]
async fn a_login_names_one_of_the_apps_in_its_exact_spelling() {
    let laptop = two_apps().await;

    for appid in
        [Value::Null, json!(APPID), json!("wx000000000000000A"), json!(ONE.to_uppercase()), json!(""), json!(1)]
    {
        let body = json!({ "code": code(&laptop, ONE, "alice"), "appid": appid });
        laptop.post("/v1/login", &body).await.is_problem(400, "invalid_request", "fix");
    }

    assert_eq!(laptop.simulator.calls("jscode2session"), 0);
    assert_eq!(
        login(&laptop, TWO, "alice").await.openid,
        laptop.sim("user", json!({ "user": "alice", "appid": TWO }))["openid"]
    );
}

#[tokio::test]
async fn the_same_openid_on_the_same_device_in_two_apps_is_two_users() {
    let laptop = two_apps().await;
    let openid = same_openid(&laptop);
    let one = login(&laptop, ONE, "alice").await;
    let body = json!({ "code": code(&laptop, TWO, "alice"), "appid": TWO, "device": one.device });

    let answer = laptop.post("/v1/login", &body).await.ok();

    assert_eq!(
        (&answer["new_user"], &answer["openid"], &answer["device"]),
        (&json!(true), &json!(openid), &json!(one.device))
    );
    let two = answer["access_token"].as_str().unwrap();
    assert_ne!(jwt_claims(&one.access)["sid"], jwt_claims(two)["sid"]);
    assert_eq!([jwt_claims(&one.access)["aud"].clone(), jwt_claims(two)["aud"].clone()], [ONE, TWO]);
    for (appid, access) in [(ONE, one.access.as_str()), (TWO, two)] {
        let session = get(&laptop, access, "/v1/session").await.ok();
        assert_eq!((&session["appid"], &session["openid"]), (&json!(appid), &json!(openid)));
        assert_eq!(get(&laptop, access, "/v1/sessions").await.ok()["sessions"].as_array().unwrap().len(), 1);
    }
    assert_eq!(delete(&laptop, &one.access, "/v1/user").await.status, StatusCode::NO_CONTENT);
    assert_eq!(checked_by(&laptop, two).await, "ok");
}

async fn checked_by(laptop: &Laptop, access: &str) -> Value {
    get(laptop, access, "/v1/session?wechat=check").await.ok()["wechat_session"].clone()
}

#[tokio::test]
async fn data_of_the_same_openid_in_the_other_app_is_rejected_even_under_the_same_key() {
    let laptop = two_apps().await;
    same_openid(&laptop);
    let codes = [code(&laptop, ONE, "alice"), code(&laptop, TWO, "alice")];
    for appid in [ONE, TWO] {
        let _ =
            laptop.sim("user", json!({ "user": "alice", "appid": appid, "session_key": "tiihtNczf5v6AKRyjwEUhQ==" }));
    }
    let one = laptop.login_with(&json!({ "code": codes[0], "appid": ONE })).await;
    let of_two = json!({ "user": "alice", "appid": TWO });
    let (tap, info) = (laptop.sim("phone", of_two.clone()), laptop.sim("userinfo", of_two));

    let phone = json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] });
    for (path, body) in [("/v1/phone", &phone), ("/v1/userinfo", &info)] {
        laptop.post_as(&one.access, path, body).await.is_problem(403, "data_rejected", "stop");
    }

    let two = laptop.login_with(&json!({ "code": codes[1], "appid": TWO })).await;
    laptop.post_as(&two.access, "/v1/phone", &phone).await.ok();
    laptop.post_as(&two.access, "/v1/userinfo", &info).await.ok();
}

#[tokio::test]
async fn a_session_key_moved_to_the_same_openid_of_the_other_app_opens_nothing() {
    let laptop = two_apps().await;
    let openid = same_openid(&laptop);
    let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "alice").await);
    let stored = items(&laptop).await;
    let user = |appid: &str| stored[&(format!("{appid}#{openid}"), "user".to_owned())].clone();
    let mut moved = user(TWO);
    moved.insert("current_key".to_owned(), user(ONE)["current_key"].clone());
    let (client, table) = laptop.dynamodb();
    client.put_item().table_name(&table).set_item(Some(moved)).send().await.unwrap();
    let tap = laptop.sim("phone", json!({ "user": "alice", "appid": ONE }));
    let data = json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] });

    let answer = laptop.post_as(&two.access, "/v1/phone", &data).await;

    answer.is_problem(409, "session_key_expired", "relogin_then_retap");
    assert_eq!(checked(&laptop, &two).await, "stale");
    laptop.post_as(&one.access, "/v1/phone", &data).await.ok();
}

mod platform_token {
    use super::*;

    #[tokio::test]
    async fn each_app_has_its_own_and_wechat_refuses_the_others() {
        let laptop = two_apps().await;
        let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "bob").await);
        for _ in 0..2 {
            assert_eq!([checked(&laptop, &one).await, checked(&laptop, &two).await], ["ok", "ok"]);
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

    #[tokio::test]
    async fn one_that_was_moved_to_the_item_of_another_app_is_not_used() {
        let laptop = two_apps().await;
        let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "bob").await);
        phone_by_code(&laptop, ONE, "alice", &one).await.ok();
        phone_by_code(&laptop, TWO, "bob", &two).await.ok();
        let stored = items(&laptop).await;
        let token = |appid: &str| stored[&(format!("app#{appid}"), "access_token".to_owned())].clone();
        let (client, table) = laptop.dynamodb();
        for (here, there) in [(ONE, TWO), (TWO, ONE)] {
            let mut item = token(here);
            item.insert("sealed".to_owned(), token(there)["sealed"].clone());
            client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
        }

        // Another function, which remembers no token of its own.
        let answers = [checked(&laptop, &one).await, checked(&laptop, &two).await];

        assert_eq!(answers, ["ok", "ok"]);
        assert_eq!(laptop.simulator.calls("stable_token"), 4, "both were fetched anew");
    }

    #[tokio::test]
    async fn one_apps_refused_token_leaves_the_others_alone() {
        let laptop = two_apps().await;
        let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "bob").await);
        assert_eq!([checked(&laptop, &one).await, checked(&laptop, &two).await], ["ok", "ok"]);
        let stored = items(&laptop).await;
        let of_two = &stored[&(format!("app#{TWO}"), "access_token".to_owned())];
        laptop.clock.advance(30);
        let body = json!({
            "grant_type": "client_credential", "appid": ONE, "secret": "secret one", "force_refresh": true,
        });
        let address = format!("{}/cgi-bin/stable_token", laptop.world.wechat_url);
        send(tests::client().post(address).json(&body)).await.ok()["access_token"].as_str().unwrap();

        assert_eq!([checked(&laptop, &one).await, checked(&laptop, &two).await], ["ok", "ok"]);

        assert_eq!(laptop.simulator.calls("stable_token"), 4, "two at first, the forced one, and ours for app one");
        assert_eq!(&items(&laptop).await[&(format!("app#{TWO}"), "access_token".to_owned())], of_two);
    }

    /// A hundred requests over four processes, half to the phone and half to the session, all of them while WeChat takes
    /// its time to give a platform token.
    async fn a_hundred_at_once(processes: &[Laptop; 4], users: &[(String, Tokens)]) -> Vec<Answer> {
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
                return get(laptop, access, "/v1/session?wechat=check").await;
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
            assert_eq!(checked(laptop, &alice).await, "ok");
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
    fn all_are_good(answers: &[Answer]) {
        let checks = answers.iter().filter(|answer| answer.ok()["wechat_session"] == "ok").count();
        let numbers = answers.iter().filter(|answer| answer.ok()["phoneNumber"].is_string()).count();
        assert_eq!((checks, numbers), (52, 48));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_hundred_requests_of_four_processes_at_its_end_cost_one_call() {
        let (processes, users) = four_processes(7_200).await;

        let answers = a_hundred_at_once(&processes, &users).await;

        all_are_good(&answers);
        assert_eq!(processes[0].simulator.calls("stable_token"), 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_hundred_requests_of_four_processes_before_its_end_cost_one_call() {
        let (processes, users) = four_processes(7_000).await;

        let answers = a_hundred_at_once(&processes, &users).await;

        all_are_good(&answers);
        assert_eq!(processes[0].simulator.calls("stable_token"), 2);
    }

    /// A process beside the laptop of this folder, whose table is reached through `dynamodb_url`.
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
        assert_eq!(checked(&laptop, &alice).await, "ok");
        go.notify_one();

        assert_eq!(late.await.unwrap().ok()["wechat_session"], "ok");
        assert_eq!(laptop.simulator.calls("stable_token"), 1);
    }
}

mod secret {
    use super::*;

    /// A laptop whose mini programs lie in a file that a test may change.
    async fn with_file(apps: &Value) -> (Laptop, Folder) {
        let folder = Folder::new();
        write(&folder, apps);
        let path = folder.0.join("apps.json");
        (Start::default().var("WXAUTH_APPS", &format!("file:{}", path.display())).go().await, folder)
    }

    fn write(folder: &Folder, apps: &Value) {
        std::fs::write(folder.0.join("apps.json"), apps.to_string()).unwrap();
    }

    fn only_one() -> Value {
        json!({ "apps": { ONE: { "secret": "secret one" } } })
    }

    async fn try_login(laptop: &Laptop, appid: &str) -> Answer {
        laptop.post("/v1/login", &json!({ "code": code(laptop, appid, "alice"), "appid": appid })).await
    }

    #[tokio::test]
    async fn an_app_added_while_running_is_there_after_ten_minutes_at_the_latest() {
        // The simulator knows both from the start; the functions forget one and get it back.
        let (laptop, folder) = with_file(&both()).await;
        write(&folder, &only_one());
        laptop.clock.advance(600);
        try_login(&laptop, TWO).await.is_problem(400, "invalid_request", "fix");
        write(&folder, &both());
        laptop.clock.advance(299);
        try_login(&laptop, TWO).await.is_problem(400, "invalid_request", "fix");

        laptop.clock.advance(301);
        let two = login(&laptop, TWO, "alice").await;

        phone_by_code(&laptop, TWO, "alice", &two).await.ok();
        assert_eq!(checked(&laptop, &two).await, "ok");
    }

    #[tokio::test]
    async fn an_app_added_while_running_is_read_beside_a_request_after_five_minutes() {
        let (laptop, folder) = with_file(&both()).await;
        write(&folder, &only_one());
        laptop.clock.advance(600);
        try_login(&laptop, TWO).await.is_problem(400, "invalid_request", "fix");
        write(&folder, &both());

        laptop.clock.advance(300);
        let mut refused = 0;
        while try_login(&laptop, TWO).await.status != StatusCode::OK {
            refused += 1;
            assert!(refused < 100, "the value is read, without a request that waits for it");
        }
    }

    #[tokio::test]
    async fn an_app_taken_away_ends_with_its_next_login_and_its_phone_codes() {
        let (laptop, folder) = with_file(&both()).await;
        let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "alice").await);
        write(&folder, &only_one());

        laptop.clock.advance(600);

        try_login(&laptop, TWO).await.is_problem(400, "invalid_request", "fix");
        phone_by_code(&laptop, TWO, "alice", &two).await.is_problem(500, "misconfigured", "stop");
        assert_eq!(checked(&laptop, &two).await, "unknown");
        get(&laptop, &two.access, "/v1/session").await.ok();
        phone_by_code(&laptop, ONE, "alice", &one).await.ok();
        assert_eq!(laptop.simulator.calls("stable_token"), 1);
    }

    #[tokio::test]
    async fn a_file_that_became_unreadable_changes_nothing() {
        let (laptop, folder) = with_file(&both()).await;
        for text in ["", "{", "{}", r#"{"apps":{}}"#, r#"{"apps":[]}"#] {
            std::fs::write(folder.0.join("apps.json"), text).unwrap();
            laptop.clock.advance(600);
            for appid in [ONE, TWO] {
                login(&laptop, appid, "alice").await;
            }
        }
    }

    /// The first login of all, a phone code and a check by a process that knows no platform token.
    async fn everything_works(laptop: &Laptop) {
        let alice = laptop.login("alice").await;
        phone_by_code(laptop, APPID, "alice", &alice).await.ok();
        assert_eq!(checked(laptop, &alice).await, "ok");
    }

    #[tokio::test]
    async fn a_changed_secret_works_whichever_of_the_two_wechat_holds() {
        let apps = json!({ "apps": { APPID: { "secret": "new", "previous_secret": "old" } } });
        for held in ["old", "new"] {
            let laptop = Start::default().apps(apps.clone()).go().await;
            let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": held }));
            everything_works(&laptop).await;

            // The owner changes it at WeChat; the old platform token lives on, the next one is fetched with the other.
            let other = if held == "old" { "new" } else { "old" };
            let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": other }));
            everything_works(&laptop).await;
            laptop.clock.advance(7_200);
            everything_works(&laptop).await;
        }
    }

    #[tokio::test]
    async fn a_secret_is_changed_without_a_moment_of_failure() {
        let secret = |secret: &str, previous: Option<&str>| json!({ "apps": { APPID: { "secret": secret, "previous_secret": previous } } });
        let (laptop, folder) = with_file(&secret("old", None)).await;
        everything_works(&laptop).await;

        write(&folder, &secret("new", Some("old")));
        for _ in 0..4 {
            laptop.clock.advance(150);
            everything_works(&laptop).await;
        }
        let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": "new" }));
        for _ in 0..2 {
            laptop.clock.advance(3_600);
            everything_works(&laptop).await;
        }
        write(&folder, &secret("new", None));
        for _ in 0..4 {
            laptop.clock.advance(3_600);
            everything_works(&laptop).await;
        }
    }

    #[tokio::test]
    async fn a_platform_token_is_fetched_with_the_previous_secret_whatever_number_refuses_the_new_one() {
        for errcode in [40001, 40125] {
            let apps = json!({ "apps": { APPID: { "secret": "new", "previous_secret": "old" } } });
            let laptop = Start::default().apps(apps).go().await;
            let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": "old" }));
            let alice = laptop.login("alice").await;
            laptop.script("stable_token", &json!({ "kind": "errcode", "errcode": errcode }), Some(1));

            phone_by_code(&laptop, APPID, "alice", &alice).await.ok();

            assert_eq!(laptop.simulator.calls("stable_token"), 2);
        }
    }

    #[tokio::test]
    async fn a_secret_that_wechat_holds_neither_of_is_a_misconfiguration() {
        let apps = json!({ "apps": { APPID: { "secret": "new", "previous_secret": "old" } } });
        let laptop = Start::default().apps(apps).go().await;
        let alice = laptop.login("alice").await;
        let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": "third" }));

        let login = laptop.post("/v1/login", &json!({ "code": laptop.code("bob") })).await;

        login.is_problem(500, "misconfigured", "stop");
        phone_by_code(&laptop, APPID, "alice", &alice).await.is_problem(500, "misconfigured", "stop");
        for secret in ["new", "old", "third"] {
            assert!(!login.text.contains(&format!("\"{secret}\"")));
        }
    }
}

/// Two users in each of two apps, of whom one and the same openid text names a user of each app; any requests in any
/// order; a model that says what each must answer and whose items each may touch.
mod model {
    use super::*;

    /// Random numbers that are the same in each run of a seed.
    struct Dice(u64);

    impl Dice {
        /// A number below this one.
        fn roll(&mut self, sides: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % sides
        }
    }

    /// An access token and what it was made for.
    #[derive(Clone)]
    struct Held {
        access: String,
        made_at: u64,
        device: String,
        created_at: u64,
    }

    struct Session {
        refresh: String,
        created_at: u64,
        rotated_at: u64,
    }

    /// A user of an app, and what the table should know.
    struct User {
        appid: &'static str,
        name: &'static str,
        openid: String,
        number: String,
        nick: String,
        unionid: String,
        devices: Vec<String>,
        is_known: bool,
        sessions: BTreeMap<String, Session>,
        /// The last tokens, dead ones among them.
        held: Vec<Held>,
        /// Refresh tokens of ended sessions.
        ended: Vec<String>,
        tries: (u32, u64),
        /// The last phone code, and when it gave a number.
        redeemed: Option<(Value, u64)>,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Admitted {
        Yes,
        Expired,
        Gone,
    }

    impl User {
        fn admitted(&self, held: &Held, now: u64) -> Admitted {
            let is_there = self.sessions.get(&held.device).is_some_and(|session| session.created_at == held.created_at);
            match (now < held.made_at + 930, is_there) {
                (false, _) => Admitted::Expired,
                (true, true) => Admitted::Yes,
                (true, false) => Admitted::Gone,
            }
        }

        fn end(&mut self, device: &str) {
            self.ended.extend(self.sessions.remove(device).map(|session| session.refresh));
        }

        /// Counts an attempt; false if none is left.
        fn take(&mut self, now: u64) -> bool {
            if self.tries.1 + 3_600 <= now {
                self.tries = (0, now);
            }
            let is_left = self.tries.0 < 30;
            self.tries.0 += u32::from(is_left);
            is_left
        }

        fn partition(&self) -> String {
            format!("{}#{}", self.appid, self.openid)
        }
    }

    struct Model {
        laptop: Laptop,
        dice: Dice,
        now: u64,
        users: Vec<User>,
        before: Items,
        /// Who made each claim.
        claims: HashMap<String, usize>,
        /// What was done, for the message of a failure.
        story: String,
        done: BTreeMap<&'static str, usize>,
    }

    /// What a request may do to the items of its user.
    #[derive(Clone, Copy, PartialEq)]
    enum Touches {
        Nothing,
        Own,
    }

    impl Model {
        async fn new(seed: u64) -> Self {
            let laptop = two_apps().await;
            same_openid(&laptop);
            let mut users = Vec::new();
            for (at, (appid, name)) in
                [(ONE, "alice"), (ONE, "bob"), (TWO, "alice"), (TWO, "bob")].into_iter().enumerate()
            {
                let (number, nick, unionid) =
                    (format!("1390000000{at}"), format!("nick-{at}-"), format!("union-{at}-"));
                let set = json!({
                    "user": name, "appid": appid, "phoneNumber": number, "nickName": nick, "unionid": unionid,
                });
                let openid = laptop.sim("user", set)["openid"].as_str().unwrap().to_owned();
                let devices = (0..3).map(|device| format!("device{at}{device}AAAAAAAAAAAAAA")).collect();
                let (sessions, held, ended) = (BTreeMap::new(), Vec::new(), Vec::new());
                let (is_known, tries, redeemed) = (false, (0, 0), None);
                users.push(User {
                    appid,
                    name,
                    openid,
                    number,
                    nick,
                    unionid,
                    devices,
                    is_known,
                    sessions,
                    held,
                    ended,
                    tries,
                    redeemed,
                });
            }
            assert_eq!(users[0].openid, users[2].openid);
            let (dice, before, claims) = (Dice(seed), Items::new(), HashMap::new());
            Self { laptop, dice, now: BEGIN, users, before, claims, story: String::new(), done: BTreeMap::new() }
        }

        /// Whose an item is; nobody's if it is a platform token.
        fn owner(&self, pk: &str) -> Option<usize> {
            self.claims.get(pk).copied().or_else(|| self.users.iter().position(|user| user.partition() == pk))
        }

        /// What a request of `who` has answered and done: nothing of anybody else is in it.
        async fn settle(&mut self, who: usize, answer: &Answer, touches: Touches) {
            for (at, other) in self.users.iter().enumerate().filter(|(at, _)| *at != who) {
                let openid = Some(&other.openid).filter(|openid| **openid != self.users[who].openid);
                let secrets =
                    [&other.number, &other.nick, &other.unionid].into_iter().chain(&other.devices).chain(openid);
                for secret in secrets {
                    assert!(!answer.text.contains(secret), "{at}'s {secret} for {who}: {answer:?}{}", self.story);
                }
            }
            let after = items(&self.laptop).await;
            for (pk, sk) in after.keys().filter(|key| !self.before.contains_key(*key)) {
                if sk == "code" {
                    self.claims.insert(pk.clone(), who);
                }
            }
            let keys: HashSet<_> = self.before.keys().chain(after.keys()).collect();
            for key in keys.into_iter().filter(|(pk, _)| !pk.starts_with("app#")) {
                let may = touches == Touches::Own && self.owner(&key.0) == Some(who);
                assert!(may || self.before.get(key) == after.get(key), "{key:?} by {who}: {answer:?}{}", self.story);
            }
            self.before = after;
        }

        fn tell(&mut self, what: &'static str, who: usize) {
            *self.done.entry(what).or_default() += 1;
            write!(self.story, "\n{} {what} of {who}", self.now - BEGIN).unwrap();
        }

        /// A token of this user, mostly one that should be admitted.
        fn some_token(&mut self, who: usize) -> Option<(Held, Admitted)> {
            let (now, user) = (self.now, &self.users[who]);
            let is_good = |held: &&Held| user.admitted(held, now) == Admitted::Yes;
            let good: Vec<Held> = user.held.iter().filter(is_good).cloned().collect();
            let all = user.held.clone();
            let among = if self.dice.roll(5) > 0 && !good.is_empty() { good } else { all };
            if among.is_empty() {
                return None;
            }
            let held = among[self.dice.roll(among.len())].clone();
            let admitted = self.users[who].admitted(&held, self.now);
            Some((held, admitted))
        }

        /// Checks a refusal of the token; true if the request should have been admitted.
        #[track_caller]
        fn is_admitted(admitted: Admitted, answer: &Answer) -> bool {
            match admitted {
                Admitted::Yes => return true,
                Admitted::Expired => answer.is_problem(401, "token_expired", "refresh"),
                Admitted::Gone => answer.is_problem(401, "token_invalid", "refresh"),
            }
            false
        }

        fn who(&mut self) -> usize {
            self.dice.roll(self.users.len())
        }

        fn of(&self, who: usize) -> Value {
            json!({ "user": self.users[who].name, "appid": self.users[who].appid })
        }

        async fn log_in(&mut self, who: usize) {
            self.tell("login", who);
            let (now, device) = (self.now, self.dice.roll(3));
            let device = self.users[who].devices[device].clone();
            let code = self.laptop.sim("login", self.of(who))["code"].clone();
            let mut body = json!({ "code": code, "appid": self.users[who].appid, "device": device });
            let with_profile = self.dice.roll(3) == 0;
            if with_profile {
                body["userInfo"] = self.laptop.sim("userinfo", self.of(who));
            }
            let mut request = self.laptop.request("/v1/login").json(&body);
            if self.dice.roll(2) == 0 {
                request = request.header("idempotency-key", "one-login-one-key");
            }
            let answer = send(request).await;

            let (body, user) = (answer.ok(), &mut self.users[who]);
            assert_eq!(
                (&body["openid"], &body["new_user"]),
                (&json!(user.openid), &json!(!user.is_known)),
                "{}",
                self.story
            );
            assert_eq!(body["device"], device);
            let profile = body.get("userInfo").map(|profile| profile["nickName"].clone());
            assert_eq!(profile, (with_profile && user.take(now)).then(|| json!(user.nick)), "{}", self.story);
            user.is_known = true;
            user.end(&device);
            let refresh = answer.text_of("refresh_token");
            user.sessions.insert(device.clone(), Session { refresh, created_at: now, rotated_at: now });
            self.hold(who, &answer, &device);
            self.settle(who, &answer, Touches::Own).await;
        }

        /// Keeps the access token of an answer.
        fn hold(&mut self, who: usize, answer: &Answer, device: &str) {
            let (user, access) = (&mut self.users[who], answer.text_of("access_token"));
            let claims = jwt_claims(&access);
            assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(user.openid), &json!(user.appid)));
            let created_at = user.sessions[device].created_at;
            user.held.push(Held { access, made_at: self.now, device: device.to_owned(), created_at });
            if user.held.len() > 8 {
                user.held.remove(0);
            }
        }

        async fn refresh(&mut self, who: usize) {
            self.tell("refresh", who);
            let dead = self.users[who].ended.last().cloned();
            let devices: Vec<String> = self.users[who].sessions.keys().cloned().collect();
            if let Some(dead) = dead.filter(|_| devices.is_empty() || self.dice.roll(4) == 0) {
                let answer = self.laptop.refresh(&dead).await;
                answer.is_problem(400, "login_required", "relogin");
                return self.settle(who, &answer, Touches::Nothing).await;
            }
            if devices.is_empty() {
                return;
            }
            let device = &devices[self.dice.roll(devices.len())];
            let answer = self.laptop.refresh(&self.users[who].sessions[device].refresh).await;

            answer.ok();
            let (now, refresh) = (self.now, answer.text_of("refresh_token"));
            let session = self.users[who].sessions.get_mut(device).unwrap();
            let is_rotated = now >= session.rotated_at + 120;
            assert_eq!(refresh != session.refresh, is_rotated, "{}", self.story);
            if is_rotated {
                (session.refresh, session.rotated_at) = (refresh, now);
            }
            self.hold(who, &answer, device);
            self.settle(who, &answer, Touches::Own).await;
        }

        /// A number by either way, or a profile: the user's own.
        async fn own_data(&mut self, who: usize, way: &'static str) {
            let Some((held, admitted)) = self.some_token(who) else { return };
            self.tell(way, who);
            let (now, tap) = (self.now, self.laptop.sim("phone", self.of(who)));
            let data = json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] });
            let again = self.users[who].redeemed.clone().filter(|(_, at)| now < at + 300 && self.dice.roll(2) == 0);
            let code = again.map_or_else(|| tap["code"].clone(), |(code, _)| code);
            let (path, body) = match way {
                "phone by data" => ("/v1/phone", data),
                "phone by code" => ("/v1/phone", json!({ "code": code })),
                _ => ("/v1/userinfo", self.laptop.sim("userinfo", self.of(who))),
            };
            let answer = self.laptop.post_as(&held.access, path, &body).await;

            let mut touches = Touches::Nothing;
            if Self::is_admitted(admitted, &answer) {
                touches = Touches::Own;
                let user = &mut self.users[who];
                if user.take(now) {
                    let answer = answer.ok();
                    let is_own = answer["phoneNumber"] == user.number
                        || (answer["nickName"] == user.nick
                            && answer["openId"] == user.openid
                            && answer["unionId"] == user.unionid);
                    assert!(is_own, "{answer}{}", self.story);
                    if way == "phone by code" {
                        user.redeemed = Some((code, now));
                    }
                } else {
                    answer.is_problem(429, "rate_limited", "retry");
                    assert_eq!(answer.json()["retry_after"], user.tries.1 + 3_600 - now, "{}", self.story);
                }
            }
            self.settle(who, &answer, touches).await;
        }

        /// A user sends what is another one's, of the same app or not.
        async fn anothers_data(&mut self, who: usize) {
            let Some((held, admitted)) = self.some_token(who) else { return };
            let other = (who + 1 + self.dice.roll(self.users.len() - 1)) % self.users.len();
            self.tell("the data of another", who);
            let (tap, info) = (self.laptop.sim("phone", self.of(other)), self.laptop.sim("userinfo", self.of(other)));
            let way = self.dice.roll(3);
            let (path, body) = match way {
                0 => ("/v1/phone", json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] })),
                1 => ("/v1/phone", json!({ "code": tap["code"] })),
                _ => ("/v1/userinfo", info),
            };
            let answer = self.laptop.post_as(&held.access, path, &body).await;

            let mut touches = Touches::Nothing;
            if Self::is_admitted(admitted, &answer) {
                touches = Touches::Own;
                let same_app = self.users[who].appid == self.users[other].appid;
                match (self.users[who].take(self.now), way) {
                    (false, _) => answer.is_problem(429, "rate_limited", "retry"),
                    (true, 1) if same_app => answer.is_problem(403, "data_rejected", "stop"),
                    // WeChat's 40013: the code is of another app than the platform token.
                    (true, 1) => assert_ne!(answer.status, StatusCode::OK),
                    _ => answer.is_problem(409, "session_key_expired", "relogin_then_retap"),
                }
            }
            self.settle(who, &answer, touches).await;
        }

        /// A login with a code of the other app.
        async fn code_of_the_other_app(&mut self, who: usize) {
            self.tell("a login with a code of the other app", who);
            let code = self.laptop.sim("login", self.of(who))["code"].clone();
            let other = if self.users[who].appid == ONE { TWO } else { ONE };
            let answer = self.laptop.post("/v1/login", &json!({ "code": code, "appid": other })).await;
            answer.is_problem(400, "code_invalid", "relogin");
            self.settle(who, &answer, Touches::Nothing).await;
            // `wx.login` has replaced the key: the client logs in with a new code.
            self.log_in(who).await;
        }

        async fn read(&mut self, who: usize, path: &'static str) {
            let Some((held, admitted)) = self.some_token(who) else { return };
            self.tell(path, who);
            let answer = get(&self.laptop, &held.access, path).await;

            if Self::is_admitted(admitted, &answer) {
                let (user, body) = (&self.users[who], answer.ok());
                let session = &user.sessions[&held.device];
                let expected = match path {
                    "/v1/sessions" => {
                        let mut body = body.clone();
                        let listed = body["sessions"].as_array_mut().unwrap();
                        listed.sort_by_key(|line| line["device"].to_string());
                        let line = |(device, session): (&String, &Session)| {
                            json!({
                                "device": device, "current": *device == held.device,
                                "created_at": session.created_at, "last_seen_at": session.rotated_at,
                            })
                        };
                        assert_eq!(*listed, user.sessions.iter().map(line).collect::<Vec<_>>(), "{}", self.story);
                        return self.settle(who, &answer, Touches::Nothing).await;
                    }
                    "/v1/session" => "unchecked",
                    // After a deletion nothing is asked, and a login has replaced the key: always the present one.
                    _ => "ok",
                };
                let expected = json!({
                    "openid": user.openid, "appid": user.appid, "device": held.device, "wechat_session": expected,
                    "created_at": session.created_at, "expires_at": session.rotated_at + 604_800,
                });
                assert_eq!(body, expected, "{}", self.story);
            }
            self.settle(who, &answer, Touches::Nothing).await;
        }

        async fn end(&mut self, who: usize, path: &'static str) {
            let Some((held, admitted)) = self.some_token(who) else { return };
            self.tell(if path == "/v1/session" { "logout" } else { path }, who);
            let answer = delete(&self.laptop, &held.access, path).await;
            if path == "/v1/session" && admitted == Admitted::Gone {
                assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", self.story);
                return self.settle(who, &answer, Touches::Nothing).await;
            }
            if !Self::is_admitted(admitted, &answer) {
                return self.settle(who, &answer, Touches::Nothing).await;
            }

            assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""), "{}", self.story);
            let (now, user) = (self.now, &mut self.users[who]);
            let devices: Vec<String> = user.sessions.keys().cloned().collect();
            for device in devices.iter().filter(|device| path != "/v1/session" || **device == held.device) {
                user.end(device);
            }
            if path == "/v1/user" {
                (user.is_known, user.redeemed) = (false, None);
            }
            self.settle(who, &answer, Touches::Own).await;
            let (user, mut left) = (&self.users[who], self.before.clone());
            left.retain(|(pk, _), _| *pk == user.partition());
            let has_count = user.tries.0 > 0 && user.tries.1 + 3_600 > now;
            let users = usize::from(user.is_known || has_count);
            assert_eq!(left.len(), user.sessions.len() + users, "{left:?}{}", self.story);
            if path == "/v1/user" {
                let bare = ["pk", "sk", "tries", "tries_from", "ttl"];
                let is_bare =
                    |item: &HashMap<String, AttributeValue>| item.keys().all(|name| bare.contains(&name.as_str()));
                assert!(left.values().all(is_bare), "{left:?}{}", self.story);
            }
        }

        async fn step(&mut self) {
            let who = self.who();
            match self.dice.roll(32) {
                0..=5 => self.log_in(who).await,
                6..=9 => self.refresh(who).await,
                10..=11 => self.own_data(who, "phone by data").await,
                12..=14 => self.own_data(who, "phone by code").await,
                15..=16 => self.own_data(who, "userinfo").await,
                17..=19 => self.anothers_data(who).await,
                20 => self.code_of_the_other_app(who).await,
                21 => self.read(who, "/v1/session").await,
                22..=23 => self.read(who, "/v1/session?wechat=check").await,
                24..=25 => self.read(who, "/v1/sessions").await,
                26 => self.end(who, "/v1/session").await,
                27 => self.end(who, "/v1/sessions").await,
                28 => self.end(who, "/v1/user").await,
                _ => {
                    let seconds = [1, 7, 60, 119, 120, 250, 1_000][self.dice.roll(7)];
                    self.laptop.clock.advance(seconds);
                    self.now += seconds;
                }
            }
        }
    }

    #[tokio::test]
    async fn nobody_sees_or_touches_what_is_anothers() {
        let mut done = BTreeMap::<_, usize>::new();
        for seed in [1, 20_261_122, 0x9e37_79b9_7f4a_7c15] {
            let mut model = Model::new(seed).await;
            for _ in 0..300 {
                model.step().await;
            }
            for (what, times) in model.done {
                *done.entry(what).or_default() += times;
            }
        }

        assert_eq!(done.len(), 12, "{done:?}");
        assert!(done.values().all(|times| *times >= 10), "each was tried: {done:?}");
    }
}
