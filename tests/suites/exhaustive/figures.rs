//! Every state of the small machine.

use super::{Setup, ends, explore};
use crate::suites::row::{Row, Size, grouped};

pub fn rows(size: Size) -> Vec<Row> {
    let logins = size.of(1, 2);
    let explored: Vec<_> =
        Setup::all().into_iter().map(|setup| explore(&Setup { logins: setup.logins.max(logins), ..setup })).collect();
    let states: u64 = explored.iter().map(|one| one.states).sum();
    let broken: usize = explored.iter().map(|one| one.broken.len()).sum();
    let unseen: usize = explored.iter().map(|one| one.unseen.len()).sum();
    let ended: Vec<_> = ends::Setup::all().iter().map(ends::explore).collect();
    Row::because(&ended.iter().filter(|one| !one.broken.is_empty()).collect::<Vec<_>>());
    let ended_states: u64 = ended.iter().map(|one| one.states).sum();
    let ended_broken: usize = ended.iter().map(|one| one.broken.len() + one.unseen.len()).sum();
    vec![
        Row::new(
            "rules broken in any state of the exhaustive model, to generation 3",
            "0, and every verdict seen",
            format!("{broken} in {} states, {unseen} verdicts not seen", grouped(states)),
            broken == 0 && unseen == 0,
        ),
        Row::new(
            "the same of logins, deletions, blocks and logouts, request by request, with any write again at any time",
            "0",
            format!("{ended_broken} in {} states", grouped(ended_states)),
            ended_broken == 0,
        ),
    ]
}
