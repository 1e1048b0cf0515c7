//! A Secrets Manager of our own for the real SDK: versions and stages in memory, by the rules of its API reference.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, extract::State, http::HeaderMap, response::IntoResponse, routing::post};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Clone, Default)]
struct Secret {
    texts: BTreeMap<String, String>,
    stages: BTreeMap<String, String>,
}

#[derive(Clone)]
pub struct SecretsManager {
    pub url: String,
    secrets: Arc<Mutex<BTreeMap<String, Secret>>>,
    down: Arc<Mutex<bool>>,
}

type Refusal = (StatusCode, &'static str);

const ABSENT: Refusal = (StatusCode::BAD_REQUEST, "ResourceNotFoundException");
const EXISTS: Refusal = (StatusCode::BAD_REQUEST, "ResourceExistsException");
const INVALID: Refusal = (StatusCode::BAD_REQUEST, "InvalidRequestException");

impl SecretsManager {
    /// Starts with these secrets, each at its first version.
    pub async fn start(secrets: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let secrets = secrets.iter().map(|(name, text)| {
            let first = "00000000-0000-0000-0000-000000000000".to_owned();
            let stages = BTreeMap::from([("AWSCURRENT".to_owned(), first.clone())]);
            ((*name).to_owned(), Secret { texts: BTreeMap::from([(first, (*text).to_owned())]), stages })
        });
        let manager = Self { url, secrets: Arc::new(Mutex::new(secrets.collect())), down: Arc::default() };
        let router = Router::new().route("/", post(answer)).with_state(manager.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        manager
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn current(&self, secret: &str) -> String {
        self.at_stage(secret, "AWSCURRENT").expect("a current version")
    }

    pub fn at_stage(&self, secret: &str, stage: &str) -> Option<String> {
        let secrets = self.secrets();
        let secret = secrets.get(secret)?;
        secret.texts.get(secret.stages.get(stage)?).cloned()
    }

    /// Puts a new current version, as an owner does in the console.
    pub fn put_current(&self, secret: &str, text: &str) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let version = format!("by-hand-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let request = json!({ "SecretId": secret, "ClientRequestToken": version, "SecretString": text });
        self.put(&request).expect("the secret");
    }

    /// Makes a pending version as Secrets Manager does when a rotation begins: a stage without a text.
    pub fn begin_rotation(&self, secret: &str, version: &str) {
        let mut secrets = self.secrets();
        let secret = secrets.get_mut(secret).expect("the secret");
        if !secret.stages.values().any(|staged| staged == version) {
            secret.stages.entry("AWSPENDING".to_owned()).or_insert_with(|| version.to_owned());
        }
    }

    /// While it is down, every request fails.
    pub fn set_down(&self, down: bool) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = down;
    }

    fn get(&self, request: &Value) -> Result<Value, Refusal> {
        let secrets = self.secrets();
        let name = request["SecretId"].as_str().unwrap_or_default();
        let secret = secrets.get(name).ok_or(ABSENT)?;
        let stage = request["VersionStage"].as_str();
        let staged = secret.stages.get(stage.unwrap_or("AWSCURRENT"));
        let version = match (request["VersionId"].as_str(), stage) {
            (Some(version), None) => version,
            (Some(version), Some(_)) if staged.is_some_and(|staged| staged == version) => version,
            (Some(_), Some(_)) => return Err(INVALID),
            (None, _) => staged.ok_or(ABSENT)?,
        };
        let text = secret.texts.get(version).ok_or(ABSENT)?;
        Ok(json!({ "Name": name, "ARN": name, "VersionId": version, "SecretString": text }))
    }

    fn put(&self, request: &Value) -> Result<Value, Refusal> {
        let mut secrets = self.secrets();
        let secret = secrets.get_mut(request["SecretId"].as_str().unwrap_or_default()).ok_or(ABSENT)?;
        let text = request["SecretString"].as_str().ok_or(INVALID)?;
        let version = request["ClientRequestToken"].as_str().ok_or(INVALID)?.to_owned();
        match secret.texts.get(&version) {
            Some(other) if other != text => return Err(EXISTS),
            _ => drop(secret.texts.insert(version.clone(), text.to_owned())),
        }
        let stages = request["VersionStages"].as_array().cloned().unwrap_or_else(|| vec!["AWSCURRENT".into()]);
        for stage in stages.iter().filter_map(Value::as_str) {
            Self::stage(secret, stage, &version);
        }
        Ok(json!({ "VersionId": version }))
    }

    /// Moves a stage; what was current becomes previous.
    fn stage(secret: &mut Secret, stage: &str, version: &str) {
        let before = secret.stages.insert(stage.to_owned(), version.to_owned());
        if let (Some(before), "AWSCURRENT") = (before, stage) {
            if before != version {
                secret.stages.insert("AWSPREVIOUS".to_owned(), before);
            }
            if secret.stages.get("AWSPENDING").is_some_and(|pending| pending == version) {
                secret.stages.remove("AWSPENDING");
            }
        }
        let staged: BTreeSet<_> = secret.stages.values().cloned().collect();
        secret.texts.retain(|version, _| staged.contains(version));
    }

    fn update_stage(&self, request: &Value) -> Result<Value, Refusal> {
        let mut secrets = self.secrets();
        let secret = secrets.get_mut(request["SecretId"].as_str().unwrap_or_default()).ok_or(ABSENT)?;
        let stage = request["VersionStage"].as_str().ok_or(INVALID)?;
        let from = request["RemoveFromVersionId"].as_str().ok_or(INVALID)?;
        let Some(to) = request["MoveToVersionId"].as_str() else {
            if secret.stages.get(stage).is_none_or(|staged| staged != from) {
                return Err(INVALID);
            }
            secret.stages.remove(stage);
            return Ok(json!({}));
        };
        if secret.stages.get(stage).is_none_or(|staged| staged != from) || !secret.texts.contains_key(to) {
            return Err(INVALID);
        }
        Self::stage(secret, stage, to);
        Ok(json!({}))
    }
}

async fn answer(State(manager): State<SecretsManager>, headers: HeaderMap, body: String) -> impl IntoResponse {
    let request: Value = serde_json::from_str(&body).unwrap_or_default();
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let result = if *manager.down.lock().unwrap_or_else(PoisonError::into_inner) {
        Err((StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceError"))
    } else {
        match target {
            "secretsmanager.GetSecretValue" => manager.get(&request),
            "secretsmanager.PutSecretValue" => manager.put(&request),
            "secretsmanager.UpdateSecretVersionStage" => manager.update_stage(&request),
            _ => Err((StatusCode::BAD_REQUEST, "UnknownOperationException")),
        }
    };
    let (status, body) = match result {
        Ok(body) => (StatusCode::OK, body),
        Err((status, kind)) => (status, json!({ "__type": kind, "message": kind })),
    };
    (status, [("content-type", "application/x-amz-json-1.1")], body.to_string())
}
