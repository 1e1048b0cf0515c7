//! WeChat: what may be asked ([`api`]), over HTTP ([`client`]); what it answers ([`response`]), signs, encrypts and pushes.

pub mod api;
pub mod app;
pub mod breaker;
mod ciphertext;
pub mod client;
mod code;
pub mod errcode;
pub mod error;
pub mod opendata;
pub mod phone_number;
pub mod push;
pub mod response;
pub mod signature;
