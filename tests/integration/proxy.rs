//! Behind a proxy of the owner's: the client's address is the one that the proxy says and proves.

use local::template::{self, TemplateRoute};
use serde_json::{Value, json};
use tests::{Folder, Laptop, Response, Start, send};

const PROOF: &str = "0123456789abcdef0123456789abcdef";

/// A laptop that believes a proxy, whose secret is in this folder.
async fn behind_a_proxy(folder: &Folder) -> Laptop {
    let path = folder.0.join("proxy.json");
    let secret = json!({ "address_header": "CloudFront-Viewer-Address", "proof_header": "x-proof", "proof": PROOF });
    std::fs::write(&path, secret.to_string()).unwrap();
    Start::default().var("WXAUTH_PROXY", &format!("file:{}", path.display())).go().await
}

/// A login that comes through a proxy, which says that it is from this address.
async fn login(laptop: &Laptop, address: &str, proof: &str, code: &str) -> Response {
    let request = laptop.request("/v1/login").header("CloudFront-Viewer-Address", address).header("x-proof", proof);
    send(request.json(&json!({ "code": code }))).await
}

fn source(laptop: &Laptop, answer: &Response) -> Value {
    let line: Value = serde_json::from_str(&laptop.line(answer)).unwrap();
    assert!(line["source.hash"].is_string(), "{line}");
    line["source.hash"].clone()
}

#[tokio::test]
async fn a_proved_address_is_the_source_and_any_other_header_is_nobodys_word() {
    let folder = Folder::new();
    let laptop = behind_a_proxy(&folder).await;
    let of = async |address: &str, proof: &str, code: &str| {
        let refused = login(&laptop, address, proof, code).await;
        refused.is_problem(400, "code_invalid", "relogin");
        source(&laptop, &refused)
    };

    let one = of("192.0.2.1:40001", PROOF, "a").await;
    let same = of("192.0.2.1:40002", PROOF, "b").await;
    let two = of("192.0.2.2:40001", PROOF, "c").await;
    let forged = of("192.0.2.2:40001", "0123456789abcdef0123456789abcdeF", "d").await;
    let unproved = laptop.post("/v1/login", &json!({ "code": "e" })).await;

    assert_eq!(one, same);
    assert_ne!(one, two);
    assert!(forged != one && forged != two);
    assert_eq!(forged, source(&laptop, &unproved), "the address that the gateway sees");
    assert!(!laptop.log().join("").contains("192.0.2."));
}

#[tokio::test]
async fn every_route_names_the_sender_of_what_it_refuses() {
    let folder = Folder::new();
    let laptop = behind_a_proxy(&folder).await;
    let mut routes = template::routes().unwrap();
    // WeChat and the clients of the keys send no credentials, and `keys` refuses nobody.
    routes.retain(|route| !["push", "keys"].contains(&route.function.as_str()));
    let of = async |route: &TemplateRoute, address: &str| {
        let request = laptop.method(route.method.parse().unwrap(), &route.path).bearer_auth("nobody's");
        let refused = send(request.header("CloudFront-Viewer-Address", address).header("x-proof", PROOF)).await;
        assert!(refused.status.is_client_error(), "{route:?} {refused:?}");
        source(&laptop, &refused)
    };

    for route in &routes {
        let one = of(route, "192.0.2.1:40001").await;
        assert_eq!(one, of(&routes[0], "192.0.2.1:40002").await, "{route:?}");
        assert_ne!(one, of(route, "192.0.2.2:40001").await, "{route:?}");
    }
}

#[tokio::test]
async fn users_behind_one_proxy_are_not_one_address() {
    let folder = Folder::new();
    let laptop = behind_a_proxy(&folder).await;
    let mut limited = 0;
    for number in 0..300 {
        let answer = login(&laptop, "198.51.100.7:443", PROOF, &format!("invented-{number}")).await;
        limited += u32::from(answer.status == 429);
    }
    assert!(limited > 0);

    for number in 0..30 {
        let address = format!("192.0.2.{number}:443");
        login(&laptop, &address, PROOF, &laptop.code(&format!("user{number}"))).await.ok();
    }
}

#[tokio::test]
async fn a_wechat_that_fails_for_several_addresses_is_left_alone_for_a_moment() {
    let folder = Folder::new();
    let laptop = behind_a_proxy(&folder).await;
    laptop.script("jscode2session", &json!({ "kind": "status", "status": 502 }), None);
    for number in 0..5 {
        let failed = login(&laptop, &format!("192.0.2.{number}"), PROOF, &laptop.code("alice")).await;
        failed.is_problem(502, "wechat_error", "relogin");
    }

    let spared = login(&laptop, "192.0.2.9", PROOF, &laptop.code("alice")).await;

    spared.is_problem(503, "wechat_busy", "retry");
    assert_eq!(spared.json()["retry_after"], 5);
    assert_eq!(laptop.simulator.calls("jscode2session"), 5);
}

#[tokio::test]
async fn a_secret_that_describes_no_proxy_ends_the_start_with_a_sentence() {
    let folder = Folder::new();
    let path = folder.0.join("proxy.json");
    std::fs::write(&path, r#"{"address_header":"x-forwarded-for","proof_header":"x","proof":"MARKERMARKERMARKER"}"#)
        .unwrap();
    let laptop = Laptop::start().await;
    let vars = [("WXAUTH_PROXY", format!("file:{}", path.display()))];
    let env = shared::env::Env::new(
        vars.into_iter().collect(),
        laptop.world.env.clock(),
        laptop.world.env.entropy(),
        laptop.world.env.log(),
    );
    let env = env.unwrap();

    let sentence = env.proxy().await.unwrap_err().to_string();

    assert!(sentence.starts_with("WXAUTH_PROXY should be a secret that holds {\"address_header\""), "{sentence}");
    assert!(!sentence.contains("MARKER"));
}
