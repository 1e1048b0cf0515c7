//! A login in progress: what its flow, its repetition and its profile have in common.

use std::time::Duration;

use shared::{
    clock::{Deadline, Millis, Secs},
    ids::UserRef,
    session::{
        Session,
        idempotency::CodeHash,
        issue::{IssueError, TokenIssuer},
    },
    token::{TokenResponse, device::ProvenDevice},
    wechat::app::App,
};

use crate::{Deps, Presented, codes::Sender};

/// Work that does not decide the login gets no more time than this.
pub(crate) const OPTIONAL_WORK_LIMIT: Duration = Duration::from_millis(1_500);

/// A login in progress, with everything that it needs before its code is spent.
pub(crate) struct Login<'a> {
    pub deps: &'a Deps,
    pub presented: &'a Presented,
    pub app: &'a App,
    pub sender: Sender,
    pub tokens: TokenIssuer<'a>,
    pub code_hash: CodeHash,
    /// The emergency brake, in Unix seconds: sessions created before are over.
    pub not_before: Secs,
    pub arrived_ms: Millis,
    pub deadline: Deadline,
}

impl Login<'_> {
    pub(crate) fn arrived_at(&self) -> Secs {
        self.arrived_ms / 1_000
    }

    /// The tokens of a session at generation 0. The refresh token is the same each time, the access token is new.
    pub(crate) fn issue(&self, user: &UserRef, session: &Session) -> Result<TokenResponse, IssueError> {
        self.tokens.issue(&session.refresh_token(user), session, self.deps.clock.now())
    }

    pub(crate) fn proven_device(&self, user: &UserRef, session: &Session) -> ProvenDevice {
        ProvenDevice::new(user, session.device, session.key_id, self.tokens.keyring)
    }
}
