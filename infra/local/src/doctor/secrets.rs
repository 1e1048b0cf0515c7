//! Checks of the secrets: whether they can be read, are filled and well-formed, and whether the public keys include
//! every key that signs.

use shared::{
    brake::PulledBrake,
    http::proxy::TrustedProxy,
    secrets::{FromSecret, SecretDefect},
    token::{
        access::AccessSigner,
        jwks::{PrivateJwks, PublicJwks},
        keyring::Keyring,
    },
    vars::Vars,
    wechat::{
        app::{App, Apps},
        push::PushApps,
    },
};

use crate::secrets::push_part;

use super::{
    finding::{Finding, ok, warn, wrong},
    gather::{Refusal, SecretText, SecretTexts},
};

/// A line for each secret whose variable is set, and one that compares private and public keys.
pub(super) fn findings(texts: &SecretTexts) -> Vec<Finding> {
    let lines = [
        texts.apps.as_ref().map(|text| secret::<Apps>("WXAUTH_APPS", text)),
        texts.push.as_ref().map(push),
        texts.keyring.as_ref().map(|text| secret::<Keyring>("WXAUTH_KEYRING", text)),
        texts.signing_keys.as_ref().map(|text| secret::<AccessSigner>("WXAUTH_SIGNING_KEYS", text)),
        texts.jwks.as_ref().map(|text| secret::<PublicJwks>("WXAUTH_JWKS", text)),
        texts.brake.as_ref().map(|text| secret::<PulledBrake>("WXAUTH_BRAKE", text)),
        texts.proxy.as_ref().map(|text| secret::<TrustedProxy>("WXAUTH_PROXY", text)),
        both_halves(texts),
    ];
    lines.into_iter().flatten().collect()
}

/// The mini programs, if they can be read.
pub(super) fn apps(texts: &SecretTexts) -> Vec<App> {
    let apps = match &texts.apps {
        Some(SecretText::Read(text)) => Apps::from_secret(text).ok(),
        _ => None,
    };
    apps.map(|apps| apps.all().cloned().collect()).unwrap_or_default()
}

/// An empty one is no mistake: not every owner wants pushes.
fn push(text: &SecretText) -> Finding {
    match text {
        SecretText::Read(text) if PushApps::from_secret(text).is_ok_and(|apps| apps.all().next().is_none()) => warn(
            "WXAUTH_PUSH is empty, so every push is refused",
            "for message push, run the line of the stack's output FillPush",
        ),
        text => secret::<PushApps>("WXAUTH_PUSH", text),
    }
}

/// The keyring, if it can be read.
pub(super) fn keyring(texts: &SecretTexts) -> Option<Keyring> {
    match &texts.keyring {
        Some(SecretText::Read(text)) => Keyring::from_secret(text).ok(),
        _ => None,
    }
}

/// What pushes are verified and decrypted with, and the variable that it was found by: on the laptop, the file of mini programs
/// holds it.
pub(super) fn push_apps(texts: &SecretTexts) -> (&'static str, PushApps) {
    let (variable, part) = match (&texts.push, &texts.apps) {
        (Some(SecretText::Read(text)), _) => ("WXAUTH_PUSH", Some(text.clone())),
        (None, Some(SecretText::Read(text))) => ("WXAUTH_APPS", push_part(text)),
        _ => ("WXAUTH_PUSH", None),
    };
    (variable, part.and_then(|text| PushApps::from_secret(&text).ok()).unwrap_or_default())
}

/// Whether what pushes need lies in the secret of the mini programs, where it once was and `push` no longer looks.
pub(super) fn misplaced_push(texts: &SecretTexts, vars: &Vars) -> Option<Finding> {
    let Some(SecretText::Read(text)) = &texts.apps else { return None };
    let is_of_the_laptop = vars.get("WXAUTH_APPS").is_some_and(|source| source.starts_with("file:"));
    let is_there = PushApps::from_secret(&push_part(text)?).is_ok_and(|apps| apps.all().next().is_some());
    (is_there && !(is_of_the_laptop && texts.push.is_none())).then(|| {
        warn(
            "WXAUTH_APPS holds a push, which nobody reads there",
            "move it to the secret that WXAUTH_PUSH names, and remove it here",
        )
    })
}

fn secret<T: FromSecret>(name: &str, text: &SecretText) -> Finding {
    let defect = match text {
        SecretText::Read(text) => match T::from_secret(text) {
            Ok(_) => return ok(format!("{name} is filled")),
            Err(defect) => defect,
        },
        SecretText::NoFile => {
            return wrong(format_args!("{name} names a file that cannot be read"), "correct its path or rights");
        }
        SecretText::Binary => return wrong(format_args!("{name} is binary"), "put it as text (--secret-string)"),
        SecretText::Refused(refusal) => return refused(name, refusal),
    };
    match defect {
        SecretDefect::Malformed => {
            wrong(format_args!("{name} is malformed"), format_args!("it should hold {}", T::EXPECTED_FORMAT))
        }
        SecretDefect::NotFilled => {
            wrong(format_args!("{name} is not filled yet"), "run the line of the stack's output FillApps")
        }
        SecretDefect::NotRotatedYet => wrong(
            format_args!("{name} is not filled yet"),
            "rotation fills it: rotate keyring and signing keys (aws secretsmanager rotate-secret), then read its log",
        ),
    }
}

fn refused(name: &str, refusal: &Refusal) -> Finding {
    if refusal.0.as_deref() == Some("ResourceNotFoundException") {
        return wrong(
            format_args!("{name} names no secret of this region and account"),
            "correct it, or AWS_REGION, or the credentials",
        );
    }
    let (fact, advice) = aws(refusal, "secretsmanager:GetSecretValue");
    wrong(format_args!("{name} cannot be read, {fact}"), advice)
}

/// What a refusal by AWS means, and advice.
pub(super) fn aws(refusal: &Refusal, action: &str) -> (String, String) {
    let Some(code) = &refusal.0 else {
        return (
            "AWS does not answer".to_owned(),
            "correct AWS_REGION or the endpoint, or look at the network".to_owned(),
        );
    };
    let advice = match code.as_str() {
        "AccessDeniedException" | "AccessDenied" => format!("let these credentials do {action}"),
        "ExpiredTokenException" | "ExpiredToken" => "renew the credentials, they have expired".to_owned(),
        "UnrecognizedClientException" | "InvalidClientTokenId" | "IncompleteSignature" => {
            "correct the credentials, AWS does not know them; those of a session need AWS_SESSION_TOKEN".to_owned()
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            "correct AWS_SECRET_ACCESS_KEY, or this machine's clock".to_owned()
        }
        _ => "look the word up in the AWS documentation".to_owned(),
    };
    (format!("AWS says {code}"), advice)
}

/// Whether every signing key has its public half in the JWKS: without it, all verifiers refuse the key's tokens.
fn both_halves(texts: &SecretTexts) -> Option<Finding> {
    let (Some(SecretText::Read(private)), Some(SecretText::Read(public))) = (&texts.signing_keys, &texts.jwks) else {
        return None;
    };
    AccessSigner::from_secret(private).ok()?;
    let private = serde_json::from_str::<PrivateJwks>(private).ok()?;
    let public = PublicJwks::from_secret(public).ok()?;
    let missing: Vec<_> = private.kids().difference(&public.kids()).copied().collect();
    if missing.is_empty() {
        return Some(ok("WXAUTH_JWKS holds the public half of every signing key"));
    }
    Some(wrong(
        format_args!("WXAUTH_JWKS lacks the public half of {} in WXAUTH_SIGNING_KEYS", missing.join(", ")),
        "rotate the signing keys (aws secretsmanager rotate-secret): that writes both; files have to be made together",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;
    use shared::token::jwks::{KeyKind, KeyState, PrivateJwk};

    fn read(text: &str) -> SecretText {
        SecretText::Read(text.to_owned())
    }

    fn line(texts: &SecretTexts) -> Finding {
        let findings = super::findings(texts);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.into_iter().next().unwrap()
    }

    fn set(states: &[KeyState]) -> PrivateJwks {
        PrivateJwks { keys: states.iter().map(|state| PrivateJwk::make(KeyKind::Ec, *state, 0).unwrap()).collect() }
    }

    fn halves(private: &PrivateJwks, public: &PublicJwks) -> Vec<Finding> {
        let (private, public) = (serde_json::to_string(private).unwrap(), serde_json::to_string(public).unwrap());
        findings(&SecretTexts {
            signing_keys: Some(read(&private)),
            jwks: Some(read(&public)),
            ..SecretTexts::default()
        })
    }

    #[test]
    fn a_secret_is_filled_empty_or_malformed_and_never_shown() {
        let apps = |text| line(&SecretTexts { apps: Some(read(text)), ..SecretTexts::default() });
        assert_eq!(apps(r#"{"apps":{"wx1":{"secret":"MARKER"}}}"#), ok("WXAUTH_APPS is filled"));
        for (text, fact) in
            [(r#"{"apps":{}}"#, "not filled yet"), ("", "not filled yet"), (r#"{"apps":"MARKER"}"#, "malformed")]
        {
            let finding = apps(text);
            assert!(finding.level == Level::Wrong && finding.text.contains(fact), "{finding}");
            assert!(!finding.text.contains("MARKER"), "{finding}");
        }
        let keyring = line(&SecretTexts { keyring: Some(read(r#"{"keys":{}}"#)), ..SecretTexts::default() });
        assert!(keyring.text.starts_with("WXAUTH_KEYRING is not filled yet: rotation fills it"), "{keyring}");
    }

    #[test]
    fn what_pushes_need_is_found_where_push_looks_and_missed_where_it_does_not() {
        let (apps, push) =
            (r#"{"apps":{"wx1":{"secret":"MARKER","push":{"token":"MARKER"}}}}"#, r#"{"apps":{"wx1":{"token":"t"}}}"#);
        let vars = |source: &str| Vars::from_iter([("WXAUTH_APPS", source)]);
        let texts = |apps: &str, push: Option<&str>| SecretTexts {
            apps: Some(read(apps)),
            push: push.map(read),
            ..SecretTexts::default()
        };
        // The laptop's file has both parts.
        assert_eq!(misplaced_push(&texts(apps, None), &vars("file:apps.json")), None);
        assert_eq!(push_apps(&texts(apps, None)).1.usable().count(), 1);
        for (source, push) in [("arn:aws", None), ("arn:aws", Some(push)), ("file:apps.json", Some(push))] {
            let finding = misplaced_push(&texts(apps, push), &vars(source)).unwrap();
            assert!(finding.level == Level::Warn && finding.text.contains("WXAUTH_PUSH"), "{finding}");
            assert!(!finding.text.contains("MARKER"), "{finding}");
        }
        assert_eq!(misplaced_push(&texts(r#"{"apps":{"wx1":{"secret":"s"}}}"#, Some(push)), &vars("arn:aws")), None);
        let line = |text: &str| line(&SecretTexts { push: Some(read(text)), ..SecretTexts::default() });
        assert_eq!(line(push), ok("WXAUTH_PUSH is filled"));
        assert!(line(r#"{"apps":{}}"#).level == Level::Warn && line("MARKER").text.contains("is malformed"));
    }

    #[test]
    fn a_secret_that_cannot_be_read_says_whose_turn_it_is() {
        let refused = |code: Option<&str>| {
            let jwks = Some(SecretText::Refused(Refusal(code.map(str::to_owned))));
            line(&SecretTexts { jwks, ..SecretTexts::default() }).text
        };
        assert!(refused(Some("ResourceNotFoundException")).contains("names no secret of this region"));
        assert!(
            refused(Some("AccessDeniedException")).ends_with("let these credentials do secretsmanager:GetSecretValue")
        );
        assert!(refused(Some("ExpiredTokenException")).contains("renew the credentials"));
        assert!(refused(Some("InvalidSignatureException")).contains("clock"));
        assert!(refused(None).contains("AWS does not answer"));
        assert!(
            line(&SecretTexts { jwks: Some(SecretText::NoFile), ..SecretTexts::default() })
                .text
                .contains("a file that cannot be read")
        );
        assert!(
            line(&SecretTexts { jwks: Some(SecretText::Binary), ..SecretTexts::default() }).text.contains("binary")
        );
    }

    #[test]
    fn a_signing_key_whose_public_half_is_missing_is_named() {
        let keys = set(&[KeyState::Current, KeyState::Next]);
        let mut public = keys.public();
        assert!(halves(&keys, &public).iter().all(|finding| finding.level == Level::Ok));

        public.keys.remove(0);
        let missing = keys.kids().difference(&public.kids()).next().copied().unwrap();

        let finding = halves(&keys, &public).pop().unwrap();
        assert_eq!(finding.level, Level::Wrong);
        assert!(finding.text.contains(missing), "{finding}");
    }

    #[test]
    fn apps_are_asked_about_only_when_they_can_be_read() {
        let count = |text| apps(&SecretTexts { apps: text, ..SecretTexts::default() }).len();
        assert_eq!(count(Some(read(r#"{"apps":{"wx1":{"secret":"a"},"wx2":{"secret":"b"}}}"#))), 2);
        assert_eq!((count(Some(read("MARKER"))), count(None), count(Some(SecretText::NoFile))), (0, 0, 0));
    }
}
