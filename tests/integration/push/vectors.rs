//! The published messages of `fixtures/wechat-push.json`.

use std::collections::HashMap;

use http::StatusCode;
use serde_json::{Value, json};
use tests::{Items, Laptop, Response, Start, send};

use super::{CANCELLATION, app, items};

/// Sends a vector as WeChat would.
async fn send_vector(laptop: &Laptop, vector: &Value) -> Response {
    let query: Vec<_> =
        vector["query"].as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap())).collect();
    let mut request = laptop.method(vector["method"].as_str().unwrap().parse().unwrap(), "/v1/push").query(&query);
    if let Some(content_type) = vector["content_type"].as_str() {
        request = request.header("content-type", content_type);
    }
    send(request.body(vector["body"].as_str().unwrap().to_owned())).await
}

#[tokio::test]
async fn every_vector_through_the_route() {
    let file: Value = serde_json::from_str(include_str!("../../fixtures/wechat-push.json")).unwrap();
    let mut laptops: HashMap<String, Laptop> = HashMap::new();
    let (mut taken, mut deleted) = (0, 0);

    for vector in file["vectors"].as_array().unwrap() {
        let (id, configured) = (&vector["id"], vector["encoding_aes_key"].as_str());
        let kind = format!("{}{}{configured:?}", vector["token"], vector["appid"]);
        if !laptops.contains_key(&kind) {
            let app = app(vector["token"].as_str().unwrap(), configured);
            let apps = json!({ "apps": { vector["appid"].as_str().unwrap(): app } });
            let laptop = Start::default().apps(apps).at(1_700_000_000).go().await;
            let _ = laptop.sim("user", json!({ "user": "alice", "openid": "oVect0rUserOfTheMiniProgram1" }));
            laptops.insert(kind.clone(), laptop);
        }
        let laptop = &laptops[&kind];
        if items(laptop).await.is_empty() {
            laptop.login("alice").await;
        }
        let before = items(laptop).await;

        let answer = send_vector(laptop, vector).await;

        let after = items(laptop).await;
        if vector["expect"] == "ok" {
            taken += 1;
            let expected = vector["echostr"].as_str().unwrap_or("success");
            assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, expected), "{id}");
            let event = &vector["event"];
            let ours = event["OpenID"] == "oVect0rUserOfTheMiniProgram1" && event["Event"] == CANCELLATION;
            deleted += u32::from(ours);
            assert_eq!(after, if ours { Items::new() } else { before }, "{id}");
            if ours {
                // Another vector may be the same message in another form.
                laptops.remove(&kind);
            }
        } else {
            assert_eq!(answer.status, 400, "{id}: {answer:?}");
            answer.is_problem(400, "invalid_request", "fix");
            assert_eq!(after, before, "{id}");
        }
    }
    assert!(taken > 20 && deleted > 3, "{taken} were taken, {deleted} deleted a user");
}
