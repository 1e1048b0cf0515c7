//! The figures that the README claims, measured: `cargo figures`, or `cargo figures --long` for the full size; with
//! the names of suites, only these.
//!
//! `cargo test` runs a small size of each suite; here it is run at a size that means something, and a line says what came
//! of it. With `--write` the table goes into `README.md` of this package.
//!
//! The exit status is 1 if a count is short of its bar. A figure that is marked as taken by the clock depends on how busy
//! the machine is, so it changes the exit status only with `--strict`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what this program is for")]

mod table;

use std::process::ExitCode;

use table::Table;
use tests::suites::{
    attackers, canary, exhaustive, faults, flaws, forms, fuzz, histories, interleavings, kill, mutants, rotation,
    row::{Row, Size},
    signatures, strangers,
};

const FLAGS: [&str; 3] = ["--long", "--strict", "--write"];

/// In the order of the table.
const SUITES: [&str; 15] = [
    "interleavings",
    "thefts",
    "exhaustive",
    "histories",
    "flaws",
    "faults",
    "kill",
    "rotation",
    "attackers",
    "strangers",
    "forms",
    "signatures",
    "fuzz",
    "canary",
    "mutants",
];

async fn rows(suite: &str, size: Size) -> Vec<Row> {
    match suite {
        "interleavings" => interleavings::figures::rows(size),
        "thefts" => interleavings::thefts::rows(size),
        "exhaustive" => exhaustive::figures::rows(size),
        "histories" => histories::figures::rows(size).await,
        "flaws" => flaws::figures::rows().await,
        "faults" => faults::figures::rows(size).await,
        "kill" => kill::figures::rows(size).await,
        "rotation" => rotation::figures::rows().await,
        "attackers" => attackers::figures::rows(size).await,
        "strangers" => strangers::figures::rows().await,
        "forms" => forms::figures::rows().await,
        "signatures" => signatures::figures::rows(size).await,
        "fuzz" => fuzz::figures::rows(size),
        "canary" => canary::figures::rows().await,
        "mutants" => mutants::rows(size),
        _ => unreachable!("{suite} is in the list"),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let (flags, named): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let is_known = |given: &String| FLAGS.contains(&given.as_str()) || SUITES.contains(&given.as_str());
    if let Some(unknown) = flags.iter().chain(&named).find(|given| !is_known(given)) {
        eprintln!("{unknown}? There are {}, and the suites {}.", FLAGS.join(", "), SUITES.join(", "));
        return ExitCode::FAILURE;
    }
    let asked = |flag: &str| flags.iter().any(|given| given == flag);
    let size = if asked("--long") { Size::Long } else { Size::Short };
    let mut suites: Vec<_> = named.iter().map(String::as_str).collect();
    if suites.is_empty() {
        suites.extend(SUITES);
    } else if asked("--write") {
        eprintln!("--write takes the whole table");
        return ExitCode::FAILURE;
    }

    let mut table = Table::begin(size);
    for suite in suites {
        table.add(rows(suite, size).await);
    }
    if asked("--write")
        && let Err(error) = table.write()
    {
        eprintln!("tests/README.md: {error}");
        return ExitCode::FAILURE;
    }
    if table.is_short(asked("--strict")) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
