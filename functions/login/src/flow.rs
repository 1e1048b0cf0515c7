//! The login: WeChat first, because it decides who wins a race for a code; then user, session and idempotency record are
//! written in parallel.
//!
//! Keys are loaded before the code is spent, all is signed before the first write, and written before the response.

use std::time::Duration;

use shared::{
    clock::Deadline,
    entropy,
    ids::{DeviceId, Family, SessionRef, UserRef},
    request_log,
    session::{
        Session, UserLogin, UserStatus, beyond_the_cap,
        idempotency::{CodeHash, IdempotencyRecord, LoginRecord},
        issue::TokenIssuer,
        refresh::RefreshPolicy,
    },
    token::{
        TokenResponse,
        keyring::{Context, Purpose},
    },
    wechat::{api::CodeExchange, opendata::Profile},
};

use crate::{
    Deps, LoginResponse, Presented,
    attempt::{Login, OPTIONAL_WORK_LIMIT},
    codes::{NotExchanged, Refusal, Sender},
    error::LoginError,
    profile, replay,
};

/// Reserved at the end for our own response: once the code is spent it must say that a new code is needed, which the
/// deadline's response would not.
const LAST_MOMENT: Duration = Duration::from_millis(300);

/// Reserved for the writes after WeChat's answer, so that no code is spent for nothing.
const RESERVED_FOR_WRITES: Duration = Duration::from_millis(1_500);

pub async fn login(
    deps: &Deps,
    presented: &Presented,
    issuer: &str,
    deadline: Deadline,
) -> Result<LoginResponse, LoginError> {
    let arrived_ms = deps.clock.now_ms();
    let (apps, keyring, signer, not_before) =
        tokio::try_join!(deps.apps.get(), deps.keyring.get(), deps.signer.get(), deps.brake.not_before())?;
    if not_before > arrived_ms / 1_000 {
        return Err(LoginError::BrakeInTheFuture);
    }
    let app = apps.find(presented.request.appid.0.as_ref()).ok_or(LoginError::AppUnknown)?;
    let entropy = &*deps.entropy;
    let tokens = TokenIssuer { keyring: &keyring, signer: &signer, config: &deps.access_tokens, issuer, entropy };
    let code_hash = CodeHash::of_login(&app.appid, &presented.request.code);
    let user = presented.request.device.0.as_ref().and_then(|device| device.known_user(&app.appid, &keyring));
    let sender = Sender { appid: app.appid.clone(), network: presented.network.clone(), user };
    let login = Login { deps, presented, app, sender, tokens, code_hash, not_before, arrived_ms, deadline };

    let before_writes = deadline.before(RESERVED_FOR_WRITES);
    let exchange = deps.wechat.exchange(app, &presented.request.code, &presented.network, before_writes);
    match deps.codes.exchange(&login.sender, &login.code_hash, login.arrived_at(), exchange).await {
        Ok(exchange) => login.complete(exchange).await,
        Err(NotExchanged::Refused(refusal)) => login.repeat(&refusal).await,
        Err(NotExchanged::Wechat(error)) => Err(error.into()),
        Err(NotExchanged::TooManyCharged { retry_after }) => Err(LoginError::TooManyCharged { retry_after }),
    }
}

/// What a login will store and respond. All of it is made and signed before anything is stored.
struct PreparedLogin {
    session_ref: SessionRef,
    session: Session,
    record: Option<IdempotencyRecord>,
    user_login: UserLogin,
    tokens: TokenResponse,
}

impl Login<'_> {
    /// The response to a request whose code is invalid or used: it may be one whose response was lost.
    async fn repeat(&self, refusal: &Refusal) -> Result<LoginResponse, LoginError> {
        let result = match &self.presented.hash {
            Some(request) => {
                let deadline = self.deadline.before(LAST_MOMENT);
                let replay = Box::pin(replay::replay(self, request, refusal, deadline));
                deadline.limit(replay).await.unwrap_or(Err(LoginError::OutOfTime))
            }
            None => Err(refusal.error.clone().into()),
        };
        // Not a response given again, and not a failure of ours.
        if let Err(error @ (LoginError::Wechat(_) | LoginError::CodeUsed | LoginError::Blocked)) = &result {
            let unrecorded = self.presented.hash.is_some() && matches!(error, LoginError::Wechat(_));
            self.deps.codes.keep(&self.sender, &self.code_hash, refusal, unrecorded, self.arrived_at());
        }
        result
    }

    /// The first request with this code: everything is made and signed, then stored.
    async fn complete(&self, exchange: CodeExchange) -> Result<LoginResponse, LoginError> {
        let prepared = self.prepare(exchange)?;
        let deadline = self.deadline.before(LAST_MOMENT);
        let store = Box::pin(self.store(&prepared, deadline));
        match deadline.limit(store).await.unwrap_or(Err(LoginError::OutOfTime)) {
            Ok((user_status, user_info)) => {
                request_log::record(|fields| fields.verdict = Some("LOGIN"));
                Ok(LoginResponse {
                    tokens: prepared.tokens,
                    openid: prepared.session_ref.user.openid.expose().to_owned(),
                    device: self.proven_device(&prepared.session_ref.user, &prepared.session),
                    new_user: user_status == UserStatus::New,
                    user_info,
                })
            }
            Err(error) => {
                let deadline = self.deadline.before(LAST_MOMENT / 3).within(OPTIONAL_WORK_LIMIT);
                let _ = deadline.limit(self.undo(&prepared)).await;
                Err(error)
            }
        }
    }

    fn prepare(&self, exchange: CodeExchange) -> Result<PreparedLogin, LoginError> {
        let Self { deps, tokens: TokenIssuer { keyring, .. }, arrived_ms, .. } = *self;
        let user = UserRef { appid: self.app.appid.clone(), openid: exchange.openid };
        request_log::record(|fields| fields.user = keyring.pseudonym(&user));
        let device = self.presented.request.device.0.as_ref().map(|device| device.id);
        let device = device.unwrap_or_else(|| DeviceId(entropy::bytes(&*deps.entropy)));
        let family = Family(entropy::bytes(&*deps.entropy));
        let RefreshPolicy { idle, absolute, .. } = deps.policy;
        let session = Session {
            unionid: exchange.unionid.clone().filter(|_| deps.access_tokens.unionid),
            ..Session::new(device, family, keyring.current(), arrived_ms, idle, absolute)
        };
        let tokens = self.issue(&user, &session)?;
        let record = self.presented.hash.map(|request| {
            let (appid, content) =
                (&self.app.appid, LoginRecord { request, device, family, openid: user.openid.clone() });
            IdempotencyRecord::of_login(
                self.code_hash.clone(),
                appid,
                &content,
                self.arrived_at(),
                keyring,
                &*deps.entropy,
            )
        });
        let record = record.transpose()?;
        let session_key = exchange.session_key.expose().as_bytes();
        let user_login = UserLogin {
            key: keyring.seal(Context::of_user(&user, Purpose::SessionKey), session_key, &*deps.entropy)?,
            fingerprints: keyring.fingerprints(session_key),
            unionid: exchange.unionid,
            family: session.family,
            idempotency_record: record.as_ref().map(|record| record.code.clone()),
            arrived_ms,
            user,
        };
        let session_ref = user_login.user.session(session.device);
        Ok(PreparedLogin { session_ref, session, record, user_login, tokens })
    }

    /// Writes user, session and idempotency record in parallel, and looks for an end that came between.
    async fn store(
        &self,
        prepared: &PreparedLogin,
        deadline: Deadline,
    ) -> Result<(UserStatus, Option<Profile>), LoginError> {
        let table = &self.deps.table;
        let PreparedLogin { session_ref, session, record, user_login, .. } = prepared;
        let user_and_profile = async {
            let user_status = table.store_user_login(user_login).await.map_err(LoginError::NotStored)?;
            match user_status {
                UserStatus::Blocked => return Err(LoginError::Blocked),
                UserStatus::Overtaken => return Err(LoginError::Overtaken),
                UserStatus::New | UserStatus::Known => {}
            }
            let profile = profile::read(self, &session_ref.user, user_login.unionid.as_ref(), deadline).await;
            Ok((user_status, profile))
        };
        let record = async {
            match record {
                Some(record) => table.put_idempotency_record(record).await,
                None => Ok(()),
            }
        };
        let (user_and_profile, is_put, recorded) =
            tokio::join!(user_and_profile, table.put_session(session_ref, session), record);
        let user_and_profile = user_and_profile?;
        recorded.map_err(LoginError::NotStored)?;
        if !is_put.map_err(LoginError::NotStored)? {
            return Err(LoginError::Ended);
        }
        let beyond_the_cap = self.check(prepared).await?;
        // If this does not end in time, the user has one device too many until the next login.
        let _ = deadline.optional(OPTIONAL_WORK_LIMIT, self.revoke(&session_ref.user, &beyond_the_cap)).await;
        Ok(user_and_profile)
    }

    /// The sessions beyond the device cap, unless this one is over already.
    ///
    /// A block, a deletion or an end of all sessions that came between the writes of this login did not find the session, so the
    /// login has to find its mark; and nobody gets tokens of a session that a newer login or the cap has ended meanwhile. If it
    /// cannot look, it is refused.
    async fn check(
        &self,
        PreparedLogin { session_ref, session, .. }: &PreparedLogin,
    ) -> Result<Vec<Session>, LoginError> {
        let items = self.deps.table.list_user_items(&session_ref.user).await.map_err(LoginError::NotStored)?;
        let item = items.user.unwrap_or_default();
        if item.blocked_at.is_some() {
            return Err(LoginError::Blocked);
        }
        if item.first_login.is_none() || item.overtakes(self.arrived_ms) {
            return Err(LoginError::Overtaken);
        }
        let is_ours = |other: &Session| other.family == session.family;
        let is_alive = items.sessions.iter().any(is_ours);
        let beyond_the_cap = beyond_the_cap(items.sessions);
        if is_alive && !beyond_the_cap.iter().any(is_ours) { Ok(beyond_the_cap) } else { Err(LoginError::Ended) }
    }

    async fn revoke(&self, user: &UserRef, sessions: &[Session]) {
        let now = self.deps.clock.now();
        for session in sessions {
            drop(self.deps.table.revoke_session(&user.session(session.device), session.family, now).await);
        }
    }

    /// Ends session and record of a refused login, also where their writes are still under way: nobody has its tokens, and it
    /// must not be repeated. The user stays.
    async fn undo(&self, PreparedLogin { session_ref, session, record, .. }: &PreparedLogin) {
        let (table, now) = (&self.deps.table, self.deps.clock.now());
        let erase = async {
            if let Some(record) = record {
                drop(table.erase_idempotency_record(&record.code, now).await);
            }
        };
        let (_, ()) = tokio::join!(table.retract_session(session_ref, session, now), erase);
    }
}
