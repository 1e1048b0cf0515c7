//! The owner's side on the laptop: a backend that invokes `sign`, and a function that gets what WeChat pushes, which the page plays.
//!
//! The page is the backend: it calls Lambda's API, and so can any backend with `AWS_ENDPOINT_URL_LAMBDA`.

use std::sync::{Mutex, PoisonError};

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{
    env::Env,
    http::record::{self, Log},
    json as strict_json,
    problem::{Code, Problem},
    vars::ConfigError,
};

/// Lambda's route for the function that signs, as the template names it.
pub(crate) const SIGN: &str = "/2015-03-31/functions/wxauth-sign/invocations";

/// Where the function of the page gets its messages.
pub(crate) const FUNCTION: &str = "/playground/owner";

/// As deep as an event of `sign` nests.
const DEEPEST: usize = 4;

/// What the function of the page does with a message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Conduct {
    #[default]
    Takes,
    /// It ends with an error.
    Fails,
    /// There is no such function.
    Absent,
}

/// The owner's backend and function.
pub(crate) struct Owner {
    sign: sign::Deps,
    log: Log,
    conduct: Mutex<Conduct>,
    /// Whether the function is the page's own, and no other that the owner named.
    pub(crate) is_played: bool,
}

impl Owner {
    pub(crate) async fn from_env(env: &Env, is_played: bool) -> Result<Self, ConfigError> {
        let sign = sign::Deps::from_env(env.clone()).await?;
        Ok(Self { sign, log: env.log(), conduct: Mutex::default(), is_played })
    }

    /// Lambda's invocation of `sign`. A failure is the function's: its status is 200, and a header says that it is one.
    pub(crate) async fn sign(&self, event: &[u8]) -> Response {
        let failed = |code: Code, message: &str| {
            let body = json!({ "errorType": code.as_str(), "errorMessage": message });
            ([("x-amz-function-error", "Unhandled")], axum::Json(body)).into_response()
        };
        let Ok(request) = strict_json::nested(event, DEEPEST) else {
            return failed(Code::InvalidRequest, "the event is none that this function knows");
        };
        match record::event(&self.log, sign::handle(self.sign.clone(), request)).await {
            Ok(answer) => axum::Json(answer).into_response(),
            Err(error) => {
                let message = error.to_string();
                failed(Problem::from(error).code(), &message)
            }
        }
    }

    /// What the function answers to this event, and for the page what it was told, if there is a function.
    pub(crate) fn told(&self, event: &[u8]) -> (Response, Option<Value>) {
        let (status, answer) = match self.conduct() {
            Conduct::Takes => (StatusCode::OK, "taken"),
            Conduct::Fails => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
            Conduct::Absent => return (StatusCode::NOT_FOUND.into_response(), None),
        };
        // Apple's question wants a verdict. To all else, no answer means that it is taken.
        let event: Value = serde_json::from_slice(event).unwrap_or_default();
        let verdict = json!({ "result_code": 1, "result_info": "", "evidence": "delivered" });
        let is_question = event["message"].get("channel_bill").is_some();
        let body = if is_question { verdict.to_string() } else { String::new() };
        let line = json!({ "owner": answer, "message": event["message"] });
        ((status, body).into_response(), Some(line))
    }

    /// Sets what the function does from now on. `None` if this is none of it.
    pub(crate) fn set_conduct(&self, body: &[u8]) -> Option<()> {
        #[derive(Deserialize)]
        struct Wanted {
            conduct: Conduct,
        }
        let Wanted { conduct } = serde_json::from_slice(body).ok()?;
        *self.conduct.lock().unwrap_or_else(PoisonError::into_inner) = conduct;
        Some(())
    }

    pub(crate) fn conduct(&self) -> Conduct {
        *self.conduct.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
