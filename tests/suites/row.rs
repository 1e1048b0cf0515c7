//! A line of the table of figures, and how much is measured for it.

use std::fmt;

/// How much a suite does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Minutes on two cores.
    Short,
    /// Hours.
    Long,
}

impl Size {
    pub fn of<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }
}

/// At most so many reasons are printed for a figure.
const REASONS: usize = 20;

/// A figure, its bar, and what was measured.
pub struct Row {
    /// What is counted, and of how many.
    pub what: String,
    /// What it has to be.
    pub bar: String,
    pub measured: String,
    /// Whether that is enough.
    pub is_met: bool,
}

impl Row {
    /// The bar is 0.
    pub fn none(what: impl Into<String>, count: u64) -> Self {
        Self { what: what.into(), bar: "0".to_owned(), measured: grouped(count), is_met: count == 0 }
    }

    pub fn at_least(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self { what: what.into(), bar: format!("≥ {}", grouped(bar)), measured: grouped(count), is_met: count >= bar }
    }

    pub fn at_most(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self { what: what.into(), bar: format!("≤ {}", grouped(bar)), measured: grouped(count), is_met: count <= bar }
    }

    pub fn exactly(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self { what: what.into(), bar: grouped(bar), measured: grouped(count), is_met: count == bar }
    }

    /// `count` of `of` cases; the bar is all of them, and at least one.
    pub fn all(what: impl Into<String>, count: u64, of: u64) -> Self {
        let measured = format!("{} of {}", grouped(count), grouped(of));
        Self { what: what.into(), bar: "all".to_owned(), measured, is_met: count == of && of > 0 }
    }

    /// Prints why a figure is short, so that the reader of the table need not run the suite again.
    pub fn because(reasons: &[impl fmt::Debug]) {
        for reason in reasons.iter().take(REASONS) {
            eprintln!("{reason:#?}");
        }
    }

    fn verdict(&self) -> &'static str {
        if self.is_met { "ok" } else { "**short**" }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "| {} | {} | {} | {} |", self.what, self.bar, self.measured, self.verdict())
    }
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let apart = |(at, digit): (usize, char)| {
        let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
        [comma.then_some(','), Some(digit)].into_iter().flatten()
    };
    digits.chars().enumerate().flat_map(apart).collect()
}
