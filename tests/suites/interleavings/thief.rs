//! Somebody with a copy of a device's tokens.

use std::sync::Arc;

use super::{
    Thief, World,
    clients::{MINUTE, PATIENCE, Storage, insist},
    server::{Ask, Held, Response},
};

/// How often a thief who watches looks.
const LOOK: u64 = 20_000;

/// Copies what a device holds, one to three hours after the beginning, and uses it as long as it is good.
pub(super) async fn steal(world: Arc<World>, storage: Storage, thief: Thief) {
    let wait = world.schedule.random(|random| 60 * MINUTE + random.below(120 * MINUTE));
    world.schedule.sleep(wait).await;
    let is_in_step = matches!(thief, Thief::InStep | Thief::Watching);
    let before = storage.held().map(|held| held.refresh);
    let mut held = loop {
        world.schedule.sleep(1_000).await;
        match storage.held() {
            Some(held) if !is_in_step || Some(&held.refresh) != before.as_ref() => break held,
            _ => {}
        }
    };
    if is_in_step {
        until_the_next(&world, &held, thief).await;
    }
    let (family, now) = (world.server.read(&held.refresh).family.0, world.schedule.now());
    {
        let mut seen = world.seen();
        seen.figures.thefts += 1;
        seen.stolen.insert(family, now);
    }
    world.note(|| "the thief begins".to_owned());
    loop {
        match insist(&world, &Ask::Refresh(held.refresh.clone()), PATIENCE).await {
            Some(Response::Tokens(new)) => held = new,
            Some(Response::Relogin(_)) => return,
            _ => continue,
        }
        until_the_next(&world, &held, thief).await;
    }
}

/// Until he refreshes again.
async fn until_the_next(world: &Arc<World>, held: &Held, thief: Thief) {
    match thief {
        Thief::AtAnyTime | Thief::InStep => world.until_it_runs_out().await,
        Thief::AtWill => {
            let longest = (world.setup.policy.access * 1_000).saturating_sub(MINUTE);
            let pause = MINUTE + world.schedule.random(|random| random.below(longest + 1));
            world.schedule.sleep(pause).await;
        }
        Thief::Watching => {
            // As long as his access token lets him look.
            let ends = world.schedule.now() + world.setup.policy.access.saturating_sub(5) * 1_000;
            let mut last = None;
            while world.schedule.now() < ends {
                if let Some(Response::Seen(seen)) = insist(world, &Ask::Look(held.clone()), PATIENCE).await {
                    if last.as_ref().is_some_and(|last| *last != seen) {
                        return;
                    }
                    last = Some(seen);
                }
                world.schedule.sleep(LOOK).await;
            }
        }
    }
}
