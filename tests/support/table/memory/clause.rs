//! The conditions by name, so that a test can leave one out.

/// Declares the clauses and the list of them all.
macro_rules! clauses {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// A condition of the table's writes, or a part of one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Clause { $($(#[$meta])* $name,)* }

        impl Clause {
            /// All clauses.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

clauses! {
    /// Refresh: `family = F`.
    RefreshFamily,
    /// Refresh: `generation = g`.
    RefreshGeneration,
    /// Refresh: `rotated_at <= now-E`.
    RefreshAge,
    /// Refresh: `idle > now`.
    RefreshIdle,
    /// Refresh: `absolute > now`.
    RefreshAbsolute,
    /// Refresh: `created_at >= nb`.
    RefreshNotBefore,
    /// Login: `attribute_not_exists(pk)`.
    PutOverNone,
    /// Login: `arrived_ms < mine`.
    PutOverOlder,
    /// An end leaves a mark.
    EndMarks,
    /// The end of a family: `family = F`.
    RevokeFamily,
    /// Logout: `created_at = auth_time`.
    LogOutCreated,
    /// Logout: in the millisecond that the token tells.
    LogOutMillisecond,
    /// Logout: of a session that lives.
    LogOutAlive,
    /// A deletion's end of a session: `family = F`.
    EraseFamily,
    /// A deletion's end of a session: nothing that arrived before the deletion comes over it.
    EraseRaises,
    /// The end of a login that failed: only of its own session.
    RetractOwn,
    /// The end of a login that failed: not where a later one was.
    RetractOlder,
    /// Login: not into a blocked user, where the key is another one.
    LoginNotBlocked,
    /// Login: not into a user who was deleted since it arrived, where the key is another one.
    LoginNotErased,
    /// Login: not where logins are refused that arrived when it did, where the key is another one.
    LoginNotRefused,
    /// Login: not into a blocked user, where the key is the same.
    SameKeyNotBlocked,
    /// Login: not into a user who was deleted since it arrived, where the key is the same.
    SameKeyNotErased,
    /// Login: not where logins are refused that arrived when it did, where the key is the same.
    SameKeyNotRefused,
    /// Login: where one that arrived later is stored, its key and its time stay.
    LoginLast,
    /// The key shift: no fingerprint yet.
    ShiftNoKey,
    /// The key shift: another fingerprint.
    ShiftOtherKey,
    /// The key shift: what was current is kept.
    ShiftKeeps,
    /// A late unionid: the user has logged in.
    UnionidOfUser,
    /// One attempt more: `tries < 30`.
    CountMost,
    /// The first attempt of an hour: `attribute_exists(pk)`.
    FirstOfUser,
    /// The first attempt of an hour: none was counted.
    FirstNoHour,
    /// The first attempt of an hour: the last hour is over.
    FirstHourOver,
    /// A block: later than the last block and its end.
    BlockLater,
    /// The end of a block: there is one.
    UnblockBlocked,
    /// The end of a block: later than the last block.
    UnblockLater,
    /// The end of a block: of a user who has logged in.
    UnblockUser,
    /// The deletion of a user, and a TTL for what stays: not blocked.
    EraseNotBlocked,
    /// The deletion of a user: later than the last one.
    EraseLater,
    /// The deletion of a user: not before the last login.
    EraseAfterLogin,
    /// The deletion of what was before a login that stays: later than the last deletion.
    EraseBeforeLogin,
    /// Logins are refused, and a TTL: there is neither a user nor a block.
    RefuseNobody,
    /// Logins are refused: until later than before.
    RefuseLater,
    /// Logins are refused: also the last one.
    RefuseAfterLogin,
    /// Another key for a user: somebody has logged in.
    ReplaceUser,
    /// Another key for a user: later than logins are refused until.
    ReplaceLater,
    /// Another key for a user: not before the last login.
    ReplaceAfterLogin,
    /// The records of a deleted user are forgotten: by the last deletion.
    ForgetOwn,
    /// The records of a deleted user are forgotten: nobody has logged in again.
    ForgetNoUser,
    /// A record: none of its code was erased.
    RecordNotErased,
    /// A code is exchanged: nothing is known of it.
    ExchangeNone,
    /// A code is exchanged: what was known of it has expired.
    ExchangeOver,
    /// A code is exchanged: by the mark's own request, repeated.
    ExchangeOwn,
    /// An exchange is given up by its own mark.
    GiveUpOwn,
    /// A lease: nobody has it.
    LeaseFree,
    /// A lease: it has run out.
    LeaseOver,
    /// A lease: it is the holder's own.
    LeaseOwn,
    /// A lease given back by its holder.
    ReleaseOwn,
    /// A token stored by the holder of the lease.
    KeepOwn,
}

impl Clause {
    /// The condition of the refresh.
    pub const REFRESH: &[Self] = &[
        Self::RefreshFamily,
        Self::RefreshGeneration,
        Self::RefreshAge,
        Self::RefreshIdle,
        Self::RefreshAbsolute,
        Self::RefreshNotBefore,
    ];
}
