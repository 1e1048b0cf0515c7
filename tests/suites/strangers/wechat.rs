//! A WeChat that does what the text of a code says, on the wire: each errcode, and everything that a server or a gateway in
//! front of it may do to a request.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Every way in which a code may fare. A code is `{way}-{anything}`.
pub const WAYS: [&str; 28] = [
    "good", "e40029", "e40163", "e40226", "e45009", "e45011", "e40013", "e40125", "e40164", "e41008", "e48001",
    "e50007", "e99999", "e1", "busy", "reset", "cut", "silent", "s500", "s502", "s503", "s404", "s302", "html",
    "empty", "array", "half", "long",
];

/// Starts it, and gives its address.
pub async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(tokio::spawn(serve(stream)));
        }
    }));
    url
}

/// Serves one connection, one request after the other.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        let mut part = [0; 4_096];
        let length = stream.read(&mut part).await?;
        head.extend_from_slice(&part[..length]);
        if length == 0 {
            return Ok(());
        }
        if !head.windows(4).any(|end| end == b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let code = text.split("js_code=").nth(1).and_then(|rest| rest.split(['&', ' ']).next()).unwrap_or_default();
        head.clear();
        if !answer(&mut stream, code).await? {
            return Ok(());
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Answers, and says whether the connection goes on.
async fn answer(stream: &mut TcpStream, code: &str) -> io::Result<bool> {
    let way = code.split('-').next().unwrap_or_default();
    let errcode = |number: &str| ok(&format!(r#"{{"errcode":{number},"errmsg":"x"}}"#));
    let text = match way {
        "good" => ok(&format!(r#"{{"openid":"o{code}","session_key":"AQIDBAUGBwgJCgsMDQ4PEA=="}}"#)),
        "busy" => errcode("-1"),
        "reset" => {
            stream.set_zero_linger()?;
            return Ok(false);
        }
        "silent" => std::future::pending().await,
        "cut" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"errcode\"").await?;
            return Ok(false);
        }
        "html" => ok("<html>busy</html>"),
        "empty" => ok(""),
        "array" => ok("[1]"),
        "half" => ok(r#"{"openid":"oAda"}"#),
        "long" => ok(&"x".repeat(70_000)),
        _ => match way.split_at_checked(1) {
            Some(("e", number)) => errcode(number),
            Some(("s", status)) => format!("HTTP/1.1 {status} X\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n"),
            _ => errcode("40029"),
        },
    };
    stream.write_all(text.as_bytes()).await?;
    Ok(true)
}
