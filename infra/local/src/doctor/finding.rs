//! One line of the doctor's report.

use std::fmt;

use shared::vars::ConfigError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Ok,
    /// It works, or it cannot be checked from here.
    Warn,
    Wrong,
}

impl Level {
    /// The word at the beginning of a line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Wrong => "wrong",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// What the check found, and unless that is in order, how to correct it.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:<6}{}", self.level.as_str(), self.text)
    }
}

impl From<ConfigError> for Finding {
    fn from(error: ConfigError) -> Self {
        Self { level: Level::Wrong, text: error.to_string() }
    }
}

pub(super) fn ok(fact: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, text: fact.into() }
}

pub(super) fn warn(fact: impl fmt::Display, advice: impl fmt::Display) -> Finding {
    Finding { level: Level::Warn, text: format!("{fact}: {advice}") }
}

pub(super) fn wrong(fact: impl fmt::Display, advice: impl fmt::Display) -> Finding {
    Finding { level: Level::Wrong, text: format!("{fact}: {advice}") }
}
