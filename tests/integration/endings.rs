//! An end that was acknowledged is final: a write that the network kept, and that arrives once more, brings nothing back.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use serde_json::{Value, json};
use shared::{
    clock::Clock as _,
    ids::{AppId, DeviceId, OpenId, UserRef},
};
use tests::{
    APPID, Item, Items, KEY, Laptop, Tokens,
    wire::{self, Duplicate, Waiting},
};

/// Logs in, and gives the tokens and the copies that the network kept of these requests.
async fn log_in_and_copy(laptop: &mut Laptop, body: &Value, is: fn(&Waiting) -> bool) -> (Tokens, Vec<Duplicate>) {
    let (beside, mut wire) = wire::beside(laptop).await;
    let mut copies = Vec::new();
    let login = wire.step(beside.login_with_key(KEY, body), async |waiting| {
        if is(&waiting) {
            copies.push(waiting.pass_and_copy().await);
        } else {
            waiting.pass().await;
        }
    });
    let tokens = Tokens::of(&Box::pin(login).await);
    assert!(!copies.is_empty(), "the login sent none");
    (tokens, copies)
}

async fn arrive(copies: Vec<Duplicate>) {
    for copy in copies {
        copy.arrive().await;
    }
}

async fn is_over(laptop: &Laptop, user: &Tokens) {
    laptop.refresh(&user.refresh).await.is_problem(400, "login_required", "relogin");
    laptop.get(&user.access, "/v1/session").await.is_problem(401, "token_invalid", "refresh");
}

fn body(laptop: &Laptop) -> Value {
    json!({ "code": laptop.code("alice") })
}

/// What is stored under the user's key.
fn of_user(items: Items, user: &Tokens) -> Items {
    items.into_iter().filter(|((pk, _), _)| *pk == format!("{APPID}#{}", user.openid)).collect()
}

/// What no TTL removes.
async fn what_stays(laptop: &Laptop, user: &Tokens) -> Items {
    let mut items = of_user(laptop.items().await, user);
    items.retain(|_, item| !item.contains_key("ttl"));
    items
}

#[tokio::test]
async fn a_session_that_is_put_again_after_its_logout_stays_over() {
    let mut laptop = Laptop::start().await;
    let login = body(&laptop);
    let (alice, copies) = log_in_and_copy(&mut laptop, &login, |waiting| waiting.puts("session#")).await;
    assert_eq!(laptop.delete(&alice.access, "/v1/session").await.status, 204);

    arrive(copies).await;

    is_over(&laptop, &alice).await;
    laptop.login_with_key(KEY, &login).await.is_problem(400, "code_used", "relogin");
}

#[tokio::test]
async fn a_session_that_is_put_again_after_all_were_logged_out_stays_over() {
    let mut laptop = Laptop::start().await;
    let login = body(&laptop);
    let (alice, copies) = log_in_and_copy(&mut laptop, &login, |waiting| waiting.puts("session#")).await;
    let other = laptop.login("alice").await;
    assert_eq!(laptop.delete(&other.access, "/v1/sessions").await.status, 204);

    arrive(copies).await;

    is_over(&laptop, &alice).await;
}

/// As a process leaves it whose clock is fast, and which died before it stored the user.
#[tokio::test]
async fn a_session_without_a_user_goes_with_the_user_though_it_arrived_later_by_its_clock() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    let items = of_user(laptop.items().await, &alice);
    let (_, mut session) = items.into_iter().find(|((_, sk), _)| sk.starts_with("session#")).unwrap();
    let user = UserRef { appid: AppId::parse(APPID).unwrap(), openid: OpenId::parse(&alice.openid).unwrap() };
    let device = DeviceId([7; 16]);
    session.insert("sk".to_owned(), AttributeValue::S(format!("session#{}", user.sid(device).encode())));
    session.insert("device".to_owned(), AttributeValue::B(Blob::new(device.0)));
    session.insert("arrived_ms".to_owned(), AttributeValue::N(((laptop.clock.now() + 5) * 1_000).to_string()));
    client.put_item().table_name(table).set_item(Some(session)).send().await.unwrap();

    assert_eq!(laptop.delete(&alice.access, "/v1/user").await.status, 204);

    assert_eq!(of_user(laptop.items().await, &alice), Items::default());
}

#[tokio::test]
async fn a_session_that_is_put_again_after_its_reuse_stays_over() {
    let mut laptop = Laptop::start().await;
    let login = body(&laptop);
    let (alice, copies) = log_in_and_copy(&mut laptop, &login, |waiting| waiting.puts("session#")).await;
    laptop.clock.advance(400);
    laptop.refresh(&alice.refresh).await.ok();
    laptop.clock.advance(100);
    laptop.refresh(&alice.refresh).await.is_problem(400, "token_reused", "relogin");

    arrive(copies).await;

    is_over(&laptop, &alice).await;
}

#[tokio::test]
async fn a_user_who_is_written_again_after_the_deletion_stays_deleted() {
    let mut laptop = Laptop::start().await;
    let login = body(&laptop);
    let (alice, copies) = log_in_and_copy(&mut laptop, &login, |waiting| waiting.sets("current_key")).await;
    assert_eq!(laptop.delete(&alice.access, "/v1/user").await.status, 204);

    arrive(copies).await;

    assert_eq!(what_stays(&laptop, &alice).await, Items::new());
    is_over(&laptop, &alice).await;
    laptop.clock.advance(1);
    let again = laptop.post("/v1/login", &body(&laptop)).await.ok();
    assert_eq!(again["new_user"], true);
}

#[tokio::test]
async fn a_session_that_is_put_again_after_the_deletion_of_its_user_stays_over() {
    let mut laptop = Laptop::start().await;
    let login = body(&laptop);
    let (alice, copies) = log_in_and_copy(&mut laptop, &login, |waiting| waiting.puts("session#")).await;
    assert_eq!(laptop.owner("delete", &alice.openid).await["deleted"], true);

    arrive(copies).await;

    assert_eq!(what_stays(&laptop, &alice).await, Items::new());
    is_over(&laptop, &alice).await;
}

/// The other one has left its mark on another process, which then died.
#[tokio::test]
async fn a_deletion_that_another_one_overtakes_leaves_no_name_of_a_record() {
    let mut laptop = Laptop::start().await;
    let alice = Tokens::of(&laptop.login_with_key(KEY, &body(&laptop)).await);
    let (client, table) = laptop.dynamodb();
    let key = [("pk", format!("{APPID}#{}", alice.openid)), ("sk", "user".to_owned())];
    let key: Item = key.map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).into();
    let overtake = client.update_item().table_name(&table).set_key(Some(key.clone()));
    let overtake = overtake
        .update_expression("SET deleted_ms = deleted_ms + :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    let (beside, mut wire) = wire::beside(&mut laptop).await;

    let delete = wire.step(beside.delete(&alice.access, "/v1/user"), async |waiting| {
        let is_mark = waiting.sets("deleted_ms");
        waiting.pass().await;
        if is_mark {
            overtake.clone().send().await.unwrap();
        }
    });
    assert_eq!(Box::pin(delete).await.status, 204);

    let item = client.get_item().table_name(table).set_key(Some(key)).send().await.unwrap().item.unwrap();
    let mut names: Vec<_> = item.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["deleted_ms", "pk", "sk", "ttl"]);
}

#[tokio::test]
async fn a_session_that_is_put_again_after_a_block_stays_over() {
    let mut laptop = Laptop::start().await;
    let login = body(&laptop);
    let (alice, copies) = log_in_and_copy(&mut laptop, &login, |waiting| waiting.puts("session#")).await;
    laptop.owner("block", &alice.openid).await;

    arrive(copies).await;

    is_over(&laptop, &alice).await;
    let login = laptop.post("/v1/login", &body(&laptop)).await;
    login.is_problem(403, "user_blocked", "stop");
}

#[tokio::test]
async fn a_record_that_is_put_again_after_the_deletion_opens_nothing() {
    let mut laptop = Laptop::start().await;
    let login = body(&laptop);
    let (alice, copies) = log_in_and_copy(&mut laptop, &login, |waiting| waiting.puts("code")).await;
    assert_eq!(laptop.delete(&alice.access, "/v1/user").await.status, 204);

    arrive(copies).await;

    let items = laptop.items().await;
    let sealed: Vec<_> = items.iter().filter(|(_, item)| item.contains_key("sealed")).collect();
    assert!(sealed.is_empty(), "it holds who the user was: {sealed:?}");
    laptop.login_with_key(KEY, &login).await.is_problem(400, "code_used", "relogin");
}

/// A write of an end may be the late one, too: it must not end what came after it.
#[tokio::test]
async fn the_writes_of_an_end_that_arrive_again_leave_the_next_login_alone() {
    for end in ["/v1/session", "/v1/sessions", "/v1/user"] {
        let mut laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let (beside, mut wire) = wire::beside(&mut laptop).await;
        let mut copies = Vec::new();
        let deleted = wire.step(beside.delete(&alice.access, end), async |waiting| {
            copies.push(waiting.pass_and_copy().await);
        });
        assert_eq!(Box::pin(deleted).await.status, 204);
        laptop.clock.advance(1);
        let again = laptop.login_with(&json!({ "code": laptop.code("alice"), "device": alice.device })).await;

        arrive(copies).await;

        laptop.get(&again.access, "/v1/session").await.ok();
        laptop.refresh(&again.refresh).await.ok();
        let user = of_user(laptop.items().await, &again).remove(&(format!("{APPID}#{}", again.openid), "user".into()));
        let user = user.unwrap_or_default();
        assert!(user.contains_key("first_login") && !user.contains_key("ttl"), "{end}: {user:?}");
    }
}

#[tokio::test]
async fn a_block_that_is_written_again_after_the_unblock_keeps_nobody_out() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let mut copies = Vec::new();
    let block = wire.step(beside.owner("block", &alice.openid), async |waiting| {
        copies.push(waiting.pass_and_copy().await);
    });
    Box::pin(block).await;
    laptop.clock.advance(1);
    assert_eq!(laptop.owner("unblock", &alice.openid).await["unblocked"], true);

    arrive(copies).await;

    laptop.login("alice").await;
}

#[tokio::test]
async fn an_unblock_that_is_written_again_after_a_new_block_lets_nobody_in() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    laptop.owner("block", &alice.openid).await;
    laptop.clock.advance(1);
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let mut copies = Vec::new();
    let unblock = wire.step(beside.owner("unblock", &alice.openid), async |waiting| {
        copies.push(waiting.pass_and_copy().await);
    });
    Box::pin(unblock).await;
    laptop.clock.advance(1);
    laptop.owner("block", &alice.openid).await;

    arrive(copies).await;

    let login = laptop.post("/v1/login", &body(&laptop)).await;
    login.is_problem(403, "user_blocked", "stop");
}
