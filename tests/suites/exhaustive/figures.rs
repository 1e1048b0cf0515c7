//! Every state of the small machine.

use super::{Setup, explore};
use crate::suites::row::{Row, Size, grouped};

pub fn rows(size: Size) -> Vec<Row> {
    let logins = size.of(1, 2);
    let explored: Vec<_> =
        Setup::all().into_iter().map(|setup| explore(&Setup { logins: setup.logins.max(logins), ..setup })).collect();
    let states: u64 = explored.iter().map(|one| one.states).sum();
    let broken: usize = explored.iter().map(|one| one.broken.len()).sum();
    let unseen: usize = explored.iter().map(|one| one.unseen.len()).sum();
    vec![Row::new(
        "rules broken in any state of the exhaustive model, to generation 3",
        "0, and every verdict seen",
        format!("{broken} in {} states, {unseen} verdicts not seen", grouped(states)),
        broken == 0 && unseen == 0,
    )]
}
