//! One thread, a time of its own, and tasks that take turns as the seed says.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    future::{pending, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::seeded::Seeded;

pub(super) type Task = u64;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long a repeated login waits between its looks, about: it does so by tokio's clock.
const LOOK: u64 = 300;

pub(super) struct Schedule(Mutex<State>);

struct State {
    now: u64,
    random: Seeded,
    /// When whose turn is, and a random number that decides between those of the same instant.
    turns: BinaryHeap<Reverse<(u64, u64, Task)>>,
    /// How many turns a task waits for.
    waiting: HashMap<Task, u32>,
    born: Vec<(Task, Running)>,
    last: Task,
    current: Task,
    killed: bool,
}

impl State {
    fn turn(&mut self, at: u64, task: Task) {
        let tie = self.random.number();
        self.turns.push(Reverse((at, tie, task)));
        *self.waiting.entry(task).or_insert(0) += 1;
    }
}

impl Schedule {
    pub(super) fn new(random: Seeded) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            now: 0,
            random,
            turns: BinaryHeap::new(),
            waiting: HashMap::new(),
            born: Vec::new(),
            last: 0,
            current: 0,
            killed: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the world began.
    pub(super) fn now(&self) -> u64 {
        self.state().now
    }

    /// Draws from the random numbers of the seed.
    pub(super) fn random<T>(&self, ask: impl FnOnce(&mut Seeded) -> T) -> T {
        ask(&mut self.state().random)
    }

    /// Begins a task.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state();
        state.last += 1;
        let (now, number) = (state.now, state.last);
        state.born.push((number, Box::pin(task)));
        state.turn(now, number);
    }

    pub(super) fn current(&self) -> Task {
        self.state().current
    }

    /// Gives a task a turn now.
    pub(super) fn wake(&self, task: Task) {
        let mut state = self.state();
        let now = state.now;
        state.turn(now, task);
    }

    /// Ends the running task at this point.
    pub(super) async fn kill(&self) {
        self.state().killed = true;
        pending::<()>().await;
    }

    pub(super) async fn sleep(&self, span: u64) {
        self.until(span, || None::<()>).await;
    }

    /// Waits for something, so many milliseconds; whoever brings it wakes the task.
    pub(super) async fn until<T>(&self, span: u64, mut there: impl FnMut() -> Option<T>) -> Option<T> {
        let end = {
            let mut state = self.state();
            let (end, task) = (state.now + span, state.current);
            state.turn(end, task);
            end
        };
        poll_fn(|_| match there() {
            Some(there) => Poll::Ready(Some(there)),
            None if self.now() >= end => Poll::Ready(None),
            None => Poll::Pending,
        })
        .await
    }

    /// Lets all tasks run until this time.
    pub(super) async fn run(&self, end: u64) {
        let mut tasks: HashMap<Task, Running> = HashMap::new();
        let mut by_tokio = HashSet::new();
        loop {
            let task = {
                let mut state = self.state();
                tasks.extend(state.born.drain(..));
                let Some(Reverse((at, _, task))) = state.turns.pop() else { return };
                if at > end {
                    return;
                }
                (state.now, state.current, state.killed) = (at, task, false);
                // A task that has ended may still have turns.
                state.waiting.entry(task).and_modify(|turns| *turns = turns.saturating_sub(1));
                task
            };
            let Some(mut running) = tasks.remove(&task) else { continue };
            let mut polled = running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if polled.is_pending() && self.is_stuck(task) && by_tokio.remove(&task) {
                polled = poll_fn(|context| match running.as_mut().poll(context) {
                    Poll::Pending if self.is_stuck(task) => Poll::Pending,
                    polled => Poll::Ready(polled),
                })
                .await;
            } else if polled.is_pending() && self.is_stuck(task) {
                by_tokio.insert(task);
                let mut state = self.state();
                let at = state.now + LOOK;
                state.turn(at, task);
            }
            if polled.is_pending() && !self.state().killed {
                tasks.insert(task, running);
            } else {
                self.state().waiting.remove(&task);
            }
        }
    }

    /// Whether the task waits for nothing of ours.
    fn is_stuck(&self, task: Task) -> bool {
        let state = self.state();
        !state.killed && state.waiting.get(&task).is_none_or(|turns| *turns == 0)
    }
}
