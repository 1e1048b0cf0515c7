//! Identifiers: parsed once, opaque afterwards.

use std::{fmt, net::IpAddr};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Why a text is not the identifier it should be.
#[derive(Debug, thiserror::Error)]
#[error("not a valid {0}")]
pub struct IdDefect(&'static str);

/// A mini program's AppID. It is public: every copy of the mini program contains it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct AppId(String);

impl AppId {
    /// Takes 1 to 64 of `A-Z a-z 0-9 _ -`. WeChat's own are `wx` and 16 hex digits, but WeChat does not promise that.
    pub fn parse(text: &str) -> Result<Self, IdDefect> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(IdDefect("appid")) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AppId {
    type Error = IdDefect;

    fn try_from(text: String) -> Result<Self, IdDefect> {
        Self::parse(&text)
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Declares an identifier of a person. Logs must not hold it, so it is redacted like a secret.
macro_rules! personal_id {
    ($($(#[$meta:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(SecretString);

        impl TryFrom<String> for $name {
            type Error = IdDefect;

            fn try_from(text: String) -> Result<Self, IdDefect> {
                Self::parse(&text)
            }
        }

        impl $name {
            /// Takes 1 to 128 printable ASCII characters; WeChat promises no form.
            pub fn parse(text: &str) -> Result<Self, IdDefect> {
                let fits = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
                if fits { Ok(Self(text.into())) } else { Err(IdDefect($what)) }
            }

            /// The text itself; never for a log.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.expose() == other.expose()
            }
        }

        impl Eq for $name {}
    )*};
}

personal_id! {
    /// A user inside one mini program. Unique only together with the [`AppId`].
    OpenId, "openid";
    /// A user across all accounts bound to one open-platform account.
    UnionId, "unionid";
}

/// A user of a mini program: an openid alone is unique only inside an appid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRef {
    /// The mini program.
    pub appid: AppId,
    /// The user.
    pub openid: OpenId,
}

impl UserRef {
    /// The name of this user's session on a device.
    #[must_use]
    pub fn sid(&self, device: DeviceId) -> Sid {
        Sid::of(&self.appid, &self.openid, device)
    }

    /// This user's session on a device.
    #[must_use]
    pub fn session(&self, device: DeviceId) -> SessionRef {
        SessionRef { user: self.clone(), sid: self.sid(device) }
    }
}

/// A session of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRef {
    /// The user.
    pub user: UserRef,
    /// The session's public name.
    pub sid: Sid,
}

/// Where requests come from, as far as one customer goes: an IPv4 address, or an IPv6 /56, which is what a provider gives to
/// one customer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Network(String);

impl Network {
    /// The network of an address; a text that is no address is a network of its own.
    #[must_use]
    pub fn of(address: &str) -> Self {
        Self(match address.parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V6(address)) => format!("{:x?}", &address.octets()[..7]),
            Ok(IpAddr::V4(address)) => address.to_string(),
            Err(_) => address.to_owned(),
        })
    }

    /// The text, which names a customer: never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A random id of the client's storage, made once per device. Not a secret: it names, it proves nothing; what proves is
/// in [`crate::token::device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(pub [u8; 16]);

impl TryFrom<String> for DeviceId {
    type Error = IdDefect;

    fn try_from(text: String) -> Result<Self, IdDefect> {
        Self::parse(&text)
    }
}

impl From<DeviceId> for String {
    fn from(device: DeviceId) -> Self {
        device.encode()
    }
}

impl DeviceId {
    /// Reads base64url of 16 bytes without padding.
    pub fn parse(text: &str) -> Result<Self, IdDefect> {
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(IdDefect("device: 16 bytes in base64url without padding"))
    }

    /// base64url without padding.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// The lineage of refresh tokens that one login began. Half of what forging one takes: a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Family(pub [u8; 16]);

impl fmt::Debug for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Family([REDACTED])")
    }
}

/// A session's public name, which access tokens and logs hold: stable per mini program, user and device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sid([u8; 16]);

impl Sid {
    /// The first 16 bytes of SHA-256 over `wxauth|sid|{appid}|{openid}|` and the device's 16 bytes.
    #[must_use]
    pub fn of(appid: &AppId, openid: &OpenId, device: DeviceId) -> Self {
        let mut text = format!("wxauth|sid|{appid}|{}|", openid.expose()).into_bytes();
        text.extend_from_slice(&device.0);
        let hash = digest(&SHA256, &text);
        let mut sid = [0; 16];
        sid.copy_from_slice(&hash.as_ref()[..16]);
        Self(sid)
    }

    /// Reads base64url of 16 bytes without padding.
    pub fn parse(text: &str) -> Result<Self, IdDefect> {
        DeviceId::parse(text).map(|bytes| Self(bytes.0)).map_err(|_| IdDefect("sid"))
    }

    /// base64url without padding.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// WeChat's id of a request of ours, which its support asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rid(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_differs_by_app_user_and_device() {
        let (app, other_app) = (AppId::parse("wx1").unwrap(), AppId::parse("wx2").unwrap());
        let (user, other_user) = (OpenId::parse("oA").unwrap(), OpenId::parse("oB").unwrap());
        let sid = Sid::of(&app, &user, DeviceId([1; 16]));

        assert_eq!(sid, Sid::of(&app, &user, DeviceId([1; 16])));
        assert_ne!(sid, Sid::of(&other_app, &user, DeviceId([1; 16])));
        assert_ne!(sid, Sid::of(&app, &other_user, DeviceId([1; 16])));
        assert_ne!(sid, Sid::of(&app, &user, DeviceId([2; 16])));
    }

    #[test]
    fn a_device_has_one_spelling() {
        let device = DeviceId([7; 16]);
        assert_eq!(DeviceId::parse(&device.encode()).unwrap(), device);
        for bad in ["", "AAAA", &format!("{}=", device.encode()), "BwcHBwcHBwcHBwcHBwcHBx", "!wcHBwcHBwcHBwcHBwcHBw"] {
            assert!(DeviceId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_56() {
        let one = Network::of("2001:db8:1:200::1");
        for same in ["2001:DB8:1:2FF::ffff", "2001:db8:1:200:1:2:3:4"] {
            assert_eq!(Network::of(same), one, "{same}");
        }
        for other in ["2001:db8:1:300::1", "2001:db8:2:200::1", "192.0.2.1", "", "somebody"] {
            assert_ne!(Network::of(other), one, "{other}");
        }
        // All of IPv4 written like this is one /64.
        assert_eq!(Network::of("::ffff:192.0.2.1"), Network::of("192.0.2.1"));
        assert_ne!(Network::of("::ffff:192.0.2.1"), Network::of("::ffff:192.0.2.2"));
    }

    #[test]
    fn debug_of_an_openid_does_not_show_it() {
        assert!(!format!("{:?}", OpenId::parse("oMARKER").unwrap()).contains("MARKER"));
    }
}
