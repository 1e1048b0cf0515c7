//! Checks of the table: the keys and the TTL that the functions need, and its protection against loss.

use super::{
    finding::{Finding, ok, warn, wrong},
    gather::{Refusal, Table},
    secrets,
};

/// A line for each property of the table, or one that says why it cannot be described.
pub(super) fn findings(table: &Result<Table, Refusal>) -> Vec<Finding> {
    match table {
        Ok(table) => {
            let durability = [protection(table), recovery(table)].into_iter().flatten();
            [keys(table), ttl(table)].into_iter().chain(durability).collect()
        }
        Err(refusal) => vec![not_described(refusal)],
    }
}

fn not_described(refusal: &Refusal) -> Finding {
    if refusal.0.as_deref() == Some("ResourceNotFoundException") {
        return wrong(
            "WXAUTH_TABLE names no table of this region and account",
            "correct it (output TableName), or AWS_REGION, or the credentials",
        );
    }
    let (fact, advice) = secrets::aws(refusal, "dynamodb:DescribeTable");
    wrong(format_args!("the table cannot be described, {fact}"), advice)
}

fn keys(table: &Table) -> Finding {
    let is = |at: usize, attribute: &str, kind: &str| {
        table.keys.get(at).is_some_and(|(name, found)| name == attribute && found == kind)
    };
    if table.keys.len() == 2 && is(0, "pk", "HASH") && is(1, "sk", "RANGE") {
        return ok("the table has the keys pk and sk");
    }
    wrong("the table has other keys than pk and sk", "WXAUTH_TABLE should name the one that the template made")
}

fn ttl(table: &Table) -> Finding {
    const ADVICE: &str = "switch it on with aws dynamodb update-time-to-live, attribute ttl";
    match &table.ttl {
        Ok(Some(attribute)) if attribute == "ttl" => ok("the table's TTL is on, by ttl"),
        Ok(Some(_)) => {
            wrong("the table's TTL goes by another attribute than ttl", "switch it off there, then on for ttl")
        }
        Ok(None) => wrong("the table's TTL is off, so nothing is ever deleted", ADVICE),
        Err(refusal) => {
            let (fact, advice) = secrets::aws(refusal, "dynamodb:DescribeTimeToLive");
            warn(format_args!("the table's TTL cannot be looked at, {fact}"), advice)
        }
    }
}

fn protection(table: &Table) -> Option<Finding> {
    Some(if table.is_protected? {
        ok("the table is protected against deletion")
    } else {
        warn(
            "the table is not protected against deletion",
            "switch it on with aws dynamodb update-table --deletion-protection-enabled",
        )
    })
}

fn recovery(table: &Table) -> Option<Finding> {
    Some(match table.has_recovery.as_ref()? {
        Ok(true) => ok("the table's point-in-time recovery is on"),
        Ok(false) => warn(
            "the table's point-in-time recovery is off",
            "switch it on with aws dynamodb update-continuous-backups",
        ),
        // An emulator without this operation has no recovery, and needs none.
        Err(Refusal(Some(code))) if code.starts_with("UnknownOperation") => return None,
        Err(refusal) => {
            let (fact, advice) = secrets::aws(refusal, "dynamodb:DescribeContinuousBackups");
            warn(format_args!("the table's point-in-time recovery cannot be looked at, {fact}"), advice)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    fn good() -> Table {
        let key = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
        Table {
            keys: vec![key("pk", "HASH"), key("sk", "RANGE")],
            ttl: Ok(Some("ttl".to_owned())),
            is_protected: Some(true),
            has_recovery: Some(Ok(true)),
        }
    }

    fn refusal(code: &str) -> Refusal {
        Refusal(Some(code.to_owned()))
    }

    /// The lines that are not `ok`.
    fn not_ok(table: Table) -> Vec<(Level, String)> {
        let lines = findings(&Ok(table)).into_iter().filter(|finding| finding.level != Level::Ok);
        lines.map(|finding| (finding.level, finding.text)).collect()
    }

    #[test]
    fn the_table_of_the_template_is_well() {
        assert_eq!(not_ok(good()), []);
        assert_eq!(findings(&Ok(good())).len(), 4);
        assert_eq!(findings(&Ok(Table { is_protected: None, has_recovery: None, ..good() })).len(), 2);
    }

    #[test]
    fn what_is_off_has_one_line_of_its_own() {
        let cases = [
            (Table { keys: good().keys.into_iter().rev().collect(), ..good() }, Level::Wrong, "other keys"),
            (Table { keys: good().keys.into_iter().take(1).collect(), ..good() }, Level::Wrong, "other keys"),
            (Table { ttl: Ok(None), ..good() }, Level::Wrong, "TTL is off"),
            (Table { ttl: Ok(Some("expires".to_owned())), ..good() }, Level::Wrong, "another attribute"),
            (
                Table { ttl: Err(refusal("AccessDeniedException")), ..good() },
                Level::Warn,
                "dynamodb:DescribeTimeToLive",
            ),
            (Table { is_protected: Some(false), ..good() }, Level::Warn, "not protected"),
            (Table { has_recovery: Some(Ok(false)), ..good() }, Level::Warn, "recovery is off"),
            (Table { has_recovery: Some(Err(refusal("Other"))), ..good() }, Level::Warn, "AWS says Other"),
        ];
        for (table, level, words) in cases {
            let lines = not_ok(table);
            assert!(lines.len() == 1 && lines[0].0 == level && lines[0].1.contains(words), "{words}: {lines:?}");
        }
        let unknown = Table { has_recovery: Some(Err(refusal("UnknownOperationException"))), ..good() };
        assert_eq!(not_ok(unknown), []);
    }

    #[test]
    fn a_table_that_is_not_there_is_one_line() {
        for (refusal, words) in [
            (refusal("ResourceNotFoundException"), "names no table"),
            (refusal("AccessDeniedException"), "dynamodb:DescribeTable"),
            (Refusal(None), "AWS does not answer"),
        ] {
            let findings = findings(&Err(refusal));
            assert!(findings.len() == 1 && findings[0].text.contains(words), "{findings:?}");
        }
    }
}
