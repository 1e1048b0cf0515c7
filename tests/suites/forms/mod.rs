//! What nobody documents the form of: the phone number that WeChat gives, and the optional parts of a login. Whatever form it
//! has, the number is handed on and the login is not refused.

pub mod figures;
pub mod optional;
pub mod phone;

use std::fmt;

use proptest::{
    strategy::{Strategy, ValueTree as _},
    test_runner::TestRunner,
};
use serde_json::{Value, json};

use crate::{Laptop, Start};

/// What came of many tries.
#[derive(Debug, Default)]
pub struct Tally {
    pub tried: u64,
    /// What was tried and what came of it, where it is not as it must be.
    pub wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, is_right: bool, tried: &impl fmt::Display, answer: &impl fmt::Debug) {
        self.tried += 1;
        if !is_right {
            self.wrong.push(format!("{tried}: {answer:?}"));
        }
    }

    pub fn right(&self) -> u64 {
        self.tried - self.wrong()
    }

    pub fn wrong(&self) -> u64 {
        self.wrong.len() as u64
    }
}

/// A laptop with the mini program of a fixture, whose users keep the key that they are given.
pub async fn laptop(fixture: &Value) -> Laptop {
    let appid = fixture["appid"].as_str().expect("an appid");
    let laptop = Start::default().apps(json!({ "apps": { appid: { "secret": "a secret" } } })).go().await;
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    laptop
}

/// So many values, the same ones each time: more of them are these and others.
fn sample<T: fmt::Debug>(values: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| values.new_tree(&mut runner).expect("a value").current()).collect()
}
