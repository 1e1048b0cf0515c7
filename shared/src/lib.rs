//! What every function shares: configuration, WeChat, the store, sessions, tokens, HTTP and errors.
//!
//! The modules below are in layers: a file imports only from layers below its own, and `tests/repository/layers.rs`
//! holds that order. Decisions are pure functions ([`session::refresh`], [`wechat::opendata`], [`token`]); effects are
//! at the edges ([`wechat::client`], [`store::dynamo`], [`secrets`]).

#![warn(missing_docs)]

pub mod lambda;

pub mod env;

pub mod authenticator;
pub mod owner_function;
pub mod platform_token;
pub mod revocation;

pub mod config;
#[cfg(feature = "contract")]
pub mod contract;
pub mod store;

pub mod http;
pub mod session;

pub mod token;
pub mod wechat;

pub mod brake;

pub mod secrets;
pub mod tls;

pub mod expiring;
pub mod problem;
pub mod request_log;
pub mod vars;

pub mod clock;
pub mod entropy;
pub mod ids;
pub mod json;
pub mod secret_text;
