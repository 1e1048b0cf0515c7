//! What the functions of a world are made of.

use std::sync::Arc;

use axum::Router;
use serde_json::{Value, json};
use shared::{
    config::{Issuing, Vars},
    http::record::Log,
    secrets::Secret,
    session::{admission::Admission, ending::Ending, memory::MemoryTable, rotation::RefreshPolicy},
    token::{access::AccessSigner, access::AccessVerifier, jwks::PublicJwks, keyring::Keyring},
    wechat::{
        Apps,
        platform_token::{Known, PlatformTokens},
    },
};
use tokio::sync::OnceCell;

use super::{APP_SECRET, wechat::Wechat};
use crate::{APPID, ManualClock, login_deps, secrets, seeded::SeededEntropy, suites::fuzz::push};

/// Read once: making them costs more than a world.
pub(super) struct Secrets {
    pub(super) apps: Arc<Secret<Apps>>,
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
                apps: secrets::secret(
                    json!({ "apps": {
                    APPID: { "secret": APP_SECRET, "push": { "token": push::TOKEN } },
                    push::SECURE_APPID: {
                        "secret": APP_SECRET,
                        "push": { "token": push::SECURE_TOKEN, "encoding_aes_key": push::AES_KEY },
                    },
                } })
                    .to_string(),
                )
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
        known: Known::default(),
    })
}

/// What functions are made of.
pub(super) struct Parts<'a> {
    pub(super) table: &'a MemoryTable,
    pub(super) wechat: &'a Arc<Wechat>,
    pub(super) secrets: &'a Secrets,
    pub(super) clock: &'a ManualClock,
    pub(super) log: Log,
}

impl Parts<'_> {
    fn issuing() -> Issuing {
        Issuing::from_vars(&Vars::from_iter([("WXAUTH_ACCESS_SECONDS", "7200")])).expect("variables")
    }

    fn admission(&self) -> Admission {
        Admission {
            verifier: self.secrets.verifier.clone(),
            sessions: Arc::new(self.table.clone()),
            issuing: Self::issuing(),
            clock: Arc::new(self.clock.clone()),
        }
    }

    fn ending(&self) -> Ending {
        let table = Arc::new(self.table.clone());
        Ending { items: table.clone(), sessions: table.clone(), users: table.clone(), claims: table }
    }

    pub(super) fn authorizer(&self) -> authorizer::Deps {
        authorizer::Deps { admission: self.admission(), log: self.log.clone() }
    }

    /// In the order of [`Function`](super::Function).
    pub(super) async fn routers(&self) -> [Router; 7] {
        let (table, clock, log) = (Arc::new(self.table.clone()), Arc::new(self.clock.clone()), self.log.clone());
        let Secrets { apps, keyring, signer, jwks, .. } = self.secrets;
        let tokens = tokens(&table, self.wechat, keyring, self.clock);
        let userinfo = userinfo::Deps {
            admission: self.admission(),
            keys: table.clone(),
            unionids: table.clone(),
            keyring: keyring.clone(),
            clock: clock.clone(),
            log: log.clone(),
        };
        let phone = phone::Deps {
            admission: self.admission(),
            keys: table.clone(),
            claims: table.clone(),
            erase: table.clone(),
            redeem: tokens.clone(),
            apps: apps.clone(),
            keyring: keyring.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(0)),
            log: log.clone(),
        };
        let session = session::Deps {
            admission: self.admission(),
            ending: self.ending(),
            user: table.clone(),
            check: tokens,
            checks: Arc::default(),
            apps: apps.clone(),
            keyring: keyring.clone(),
            clock: clock.clone(),
            log: log.clone(),
        };
        let push = ::push::Deps { ending: self.ending(), apps: apps.clone(), clock: clock.clone(), log: log.clone() };
        let keys = keys::Deps { jwks: jwks.clone(), issuing: Self::issuing(), log: log.clone() };
        let refresh = refresh::Deps {
            rotate: table.clone(),
            end: table,
            keyring: keyring.clone(),
            signer: signer.clone(),
            issuing: Self::issuing(),
            policy: RefreshPolicy::default(),
            clock,
            entropy: Arc::new(SeededEntropy::new(0)),
            log,
        };
        [
            login::router(self.login().await),
            refresh::router(refresh),
            phone::router(phone),
            userinfo::router(userinfo),
            session::router(session),
            ::push::router(push),
            keys::router(keys),
        ]
    }

    async fn login(&self) -> login::Deps {
        let (table, clock) = (Arc::new(self.table.clone()), Arc::new(self.clock.clone()));
        let login = login_deps(table, self.wechat.clone(), clock, Arc::new(SeededEntropy::new(0))).await;
        login::Deps { apps: self.secrets.apps.clone(), issuing: Self::issuing(), log: self.log.clone(), ..login }
    }
}
