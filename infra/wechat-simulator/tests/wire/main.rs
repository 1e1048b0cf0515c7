//! The simulator over TCP, as the backend meets it: WeChat's rules, the control routes, every fault.

#![expect(clippy::unwrap_used, reason = "clippy lets tests unwrap, but not the helpers outside of them")]

mod client;
mod codes;
mod control;
mod customers;
mod faults;
mod foreign_codes;
mod openapi;
mod phone_data;
mod phone_numbers;
mod platform_tokens;
mod purchases;
mod pushes;
mod repeats;
mod session_keys;
