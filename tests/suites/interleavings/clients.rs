//! Those who hold tokens: the shipped client's rules, and a careless client.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use refresh::flow::RefreshError;

use super::{
    Habit, Network, World,
    ends::End,
    owner,
    server::{Ask, Held, Response},
    thief,
};

/// How long the shipped client waits for an answer to a refresh, and to a login.
pub(super) const PATIENCE: u64 = 10_000;
const LOGIN_PATIENCE: u64 = 15_000;

pub(super) const MINUTE: u64 = 60_000;

/// A mailbox for the answer to a request.
type Slot = Arc<Mutex<Option<Response>>>;

/// What a device keeps in its storage.
#[derive(Clone, Default)]
pub(super) struct Storage(Arc<Mutex<Option<Held>>>);

impl Storage {
    pub(super) fn held(&self) -> Option<Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, held: Option<Held>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    fn holds(&self, refresh: &str) -> bool {
        self.held().is_some_and(|held| held.refresh == refresh)
    }
}

/// Sends a request over the network, and waits so long for an answer.
async fn ask(world: &Arc<World>, ask: &Ask, patience: u64) -> Option<Response> {
    let slot = Slot::default();
    send(world, ask, Some(&slot));
    let taken = || slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    world.schedule.until(patience, taken).await
}

/// Sends a request; its answer goes into the slot, if somebody waits for it.
fn send(world: &Arc<World>, ask: &Ask, slot: Option<&Slot>) {
    // The owner's requests and WeChat's do not come over a phone's network.
    let network = if ask.is_of_a_client() { world.setup.network } else { Network::SURE };
    let client = world.schedule.current();
    let copies = 1 + u32::from(world.schedule.random(|random| random.chance(network.duplicated)));
    for _ in 0..copies {
        let (lost, delay) =
            world.schedule.random(|random| (random.chance(network.requests_lost), network.delay(random)));
        if lost {
            continue;
        }
        let (world, ask, slot) = (world.clone(), ask.clone(), slot.cloned());
        world.clone().schedule.spawn(async move {
            world.schedule.sleep(delay).await;
            let answer = world.serve(&ask).await;
            let (lost, delay) =
                world.schedule.random(|random| (random.chance(network.answers_lost), network.delay(random)));
            if lost {
                return;
            }
            world.schedule.sleep(delay).await;
            if let Some(slot) = slot {
                slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(answer);
                world.schedule.wake(client);
            }
        });
    }
}

/// At most three tries, with a pause of 0.5 s and of 1.5 s, half more or less; `None` if none was answered.
pub(super) async fn insist(world: &Arc<World>, request: &Ask, patience: u64) -> Option<Response> {
    for pause in [500, 1_500, 0] {
        match ask(world, request, patience).await {
            Some(Response::Retry) | None => {}
            answer => return answer,
        }
        let jitter = world.schedule.random(|random| random.below(pause + 1));
        world.schedule.sleep(pause / 2 + jitter).await;
    }
    None
}

/// A device of a user, as its client sees it.
struct Device {
    world: Arc<World>,
    user: String,
    storage: Storage,
    id: Option<String>,
}

impl Device {
    fn random(&self, below: u64) -> u64 {
        self.world.schedule.random(|random| random.below(below))
    }

    async fn pause(&self, least: u64, most: u64) {
        self.world.schedule.sleep(least + self.random(most - least + 1)).await;
    }

    /// `wx.login` and a login with its code, until one succeeds; between them as long as the habit has it.
    async fn log_in(&mut self) {
        loop {
            let (code, key) = (self.random(u64::MAX), self.random(u64::MAX));
            let (code, key) = (format!("{}-{code:x}", self.user), format!("{key:032x}"));
            let request = Ask::Login { code, key, device: self.id.clone() };
            if self.world.setup.owner && self.random(4) == 0 {
                self.world.schedule.spawn(owner::interfere(self.world.clone(), self.user.clone()));
            }
            match insist(&self.world, &request, LOGIN_PATIENCE).await {
                Some(Response::Tokens(held)) => {
                    self.id = held.device.clone().or(self.id.take());
                    self.storage.put(Some(held));
                    return;
                }
                Some(Response::Relogin(_)) => self.world.seen().figures.logins_refused += 1,
                Some(Response::Blocked) => self.pause(MINUTE, 10 * MINUTE).await,
                _ => {}
            }
            self.come_back().await;
        }
    }

    /// When the client tries again that had no answer.
    async fn come_back(&self) {
        match self.world.setup.habit {
            Habit::ComesAndGoes => self.pause(3_000, 120 * MINUTE).await,
            Habit::KeptOpen | Habit::Careless | Habit::Patient => self.pause(10, 200).await,
        }
    }

    /// One refresh, as the shipped client does it.
    async fn refresh(&mut self, held: Held) {
        self.world.sends(&held.refresh);
        let asked = insist(&self.world, &Ask::Refresh(held.refresh.clone()), PATIENCE).await;
        if !self.storage.holds(&held.refresh) {
            return;
        }
        match asked {
            Some(Response::Tokens(new)) => self.storage.put(Some(new)),
            Some(Response::Relogin(error)) => {
                self.kicked(&held, error.as_ref());
                self.log_in().await;
            }
            _ => self.come_back().await,
        }
    }

    fn kicked(&self, held: &Held, error: Option<&RefreshError>) {
        self.storage.put(None);
        if let Some(error) = error {
            let token = &self.world.server.read(&held.refresh);
            self.world.note(|| format!("{} must log in again: {error}", self.user));
            self.world.must_log_in(token, error);
        }
    }

    /// Up to five at once, each with all its tries; the last answer wins.
    async fn refresh_carelessly(&mut self, held: Held) {
        let one = async |pause: u64| {
            self.world.schedule.sleep(pause).await;
            let token = self.storage.held().map_or_else(|| held.refresh.clone(), |held| held.refresh);
            match insist(&self.world, &Ask::Refresh(token), PATIENCE).await {
                Some(Response::Tokens(new)) => self.storage.put(Some(new)),
                Some(Response::Relogin(error)) => return error,
                _ => {}
            }
            None
        };
        let pauses: Vec<_> = (0..=self.random(5)).map(|_| self.random(1_000)).collect();
        let refused = join_all(pauses.into_iter().map(one)).await.into_iter().flatten().next();
        if let Some(error) = refused {
            self.kicked(&held, Some(&error));
            self.log_in().await;
        }
    }

    /// One request, for which a minute is waited.
    async fn refresh_patiently(&mut self, held: Held) {
        match ask(&self.world, &Ask::Refresh(held.refresh.clone()), MINUTE).await {
            Some(Response::Tokens(new)) => self.storage.put(Some(new)),
            Some(Response::Relogin(error)) => {
                self.kicked(&held, error.as_ref());
                self.log_in().await;
            }
            _ => self.pause(10, 200).await,
        }
    }

    /// Forgets at once and then tells the server, half the time in parallel to a refresh.
    async fn leave(&mut self, held: Held, end: fn(Held) -> End) {
        if self.random(2) == 0 {
            send(&self.world, &Ask::Refresh(held.refresh.clone()), None);
            self.pause(0, 400).await;
        }
        self.storage.put(None);
        if self.ends(&held, end).await {
            // Whoever still has a copy finds it useless, also when the device has logged in again.
            for least in [0, MINUTE, 10 * MINUTE, 30 * MINUTE, 60 * MINUTE] {
                let (world, ask) = (self.world.clone(), Ask::Refresh(held.refresh.clone()));
                let later = least + self.random(60 * MINUTE) * u64::from(least > 0);
                self.world.schedule.spawn(async move {
                    world.schedule.sleep(later).await;
                    send(&world, &ask, None);
                });
            }
        }
        self.pause(10, 10 * MINUTE).await;
    }

    /// Whether the end was acknowledged; where the access token has expired, after a refresh.
    async fn ends(&self, held: &Held, end: fn(Held) -> End) -> bool {
        let mut held = held.clone();
        for _ in 0..2 {
            let request = Ask::End(self.user.clone(), end(held.clone()));
            match insist(&self.world, &request, PATIENCE).await {
                Some(Response::Done) => return true,
                Some(Response::Expired) => {}
                _ => return false,
            }
            match insist(&self.world, &Ask::Refresh(held.refresh), PATIENCE).await {
                Some(Response::Tokens(new)) => held = new,
                _ => return false,
            }
        }
        false
    }

    /// How the user leaves, if now.
    fn leaves(&self) -> Option<fn(Held) -> End> {
        if self.world.setup.habit != Habit::ComesAndGoes {
            return None;
        }
        match self.random(120) {
            0..3 => Some(End::LogOut),
            3 => Some(End::LogOutAll),
            4..6 => Some(End::DeleteUser),
            _ => None,
        }
    }

    async fn live(mut self) {
        self.pause(0, 10 * MINUTE).await;
        loop {
            let Some(held) = self.storage.held() else {
                self.log_in().await;
                self.world.until_it_runs_out().await;
                continue;
            };
            if let Some(end) = self.leaves() {
                self.leave(held, end).await;
                continue;
            }
            match self.world.setup.habit {
                Habit::Careless => self.refresh_carelessly(held.clone()).await,
                Habit::Patient => self.refresh_patiently(held.clone()).await,
                Habit::KeptOpen | Habit::ComesAndGoes => self.refresh(held.clone()).await,
            }
            if !self.storage.holds(&held.refresh) {
                self.next_need().await;
            }
        }
    }

    async fn next_need(&self) {
        match self.world.setup.habit {
            Habit::ComesAndGoes => self.pause(MINUTE, 60 * MINUTE).await,
            Habit::KeptOpen | Habit::Careless | Habit::Patient => self.world.until_it_runs_out().await,
        }
    }
}

impl World {
    /// Until less than a minute of the access token is left.
    pub(super) async fn until_it_runs_out(&self) {
        let lasts = self.setup.policy.access.saturating_sub(60) * 1_000;
        let pause = lasts + self.schedule.random(|random| random.below(MINUTE + 1));
        self.schedule.sleep(pause).await;
    }
}

/// Gives every user their devices, and every thief a prey.
pub(super) fn settle(world: &Arc<World>) {
    for user in 0..world.setup.users {
        if world.setup.owner {
            world.schedule.spawn(owner::govern(world.clone(), format!("o{user}")));
        }
        for _ in 0..world.setup.devices {
            let storage = Storage::default();
            let device = Device { world: world.clone(), user: format!("o{user}"), storage: storage.clone(), id: None };
            world.schedule.spawn(device.live());
            if let Some(thief) = world.setup.thief {
                world.schedule.spawn(thief::steal(world.clone(), storage, thief));
            }
        }
    }
}
