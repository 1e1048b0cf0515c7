//! The well-known documents.

use http::Method;
use serde_json::json;
use tests::{Folder, Laptop, Response, Start, send};

async fn fetch(laptop: &Laptop, path: &str) -> Response {
    send(laptop.method(Method::GET, path)).await
}

#[tokio::test]
async fn discovery_names_the_issuer_of_the_tokens_and_where_the_keys_are() {
    for (start, alg) in [(Start::default(), "ES256"), (Start::default().rsa(), "RS256")] {
        let laptop = start.go().await;

        let answer = fetch(&laptop, "/.well-known/openid-configuration").await;

        let issuer = &laptop.world.url;
        assert_eq!(answer.ok()["issuer"], *issuer);
        assert_eq!(answer.json()["jwks_uri"], format!("{issuer}/.well-known/jwks.json"));
        assert_eq!(answer.json()["id_token_signing_alg_values_supported"], json!([alg]));
        assert_eq!(answer.json()["subject_types_supported"], json!(["pairwise"]));
        assert!(answer.json()["response_types_supported"].is_array());
        assert_eq!(answer.header("cache-control").unwrap(), "max-age=300");
        assert_eq!(answer.header("content-type").unwrap(), "application/json");
        assert_eq!(tests::jwt_claims(&laptop.login("alice").await.access)["iss"], *issuer);
    }
}

#[tokio::test]
async fn the_key_set_is_the_public_half_of_all_keys_and_nothing_else() {
    let laptop = Start::default().rsa().go().await;

    let answer = fetch(&laptop, "/.well-known/jwks.json").await;

    let keys = answer.ok()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 2, "current and next");
    for key in keys {
        let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
    }
    assert_eq!(answer.header("cache-control").unwrap(), "max-age=300");
}

#[tokio::test]
async fn keys_that_rotation_has_not_made_yet_are_unavailable() {
    let folder = Folder::new();
    let path = folder.0.join("jwks.json");
    std::fs::write(&path, r#"{"keys":[]}"#).unwrap();
    let laptop = Start::default().var("WXAUTH_JWKS", &format!("file:{}", path.display())).go().await;

    for document in ["/.well-known/openid-configuration", "/.well-known/jwks.json"] {
        fetch(&laptop, document).await.is_problem(503, "unavailable", "retry");
    }
}
