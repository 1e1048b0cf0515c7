//! The control routes, the page, and the life of the process.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Wire;

#[tokio::test]
async fn calls_are_counted_with_the_faulted_ones() {
    let wire = Wire::start().await;
    wire.fault("jscode2session", json!({ "kind": "empty" }), false).await;
    wire.exchange("a").await;
    wire.exchange("b").await;
    wire.token().await;

    let calls = wire.send("GET", "/sim/calls", "").await.json();

    assert_eq!(calls["calls"]["jscode2session"], 2);
    assert_eq!(calls["calls"]["stable_token"], 1);
    assert_eq!(calls["calls"]["getuserphonenumber"], 0);
    assert_eq!(wire.simulator.calls("jscode2session"), 2);
}

#[tokio::test]
async fn a_restart_keeps_the_openid() {
    let (before, after) = (Wire::start().await, Wire::start().await);
    let openid = before.openid("ada").await;

    let code = after.simulator.login("ada");
    assert_eq!(after.exchange(&code).await.text("openid"), openid);

    // A key from before the restart is a wrong key of a right user.
    let bob = before.openid("bob").await;
    let token = after.token().await;
    assert_eq!(after.check("checksession", &token, &bob, "AAAAAAAAAAAAAAAAAAAAAA==").await.errcode(), 87009);
}

#[tokio::test]
async fn control_errors_and_the_page_say_what_to_do() {
    let wire = Wire::start().await;

    let unknown = wire.send("POST", "/sim/nope", "{}").await;
    let bad = wire.send("POST", "/sim/login", "{}").await;
    let page = wire.send("GET", "/", "").await;

    assert_eq!((unknown.status, bad.status), (404, 400));
    assert!(bad.text("error").contains("user"));
    assert!(page.body.contains("curl http://sim/sim/login") && page.body.contains("curl http://sim/sim/push"));
    assert_eq!(wire.send("GET", "/sim/", "").await.body, page.body);
}

#[tokio::test]
async fn shutdown_ends_silent_connections_too() {
    let wire = Wire::start().await;
    wire.fault("*", json!({ "kind": "silence" }), false).await;
    let mut stream = TcpStream::connect(wire.address).await.unwrap();
    stream.write_all(b"GET /cgi-bin/token HTTP/1.1\r\nHost: sim\r\n\r\n").await.unwrap();
    while wire.simulator.calls("token") == 0 {
        tokio::task::yield_now().await;
    }

    wire.stop.send(()).unwrap();

    wire.running.await.unwrap();
    assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
}
