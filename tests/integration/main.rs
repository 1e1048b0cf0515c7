//! The application from outside: HTTP in, HTTP out, the real SDK on the embedded DynamoDB, the simulated WeChat.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod admin;
mod apps;
mod attackers;
mod authorizer;
mod clients;
mod config;
mod contract;
mod doctor;
mod events;
mod faults;
mod fuzz;
mod histories;
mod keys;
mod kill;
mod lambda;
mod laptop;
mod login;
mod metrics;
mod phone;
mod platform;
mod problems;
mod push;
mod quota;
mod refresh;
mod rotation;
mod secrecy;
mod session;
mod userinfo;
mod vectors;
mod watch;

use tests::wire;
