//! The owner and WeChat, who end sessions and users from outside, most often while somebody logs in.

use std::sync::Arc;

use super::{
    World,
    clients::insist,
    ends::End,
    server::{Ask, Response},
};

const MINUTE: u64 = 60_000;

/// How long the owner waits for an answer.
const PATIENCE: u64 = 10_000;

/// Now and then something is done with a user.
pub(super) async fn govern(world: Arc<World>, user: String) {
    loop {
        let pause = world.schedule.random(|random| random.below(480 * MINUTE));
        world.schedule.sleep(pause).await;
        act(&world, &user).await;
    }
}

/// While somebody logs in.
pub(super) async fn interfere(world: Arc<World>, user: String) {
    let pause = world.schedule.random(|random| random.below(500));
    world.schedule.sleep(pause).await;
    act(&world, &user).await;
}

async fn act(world: &Arc<World>, user: &str) {
    let end = match world.schedule.random(|random| random.below(12)) {
        0..4 => End::Delete,
        4..6 => End::Cancellation,
        6..8 => End::RevokeAll,
        8 => {
            let devices = world.seen().ends.devices(user);
            if devices.is_empty() {
                return;
            }
            End::Revoke(devices[world.schedule.random(|random| random.index(devices.len()))])
        }
        _ => return keep_out(world, user).await,
    };
    invoke(world, user, end).await;
}

/// Blocks a user for a while.
async fn keep_out(world: &Arc<World>, user: &str) {
    invoke(world, user, End::Block).await;
    let pause = world.schedule.random(|random| {
        let most = if random.one_in(2) { 15_000 } else { 10 * MINUTE };
        random.below(most)
    });
    world.schedule.sleep(pause).await;
    while !invoke(world, user, End::Unblock).await {}
}

/// Whether it was acknowledged.
async fn invoke(world: &Arc<World>, user: &str, end: End) -> bool {
    let request = Ask::End(user.to_owned(), end);
    matches!(insist(world, &request, PATIENCE).await, Some(Response::Done))
}
