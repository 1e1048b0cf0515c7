//! The application from outside: HTTP in, HTTP out, the real SDK on the embedded DynamoDB, the simulated WeChat.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod authorizer;
mod clients;
mod config;
mod doctor;
mod events;
mod keys;
mod lambda;
mod laptop;
mod login;
mod metrics;
mod phone;
mod refresh;
mod rotation;
mod secrecy;
mod vectors;
mod watch;
