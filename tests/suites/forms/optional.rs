//! The optional parts of a login: whatever JSON stands there, it never refuses the login.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Tally, laptop, sample};
use crate::{Laptop, Response, send};

/// The parts that may be anything.
const PARTS: [&str; 2] = ["userInfo", "device"];

/// A login with this text in the place of a member.
pub async fn login_with(laptop: &Laptop, user: &str, name: &str, text: &str) -> Response {
    let body = format!(r#"{{"code":"{}","{name}":{text}}}"#, laptop.code(user));
    send(laptop.request("/v1/login").header("content-type", "application/json").body(body)).await
}

/// Whether this is a device's id with proof.
fn is_proven(device: &str) -> bool {
    device.split_once('.').is_some_and(|(id, proof)| (id.len(), proof.len()) == (22, 48))
}

/// Whether this is all that a login gives, and the profile only if it was good.
pub fn is_whole(answer: &Response, with_profile: bool) -> bool {
    if answer.status != 200 {
        return false;
    }
    let login = answer.json();
    ["access_token", "refresh_token", "openid"].iter().all(|name| login[*name].is_string())
        && login["device"].as_str().is_some_and(is_proven)
        && login.get("userInfo").is_some_and(|profile| profile["nickName"].is_string()) == with_profile
        && login.get("userInfo").is_some() == with_profile
}

/// Any JSON as it may be written, with what a strict reader does not take: half an emoji, a number without bounds, a key
/// given twice, any nesting.
fn any_json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        r"[ -!#-\[\]-~]{0,12}",
        "[一-龥👀]{0,4}",
        r"\\u(d83d|dc00|DBFF|0000|[0-9a-f]{4})",
        Just(String::new()),
    ]
    .prop_map(|text| format!("\"{text}\""));
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
    ];
    let leaf = prop_oneof![text.clone(), number, "null|true|false"];
    leaf.prop_recursive(8, 40, 5, move |inner| {
        let known = prop::sample::select(vec!["rawData", "signature", "encryptedData", "iv", "userInfo", "watermark"]);
        let key = prop_oneof![known.prop_map(|name| format!("\"{name}\"")), text.clone()];
        let member = (key, inner.clone()).prop_map(|(key, value)| format!("{key} : {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// The oddest texts, among them a profile with one odd member.
fn oddest() -> Vec<String> {
    let nested = format!("{}{}", "[".repeat(8_000), "]".repeat(8_000));
    let texts =
        ["null", "{}", "[]", "\"\"", "1e999", "\"\\ud83d\"", "{\"rawData\":\"\\ud83d\"}", "{\"a\":1,\"a\":2}", &nested];
    let mut texts = texts.map(str::to_owned).to_vec();
    let block = "AAAAAAAAAAAAAAAAAAAAAA==";
    for name in ["rawData", "signature", "encryptedData", "iv"] {
        for odd in [json!(null), json!(""), json!(1), json!([]), json!({})] {
            let mut profile = json!({ "rawData": "{}", "signature": "", "encryptedData": block, "iv": block });
            profile[name] = odd;
            texts.push(profile.to_string());
        }
    }
    texts
}

/// A login with each text in each of the two parts.
pub async fn logins(laptop: &Laptop, texts: &[String]) -> Tally {
    let mut tally = Tally::default();
    for (number, text) in texts.iter().enumerate() {
        for name in PARTS {
            let answer = login_with(laptop, &format!("user{number}"), name, text).await;
            tally.count(is_whole(&answer, false), &format!("{name}: {text}"), &answer);
        }
    }
    tally
}

/// The logins that were given, some of them with a good profile.
async fn given() -> Tally {
    let file: Value = serde_json::from_str(include_str!("../../fixtures/userinfo-shapes.json")).expect("JSON");
    let laptop = laptop(&file).await;
    let key = &file["cases"][0]["world"]["session_key"];
    let _ = laptop.sim("user", json!({ "user": "ada", "openid": "oAda", "session_key": key }));
    let cases = file["cases"].as_array().expect("cases").iter();
    let mut tally = Tally::default();
    for (number, case) in cases.filter(|case| case["sent"]["route"] == "POST /v1/login").enumerate() {
        // The data names this user, if its key is the user's.
        let user = if case["world"]["session_key"] == *key { "ada".to_owned() } else { format!("user{number}") };
        let mut body = case["sent"]["body"].clone();
        body["code"] = laptop.code(&user).into();

        let answer = laptop.post("/v1/login", &body).await;

        tally.count(is_whole(&answer, case["right"]["userInfo"] == "answered"), &case["name"], &answer);
    }
    tally
}

/// The logins that were given, those with the oddest texts, and with so many others.
pub async fn with_any_json(count: usize) -> Tally {
    let Tally { tried, wrong } = given().await;
    let others = logins(&Laptop::start().await, &[oddest(), sample(&any_json(), count)].concat()).await;
    Tally { tried: tried + others.tried, wrong: [wrong, others.wrong].concat() }
}
