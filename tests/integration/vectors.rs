//! Every known ciphertext through `POST /v1/phone`, and every known profile through the `userInfo` of a login.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use tests::{APPID, Laptop, Response, Start};

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../fixtures/wechat-decrypt.json")).unwrap();
    file["vectors"].as_array().unwrap().iter().filter(|vector| vector["kind"] == "decrypt").cloned().collect()
}

/// The app of a vector; the masked one of SKIT (`wxc****…`) and a missing one are none.
fn appid(vector: &Value) -> &str {
    vector["appid"].as_str().filter(|appid| !appid.contains('*')).unwrap_or(APPID)
}

/// A laptop on which every appid of the vectors is configured.
async fn laptop(vectors: &[Value]) -> Laptop {
    let apps: Map<_, _> =
        vectors.iter().map(|vector| (appid(vector).to_owned(), json!({ "secret": "secret" }))).collect();
    let laptop = Start::default().apps(json!({ "apps": apps })).go().await;
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    laptop
}

/// Plants the vector's key as the session key of a new user.
async fn login(laptop: &Laptop, vector: &Value, user_info: Option<Value>) -> Response {
    let (user, appid) = (vector["id"].as_str().unwrap(), appid(vector));
    let _ = laptop.sim("user", json!({ "user": user, "appid": appid, "session_key": vector["session_key"] }));
    let code = laptop.sim("login", json!({ "user": user, "appid": appid }))["code"].clone();
    laptop.post("/v1/login", &json!({ "code": code, "appid": appid, "userInfo": user_info })).await
}

/// Those whose watermark is whole and names another app.
const FOREIGN: [&str; 4] =
    ["official-wrong-appid", "official-appid-differs-in-case", "official-appid-prefix", "pad-appid-outside-watermark"];

/// What the contract answers: encoding and length of the two values are the request's form, and what is told apart is this
/// app's and has a whole watermark. All else is uniform.
fn expected(vector: &Value) -> (u16, Option<&'static str>) {
    let stage = vector["expect"]["stage"].as_str().unwrap_or_default();
    let of_the_request = !vector["id"].as_str().unwrap().contains("-key");
    let json = &vector["expect"]["json"];
    let marked = json["watermark"]["appid"].as_str();
    match vector["expect"]["result"].as_str().unwrap() {
        "ok" if marked == Some(appid(vector)) && json["phoneNumber"].is_string() => (200, None),
        "ok" if marked == Some(appid(vector)) => (400, Some("wrong_data_kind")),
        "ok" if marked.is_some() => (403, Some("data_rejected")),
        "error" if FOREIGN.iter().any(|id| vector["id"] == *id) => (403, Some("data_rejected")),
        "either" => (400, Some("invalid_request")),
        "error" if matches!(stage, "encoding" | "length") && of_the_request => (400, Some("invalid_request")),
        _ => (409, Some("session_key_expired")),
    }
}

#[tokio::test]
async fn every_vector_through_the_phone_route() {
    let vectors = vectors();
    let laptop = laptop(&vectors).await;
    let mut numbers = 0;
    for vector in &vectors {
        let login = login(&laptop, vector, None).await;
        if login.status != 200 {
            // A session_key that is no AES key is WeChat's error, found when it comes in.
            login.is_problem(502, "wechat_error", "relogin");
            assert!(vector["id"].as_str().unwrap().contains("-key"), "{}", vector["id"]);
            continue;
        }
        let body = json!({ "encryptedData": vector["encrypted_data"], "iv": vector["iv"] });
        let answer = laptop.post_as(&login.text_of("access_token"), "/v1/phone", &body).await;
        let (status, code) = expected(vector);
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (status, code), "{}", vector["id"]);
        if status == 200 {
            numbers += 1;
            for member in ["phoneNumber", "purePhoneNumber"] {
                assert_eq!(answer.json()[member], vector["expect"]["json"][member], "{}", vector["id"]);
            }
        }
    }
    assert!(numbers >= 7, "{numbers} numbers were read");
}

#[tokio::test]
async fn every_profile_through_the_user_info_of_a_login() {
    let vectors: Vec<_> = vectors()
        .into_iter()
        .filter(|vector| STANDARD.decode(vector["session_key"].as_str().unwrap()).is_ok_and(|key| key.len() == 16))
        .collect();
    let laptop = laptop(&vectors).await;
    for vector in &vectors {
        let raw_data = "{}";
        let signature = signature(raw_data, vector["session_key"].as_str().unwrap());
        let info = json!({
            "rawData": raw_data, "signature": signature,
            "encryptedData": vector["encrypted_data"], "iv": vector["iv"],
        });

        let answer = login(&laptop, vector, Some(info)).await.ok();

        // Whoever is named in a vector is not this simulator's user: such a profile is of somebody else.
        let json = &vector["expect"]["json"];
        let readable = vector["expect"]["result"] == "ok"
            && json["nickName"].is_string()
            && vector["appid"] == appid(vector)
            && json["openId"].is_null();
        assert_eq!(answer.get("userInfo").is_some(), readable, "{}", vector["id"]);
    }
}

/// `sha1(rawData + session_key)`, in hex.
pub(crate) fn signature(raw_data: &str, session_key: &str) -> String {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{raw_data}{session_key}").as_bytes());
    tests::hex(hash.as_ref())
}
