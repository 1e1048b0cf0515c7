//! Signing keys: their form, their rotation, and which set may follow which.

use super::*;
use crate::token::PENDING_LIFETIME;

fn set(states: &[KeyState]) -> PrivateJwks {
    PrivateJwks { keys: states.iter().map(|state| PrivateJwk::make(KeyKind::Ec, *state, 0).unwrap()).collect() }
}

#[test]
fn a_thumbprint_is_the_one_of_rfc_7638_section_3_1() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let members = [("kty", "RSA"), ("n", n), ("e", "AQAB")].map(|(name, value)| member(name, value.to_owned()));
    let key = PrivateJwk {
        state: KeyState::Current,
        kid: String::new(),
        alg: "RS256".to_owned(),
        made_at: 0,
        members: BTreeMap::from(members),
    };

    assert_eq!(key.thumbprint().unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/// Whether the key verifies the signature, in the way in which access tokens are verified.
fn verifies(jwk: &serde_json::Value, message: &[u8], signature: &[u8]) -> bool {
    let jwk: PublicJwk = serde_json::from_value(jwk.clone()).unwrap();
    let (algorithm, key) = jwk.verifying().unwrap();
    jsonwebtoken::crypto::verify(&URL_SAFE_NO_PAD.encode(signature), message, &key, algorithm).unwrap_or(false)
}

/// Wycheproof: padding and encodings with which signatures of PKCS#1 were forged.
#[test]
fn every_published_case_of_rs256_verifies_or_does_not() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    for group in TestSet::load(TestName::Rsa2048Sha256).unwrap().test_groups {
        // In DER a number that would begin with a one bit begins with a zero byte; in a JWK it does not.
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes.strip_prefix(&[0]).unwrap_or(bytes));
        let (n, e) = (number(&group.key.n), number(&group.key.e));
        let jwk = serde_json::json!({ "kid": "k", "alg": "RS256", "kty": "RSA", "n": n, "e": e });
        for case in group.tests {
            let verifies = verifies(&jwk, &case.msg, &case.sig);
            let right = if verifies { !case.result.must_fail() } else { case.result != wycheproof::TestResult::Valid };
            assert!(right, "{} {}", case.tc_id, case.comment);
        }
    }
}

/// Wycheproof: numbers at and beyond the rim, points that meet in the middle of the arithmetic.
#[test]
fn every_published_case_of_es256_verifies_or_does_not() {
    use wycheproof::ecdsa::{TestName, TestSet};
    for group in TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
        let (x, y) = group.key.key[1..].split_at(32);
        let [x, y] = [x, y].map(|number| URL_SAFE_NO_PAD.encode(number));
        let jwk = serde_json::json!({ "kid": "k", "alg": "ES256", "kty": "EC", "crv": "P-256", "x": x, "y": y });
        for case in group.tests {
            assert_eq!(
                verifies(&jwk, &case.msg, &case.sig),
                !case.result.must_fail(),
                "{} {}",
                case.tc_id,
                case.comment
            );
        }
    }
}

#[test]
fn the_public_half_holds_no_private_member() {
    for kind in [KeyKind::Rsa, KeyKind::Ec] {
        let text = serde_json::to_value(PrivateJwk::make(kind, KeyState::Next, 0).unwrap().public()).unwrap();
        for private in ["d", "p", "q", "dp", "dq", "qi", "state"] {
            assert!(text.get(private).is_none(), "{private}");
        }
    }
}

#[test]
fn a_rotation_shifts_each_key_by_one_state() {
    let kids = |set: &PrivateJwks| {
        [KeyState::Previous, KeyState::Current, KeyState::Next]
            .map(|state| set.keys.iter().find(|key| key.state == state).map(|key| key.kid.clone()))
    };
    let empty = || PrivateJwks { keys: Vec::new() };
    let first = empty().rotated(KeyKind::Ec, 1_000).unwrap().unwrap();
    assert!(first.follows(&empty(), 1_000) && !first.follows(&empty(), 1_000 + PENDING_LIFETIME + 1));
    let [none, one, two] = kids(&first);
    assert!(none.is_none() && one.is_some() && two.is_some() && one != two);
    let text = serde_json::to_string(&first).unwrap();
    let again = || serde_json::from_str::<PrivateJwks>(&text).unwrap();

    assert!(again().rotated(KeyKind::Ec, 1_000 + MIN_AGE_OF_NEXT_KEY - 1).unwrap().is_none(), "next is too young");
    let second = again().rotated(KeyKind::Ec, 1_000 + MIN_AGE_OF_NEXT_KEY).unwrap().unwrap();
    let [previous, current, next] = kids(&second);
    assert_eq!((&previous, &current), (&one, &two));
    let now = 1_000 + MIN_AGE_OF_NEXT_KEY;
    assert!(second.follows(&again(), now) && !second.follows(&again(), now + PENDING_LIFETIME + 1));
    assert!(!second.follows(&empty(), now), "of a value that was put aside");

    let third = second.rotated(KeyKind::Rsa, 1_000 + 3 * MIN_AGE_OF_NEXT_KEY).unwrap().unwrap();
    let [previous, current_now, _] = kids(&third);
    assert_eq!((previous, current_now), (current, next));
    assert_eq!(third.keys.len(), 3);
    assert_eq!(third.public().algorithms().into_iter().collect::<Vec<_>>(), ["ES256", "RS256"]);
}

#[test]
fn a_next_key_that_is_missing_or_of_unknown_age_begins_its_day_now() {
    for states in [&[KeyState::Current][..], &[KeyState::Current, KeyState::Next]] {
        let text = serde_json::to_string(&set(states)).unwrap();
        let before = || serde_json::from_str::<PrivateJwks>(&text).unwrap();

        let after = before().rotated(KeyKind::Ec, 1_000_000).unwrap().unwrap();

        assert!(after.follows(&before(), 1_000_000));
        assert_eq!(after.keys[0].kid, before().keys[0].kid, "still current");
        let again = || serde_json::from_str::<PrivateJwks>(&serde_json::to_string(&after).unwrap()).unwrap();
        assert!(again().rotated(KeyKind::Ec, 1_000_000 + MIN_AGE_OF_NEXT_KEY - 1).unwrap().is_none());
        assert!(again().rotated(KeyKind::Ec, 1_000_000 + MIN_AGE_OF_NEXT_KEY).unwrap().is_some());
    }
}

#[test]
fn a_set_signs_with_its_one_current_key() {
    let read = |set: &PrivateJwks| AccessSigner::from_secret(&serde_json::to_string(set).unwrap()).map(drop);

    assert_eq!(read(&set(&[KeyState::Previous, KeyState::Current, KeyState::Next])), Ok(()));
    assert_eq!(read(&set(&[])), Err(SecretDefect::NotRotatedYet));
    assert_eq!(read(&set(&[KeyState::Next])), Err(SecretDefect::Malformed));
    assert_eq!(read(&set(&[KeyState::Current, KeyState::Current])), Err(SecretDefect::Malformed));
    assert_eq!(AccessSigner::from_secret("{}").map(drop), Err(SecretDefect::Malformed));
}

#[test]
fn a_value_is_of_now_for_an_hour() {
    for (made_at, recently) in [(6_399, false), (6_400, true), (10_000, true), (10_001, false)] {
        assert_eq!(made_recently(made_at, 10_000), recently, "{made_at}");
    }
}

/// "p:a c:b n:c*": the previous key a, the current b, and the next c, which was made just now.
fn named(text: &str, now: Secs) -> PrivateJwks {
    let key = |word: &str| {
        let (state, kid) = word.split_once(':').unwrap();
        let states = [("p", KeyState::Previous), ("c", KeyState::Current), ("n", KeyState::Next)];
        PrivateJwk {
            state: states.into_iter().find(|(letter, _)| *letter == state).unwrap().1,
            kid: kid.trim_end_matches('*').to_owned(),
            alg: "ES256".to_owned(),
            made_at: if kid.ends_with('*') { now } else { 1 },
            members: BTreeMap::new(),
        }
    };
    PrivateJwks { keys: text.split_whitespace().map(key).collect() }
}

#[test]
fn only_what_a_rotation_just_now_makes_of_a_set_follows_it() {
    for (before, after, follows) in [
        ("", "c:a* n:b*", true),
        ("c:a n:b", "p:a c:b n:c*", true),
        ("p:z c:a n:b", "p:a c:b n:c*", true),
        ("c:a", "c:a n:b*", true),
        ("p:z c:a n:b", "p:z c:a n:b*", true),
        ("", "c:a n:b*", false),
        ("", "n:b*", false),
        ("", "p:x* c:a* n:b*", false),
        ("c:a n:b", "p:a c:b n:c", false),
        ("c:a n:b", "p:a c:b* n:c", false),
        ("c:a n:b", "p:a c:x n:c*", false),
        ("c:a n:b", "p:x c:b n:c*", false),
        ("c:a n:b", "c:x* n:y*", false),
        ("c:a n:b", "c:a n:x*", false),
        ("c:a", "p:a n:b*", false),
        ("c:a", "c:x n:b*", false),
        ("n:b", "n:b*", false),
        ("p:z c:a n:b", "p:y c:a n:b*", false),
    ] {
        let (before, after) = (named(before, 10_000), named(after, 10_000));
        assert_eq!(after.follows(&before, 10_000), follows, "{before:?} {after:?}");
    }
}

#[test]
fn a_next_key_from_the_future_begins_its_day_now_and_one_of_now_waits() {
    let next = |made_at| {
        let after = named("c:a n:b*", made_at).rotated(KeyKind::Ec, 10_000).unwrap();
        after.map(|after| (after.keys.len(), after.keys[1].state, after.keys[1].made_at))
    };

    assert_eq!(next(10_001), Some((2, KeyState::Next, 10_000)));
    assert_eq!(next(10_000), None);
}

#[test]
fn a_key_that_is_printed_is_its_name() {
    assert_eq!(format!("{:?}", named("c:a", 0).keys[0]), "PrivateJwk(a, Current)");
}

#[test]
fn a_public_set_names_its_keys_and_holds_only_what_verifies() {
    let private = set(&[KeyState::Current, KeyState::Next]);
    let text = serde_json::to_value(private.public()).unwrap();
    let defect = |set: &serde_json::Value| PublicJwks::from_secret(&set.to_string()).unwrap_err();

    let public = PublicJwks::from_secret(&text.to_string()).unwrap();

    assert_eq!(public.kids().len(), 2);
    assert_eq!(public.kids(), private.kids());
    for (member, value) in [("crv", "P-384"), ("alg", "RS256"), ("kty", "RSA"), ("x", "AA?")] {
        let mut changed = text.clone();
        changed["keys"][1][member] = value.into();
        assert_eq!(defect(&changed), SecretDefect::Malformed, "{member} {value}");
    }
    assert_eq!(defect(&serde_json::json!({ "keys": [] })), SecretDefect::NotRotatedYet);
}
