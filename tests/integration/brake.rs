//! The emergency brake, pulled while everything runs: nothing is deployed or started anew.

use std::fs;

use serde_json::json;
use shared::{clock::Secs, env::Env};
use tests::{APPID, BEGIN, Folder, KEY, Laptop, Start, Tokens, authorizer_event};

/// The brake takes effect everywhere within this time, in seconds.
const WITHIN: Secs = 5 * 60;

/// The secret of the brake as a file.
struct Brake(Folder);

impl Brake {
    fn new(text: &str) -> Self {
        let brake = Self(Folder::new());
        brake.holds(text);
        brake
    }

    fn holds(&self, text: &str) {
        fs::write(self.0.0.join("brake.json"), text).unwrap();
    }

    fn pulled(&self, at: Secs) {
        self.holds(&json!({ "not_before": at }).to_string());
    }

    fn source(&self) -> String {
        format!("file:{}", self.0.0.join("brake.json").display())
    }

    async fn laptop(&self) -> Laptop {
        Start::default().var("WXAUTH_BRAKE", &self.source()).go().await
    }
}

/// What the authorizer for the owner's other APIs says of a token.
async fn authorized(deps: &authorizer::Deps, access: &str) -> bool {
    let event = serde_json::from_value(authorizer_event(&format!("Bearer {access}"))).unwrap();
    let decision = authorizer::handle(deps.clone(), event).await.unwrap();
    serde_json::to_value(decision).unwrap()["isAuthorized"] == true
}

/// How many devices of a user the owner sees logged in.
async fn devices(deps: &admin::Deps, user: &Tokens) -> usize {
    let request = json!({ "operation": "read", "appid": APPID, "openid": user.openid });
    let read = admin::handle(deps.clone(), serde_json::from_value(request).unwrap()).await.unwrap();
    let read = serde_json::to_value(read).unwrap();
    read["user"]["sessions"].as_array().map_or(0, Vec::len)
}

/// A session, and all that it is used with.
struct Session {
    laptop: Laptop,
    alice: Tokens,
    authorizer: authorizer::Deps,
    admin: admin::Deps,
}

impl Session {
    async fn on(laptop: Laptop) -> Self {
        let (alice, env) = (laptop.login("alice").await, laptop.world.env.clone());
        let authorizer = authorizer::Deps::from_env(env.clone()).await.unwrap();
        let admin = admin::Deps::from_env(env).await.unwrap();
        Self { laptop, alice, authorizer, admin }
    }

    /// Uses it in each way that a user, an owner and their services have, and says for each whether it lives.
    async fn lives(&self) -> [bool; 6] {
        let Self { laptop, alice, authorizer, admin } = self;
        let phone = json!({ "code": laptop.sim("phone", json!({ "user": "alice" }))["code"] });
        let answers = [
            laptop.refresh(&alice.refresh).await,
            laptop.get(&alice.access, "/v1/session").await,
            laptop.get(&alice.access, "/v1/sessions").await,
            laptop.post_as(&alice.access, "/v1/phone", &phone).await,
        ];
        // A refusal is a verdict that the client knows, and never a failure of ours.
        assert!(answers.iter().all(|answer| answer.status.as_u16() < 500), "{answers:?}");
        let [refresh, session, sessions, phone] = answers.map(|answer| answer.status == 200);
        let (authorized, is_listed) = (authorized(authorizer, &alice.access).await, devices(admin, alice).await == 1);
        [refresh, session, sessions, phone, authorized, is_listed]
    }
}

#[tokio::test]
async fn a_brake_that_is_pulled_ends_every_session_of_before_within_five_minutes() {
    let brake = Brake::new(r#"{"not_before":0}"#);
    let session = Session::on(brake.laptop().await).await;
    let laptop = &session.laptop;
    assert_eq!(session.lives().await, [true; 6]);
    laptop.clock.advance(1);

    brake.pulled(BEGIN + 1);
    laptop.clock.advance(WITHIN - 1);

    assert_eq!(session.lives().await, [false; 6]);
    let bob = laptop.login("bob").await;
    laptop.clock.advance(120);
    laptop.refresh(&bob.refresh).await.ok();
    assert!(authorized(&session.authorizer, &bob.access).await);
}

#[tokio::test]
async fn a_process_that_is_used_every_minute_sees_the_brake_as_well() {
    let brake = Brake::new(r#"{"not_before":0}"#);
    let session = Session::on(brake.laptop().await).await;
    session.laptop.clock.advance(1);
    brake.pulled(BEGIN + 1);

    for _ in 0..4 {
        session.laptop.clock.advance(59);
        session.lives().await;
    }
    session.laptop.clock.advance(59);

    assert_eq!(session.lives().await, [false; 6]);
}

#[tokio::test]
async fn a_login_of_before_the_brake_is_not_repeated() {
    let brake = Brake::new(r#"{"not_before":0}"#);
    let laptop = brake.laptop().await;
    let login = json!({ "code": laptop.code("alice") });
    laptop.login_with_key(KEY, &login).await.ok();
    laptop.clock.advance(1);

    brake.pulled(BEGIN + 1);
    let started_since = laptop.beside_with(&[("WXAUTH_BRAKE", &brake.source())], &laptop.clock).await;

    laptop.login_with_key(KEY, &login).await.ok();
    started_since.login_with_key(KEY, &login).await.is_problem(400, "code_used", "relogin");
}

#[tokio::test]
async fn the_later_of_variable_and_secret_counts() {
    let brake = Brake::new(r#"{"not_before":0}"#);
    let later = (BEGIN + 1).to_string();
    for (variable, secret) in [(later.as_str(), 0), ("0", BEGIN + 1)] {
        brake.pulled(secret);
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        laptop.clock.advance(1);
        let vars = [("WXAUTH_NOT_BEFORE", variable), ("WXAUTH_BRAKE", &brake.source())];
        let braked = laptop.beside_with(&vars, &laptop.clock).await;

        braked.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");
        laptop.refresh(&alice.refresh).await.ok();
    }
}

#[tokio::test]
async fn a_brake_in_the_future_is_told_before_a_code_is_spent() {
    let brake = Brake::new(&json!({ "not_before": BEGIN + 1 }).to_string());
    let laptop = brake.laptop().await;
    let code = laptop.code("alice");

    laptop.post("/v1/login", &json!({ "code": code })).await.is_problem(500, "misconfigured", "stop");

    assert_eq!(laptop.simulator.calls("jscode2session"), 0);
    assert!(laptop.log().last().unwrap().contains("WXAUTH_BRAKE"));
    laptop.clock.advance(1);
    laptop.post("/v1/login", &json!({ "code": code })).await.ok();
}

#[tokio::test]
async fn a_brake_that_cannot_be_read_is_no_verdict() {
    let brake = Brake::new("");
    fs::remove_file(brake.0.0.join("brake.json")).unwrap();
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let unread = laptop.beside_with(&[("WXAUTH_BRAKE", &brake.source())], &laptop.clock).await;

    unread.refresh(&alice.refresh).await.is_problem(503, "unavailable", "retry");
    unread.get(&alice.access, "/v1/session").await.is_problem(503, "unavailable", "retry");
    let login = json!({ "code": laptop.code("alice") });
    unread.post("/v1/login", &login).await.is_problem(503, "unavailable", "retry");
    let event = serde_json::from_value(authorizer_event(&format!("Bearer {}", alice.access))).unwrap();
    let authorizer = authorizer::Deps::from_env(unread.world.env.clone()).await.unwrap();
    assert!(authorizer::handle(authorizer, event).await.is_err(), "thrown, and no \"no\"");

    brake.pulled(0);

    unread.refresh(&alice.refresh).await.ok();
    unread.post("/v1/login", &login).await.ok();
}

#[tokio::test]
async fn a_brake_that_was_read_holds_while_its_source_is_down() {
    let brake = Brake::new(r#"{"not_before":0}"#);
    let session = Session::on(brake.laptop().await).await;
    session.laptop.clock.advance(1);
    brake.pulled(BEGIN + 1);
    session.laptop.clock.advance(WITHIN);
    assert_eq!(session.lives().await, [false; 6]);

    fs::remove_file(brake.0.0.join("brake.json")).unwrap();
    session.laptop.clock.advance(WITHIN);

    assert_eq!(session.lives().await, [false; 6]);
}

#[tokio::test]
async fn what_is_no_brake_ends_the_start_with_a_sentence() {
    let laptop = Laptop::start().await;
    for text in ["MARKER", "{}", r#"{"not_before":-1}"#, r#"{"not_before":"0"}"#, r#"{"not_before":99999999999}"#] {
        let brake = Brake::new(text);
        let (base, vars) = (&laptop.world.env, [("WXAUTH_BRAKE", brake.source())]);
        let env = Env::new(vars.into_iter().collect(), base.clock(), base.entropy(), base.log()).unwrap();

        let sentence = env.brake().await.unwrap_err().to_string();

        let expected = "WXAUTH_BRAKE should be a secret that holds the emergency brake: {\"not_before\": Unix seconds}";
        assert_eq!(sentence, expected, "{text}");
    }
}
