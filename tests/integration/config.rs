//! The environment: what is missing or wrong ends the start with one sentence that names the variable.

use std::sync::Arc;

use shared::{clock::SystemClock, entropy::OsEntropy, env::Env, http::record::Log, vars::Vars};
use tests::{Folder, Laptop, Start};

const GOOD: [(&str, &str); 5] = [
    ("WXAUTH_TABLE", "wxauth"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "id"),
    ("AWS_SECRET_ACCESS_KEY", "key"),
    ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"),
];

/// The secrets of a laptop, as variables.
fn files(folder: &Folder) -> Vec<(String, String)> {
    let files = local::secrets::SecretFiles::in_folder(&folder.0, shared::token::jwks::KeyKind::Ec).unwrap();
    [
        ("WXAUTH_APPS", files.apps),
        ("WXAUTH_PUSH", files.push),
        ("WXAUTH_KEYRING", files.keyring),
        ("WXAUTH_SIGNING_KEYS", files.signing_keys),
        ("WXAUTH_JWKS", files.jwks),
    ]
    .map(|(name, path)| (name.to_owned(), format!("file:{}", path.display())))
    .into()
}

fn env(vars: &[(String, String)]) -> Env {
    let vars = vars.iter().cloned().collect::<Vars>();
    Env::new(vars, Arc::new(SystemClock), Arc::new(OsEntropy), Log::new(|_| ())).unwrap()
}

fn all(folder: &Folder) -> Vec<(String, String)> {
    let mut vars = files(folder);
    vars.extend(GOOD.map(|(name, value)| (name.to_owned(), value.to_owned())));
    vars
}

#[tokio::test]
async fn each_missing_variable_is_named() {
    let folder = Folder::new();
    assert!(local::mounts::all(&env(&all(&folder))).await.is_ok());
    for missing in [
        "WXAUTH_TABLE",
        "WXAUTH_APPS",
        "WXAUTH_PUSH",
        "WXAUTH_KEYRING",
        "WXAUTH_SIGNING_KEYS",
        "WXAUTH_JWKS",
        "AWS_REGION",
    ] {
        let mut vars = all(&folder);
        vars.retain(|(name, _)| name != missing);

        let sentence = local::mounts::all(&env(&vars)).await.map(drop).unwrap_err().to_string();

        assert!(sentence.starts_with(&format!("{missing} should be set to ")), "{sentence}");
    }
}

#[tokio::test]
async fn each_malformed_secret_is_named_and_not_shown() {
    let folder = Folder::new();
    for name in ["WXAUTH_APPS", "WXAUTH_PUSH", "WXAUTH_KEYRING", "WXAUTH_SIGNING_KEYS", "WXAUTH_JWKS"] {
        let mut vars = all(&folder);
        let path = folder.0.join("malformed.json");
        std::fs::write(&path, "MARKER").unwrap();
        vars.push((name.to_owned(), format!("file:{}", path.display())));

        let sentence = local::mounts::all(&env(&vars)).await.map(drop).unwrap_err().to_string();

        assert!(sentence.starts_with(&format!("{name} should be a secret that holds ")), "{sentence}");
        assert!(!sentence.contains("MARKER"));
    }
}

#[tokio::test]
async fn each_wrong_address_or_file_is_named_and_not_shown() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("MARKER.pem"), "no certificate").unwrap();
    let path = folder.0.join("MARKER.pem").display().to_string();
    for (name, value) in [
        ("AWS_ENDPOINT_URL_DYNAMODB", "MARKER"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "ftp://MARKER"),
        ("WXAUTH_WECHAT_URL", "http://MARKER.example.com"),
        ("SSL_CERT_FILE", &path),
        ("SSL_CERT_FILE", "/nowhere/MARKER"),
    ] {
        let mut vars = all(&folder);
        vars.push((name.to_owned(), value.to_owned()));
        let vars = vars.into_iter().collect::<Vars>();

        let env = Env::new(vars, Arc::new(SystemClock), Arc::new(OsEntropy), Log::new(|_| ()));
        let started = match env {
            Ok(env) => local::mounts::all(&env).await.map(drop),
            Err(error) => Err(error),
        };

        let sentence = started.unwrap_err().to_string();
        assert!(sentence.starts_with(&format!("{name} should be ")), "{sentence}");
        assert!(!sentence.contains("MARKER"), "{sentence}");
    }
}

#[tokio::test]
async fn a_function_needs_only_the_variables_it_uses() {
    let folder = Folder::new();
    let without = |missing: &str| {
        let mut vars = all(&folder);
        vars.retain(|(name, _)| name != missing);
        env(&vars)
    };

    assert!(refresh::Deps::from_env(without("WXAUTH_APPS")).await.is_ok());
    assert!(push::Deps::from_env(without("WXAUTH_APPS")).await.is_ok());
    assert!(login::Deps::from_env(without("WXAUTH_PUSH")).await.is_ok());
    assert!(refresh::Deps::from_env(without("WXAUTH_JWKS")).await.is_ok());
    assert!(login::Deps::from_env(without("WXAUTH_JWKS")).await.is_ok());
    assert!(phone::Deps::from_env(without("WXAUTH_SIGNING_KEYS")).await.is_ok());
}

#[tokio::test]
async fn keys_that_rotation_has_not_made_yet_are_unavailable_and_looked_for_again() {
    let folder = Folder::new();
    let path = folder.0.join("later.json");
    std::fs::write(&path, r#"{"keys":{}}"#).unwrap();
    let laptop = Start::default().var("WXAUTH_KEYRING", &format!("file:{}", path.display())).go().await;
    let laptop = &laptop;
    let login = |code: String| async move { laptop.post("/v1/login", &serde_json::json!({ "code": code })).await };

    login(laptop.code("alice")).await.is_problem(503, "unavailable", "retry");
    std::fs::remove_file(&path).unwrap();
    login(laptop.code("alice")).await.is_problem(503, "unavailable", "retry");

    let other = Folder::new();
    let (_, keyring) = files(&other).into_iter().find(|(name, _)| name == "WXAUTH_KEYRING").unwrap();
    std::fs::copy(keyring.trim_start_matches("file:"), &path).unwrap();
    login(laptop.code("alice")).await.ok();
}

#[tokio::test]
async fn a_rotated_keyring_keeps_old_tokens_and_makes_new_ones() {
    let folder = Folder::new();
    let path = folder.0.join("ring.json");
    let ring = |current: u32| {
        format!(
            r#"{{"current":{current},"keys":{{"1":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","2":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"}}}}"#
        )
    };
    std::fs::write(&path, ring(1)).unwrap();
    let laptop = Start::default().var("WXAUTH_KEYRING", &format!("file:{}", path.display())).go().await;
    let alice = laptop.login("alice").await;
    let event = laptop.sim("phone", serde_json::json!({ "user": "alice" }));
    std::fs::write(&path, ring(2)).unwrap();
    // Older than ten minutes: read again before it is used.
    laptop.clock.advance(600);

    let successor = laptop.refresh(&alice.refresh).await.text_of("refresh_token");
    let data = serde_json::json!({ "encryptedData": event["encryptedData"], "iv": event["iv"] });
    laptop.post_as(&alice.access, "/v1/phone", &data).await.ok();
    let replay = laptop.refresh(&alice.refresh).await.text_of("refresh_token");

    assert_eq!(successor, replay);
    let key_id = |token: &str| {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.decode(token.trim_start_matches("wxr1_")).unwrap()[3]
    };
    assert_eq!((key_id(&alice.refresh), key_id(&successor)), (1, 2));
}

#[tokio::test]
async fn variables_given_to_the_laptop_reach_the_functions() {
    let laptop = Start::default().var("WXAUTH_ACCESS_SECONDS", "317").go().await;
    let answer = laptop.post("/v1/login", &serde_json::json!({ "code": laptop.code("alice") })).await;
    assert_eq!(answer.ok()["expires_in"], 317);
    drop(Laptop::start().await);
}
