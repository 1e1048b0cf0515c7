//! The table: a line for each figure.

use std::{fmt, io, path::Path, process::Command};

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// Minutes on two cores.
    Short,
    /// Hours.
    Long,
}

impl Size {
    /// One of two sizes.
    pub(crate) fn of<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }
}

/// So many reasons are told.
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
pub(crate) struct Row {
    what: String,
    bar: String,
    measured: String,
    is_met: bool,
    kind: Kind,
}

impl Row {
    /// A count: `what` is counted, `bar` is what it has to be, `measured` is what it is.
    pub(crate) fn new(
        what: impl Into<String>,
        bar: impl Into<String>,
        measured: impl Into<String>,
        is_met: bool,
    ) -> Self {
        Self { what: what.into(), bar: bar.into(), measured: measured.into(), is_met, kind: Kind::Count }
    }

    /// The same figure as one that the machine's speed decides too.
    pub(crate) fn by_the_clock(self) -> Self {
        Self { kind: Kind::Clock, ..self }
    }

    /// The same figure, short unless this holds too.
    pub(crate) fn and(self, holds: bool) -> Self {
        Self { is_met: self.is_met && holds, ..self }
    }

    /// A count that has to be nought.
    pub(crate) fn none(what: impl Into<String>, count: u64) -> Self {
        Self::new(what, "0", grouped(count), count == 0)
    }

    /// A count that has to reach this one.
    pub(crate) fn at_least(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self::new(what, format!("≥ {}", grouped(bar)), grouped(count), count >= bar)
    }

    /// A count that may not exceed this one.
    pub(crate) fn at_most(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self::new(what, format!("≤ {}", grouped(bar)), grouped(count), count <= bar)
    }

    /// A count that has to be this one.
    pub(crate) fn exactly(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self::new(what, grouped(bar), grouped(count), count == bar)
    }

    /// So many of so many: all of them have to be.
    pub(crate) fn all(what: impl Into<String>, count: u64, of: u64) -> Self {
        Self::new(what, "all", format!("{} of {}", grouped(count), grouped(of)), count == of && of > 0)
    }

    /// Prints what there is against a figure, so that whoever reads the table need not run it again.
    pub(crate) fn because(reasons: &[impl fmt::Debug]) {
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
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let apart = |(at, digit): (usize, char)| {
        let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
        [comma.then_some(','), Some(digit)].into_iter().flatten()
    };
    digits.chars().enumerate().flat_map(apart).collect()
}

const HEAD: &str = "| figure | bar | measured | |\n| --- | --- | --- | --- |";

/// What surrounds the table in the README.
const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- /figures -->\n";

const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

fn commit() -> io::Result<String> {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(PACKAGE).output()?;
    Ok(String::from_utf8_lossy(&git.stdout).trim().to_owned())
}

/// All lines so far; each is printed as soon as it is there.
pub(crate) struct Table {
    size: Size,
    /// What is measured: what the checkout was at the beginning.
    commit: String,
    rows: Vec<Row>,
}

impl Table {
    /// An empty table.
    pub(crate) fn begin(size: Size) -> Self {
        println!("{HEAD}");
        Self { size, commit: commit().unwrap_or_default(), rows: Vec::new() }
    }

    /// Adds lines.
    pub(crate) fn add(&mut self, rows: Vec<Row>) {
        for row in &rows {
            println!("{row}");
        }
        self.rows.extend(rows);
    }

    /// Whether a figure is short of its bar; what the clock decides is asked for only if it is `strict`.
    pub(crate) fn is_short(&self, strict: bool) -> bool {
        self.rows.iter().any(|row| !row.is_met && (strict || row.kind == Kind::Count))
    }

    /// Puts the table where the README has the one before.
    pub(crate) fn write(&self) -> io::Result<()> {
        let command = self.size.of("cargo figures", "cargo figures --long");
        let rows = self.rows.iter().map(Row::to_string).collect::<Vec<_>>().join("\n");
        let table = format!("Measured by `{command}` on commit `{}`:\n\n{HEAD}\n{rows}\n", self.commit);

        let readme = Path::new(PACKAGE).join("README.md");
        let text = std::fs::read_to_string(&readme)?;
        let (before, rest) = text.split_once(BEGIN).ok_or_else(|| io::Error::other("where is the old table?"))?;
        let (_, after) = rest.split_once(END).ok_or_else(|| io::Error::other("where does the old table end?"))?;
        std::fs::write(readme, format!("{before}{BEGIN}{table}{END}{after}"))
    }
}
