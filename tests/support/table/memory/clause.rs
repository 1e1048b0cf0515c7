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
    /// Login: `created_at <= mine`.
    PutOverOlder,
    /// The end of a reused family: `family = F`.
    RevokeFamily,
    /// Logout: `created_at = auth_time`.
    LogOutCreated,
    /// Login: not into a blocked user, where the key is another one.
    LoginNotBlocked,
    /// Login: not into a blocked user, where the key is the same.
    SameKeyNotBlocked,
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
    /// The end of a block: there is one.
    UnblockBlocked,
    /// The end of a block: of a user who has logged in.
    UnblockUser,
    /// The end of what is left of a deleted user: a block.
    UnblockBareBlocked,
    /// The end of what is left of a deleted user: no login.
    UnblockBareNoUser,
    /// The deletion of a user: not blocked.
    EraseNotBlocked,
    /// The deletion of a user: nothing was counted.
    EraseNoHour,
    /// The deletion of a user: the counted hour is over.
    EraseHourOver,
    /// What stays of a deleted user: a block.
    StripBlocked,
    /// What stays of a deleted user: a count, where there is no block.
    StripNotBlocked,
    /// What stays of a deleted user: a count.
    StripCounted,
    /// A code is exchanged: nothing is known of it.
    ExchangeNone,
    /// A code is exchanged: what was known of it has expired.
    ExchangeOver,
    /// A code is exchanged: by the mark's own request, repeated.
    ExchangeOwn,
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
