//! How soon a copied refresh token is noticed.

use super::{Network, Setup, Thief, figures::worlds, settings::accepted_policies};
use crate::suites::row::{Row, Size, grouped};
use shared::{clock::Secs, session::refresh::RefreshPolicy};

const DAY: Secs = 86_400;
const THEFTS: (u64, u64) = (500, 50_000);
/// With each of the settings.
const THEFTS_EACH: (u64, u64) = (100, 2_000);

/// Thefts that are noticed within a day; `median` is the bar of the time that it takes, in minutes.
fn thefts(what: &str, thief: Thief, median: Option<u64>, size: Size) -> Row {
    let figures = worlds(size.of(THEFTS.0, THEFTS.1), &Setup::theft(Network::LIGHTER, thief));
    let noticed = figures.noticed_within(DAY);
    let took = figures.median().unwrap_or(u64::MAX) / 60;
    Row::new(
        format!("thefts noticed within a day, {what}"),
        median.map_or_else(|| "≥ 97 %".to_owned(), |median| format!("≥ 97 %, median ≤ {median} min")),
        format!("{} of {}, median {took} min", grouped(noticed), grouped(figures.thefts)),
        figures.thefts > 0 && noticed * 100 >= figures.thefts * 97 && median.is_none_or(|median| took <= median),
    )
}

/// Thefts with all times that the configuration accepts, by a thief who is not in step; of the settings the worst is told.
fn thefts_with_each_setting(size: Size) -> Row {
    let policies = accepted_policies();
    let mut each = Vec::new();
    for policy in &policies {
        let setup = Setup::theft_with(Network::LIGHTER, Thief::AtWill, *policy);
        let figures = worlds(size.of(THEFTS_EACH.0, THEFTS_EACH.1), &setup);
        each.push((figures.noticed_within(DAY), figures.thefts, policy));
    }
    each.sort_by_key(|(noticed, of, _)| noticed * 10_000 / of.max(&1));
    let short: Vec<_> = each.iter().filter(|(noticed, of, _)| noticed * 100 < of * 97).collect();
    Row::because(&short);
    let worst = each.first().map(|(noticed, of, policy)| {
        let RefreshPolicy { access, grace, min_age, .. } = policy;
        format!("at worst {} of {} (access {access} s, G {grace} s, E {min_age} s)", grouped(*noticed), grouped(*of))
    });
    Row::new(
        format!(
            "the same, by a thief who refreshes when he pleases, with each of {} settings at the bounds of what is accepted and \
             between",
            policies.len()
        ),
        "≥ 97 % with each",
        worst.unwrap_or_default(),
        !each.is_empty() && short.is_empty(),
    )
}

pub fn rows(size: Size) -> Vec<Row> {
    vec![
        thefts("by a thief at any time", Thief::AtAnyTime, Some(70), size),
        thefts("by a thief in step", Thief::InStep, None, size),
        thefts("by a thief who watches what the routes tell of the session", Thief::Watching, None, size),
        thefts_with_each_setting(size),
    ]
}
