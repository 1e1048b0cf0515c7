//! The `device` of a login's response, `{id}.{proof}`: the device's id, and proof that a user logged in with it here.
//!
//! The id names a device and proves nothing; lists of sessions show it alone. The proof is opaque to the client: key id, a
//! keyed hash of the user, and a MAC over appid, id and both. It opens nothing. It shows that a request whose code nobody has
//! looked at yet comes from somebody who logged in before, and from whom: so who knows another's id gets proof for
//! themselves by a login of their own, and a user with many devices is still one user.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::keyring::{KeyId, Keyring};
use crate::ids::{AppId, DeviceId, IdDefect, UserRef};

const TAG: usize = 20;

/// The user who logged in with a device, as a keyed hash that means nothing without the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KnownUser([u8; 12]);

/// A `device` as a client sends it: the id, and a proof that is not verified yet.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct PresentedDevice {
    /// The device.
    pub id: DeviceId,
    proof: Option<Proof>,
}

#[derive(Clone, Debug)]
struct Proof {
    key_id: KeyId,
    user: KnownUser,
    tag: [u8; TAG],
}

impl TryFrom<String> for PresentedDevice {
    type Error = IdDefect;

    fn try_from(text: String) -> Result<Self, IdDefect> {
        Self::parse(&text)
    }
}

impl PresentedDevice {
    /// Reads an id with or without proof. What follows the id may be damaged: then the device is known by its id, and
    /// nothing is proved.
    pub fn parse(text: &str) -> Result<Self, IdDefect> {
        let (id, proof) = text.split_once('.').map_or((text, None), |(id, proof)| (id, Proof::parse(proof)));
        Ok(Self { id: DeviceId::parse(id)?, proof })
    }

    /// The user who logged in with the device, if the proof is ours. The MAC is compared in constant time.
    #[must_use]
    pub fn known_user(&self, appid: &AppId, keys: &Keyring) -> Option<KnownUser> {
        let Proof { key_id, user, tag } = self.proof.as_ref()?;
        let expected = mac(appid, self.id, *user, keys.device_key(*key_id)?);
        bool::from(expected.ct_eq(tag)).then_some(*user)
    }
}

impl Proof {
    fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (key_id, rest) = bytes.split_first_chunk::<4>()?;
        let (user, tag) = rest.split_first_chunk::<12>()?;
        let tag = tag.try_into().ok()?;
        Some(Self { key_id: KeyId(u32::from_be_bytes(*key_id)), user: KnownUser(*user), tag })
    }
}

/// A `device` as a login gives it.
#[derive(Clone, Debug, Serialize)]
pub struct ProvenDevice(String);

impl ProvenDevice {
    /// The device of a user's login, under a key of the ring: a pure function, so that a repeated login gives the same.
    #[must_use]
    pub fn new(user: &UserRef, device: DeviceId, key_id: KeyId, keys: &Keyring) -> Self {
        let Some(key) = keys.device_key(key_id) else { return Self(device.encode()) };
        let known = known_user(user, key);
        let tag = mac(&user.appid, device, known, key);
        let proof = [&key_id.0.to_be_bytes()[..], &known.0, &tag].concat();
        Self(format!("{}.{}", device.encode(), URL_SAFE_NO_PAD.encode(proof)))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn known_user(user: &UserRef, key: &hmac::Key) -> KnownUser {
    let text = format!("wxauth|device user|{}|{}", user.appid, user.openid.expose());
    KnownUser(shortened(&hmac::sign(key, text.as_bytes())))
}

fn mac(appid: &AppId, device: DeviceId, user: KnownUser, key: &hmac::Key) -> [u8; TAG] {
    // An appid has no bar, and what follows it has a fixed length: no two proofs have the same text.
    let text = [b"wxauth|device|", appid.as_str().as_bytes(), b"|", &device.0, &user.0].concat();
    shortened(&hmac::sign(key, &text))
}

fn shortened<const N: usize>(tag: &hmac::Tag) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&tag.as_ref()[..N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::OpenId, secrets::FromSecret as _};
    use proptest::prelude::*;

    const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    const TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";

    fn ring(current: u32, keys: &[(u32, &str)]) -> Keyring {
        let keys: Vec<_> = keys.iter().map(|(id, key)| format!(r#""{id}":"{key}""#)).collect();
        Keyring::from_secret(&format!(r#"{{"current":{current},"keys":{{{}}}}}"#, keys.join(","))).unwrap()
    }

    fn user(openid: &str) -> UserRef {
        UserRef { appid: AppId::parse("wx1").unwrap(), openid: OpenId::parse(openid).unwrap() }
    }

    const DEVICE: DeviceId = DeviceId([4; 16]);

    fn text(openid: &str) -> String {
        ProvenDevice::new(&user(openid), DEVICE, KeyId(1), &ring(1, &[(1, ONE)])).0
    }

    fn known(text: &str, appid: &str, keys: &Keyring) -> Option<KnownUser> {
        PresentedDevice::parse(text).unwrap().known_user(&AppId::parse(appid).unwrap(), keys)
    }

    #[test]
    fn a_proof_is_accepted_while_its_key_is_in_the_ring_and_for_its_own_app() {
        let text = text("oA");

        assert_eq!(PresentedDevice::parse(&text).unwrap().id, DEVICE);
        assert!(known(&text, "wx1", &ring(1, &[(1, ONE)])).is_some());
        assert!(known(&text, "wx1", &ring(2, &[(1, ONE), (2, TWO)])).is_some(), "after a rotation");
        assert!(known(&text, "wx1", &ring(2, &[(2, TWO)])).is_none(), "its key has left the ring");
        assert!(known(&text, "wx1", &ring(1, &[(1, TWO)])).is_none(), "another ring");
        assert!(known(&text, "wx2", &ring(1, &[(1, ONE)])).is_none(), "another app");
    }

    #[test]
    fn a_user_is_one_on_all_devices_and_another_than_others_on_the_same() {
        let ring = ring(1, &[(1, ONE)]);
        let on = |openid, device| {
            known(ProvenDevice::new(&user(openid), DeviceId([device; 16]), KeyId(1), &ring).as_str(), "wx1", &ring)
        };

        assert_eq!(on("oA", 1), on("oA", 2));
        assert_ne!(on("oA", 1), on("oB", 1));
    }

    #[test]
    fn an_id_without_proof_or_with_a_damaged_one_is_read_and_proves_nothing() {
        let (ring, whole) = (ring(1, &[(1, ONE)]), text("oA"));
        let id = DEVICE.encode();
        let other = ProvenDevice::new(&user("oA"), DeviceId([5; 16]), KeyId(1), &ring).0;
        let moved = whole.replace(&id, &DeviceId([5; 16]).encode());

        for damaged in
            [&id, &format!("{id}."), &format!("{id}.x"), &whole[..whole.len() - 1], &moved, &(whole.clone() + "A")]
        {
            assert!(known(damaged, "wx1", &ring).is_none(), "{damaged}");
        }
        assert_ne!(moved, other);
        for unreadable in ["", "abc", ".", &whole[1..], &format!("{id}=")] {
            assert!(PresentedDevice::parse(unreadable).is_err(), "{unreadable}");
        }
    }

    #[test]
    fn every_changed_character_of_a_proof_makes_it_none() {
        let (ring, whole) = (ring(1, &[(1, ONE)]), text("oA"));
        for at in 23..whole.len() {
            for other in ["A", "B", "_", "=", "."] {
                let mut changed = whole.clone();
                changed.replace_range(at..=at, other);
                assert!(changed == whole || known(&changed, "wx1", &ring).is_none(), "character {at}");
            }
        }
    }

    #[test]
    fn without_its_key_there_is_the_id_alone() {
        let text = ProvenDevice::new(&user("oA"), DEVICE, KeyId(7), &ring(1, &[(1, ONE)]));

        assert_eq!(text.as_str(), DEVICE.encode());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "([A-Za-z0-9_-]{21}[AQgw])?\\.?.{0,80}") {
            if let Ok(presented) = PresentedDevice::parse(&text) {
                prop_assert!(presented.known_user(&AppId::parse("wx1").unwrap(), &ring(1, &[(1, ONE)])).is_none());
            }
        }
    }
}
