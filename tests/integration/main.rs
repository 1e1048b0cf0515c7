//! The application from outside: HTTP in, HTTP out, the real SDK on the embedded DynamoDB, the simulated WeChat.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod admin;
mod apps;
mod attempts;
mod authorizer;
mod brake;
mod breaker;
mod clients;
mod config;
mod contract;
mod device;
mod devices;
mod doctor;
mod endings;
mod events;
mod keys;
mod lambda;
mod laptop;
mod login;
mod metrics;
mod named;
mod opendata;
mod optional;
mod phone;
mod phone_data;
mod platform;
mod problems;
mod proxy;
mod push;
mod quota;
mod raw_data;
mod refresh;
mod rotation;
mod session;
mod sign;
mod under_way;
mod upstream;
mod userinfo;
mod vectors;
mod watch;

#[path = "../suites/attackers/tests.rs"]
mod attackers;
#[path = "../suites/faults/tests.rs"]
mod faults;
#[path = "../suites/forms/tests.rs"]
mod forms;
#[path = "../suites/fuzz/tests.rs"]
mod fuzz;
#[path = "../suites/histories/tests.rs"]
mod histories;
#[path = "../suites/kill/tests.rs"]
mod kill;
#[path = "../suites/canary/tests.rs"]
mod secrecy;
#[path = "../suites/signatures/tests.rs"]
mod signatures;
#[path = "../suites/strangers/tests.rs"]
mod strangers;
