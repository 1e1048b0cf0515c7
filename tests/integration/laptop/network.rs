//! A laptop that other devices of the network call.

use std::net::Ipv4Addr;

use http::Method;
use local::{
    networks::{Network, Networks},
    playground::Playground,
    ready,
};
use serde_json::json;
use tests::{Laptop, Response, Start, jwt_claims, send};

/// A network that no machine is in: the address is for documentation. A test calls it by the `Host` alone.
fn documentation() -> Networks {
    [Network { address: [198, 51, 100, 7].into(), prefix: 24 }].into_iter().collect()
}

/// With the page.
fn with_page(start: Start) -> Start {
    start.with(|settings| {
        let page = Playground::new(settings.clock.clone(), settings.data.folder());
        settings.clock = page.clock();
        settings.playground = Some(page);
    })
}

/// On all addresses of the machine.
fn on_all(networks: fn() -> Networks) -> Start {
    with_page(Start::default()).with(move |settings| {
        settings.listen = (Ipv4Addr::UNSPECIFIED, 0).into();
        settings.networks = networks;
    })
}

/// The laptop's port, at another host.
fn at(host: &str, laptop: &Laptop) -> String {
    format!("{host}:{}", laptop.world.url.rsplit(':').next().unwrap())
}

async fn get(laptop: &Laptop, path: &str, host: &str) -> Response {
    send(laptop.method(Method::GET, path).header("host", host)).await
}

#[tokio::test]
async fn issuer_and_keys_are_at_the_address_that_the_client_called() {
    let laptop = on_all(documentation).go().await;

    for (host, scheme) in
        [("127.0.0.1", "http"), ("localhost", "http"), ("198.51.100.7", "http"), ("tunnel.example", "https")]
    {
        let (host, proto) = (at(host, &laptop), if scheme == "https" { "https" } else { "" });
        let called =
            |request: reqwest::RequestBuilder| request.header("host", &host).header("x-forwarded-proto", proto);
        let origin = format!("{scheme}://{host}");

        let document = send(called(laptop.method(Method::GET, "/.well-known/openid-configuration"))).await.ok();
        let login = send(called(laptop.request("/v1/login").json(&json!({ "code": laptop.code("alice") })))).await;
        let access = login.text_of("access_token");

        assert_eq!(document["issuer"], origin);
        assert_eq!(document["jwks_uri"], format!("{origin}/.well-known/jwks.json"));
        assert_eq!(jwt_claims(&access)["iss"], origin);
        let session = laptop.method(Method::GET, "/v1/session").bearer_auth(&access);
        send(called(session.try_clone().unwrap())).await.ok();
        let elsewhere = send(session.header("host", "other.example")).await;
        elsewhere.is_problem(401, "token_invalid", "refresh");
    }
}

#[tokio::test]
async fn on_loopback_too_the_issuer_is_the_name_that_the_client_called() {
    let laptop = Laptop::start().await;

    for host in ["127.0.0.1", "localhost"].map(|name| at(name, &laptop)) {
        let document = get(&laptop, "/.well-known/openid-configuration", &host).await.ok();
        assert_eq!(document["issuer"], format!("http://{host}"));
    }
}

#[tokio::test]
async fn an_issuer_that_is_set_stays_whatever_the_client_called() {
    let start = on_all(documentation).var("WXAUTH_ISSUER", "https://auth.example.com");
    let laptop = start.go().await;

    let document = get(&laptop, "/.well-known/openid-configuration", &at("198.51.100.7", &laptop)).await.ok();

    assert_eq!(document["issuer"], "https://auth.example.com");
}

#[tokio::test]
async fn the_page_is_there_for_the_addresses_of_the_machines_own_networks_alone() {
    let laptop = on_all(documentation).go().await;

    for near in ["127.0.0.1", "localhost", "198.51.100.7", "198.51.100.20"].map(|host| at(host, &laptop)) {
        let page = get(&laptop, "/", &near).await;
        assert!(page.text.contains("<title>wxauth"), "{near}: {page:?}");
        get(&laptop, "/playground/log", &near).await.ok();
        let clock = laptop.request("/playground/clock").header("host", &near).json(&json!({ "advance": 0 }));
        send(clock).await.ok();
    }
    for far in ["203.0.113.7", "8.8.8.8", "evil.example"].map(|host| at(host, &laptop)) {
        assert_eq!(get(&laptop, "/", &far).await.status, 404, "{far}");
        let clock = laptop.request("/playground/clock").header("host", &far).json(&json!({ "advance": 900 }));
        assert_eq!(send(clock).await.status, 404, "{far}");
    }
}

#[tokio::test]
async fn on_loopback_the_page_is_there_for_this_machine_alone() {
    let laptop = with_page(Start::default()).with(|settings| settings.networks = documentation).go().await;

    assert_eq!(get(&laptop, "/", &at("localhost", &laptop)).await.status, 200);
    assert_eq!(get(&laptop, "/", &at("198.51.100.7", &laptop)).await.status, 404);
}

/// Loopback is always there; a machine without a network has nothing more to try.
#[tokio::test]
async fn every_address_that_is_printed_leads_to_the_page_and_to_a_login() {
    let laptop = on_all(Networks::of_this_machine).go().await;
    let http = tests::client();

    for url in laptop.world.network_urls.iter().chain([&laptop.world.url]) {
        let page = send(http.get(format!("{url}/"))).await;
        let login = http.post(format!("{url}/v1/login")).json(&json!({ "code": laptop.code("alice") }));
        let access = send(login).await.text_of("access_token");

        assert!(page.text.contains("<title>wxauth"), "{url}: {page:?}");
        assert_eq!(jwt_claims(&access)["iss"], *url);
    }
}

/// On AWS the owner alone may call it.
#[tokio::test]
async fn real_keys_sign_for_this_machine_alone() {
    let wechat = Laptop::start().await;
    let start = on_all(Networks::of_this_machine).var("WXAUTH_WECHAT_URL", &wechat.world.wechat_url);
    let world = start.without_simulator().await;
    let sign = async |url: &str| {
        let body = json!({ "appid": tests::APPID, "openid": "oNobody", "message": "" });
        send(tests::client().post(format!("{url}/2015-03-31/functions/wxauth-sign/invocations")).json(&body))
            .await
            .status
    };

    assert_eq!(sign(&world.url).await, 200);
    for url in &world.network_urls {
        assert_eq!(sign(url).await, 404, "{url}");
    }
}

#[tokio::test]
async fn addresses_are_printed_with_a_code_each_and_a_warning_and_none_on_loopback() {
    let (open, closed) = (on_all(documentation).go().await, Laptop::start().await);
    let url = format!("http://{}", at("198.51.100.7", &open));

    let (printed, quiet) = (ready::text(&open.world, 0, false), ready::text(&closed.world, 0, false));

    assert!(printed.contains("\nWARNING: ") && printed.contains(&format!("\n{url}\n")), "{printed}");
    let is_code = |line: &&str| line.chars().any(|at| "█▀▄".contains(at)) && line.chars().all(|at| "█▀▄ ".contains(at));
    assert!(printed.lines().filter(is_code).count() > 10, "{printed}");
    assert!(!quiet.contains("WARNING") && !quiet.contains('█'), "{quiet}");
    assert_eq!(open.world.network_urls, [url]);
    assert!(open.world.url.starts_with("http://127.0.0.1:") && closed.world.network_urls.is_empty());
}
