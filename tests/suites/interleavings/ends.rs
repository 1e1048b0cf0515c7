//! Ends of sessions and of users: what was asked for, what was acknowledged, and what may not be there afterwards.
//!
//! Every rule speaks of what was acknowledged. What is stored is looked at when an end is acknowledged, up to 20 s later, when
//! all that was under way at the time is over and 20 s more, and at the end of the world.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures_util::FutureExt as _;
use shared::{
    ids::{AppId, DeviceId, Family, OpenId, UserRef},
    session::{Session, UserItems},
    store::{
        StoreError,
        grants::{ListUserItems as _, ReadSession as _},
    },
    token::refresh::RefreshToken,
};

use super::{Network, World, server::Held, way::LATE};
use crate::APPID;

/// What ends sessions, keeps a user out, or lets them in again.
#[derive(Clone, Debug)]
pub(super) enum End {
    LogOut(Held),
    LogOutAll(Held),
    DeleteUser(Held),
    /// WeChat says that the user's account is gone.
    Cancellation,
    /// The owner's operations.
    Revoke(DeviceId),
    RevokeAll,
    Block,
    Unblock,
    Delete,
}

impl End {
    /// Whose data goes, too.
    fn is_deletion(&self) -> bool {
        matches!(self, Self::DeleteUser(_) | Self::Cancellation | Self::Delete)
    }

    /// Whether the user is blocked by it; nothing, if it is not about that.
    fn block(&self) -> Option<bool> {
        match self {
            Self::Block => Some(true),
            Self::Unblock => Some(false),
            _ => None,
        }
    }
}

/// The sessions that an end is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    None,
    /// Those of a device.
    Device([u8; 16]),
    All,
}

impl Scope {
    fn has(self, login: &Login) -> bool {
        match self {
            Self::None => false,
            Self::Device(device) => device == login.device.0,
            Self::All => true,
        }
    }
}

/// A login that was answered.
struct Login {
    user: String,
    device: DeviceId,
    arrived: u64,
    /// When it arrived by the clock of the process that made the session.
    stamp: u64,
}

/// A block or an unblock.
struct Gate {
    block: bool,
    began: u64,
    /// Since when it is not under way any more.
    over: Option<u64>,
    is_acknowledged: bool,
}

/// A deletion that was acknowledged.
#[derive(Clone, Copy)]
struct Deletion {
    /// When it arrived, by the clock of its process: logins that arrived before lose.
    stamp: u64,
    /// Whether all that was under way with it is over.
    is_settled: bool,
    is_broken: bool,
}

/// What is known of a user.
#[derive(Default)]
struct User {
    /// Logins and ends that are under way, and whether one is a login.
    under_way: BTreeMap<u64, bool>,
    /// When the last login arrived, by the clock of its process.
    newest: u64,
    /// How many ends are under way, and until when one was: of all sessions, or of those of a device.
    ending: HashMap<Scope, (u32, u64)>,
    deletion: Option<Deletion>,
    /// The end of all sessions that arrived last by the clock of its process: when it was acknowledged, and this time. No login that
    /// arrived before is answered to a request after it.
    ended: (u64, u64),
    /// Until when a deletion was under way that was not acknowledged.
    deletion_failed: u64,
    gates: Vec<Gate>,
}

impl User {
    /// Whether the user has to be blocked or has not to be, as far as that is certain: by what was acknowledged last, if the
    /// opposite was not under way then, and was not asked for later.
    fn gate(&self) -> Option<bool> {
        let last = self.gates.iter().filter(|gate| gate.is_acknowledged).max_by_key(|gate| gate.began)?;
        let is_opposed = |gate: &Gate| gate.block != last.block && gate.over.is_none_or(|over| over >= last.began);
        (!self.gates.iter().any(is_opposed)).then_some(last.block)
    }
}

/// What is remembered of logins and ends.
#[derive(Default)]
pub(super) struct Ends {
    logins: HashMap<[u8; 16], Login>,
    users: BTreeMap<String, User>,
    /// Since when a family may not be good for anything.
    ended: HashMap<[u8; 16], u64>,
    /// Families about which a rule was broken.
    told: HashSet<[u8; 16]>,
    /// When a code first arrived, and the last time that a process's clock showed when it did.
    codes: HashMap<String, (u64, u64)>,
    last: u64,
}

impl Ends {
    /// Whether the end of a family was acknowledged before this time.
    pub(super) fn is_over(&self, family: Family, before: u64) -> bool {
        self.ended.get(&family.0).is_some_and(|ended| *ended < before)
    }

    pub(super) fn is_over_since(&mut self, family: Family, now: u64) {
        self.ended.entry(family.0).or_insert(now);
    }

    /// Whether somebody asked for the end of the token's session.
    pub(super) fn is_explained(&self, token: &RefreshToken) -> bool {
        let Some(login) = self.logins.get(&token.family.0) else { return false };
        let Some(user) = self.users.get(&login.user) else { return false };
        let ending = [Scope::All, Scope::Device(login.device.0)].map(|of| user.ending.get(&of));
        ending.into_iter().flatten().any(|(running, until)| *running > 0 || *until >= login.arrived)
    }

    /// A device that has logged in.
    pub(super) fn devices(&self, of: &str) -> Vec<DeviceId> {
        let mut devices: Vec<_> =
            self.logins.values().filter(|login| login.user == of).map(|login| login.device).collect();
        devices.sort_unstable_by_key(|device| device.0);
        devices.dedup();
        devices
    }
}

/// A login or an end, until it is answered or its process ends.
pub(super) struct UnderWay<'a> {
    world: &'a World,
    user: String,
    /// A login's.
    code: String,
    number: u64,
    arrived: u64,
    /// When it arrived first: a login may be sent again.
    began: u64,
    /// When it arrived by the clock of its process.
    stamp: u64,
    end: Option<End>,
    /// The sessions that were answered before an end arrived.
    doomed: Vec<[u8; 16]>,
    /// The gate of a login's user as it arrived, and how many blocks and unblocks had been asked for.
    gate: (Option<bool>, usize),
    is_beside_a_login: bool,
    is_acknowledged: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let now = self.world.schedule.now();
        let mut seen = self.world.seen();
        let user = seen.ends.users.entry(self.user.clone()).or_default();
        user.under_way.remove(&self.number);
        let Some(end) = &self.end else { return };
        if let Some((running, until)) = user.ending.get_mut(&self.world.scope(end)) {
            (*running, *until) = (*running - 1, now);
        }
        if end.is_deletion() && !self.is_acknowledged {
            user.deletion_failed = now;
        }
        let is_this = |gate: &&mut Gate| {
            gate.over.is_none() && gate.began == self.arrived && end.block().is_some_and(|block| block == gate.block)
        };
        if let Some(gate) = user.gates.iter_mut().find(is_this) {
            (gate.over, gate.is_acknowledged) = (Some(now), self.is_acknowledged);
        }
    }
}

impl World {
    fn scope(&self, end: &End) -> Scope {
        match end {
            End::LogOut(held) => Scope::Device(self.server.read(&held.refresh).device.0),
            End::Revoke(device) => Scope::Device(device.0),
            End::Unblock => Scope::None,
            _ => Scope::All,
        }
    }

    /// A login with this code arrives at a process whose clock shows this time.
    pub(super) fn login_arrives(&self, code: &str, stamp: u64) -> UnderWay<'_> {
        let user = code.split('-').next().unwrap_or_default();
        let now = self.schedule.now();
        let began = {
            let mut seen = self.seen();
            let (began, newest) = seen.ends.codes.entry(code.to_owned()).or_insert((now, stamp));
            *newest = stamp.max(*newest);
            *began
        };
        let mut login = self.arrives(user, (began, stamp), None);
        code.clone_into(&mut login.code);
        login
    }

    /// An end arrives at a process whose clock shows this time.
    pub(super) fn end_arrives(&self, user: &str, stamp: u64, end: &End) -> UnderWay<'_> {
        self.arrives(user, (self.schedule.now(), stamp), Some(end))
    }

    fn arrives(&self, user: &str, (began, stamp): (u64, u64), end: Option<&End>) -> UnderWay<'_> {
        let arrived = self.schedule.now();
        let scope = end.map_or(Scope::None, |end| self.scope(end));
        let family = end.and_then(|end| if let End::LogOut(held) = end { Some(&held.refresh) } else { None });
        let family = family.map(|text| self.server.read(text).family.0);
        let mut seen = self.seen();
        let ends = &mut seen.ends;
        let is_doomed = |login: &Login| login.user == user && scope.has(login);
        let all = ends.logins.iter().filter(|(_, login)| is_doomed(login)).map(|(family, _)| *family);
        let doomed = family.map_or_else(|| all.collect(), |family| vec![family]);
        ends.last += 1;
        let number = ends.last;
        let known = ends.users.entry(user.to_owned()).or_default();
        let is_beside_a_login = known.under_way.values().any(|is_login| *is_login);
        known.under_way.insert(number, end.is_none());
        match end {
            None => known.newest = known.newest.max(stamp),
            Some(end) => {
                known.ending.entry(scope).or_default().0 += 1;
                let gate = |block| Gate { block, began: arrived, over: None, is_acknowledged: false };
                known.gates.extend(end.block().map(gate));
            }
        }
        let gate = (known.gate(), known.gates.len());
        let (user, end) = (user.to_owned(), end.cloned());
        let (world, is_acknowledged) = (self, false);
        let code = String::new();
        UnderWay {
            world,
            user,
            code,
            number,
            arrived,
            began,
            stamp,
            end,
            doomed,
            gate,
            is_beside_a_login,
            is_acknowledged,
        }
    }

    /// A login was answered with a token, or that its user is blocked.
    pub(super) fn answered(&self, login: &UnderWay<'_>, token: Option<&RefreshToken>) {
        // Of a request that arrived twice, either may have made the session.
        let session = token.and_then(|token| peek(self.setup.table.read_session(&token.session())));
        let session = session.filter(|session| token.is_some_and(|token| token.family == session.family));
        let mut seen = self.seen();
        // One that the other took back when it failed arrived when that one did.
        let newest = seen.ends.codes.get(&login.code).map_or(login.stamp, |(_, newest)| *newest);
        let user = seen.ends.users.entry(login.user.clone()).or_default();
        let is_wrong = (user.gate(), user.gates.len()) == login.gate && user.gate() == Some(token.is_some());
        let Some(token) = token else {
            drop(seen);
            if is_wrong {
                self.gate_undone(&login.user, "an unblocked user is kept out");
            }
            return;
        };
        let known = Login {
            user: login.user.clone(),
            device: token.device,
            arrived: login.began,
            stamp: session.map_or(newest, |session| session.arrived_ms),
        };
        let (acknowledged, until) = user.ended;
        let had_ended = login.arrived > acknowledged && known.stamp < until;
        seen.ends.logins.entry(token.family.0).or_insert(known);
        let is_over = seen.ends.is_over(token.family, login.arrived) || had_ended;
        seen.figures.after_the_end += u64::from(is_over);
        drop(seen);
        if is_over {
            self.broke("a login was answered after its end", &super::tally::name(token));
        }
        if is_wrong {
            self.gate_undone(&login.user, "a blocked user is let in");
        }
    }

    fn gate_undone(&self, user: &str, what: &str) {
        self.seen().figures.gates_undone += 1;
        self.broke(what, user);
    }

    /// An end was acknowledged: from now on it is final.
    pub(super) fn acknowledged(self: &Arc<Self>, mut under_way: UnderWay<'_>) {
        let now = self.schedule.now();
        under_way.is_acknowledged = true;
        let (user, stamp, began) = (under_way.user.clone(), under_way.stamp, under_way.arrived);
        let Some(end) = under_way.end.clone() else { return };
        self.note(|| format!("{user} {end:?} was acknowledged, begun at {began}"));
        let scope = self.scope(&end);
        let others = {
            let mut seen = self.seen();
            for family in &under_way.doomed {
                seen.ends.is_over_since(Family(*family), now);
            }
            let known = seen.ends.users.entry(user.clone()).or_default();
            if scope == Scope::All && known.ended.1 < stamp {
                known.ended = (now, stamp);
            }
            if end.is_deletion() && known.deletion.is_none_or(|deletion| deletion.stamp < stamp) {
                known.deletion = Some(Deletion { stamp, is_settled: false, is_broken: false });
            }
            let is_beside_a_login = under_way.is_beside_a_login || known.under_way.values().any(|is_login| *is_login);
            let others: Vec<_> = known.under_way.keys().copied().filter(|other| *other != under_way.number).collect();
            let figures = &mut seen.figures;
            figures.ends += 1;
            figures.deletions += u64::from(end.is_deletion());
            figures.blocks += u64::from(end.block().is_some());
            figures.beside_a_login += u64::from(is_beside_a_login);
            others
        };
        drop(under_way);
        self.look(&user);
        let world = self.clone();
        self.schedule.spawn(async move {
            let soon = world.schedule.random(|random| random.below(LATE));
            world.schedule.sleep(soon).await;
            world.look(&user);
            while world.are_under_way(&user, &others) {
                world.schedule.sleep(1_000).await;
            }
            world.schedule.sleep(LATE + 1_000).await;
            world.settled(&user, &end, (began, now), stamp);
            world.look(&user);
        });
    }

    fn are_under_way(&self, user: &str, numbers: &[u64]) -> bool {
        let seen = self.seen();
        let under_way = seen.ends.users.get(user).map(|user| &user.under_way);
        under_way.is_some_and(|under_way| numbers.iter().any(|number| under_way.contains_key(number)))
    }

    /// All that was under way when an end was acknowledged is over: logins that it had to see are over, too.
    fn settled(&self, user: &str, end: &End, (began, acknowledged): (u64, u64), stamp: u64) {
        let now = self.schedule.now();
        let mut seen = self.seen();
        let ends = &mut seen.ends;
        let Some(known) = ends.users.get_mut(user) else { return };
        if let Some(deletion) = known.deletion.as_mut().filter(|deletion| deletion.stamp == stamp) {
            deletion.is_settled = true;
        }
        let is_unblocked = known.gates.iter().any(|gate| !gate.block && gate.over.is_none_or(|over| over >= began));
        let is_refused = |login: &Login| {
            login.user == user
                && match end {
                    End::LogOut(_) | End::Revoke(_) | End::Unblock => false,
                    End::Block if !is_unblocked && login.arrived < acknowledged => true,
                    _ => login.stamp < stamp,
                }
        };
        for (family, _) in ends.logins.iter().filter(|(_, login)| is_refused(login)) {
            ends.ended.entry(*family).or_insert(now);
        }
    }

    /// Looks whether what is stored about a user may be.
    pub(super) fn look(&self, user: &str) {
        let at =
            UserRef { appid: AppId::parse(APPID).expect("an appid"), openid: OpenId::parse(user).expect("an openid") };
        let UserItems { user: item, sessions } = peek(self.setup.table.list_user_items(&at));
        let attributes = self.setup.table.user_item(&at).unwrap_or_default();
        let (is_known, has_ttl) = (attributes.contains_key("first_login"), attributes.contains_key("ttl"));
        let is_blocked = item.is_some_and(|item| item.blocked_at.is_some());
        let mut broken = Vec::new();
        {
            let mut seen = self.seen();
            let seen = &mut *seen;
            let Some(known) = seen.ends.users.get_mut(user) else { return };
            for Session { family, device, .. } in &sessions {
                if seen.ends.ended.contains_key(&family.0) {
                    if seen.ends.told.insert(family.0) {
                        seen.figures.alive_after_the_end += 1;
                        broken
                            .push(format!("a session is alive after its end: {:02x}{:02x}", family.0[0], family.0[1]));
                    }
                    continue;
                }
                let Some(login) = seen.ends.logins.get(&family.0) else { continue };
                let is_deleted = known.ending.get(&Scope::All).is_some_and(|(running, _)| *running > 0)
                    || login.arrived <= known.deletion_failed + LATE;
                let was_settled = known.deletion.is_none_or(|deletion| deletion.is_settled);
                if !is_deleted && was_settled && (!is_known || has_ttl) && seen.ends.told.insert(family.0) {
                    seen.figures.without_a_user += 1;
                    let item: Vec<_> = attributes.keys().collect();
                    broken.push(format!("a session of {device:?} without a user, or with one that is swept: {item:?}"));
                }
            }
            if let Some(deletion) = known.deletion.as_mut().filter(|deletion| deletion.is_settled) {
                let is_back = known.newest >= deletion.stamp;
                let is_bare = attributes.keys().all(|name| BARE.contains(&name.as_str()));
                let stays = !attributes.is_empty() && !has_ttl && !is_blocked;
                let is_left = !is_bare || stays;
                // Where a process may die or the table fail, a session may stay whose tokens nobody has.
                let Network { crashes, table_fails, .. } = self.setup.network;
                let has_session = !sessions.is_empty() && crashes + table_fails == 0;
                if !is_back && (is_left || has_session) && !deletion.is_broken {
                    deletion.is_broken = true;
                    seen.figures.without_a_user += u64::from(has_session);
                    seen.figures.left_of_a_user += u64::from(is_left);
                    let item: Vec<_> = attributes.keys().collect();
                    broken.push(format!("{} sessions and {item:?} are left of a deleted user", sessions.len()));
                }
            }
            if known.gate().is_some_and(|block| block != is_blocked) {
                seen.figures.gates_undone += 1;
                broken.push(format!("blocked is {is_blocked}"));
                known.gates.clear();
            }
        }
        for rule in broken {
            self.broke(&rule, user);
        }
    }

    /// The end of the world: what was final is as it was.
    pub(super) fn look_at_all(&self) {
        let users: Vec<_> = self.seen().ends.users.keys().cloned().collect();
        for user in users {
            self.look(&user);
        }
    }
}

/// What the table tells at once: the one of the setup has a sure way, on which a request waits for one poll.
pub(super) fn peek<T>(asked: impl Future<Output = Result<T, StoreError>> + Unpin) -> T {
    let mut asked = asked;
    let told = (0..4).find_map(|_| (&mut asked).now_or_never());
    told.expect("an answer").expect("a table that does not fail")
}

/// What may stay of a deleted user: a count, a block, and marks.
const BARE: [&str; 7] = ["tries", "tries_from", "blocked_at", "block_ms", "deleted_ms", "logins_after_ms", "ttl"];
