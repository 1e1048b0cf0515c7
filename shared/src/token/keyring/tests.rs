//! The keyring: what opens where, its rotation, and which ring may follow which.

use super::*;
use crate::entropy::OsEntropy;
use crate::ids::{AppId, OpenId};

const RING: &str = r#"{"current":2,"keys":{"1":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","2":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"}}"#;
const CONTEXT: Context<'_> = Context { purpose: Purpose::SessionKey, appid: "wx1", owner: "oA" };

fn ring(text: &str) -> Keyring {
    Keyring::from_secret(text).unwrap()
}

#[test]
fn what_is_sealed_opens_in_the_same_context_only() {
    let ring = ring(RING);
    let sealed = ring.seal(CONTEXT, b"value", &OsEntropy).unwrap();

    assert_eq!(ring.open(CONTEXT, &sealed).unwrap().as_slice(), b"value");
    assert!(ring.open(Context { owner: "oB", ..CONTEXT }, &sealed).is_none());
    assert!(ring.open(Context { appid: "wx2", ..CONTEXT }, &sealed).is_none());
    assert!(ring.open(Context { appid: "wx1o", owner: "A", ..CONTEXT }, &sealed).is_none());
    assert!(ring.open(Context { purpose: Purpose::PhoneRecord, ..CONTEXT }, &sealed).is_none());
}

#[test]
fn a_changed_or_cut_seal_does_not_open() {
    let ring = ring(RING);
    let sealed = ring.seal(CONTEXT, b"value", &OsEntropy).unwrap();

    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(ring.open(CONTEXT, &changed).is_none(), "byte {at}");
        assert!(ring.open(CONTEXT, &sealed[..at]).is_none(), "cut at {at}");
    }
}

#[test]
fn an_older_key_still_opens_and_a_missing_one_counts_as_absent() {
    let old = ring(&RING.replace(r#""current":2"#, r#""current":1"#));
    let sealed = old.seal(CONTEXT, b"value", &OsEntropy).unwrap();
    let without = ring(r#"{"current":2,"keys":{"2":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"}}"#);

    assert!(ring(RING).open(CONTEXT, &sealed).is_some());
    assert!(without.open(CONTEXT, &sealed).is_none());
}

#[test]
fn a_fingerprint_is_found_again_after_a_rotation() {
    let (before, after) = (ring(&RING.replace(r#""current":2"#, r#""current":1"#)), ring(RING));
    let (stored, now) = (before.fingerprints(b"value")[0], after.fingerprints(b"value"));

    assert!(now[0] != stored && now.contains(&stored));
    assert!(!after.fingerprints(b"other").contains(&stored));
}

const DAY: Secs = 86_400;

fn stored(text: &str) -> StoredKeyring {
    serde_json::from_str(text).unwrap()
}

fn text(ring: &StoredKeyring) -> String {
    serde_json::to_string(ring).unwrap()
}

#[test]
fn a_rotation_moves_on_by_one_key_and_keeps_old_ones_as_long_as_told() {
    let empty = || stored(r#"{"keys":{}}"#);
    let mut ring = empty().rotated(100 * DAY, 40 * DAY, &OsEntropy).unwrap();
    assert_eq!((ring.current, ring.keys.len()), (Some(1), 2));
    assert!(ring.follows(&empty(), 100 * DAY));

    assert!(stored(&text(&ring)).rotated(101 * DAY - 1, 40 * DAY, &OsEntropy).is_none(), "too young");
    for month in 1..=6 {
        let (before, now) = (stored(&text(&ring)), (100 + 30 * month) * DAY);
        ring = ring.rotated(now, 40 * DAY, &OsEntropy).unwrap();
        assert!(ring.follows(&before, now) && !before.follows(&ring, now));
        assert!(!ring.follows(&before, now + 3_601), "made too long ago");
        assert!(!ring.follows(&empty(), now), "of a value that was put aside");
        assert!(Keyring::from_secret(&text(&ring)).is_ok());
    }

    // Current since today, its follower, and the two that ceased to be current 0 and 30 days ago.
    assert_eq!(ring.current, Some(7));
    assert_eq!(ring.keys.keys().copied().collect::<Vec<_>>(), [5, 6, 7, 8]);
}

#[test]
fn a_key_stays_until_its_time_after_it_was_current_and_what_tells_that_time_with_it() {
    for (keep, keys, made_at) in [
        (29, &[6, 7, 8][..], &[7, 8][..]),
        (30, &[5, 6, 7, 8], &[7, 8]),
        (59, &[5, 6, 7, 8], &[7, 8]),
        (60, &[4, 5, 6, 7, 8], &[6, 7, 8]),
    ] {
        let first = stored(r#"{"keys":{}}"#).rotated(100 * DAY, keep * DAY, &OsEntropy).unwrap();
        let rotated =
            |ring: StoredKeyring, month: Secs| ring.rotated((100 + 30 * month) * DAY, keep * DAY, &OsEntropy).unwrap();

        let ring = (1..=6).fold(first, rotated);

        assert_eq!(ring.keys.keys().copied().collect::<Vec<_>>(), keys, "{keep} days");
        assert_eq!(ring.made_at.keys().copied().collect::<Vec<_>>(), made_at, "{keep} days");
    }
}

#[test]
fn only_what_a_rotation_just_now_makes_of_a_ring_follows_it() {
    // "2 1a 2b 3c*": 2 is current, there are keys 1 to 3, and 3 has just been made.
    let read = |text: &str| {
        let mut words = text.split_whitespace();
        let current = words.next().and_then(|current| current.parse().ok());
        let (mut keys, mut made_at) = (BTreeMap::new(), BTreeMap::new());
        for word in words {
            let (id, key) = (word[..1].parse().unwrap(), word[1..].trim_end_matches('*'));
            made_at.insert(id, if word.ends_with('*') { DAY } else { 1 });
            if !key.is_empty() {
                keys.insert(id, KeyText(key.to_owned()));
            }
        }
        StoredKeyring { current, keys, made_at }
    };
    for (before, after, follows) in [
        ("-", "1 1a* 2b*", true),
        ("1 1a 2b", "2 1a 2b 3c*", true),
        ("2 1a 2b 3c", "3 2b 3c 4d*", true),
        ("1 1a", "1 1a 2b*", true),
        ("-", "1 1a 2b*", false),
        ("-", "2 1a* 2b* 3c*", false),
        ("-", "- 1a* 2b*", false),
        ("1 1a 2b", "2 1a 2b 3c", false),
        ("1 1a 2b", "2 1a 2b 3*", false),
        ("1 1a 2b", "2 1x 2b 3c*", false),
        ("1 1a 2b", "2 1a 2x 3c*", false),
        ("1 1a 2b", "3 1a 2b 3c 4d*", false),
        ("2 1a 2b 3c", "1 1a 2b* 3c", false),
    ] {
        assert_eq!(read(after).follows(&read(before), DAY), follows, "{before:?} {after:?}");
    }
}

#[test]
fn a_next_key_that_is_missing_or_of_unknown_age_begins_its_day_now() {
    let alone = r#"{"current":1,"keys":{"1":"a"}}"#;
    let ageless = r#"{"current":1,"keys":{"1":"a","2":"b"}}"#;
    let from_the_future = r#"{"current":1,"keys":{"1":"a","2":"b"},"made_at":{"2":18446744073709551615}}"#;
    for before in [alone, ageless, from_the_future] {
        let after = stored(before).rotated(100 * DAY, DAY, &OsEntropy).unwrap();

        assert_eq!((after.current, after.made_at[&2]), (Some(1), 100 * DAY), "{before}");
        assert!(after.follows(&stored(before), 100 * DAY), "{before}");
        assert!(stored(&text(&after)).rotated(101 * DAY - 1, DAY, &OsEntropy).is_none());
        assert_eq!(after.rotated(101 * DAY, DAY, &OsEntropy).unwrap().current, Some(2));
    }
}

#[test]
fn the_empty_shape_waits_for_rotation_and_other_shapes_are_malformed() {
    let defect = |text| Keyring::from_secret(text).unwrap_err();

    assert_eq!(defect(r#"{"keys":{}}"#), SecretDefect::NotRotatedYet);
    for bad in [
        "",
        "{}",
        r#"{"current":1,"keys":{"1":"AQ"}}"#,
        r#"{"current":2,"keys":{"1":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}}"#,
        r#"{"keys":{"1":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}}"#,
        r#"{"current":1,"keys":{"x":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}}"#,
    ] {
        assert_eq!(defect(bad), SecretDefect::Malformed, "{bad}");
    }
}

#[test]
fn a_pseudonym_is_one_users_until_the_next_rotation() {
    let (before, after) = (ring(&RING.replace(r#""current":2"#, r#""current":1"#)), ring(RING));
    let of = |ring: &Keyring, appid, openid| {
        ring.pseudonym(&UserRef { appid: AppId::parse(appid).unwrap(), openid: OpenId::parse(openid).unwrap() })
            .unwrap()
    };

    assert_eq!(of(&after, "wx1", "oA"), of(&after, "wx1", "oA"));
    let others = [of(&after, "wx1", "oB"), of(&after, "wx2", "oA"), of(&before, "wx1", "oA")];
    assert!(others.iter().all(|other| *other != of(&after, "wx1", "oA")));
    assert_eq!(of(&after, "wx1", "oA").len(), 12);
}

#[test]
fn no_key_is_printed() {
    assert_eq!(format!("{:?} {:?}", ring(RING), stored(RING)), "Keyring(current 2) StoredKeyring(current Some(2))");
}
