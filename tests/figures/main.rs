//! The figures that the project stands by, measured: `cargo figures`, or `cargo figures --long` for the full size.
//!
//! Each suite is a module of the library beside this, where the tests run a small size of it; here it is run at a size
//! that means something, and a line says what came of it. With `--write` the table goes into `README.md` of this package.
//! The exit status is 1 if a figure is short of its bar.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what this program is for")]

mod attackers;
mod canary;
mod exhaustive;
mod flaws;
mod histories;
mod interleavings;
mod kill;
mod rotation;
mod table;

use std::process::ExitCode;

use table::{Size, Table};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let Some(unknown) = arguments.iter().find(|argument| !["--long", "--write"].contains(&argument.as_str())) {
        eprintln!("{unknown}? There are --long and --write.");
        return ExitCode::FAILURE;
    }
    let asked = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let size = if asked("--long") { Size::Long } else { Size::Short };

    let mut table = Table::begin(size);
    table.add(interleavings::rows(size));
    table.add(rotation::rows().await);
    table.add(kill::rows(size).await);
    table.add(canary::rows().await);
    table.add(attackers::rows(size).await);
    table.add(exhaustive::rows(size));
    table.add(histories::rows(size).await);
    table.add(flaws::rows().await);

    if asked("--write")
        && let Err(error) = table.write()
    {
        eprintln!("tests/README.md: {error}");
        return ExitCode::FAILURE;
    }
    if table.is_short() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
