//! The types that hold a secret: none may have a way to be shown or sent by accident.

use std::{fmt::Display, marker::PhantomData};

use serde::Serialize;
use shared::{
    env, http, ids, owner_function, platform_token, secret_text, secrets, session, store, token, vars,
    wechat::{
        api,
        app::{self, Apps},
        opendata, push,
    },
};

/// A type that holds a secret, and whether it implements what could show it.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
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
    secret_text::AppSecret,
    secret_text::AppKey,
    secret_text::SessionKey,
    secret_text::LoginCode,
    secret_text::PhoneCode,
    secret_text::PlatformToken,
    secret_text::PushToken,
    secret_text::AccessToken,
    secret_text::RefreshTokenText,
    secret_text::IdempotencyKey,
    ids::OpenId,
    ids::UnionId,
    ids::Family,
    token::access::AccessSigner,
    token::access::Subject,
    token::keyring::Keyring,
    token::keyring::Context<'static>,
    token::refresh::RefreshToken,
    app::App,
    app::AppKeys,
    app::Apps,
    api::CodeExchange,
    api::PlatformCall<'static>,
    platform_token::PlatformTokens,
    secret_text::SessionKeys,
    opendata::Ciphertext,
    opendata::SignedProfile<'static>,
    push::Config,
    push::Push,
    push::PushApps,
    push::Message,
    push::Concern,
    push::Answer,
    push::Reply,
    push::PushQuery,
    ids::UserRef,
    ids::SessionRef,
    session::Session,
    session::UserLogin,
    session::User,
    session::NewKey,
    session::UserItems,
    session::SealedSessionKeys,
    session::refresh::RefreshWrite,
    session::WriteResult<session::Session>,
    store::grants::StoredPlatformToken,
    session::idempotency::IdempotencyRecord,
    session::idempotency::LoginRecord,
    secrets::Secret<Apps>,
    secrets::Secret<push::PushApps>,
    owner_function::LambdaFunction,
    secrets::Secret<token::keyring::Keyring>,
    secrets::Secret<token::access::AccessSigner>,
    secrets::key_rotation::Version,
    vars::Vars,
    env::Env,
    http::extract::Bearer,
    http::body::JsonBody<String>,
    http::body::RawBody,
    login::Presented,
    opendata::UserInfo,
    authorizer::Event,
    platform::PlatformTokenRequest,
    sign::SignRequest,
    admin::Request,
    admin::UserKey,
    admin::DeviceKey,
];

/// What is made to be sent, so that it has to be `Serialize`: the responses of the contract, the claims of a token, and keys
/// in the form that Secrets Manager keeps.
pub const ANSWERS: &[Holder] = holders![
    token::TokenResponse,
    login::LoginResponse,
    opendata::Phone,
    opendata::Profile,
    opendata::OpenData,
    authorizer::Decision,
    platform::PlatformTokenResponse,
    sign::SignResponse,
    admin::Response,
    admin::ReadUser,
    admin::LoggedInDevice,
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
