//! The table: a line for each figure.

use std::{io, path::Path, process::Command};

use tests::suites::row::{Row, Size};

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
    pub(crate) fn begin(size: Size) -> Self {
        println!("{HEAD}");
        Self { size, commit: commit().unwrap_or_default(), rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, rows: Vec<Row>) {
        for row in &rows {
            println!("{row}");
        }
        self.rows.extend(rows);
    }

    /// Whether a figure is short of its bar; what the clock decides is asked for only if it is `strict`.
    pub(crate) fn is_short(&self, strict: bool) -> bool {
        self.rows.iter().any(|row| row.is_short(strict))
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
