//! A line of the table of figures.

use std::fmt;

/// How large the suites run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Minutes on two cores.
    Short,
    /// Hours.
    Long,
}

impl Size {
    /// The value for this size.
    pub fn of<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }
}

/// At most so many reasons are printed.
const REASONS: usize = 20;

/// What a figure depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The code alone: a figure that is short is a fault of the code, and the exit status says so.
    Count,
    /// Also how busy the machine is: only `--strict` lets it decide the exit status.
    Clock,
}

/// A figure, its bar, and what was measured.
pub struct Row {
    what: String,
    bar: String,
    measured: String,
    is_met: bool,
    kind: Kind,
}

impl Row {
    /// A count: `what` is counted, `bar` is what it has to be, `measured` is what it is.
    pub fn new(what: impl Into<String>, bar: impl Into<String>, measured: impl Into<String>, is_met: bool) -> Self {
        Self { what: what.into(), bar: bar.into(), measured: measured.into(), is_met, kind: Kind::Count }
    }

    /// The same figure as one that the machine's speed decides too.
    #[must_use]
    pub fn by_the_clock(self) -> Self {
        Self { kind: Kind::Clock, ..self }
    }

    /// The same figure, short unless this holds too.
    #[must_use]
    pub fn and(self, holds: bool) -> Self {
        Self { is_met: self.is_met && holds, ..self }
    }

    /// A count that has to be nought.
    pub fn none(what: impl Into<String>, count: u64) -> Self {
        Self::new(what, "0", grouped(count), count == 0)
    }

    /// A count that has to reach this one.
    pub fn at_least(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self::new(what, format!("≥ {}", grouped(bar)), grouped(count), count >= bar)
    }

    /// A count that may not exceed this one.
    pub fn at_most(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self::new(what, format!("≤ {}", grouped(bar)), grouped(count), count <= bar)
    }

    /// A count that has to be this one.
    pub fn exactly(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self::new(what, grouped(bar), grouped(count), count == bar)
    }

    /// So many of so many: all of them have to be.
    pub fn all(what: impl Into<String>, count: u64, of: u64) -> Self {
        Self::new(what, "all", format!("{} of {}", grouped(count), grouped(of)), count == of && of > 0)
    }

    /// Whether it is short of its bar; a figure that the clock decides too is short only for the strict.
    pub fn is_short(&self, strict: bool) -> bool {
        !self.is_met && (strict || self.kind == Kind::Count)
    }

    /// Prints what there is against a figure, so that whoever reads the table need not run it again.
    pub fn because(reasons: &[impl fmt::Debug]) {
        for reason in reasons.iter().take(REASONS) {
            eprintln!("{reason:#?}");
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.is_met, self.kind) {
            (true, Kind::Count) => "ok",
            (true, Kind::Clock) => "ok, by the clock",
            (false, Kind::Count) => "**short**",
            (false, Kind::Clock) => "**short**, by the clock",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "| {} | {} | {} | {} |", self.what, self.bar, self.measured, self.verdict())
    }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let apart = |(at, digit): (usize, char)| {
        let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
        [comma.then_some(','), Some(digit)].into_iter().flatten()
    };
    digits.chars().enumerate().flat_map(apart).collect()
}
