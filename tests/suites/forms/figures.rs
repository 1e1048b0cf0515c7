//! Forms of numbers and of the optional parts of a login.

use super::{
    optional::with_any_json,
    phone::{by_code, by_data, by_data_with_two},
};
use crate::suites::row::{Row, grouped};

/// Made for each of the three figures, beyond the given ones.
const PHONES: usize = 2_000;

/// JSON texts, each in two parts of a login.
const TEXTS: usize = 4_000;

pub async fn rows() -> Vec<Row> {
    let (code, data) = (by_code(PHONES).await, by_data(PHONES).await);
    let (two, logins) = (by_data_with_two(PHONES).await, with_any_json(TEXTS).await);
    for tally in [&code, &data, &two, &logins] {
        Row::because(&tally.wrong);
    }
    vec![
        Row::all(
            "forms of a phone number by code: handed on, and given again without a second call",
            code.right(),
            code.tried,
        ),
        Row::all("forms of a phone number by data: handed on", data.right(), data.tried),
        Row::none(
            format!("two numbers that differ in a digit, of {}, by data: taken for one", grouped(two.tried)),
            two.wrong(),
        ),
        Row::none(
            format!("logins refused for the sake of `userInfo` or `device`, of {}", grouped(logins.tried)),
            logins.wrong(),
        ),
    ]
}
