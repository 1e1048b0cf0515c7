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

/// A figure, its bar, and what was measured.
pub(crate) struct Row {
    /// What is counted, and of how many.
    pub(crate) what: String,
    /// What it has to be.
    pub(crate) bar: String,
    /// What it is.
    pub(crate) measured: String,
    /// Whether that is enough.
    pub(crate) is_met: bool,
}

impl Row {
    /// A count that has to be nought.
    pub(crate) fn none(what: impl Into<String>, count: u64) -> Self {
        Self { what: what.into(), bar: "0".to_owned(), measured: grouped(count), is_met: count == 0 }
    }

    /// A count that has to reach this one.
    pub(crate) fn at_least(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self { what: what.into(), bar: format!("≥ {}", grouped(bar)), measured: grouped(count), is_met: count >= bar }
    }

    /// A count that may not exceed this one.
    pub(crate) fn at_most(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self { what: what.into(), bar: format!("≤ {}", grouped(bar)), measured: grouped(count), is_met: count <= bar }
    }

    /// A count that has to be this one.
    pub(crate) fn exactly(what: impl Into<String>, bar: u64, count: u64) -> Self {
        Self { what: what.into(), bar: grouped(bar), measured: grouped(count), is_met: count == bar }
    }

    /// So many of so many: all of them have to be.
    pub(crate) fn all(what: impl Into<String>, count: u64, of: u64) -> Self {
        let measured = format!("{} of {}", grouped(count), grouped(of));
        Self { what: what.into(), bar: "all".to_owned(), measured, is_met: count == of && of > 0 }
    }

    /// Prints what there is against a figure, so that whoever reads the table need not run it again.
    pub(crate) fn because(reasons: &[impl fmt::Debug]) {
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

    /// Whether a figure is short of its bar.
    pub(crate) fn is_short(&self) -> bool {
        self.rows.iter().any(|row| !row.is_met)
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
