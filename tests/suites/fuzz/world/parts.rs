//! What the functions of a world are made of.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::{
    authenticator::Authenticator,
    brake::Brake,
    http::{record::Log, stack},
    platform_token::{PlatformTokens, TokenCache},
    secrets::Secret,
    session::refresh::RefreshPolicy,
    token::{
        access::{AccessSigner, AccessTokenConfig, AccessVerifier},
        jwks::PublicJwks,
        keyring::Keyring,
    },
    vars::Vars,
    wechat::{app::Apps, push::PushApps},
};
use tokio::sync::OnceCell;

use super::{APP_SECRET, Function, wechat::Wechat};
use crate::{
    APPID, ManualClock, login_deps, secrets, seeded::SeededEntropy, suites::fuzz::push, table::memory::MemoryTable,
};

/// Read once: making them costs more than a world.
pub(super) struct Secrets {
    pub(super) apps: Arc<Secret<Apps>>,
    push: Arc<Secret<PushApps>>,
    pub(super) keyring: Arc<Secret<Keyring>>,
    signer: Arc<Secret<AccessSigner>>,
    verifier: Arc<Secret<AccessVerifier>>,
    jwks: Arc<Secret<PublicJwks>>,
}

impl Secrets {
    pub(super) async fn get() -> &'static Self {
        static SECRETS: OnceCell<Secrets> = OnceCell::const_new();
        let keys = secrets::signing_keys();
        let text = |keys: Value| keys.to_string();
        let (private, public) = (json!(keys), json!(keys.public()));
        SECRETS
            .get_or_init(async || Self {
                apps: secrets::secret(text(json!({ "apps": {
                    APPID: { "secret": APP_SECRET },
                    push::SECURE_APPID: { "secret": APP_SECRET },
                } })))
                .await,
                push: secrets::secret(text(json!({ "apps": {
                    APPID: { "token": push::TOKEN },
                    push::SECURE_APPID: { "token": push::SECURE_TOKEN, "encoding_aes_key": push::AES_KEY },
                } })))
                .await,
                keyring: secrets::secret(secrets::ring(1)).await,
                signer: secrets::secret(text(private)).await,
                verifier: secrets::secret(text(public.clone())).await,
                jwks: secrets::secret(text(public)).await,
            })
            .await
    }
}

/// The keeper of platform tokens, with none so far.
pub(super) fn tokens(
    table: &Arc<MemoryTable>,
    wechat: &Arc<Wechat>,
    keyring: &Arc<Secret<Keyring>>,
    clock: &ManualClock,
) -> Arc<PlatformTokens> {
    Arc::new(PlatformTokens {
        wechat: wechat.clone(),
        table: table.clone(),
        keyring: keyring.clone(),
        clock: Arc::new(clock.clone()),
        entropy: Arc::new(SeededEntropy::new(0)),
        cache: TokenCache::default(),
    })
}

pub(super) struct Parts<'a> {
    pub(super) table: &'a MemoryTable,
    pub(super) wechat: &'a Arc<Wechat>,
    pub(super) secrets: &'a Secrets,
    pub(super) clock: &'a ManualClock,
    pub(super) log: Log,
}

impl Parts<'_> {
    fn access_tokens() -> AccessTokenConfig {
        AccessTokenConfig::from_vars(&Vars::from_iter([("WXAUTH_ACCESS_SECONDS", "7200")])).expect("variables")
    }

    fn authenticator(&self) -> Authenticator {
        Authenticator {
            verifier: self.secrets.verifier.clone(),
            sessions: Arc::new(self.table.clone()),
            config: Self::access_tokens(),
            brake: Brake::default(),
            clock: Arc::new(self.clock.clone()),
        }
    }

    pub(super) fn authorizer(&self) -> authorizer::Deps {
        authorizer::Deps { authenticator: self.authenticator() }
    }

    fn push(&self) -> ::push::Deps {
        ::push::Deps {
            table: Arc::new(self.table.clone()),
            apps: self.secrets.push.clone(),
            target: Some(Arc::new(push::Owner)),
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::new(SeededEntropy::new(1)),
        }
    }

    pub(super) async fn functions(&self) -> Vec<Function> {
        let (table, clock) = (Arc::new(self.table.clone()), Arc::new(self.clock.clone()));
        let entropy = Arc::new(SeededEntropy::new(0));
        let (authenticator, access_tokens) = (self.authenticator(), Self::access_tokens());
        let Secrets { apps, keyring, signer, jwks, .. } = self.secrets;
        let platform = tokens(&table, self.wechat, keyring, self.clock);
        let login = login_deps(table.clone(), self.wechat.clone(), clock.clone(), entropy.clone()).await;
        let login = login::Deps { apps: apps.clone(), access_tokens: access_tokens.clone(), ..login };
        let userinfo = userinfo::Deps {
            authenticator: authenticator.clone(),
            table: table.clone(),
            keyring: keyring.clone(),
            senders: login.senders.clone(),
            clock: clock.clone(),
        };
        let phone = phone::Deps {
            authenticator: authenticator.clone(),
            table: table.clone(),
            platform: platform.clone(),
            data_check: Some(platform.clone()),
            apps: apps.clone(),
            keyring: keyring.clone(),
            senders: login.senders.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let session = session::Deps {
            authenticator,
            table: table.clone(),
            platform,
            checks: Arc::default(),
            apps: apps.clone(),
            keyring: keyring.clone(),
            senders: login.senders.clone(),
            clock: clock.clone(),
        };
        let keys = keys::Deps { jwks: jwks.clone(), access_tokens: access_tokens.clone() };
        let refresh = refresh::Deps {
            table,
            keyring: keyring.clone(),
            signer: signer.clone(),
            access_tokens,
            policy: RefreshPolicy::default(),
            brake: Brake::default(),
            senders: login.senders.clone(),
            clock,
            entropy,
        };
        let function = |name, routes, router| Function { name, routes, router: stack(router, self.log.clone()) };
        vec![
            function("login", login::ROUTES, login::router(login)),
            function("refresh", refresh::ROUTES, refresh::router(refresh)),
            function("phone", phone::ROUTES, phone::router(phone)),
            function("userinfo", userinfo::ROUTES, userinfo::router(userinfo)),
            function("session", session::ROUTES, session::router(session)),
            function("push", ::push::ROUTES, ::push::router(self.push())),
            function("keys", keys::ROUTES, keys::router(keys)),
        ]
    }
}
