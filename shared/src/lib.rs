//! What every function shares: configuration, WeChat, sessions, tokens, HTTP manners and errors.
//!
//! Decisions are pure functions ([`session::rotation`], [`wechat::opendata`], [`token`]); effects sit at the edges
//! ([`wechat::client`], [`session::dynamo`], [`secrets`]). `README.md` beside this crate is the map.

pub mod clock;
pub mod config;
#[cfg(feature = "contract")]
pub mod contract;
pub mod entropy;
pub mod env;
pub mod http;
pub mod ids;
pub mod json;
pub mod lambda;
pub mod notes;
pub mod problem;
pub mod recent;
pub mod redacted;
pub mod secrets;
pub mod session;
pub mod token;
pub mod wechat;
