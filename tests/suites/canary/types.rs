//! The types that hold a secret: none may have a way to be shown or sent by accident.

use std::{fmt::Display, marker::PhantomData};

use serde::Serialize;
use shared::{
    config, env, http, ids, redacted, secrets, session, token,
    wechat::{self, Apps, opendata, push},
};

/// A type that holds a secret, and whether it implements what could show it.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// Its path.
    pub name: &'static str,
    /// `Display`.
    pub is_shown: bool,
    /// `Serialize`.
    pub is_sent: bool,
}

/// What is so of a type that does not implement the trait in question.
trait Otherwise {
    const IMPLEMENTED: bool = false;
}

struct Shown<T>(PhantomData<T>);
struct Sent<T>(PhantomData<T>);
impl<T> Otherwise for Shown<T> {}
impl<T> Otherwise for Sent<T> {}
// An inherent constant goes before a trait's.
impl<T: Display> Shown<T> {
    const IMPLEMENTED: bool = true;
}
impl<T: Serialize> Sent<T> {
    const IMPLEMENTED: bool = true;
}

macro_rules! holders {
    ($($type:ty),* $(,)?) => {
        &[$(Holder {
            name: stringify!($type),
            is_shown: Shown::<$type>::IMPLEMENTED,
            is_sent: Sent::<$type>::IMPLEMENTED,
        }),*]
    };
}

/// All but [`ANSWERS`].
pub const HOLDERS: &[Holder] = holders![
    redacted::AppSecret,
    redacted::SessionKey,
    redacted::LoginCode,
    redacted::PhoneCode,
    redacted::PlatformToken,
    redacted::PushToken,
    redacted::AccessToken,
    redacted::RefreshText,
    redacted::IdempotencyKey,
    ids::OpenId,
    ids::UnionId,
    ids::Family,
    token::access::AccessSigner,
    token::access::Subject,
    token::keyring::Keyring,
    token::keyring::Context<'static>,
    token::refresh::RefreshToken,
    wechat::App,
    wechat::Apps,
    wechat::WechatSession,
    wechat::Call<'static>,
    wechat::platform_token::PlatformTokens,
    opendata::Keys,
    opendata::Ciphertext,
    opendata::PhoneInfo,
    opendata::UserInfo<'static>,
    push::Config,
    push::Push,
    push::Signed,
    session::UserRef,
    session::SessionRef,
    session::Session,
    session::UserLogin,
    session::User,
    session::Everything,
    session::SealedKeys,
    session::Rotation,
    session::Attempt,
    session::StoredToken,
    session::claim::Claim,
    secrets::Secret<Apps>,
    secrets::Secret<token::keyring::Keyring>,
    secrets::Secret<token::access::AccessSigner>,
    secrets::rotation::Version,
    config::Vars,
    env::Env,
    http::bearer::Bearer,
    http::body::JsonBody<String>,
    http::body::RawBody,
    login::Login,
    login::GivenUserInfo,
    phone::Given,
    userinfo::Given,
    authorizer::Event,
    platform::TokenRequest,
    admin::Request,
    admin::Of,
    admin::OfDevice,
];

/// What is made to be sent, so that it has to be `Serialize`: the responses of the contract, the claims of a token, and keys
/// in the form that Secrets Manager keeps.
pub const ANSWERS: &[Holder] = holders![
    token::TokenAnswer,
    login::LoginAnswer,
    opendata::Phone,
    opendata::Profile,
    authorizer::Decision,
    platform::TokenAnswer,
    admin::Answer,
    admin::ReadUser,
    admin::LoggedIn,
    admin::Export,
    admin::ExportedUser,
    admin::ExportedSession,
    token::access::JwtClaims,
    token::keyring::StoredKeyring,
    token::jwks::PrivateJwk,
    token::jwks::PrivateJwks,
];

/// What is public and can be shown: whoever looks at the others is not blind.
pub const PUBLIC: &[Holder] = holders![ids::AppId];
