//! Why a control request had no effect, in words for the person who sent it.

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("no such control route")]
    UnknownRoute,
    /// The body is not JSON, lacks a field, or has one too many.
    #[error("unreadable request: {0}")]
    Unreadable(String),
    #[error("{0}")]
    OutOfBounds(&'static str),
    #[error("no such app: {0}")]
    UnknownApp(String),
    #[error("the user's session_key cannot encrypt: it is not the base64 of 16 bytes")]
    UnusableKey,
    #[error("the app has no push configuration: {{\"push\": {{\"token\": \"...\"}}}} beside its secret")]
    NoPush,
    /// The app's `EncodingAESKey` is missing, or does not decode to 32 bytes.
    #[error("the app has no encoding_aes_key of 43 characters")]
    UnusableAesKey,
    #[error(
        "the app has no AppKey for this env: {{\"app_keys\": {{\"production\": \"...\", \"sandbox\": \"...\"}}}} beside its secret"
    )]
    NoAppKey,
    #[error("no such message: its id is given by /sim/push and /sim/purchase, and forgotten after a thousand more")]
    UnknownMessage,
}
