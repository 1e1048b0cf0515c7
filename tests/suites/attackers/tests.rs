//! Attackers against the real routes, and first against what does not hold.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use axum::{Router, response::Redirect};
use http::{HeaderValue, Method, Uri};
use serde_json::{Value, json};
use shared::secret_text::SessionKey;
use tests::{
    Laptop, Start, authorizer_event, jwt_claims,
    seeded::Seeded,
    send,
    suites::attackers::{
        access_tokens::{self, Target, forgeries, keys, with_the_other_s},
        cbc_r::{Data, forge, leaky, wanted},
        phone_numbers::{answers, at_once, attack, profiles_at_once},
        refresh_tokens::Endpoint,
        timing,
    },
};
use tokio::net::TcpListener;

#[tokio::test]
async fn whoever_is_told_that_padding_is_wrong_forges_a_number_without_the_key() {
    let key = SessionKey::new("mgh1gjKfZCh+a8kMsZeQzQ==");
    let mut questions = 0;
    let mut ask = async |data: &Data| {
        questions += 1;
        leaky(&key, data)
    };

    let forged = forge(&wanted(), &mut Seeded::new(1), &mut ask).await.unwrap();

    assert_eq!(leaky(&key, &forged), "\"13900139000\"");
    assert!((10_000..40_000).contains(&questions), "{questions} questions for ten blocks");
}

#[tokio::test]
async fn the_same_forger_gets_nothing_of_us_by_any_trick() {
    let laptop = Laptop::start().await;
    let processes = [laptop.beside().await, laptop];

    let gains = attack(&processes, 540, 1).await;

    assert_eq!(gains.forged, 0, "{gains:?}");
    assert_eq!(gains.answers.len(), 1, "{gains:?}");
    assert!(gains.answers.iter().all(|answer| answer.contains("session_key_expired")), "{gains:?}");
    assert_eq!(gains.most_within_an_hour, 30);
    assert!(gains.looked_at >= 270 && gains.by_login >= 240 && gains.refused >= 30, "{gains:?}");
    // Their own number is theirs as ever.
    processes[0].clock.advance(3_600);
    let (user, own) = (processes[0].login("mallory").await, processes[0].sim("phone", json!({ "user": "mallory" })));
    let own = json!({ "encryptedData": own["encryptedData"], "iv": own["iv"] });
    processes[0].post_as(&user.access, "/v1/phone", &own).await.ok();
}

#[tokio::test]
async fn twelve_ways_to_be_wrong_have_one_answer() {
    assert_eq!(answers(&Laptop::start().await).await.len(), 1);
}

#[tokio::test]
async fn of_hundreds_of_attempts_in_an_hour_thirty_are_looked_at() {
    let laptop = Laptop::start().await;
    let processes = [laptop.beside().await, laptop.beside().await, laptop.beside().await, laptop];
    let clock = &processes[0].clock;
    let user = processes[0].login("mallory").await;

    // The hour begins with one attempt, and the others come at its end.
    assert_eq!(at_once(&processes, &user, 1, 1).await, 1);
    clock.advance(3_599);
    let user = processes[0].login("mallory").await;
    let before = at_once(&processes, &user, 200, 32).await;
    clock.advance(1);
    let after = at_once(&processes, &user, 200, 32).await;

    assert_eq!((before, after), (29, 30));
}

#[tokio::test]
async fn of_sixty_logins_in_an_hour_thirty_read_their_profile_and_the_routes_have_their_attempts_still() {
    let laptop = Laptop::start().await;
    let processes = [laptop.beside().await, laptop.beside().await, laptop.beside().await, laptop];

    assert_eq!(profiles_at_once(&processes, "mallory", 60).await, 30);

    let user = processes[0].login("mallory").await;
    assert_eq!(at_once(&processes, &user, 60, 32).await, 30);
}

#[tokio::test]
async fn an_invented_refresh_token_costs_no_call_to_the_table() {
    let endpoint = Endpoint::start().await;

    let gains = endpoint.invented(4_000, 1).await;

    assert_eq!((gains.calls, gains.accepted), (0, 0));
    assert_eq!(gains.answers.len(), 1, "{:?}", gains.answers);
    assert!(gains.answers.iter().all(|answer| answer.contains("login_required")), "{:?}", gains.answers);
    let genuine = endpoint.genuine(&mut Seeded::new(1));
    endpoint.present(&genuine).await.is_problem(503, "unavailable", "retry");
    assert_eq!(endpoint.calls(), 1, "a genuine one is looked up");
}

#[test]
fn no_forged_access_token_is_taken_for_anybody() {
    let gains = access_tokens::attack(1);

    assert!(gains.forgeries > 15_000, "{}", gains.forgeries);
    assert_eq!(gains.accepted, [""; 0]);
    assert_eq!(gains.refused, 0, "genuine ones are accepted");
}

/// ECDSA's own: who holds a token can spell its signature a second time. It says the same of the same user.
#[test]
fn the_other_s_of_a_signature_says_nothing_new() {
    let target = Target::default();
    let [_, genuine] = target.genuine("oA");

    let other = with_the_other_s(&genuine);

    assert_ne!(other, genuine);
    assert_eq!(target.openid(&other).as_deref(), Some("oA"));
    assert_eq!(jwt_claims(&other), jwt_claims(&genuine));
    assert_eq!(with_the_other_s(&other), genuine);
}

#[tokio::test]
async fn every_forgery_is_refused_alike_on_the_routes_and_by_the_authorizer() {
    for start in [Start::default(), Start::default().rsa()] {
        let laptop = start.go().await;
        let (alice, jwks) =
            (laptop.login("alice").await, send(laptop.method(Method::GET, "/.well-known/jwks.json")).await.json());
        let authorizer = authorizer::Deps::from_env(laptop.world.env.clone()).await.unwrap();
        let mut forged = forgeries(&alice.access, &jwks, &keys());
        forged.push(("a refresh token", alice.refresh.clone()));

        let mut answers = HashSet::new();
        // HTTP itself cuts the space after a value off.
        forged.retain(|(_, token)| token.trim_end() != alice.access);
        for (name, token) in forged {
            let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) else { continue };
            let event = authorizer_event(value.to_str().unwrap());
            let decision =
                authorizer::handle(authorizer.clone(), serde_json::from_value(event).unwrap()).await.unwrap();
            assert_eq!(
                serde_json::to_value(decision).unwrap(),
                json!({ "isAuthorized": false, "context": {} }),
                "{name}"
            );
            let answer = send(laptop.method(Method::GET, "/v1/session").header("authorization", value)).await;
            answer.is_problem(401, "token_invalid", "refresh");
            let mut body = answer.json();
            body["request_id"] = Value::Null;
            answers.insert(body.to_string());
        }

        assert_eq!(answers.len(), 1);
        laptop.get(&alice.access, "/v1/session").await.ok();
    }
}

#[test]
fn welchs_t_counts_the_standard_errors_between_two_means() {
    let t = |one: &[f64], other: &[f64]| timing::welch(one, other);

    assert!(t(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]).abs() < 1e-9);
    // Means 2 and 4, variances 1 and 4, four of each: -2 / sqrt(1/3 + 4/3).
    assert!((t(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]) + 2.0 / (5.0_f64 / 3.0).sqrt()).abs() < 1e-9);
}

#[tokio::test]
async fn no_page_of_another_origin_may_read_an_answer() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let from = |request: reqwest::RequestBuilder| request.header("origin", "https://example.com");

    for (method, path) in [
        (Method::POST, "/v1/login"),
        (Method::POST, "/v1/phone"),
        (Method::GET, "/v1/session"),
        (Method::GET, "/.well-known/jwks.json"),
        (Method::OPTIONS, "/v1/session"),
    ] {
        let answer = send(from(laptop.method(method, path)).bearer_auth(&alice.access)).await;
        let told: Vec<_> = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control-")).collect();
        assert_eq!(told, [""; 0], "{path}");
    }
}

#[tokio::test]
async fn a_redirect_in_wechats_name_is_not_followed() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let redirect = async move |uri: Uri| {
        noted.lock().unwrap().push(uri.path().to_owned());
        Redirect::temporary("/elsewhere")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(tokio::spawn(async move { axum::serve(listener, Router::new().fallback(redirect)).await }));
    let world = Start::default().var("WXAUTH_WECHAT_URL", &url).without_simulator().await;

    let login = tests::client().post(format!("{}/v1/login", world.url)).json(&json!({ "code": "code" }));
    let answer = send(login).await;

    assert!(answer.status.is_server_error(), "{answer:?}");
    assert_eq!(*asked.lock().unwrap(), ["/sns/jscode2session"]);
}
