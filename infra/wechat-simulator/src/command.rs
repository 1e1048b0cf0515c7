//! The command line of the binary: which address, which apps.
//!
//! It prints the address and the appids, never a secret and never a request.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::{App, Push, Simulator};

/// A stand-in for api.weixin.qq.com.
#[derive(Parser)]
#[command(name = "wechat-simulator")]
struct Flags {
    /// Address to listen on; keep it on loopback, anyone who reaches it may log in as anyone
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// JSON file `{"apps":{"wx...":{"secret":"..."}}}` instead of the demo app; an app that is pushed to has
    /// `"push":{"token":"...","encoding_aes_key":"..."}` too
    #[arg(long)]
    apps: Option<PathBuf>,
}

/// Unknown fields are let through: a file written for the backend has more in it.
#[derive(Deserialize)]
struct AppsFile {
    apps: BTreeMap<String, AppEntry>,
}

#[derive(Deserialize)]
struct AppEntry {
    secret: String,
    push: Option<Push>,
}

/// Runs the simulator with the flags of the process until the process ends.
pub async fn run() -> io::Result<()> {
    let flags = Flags::parse();
    let apps = match &flags.apps {
        Some(file) => apps_of(file)?,
        None => vec![App::demo()],
    };
    let listener = TcpListener::bind(flags.listen).await?;
    let mut out = io::stdout();
    writeln!(out, "WeChat simulator on http://{}/", listener.local_addr()?)?;
    for app in &apps {
        writeln!(out, "  {}", app.appid)?;
    }
    Simulator::new(apps).serve(listener, std::future::pending()).await
}

fn apps_of(file: &Path) -> io::Result<Vec<App>> {
    // The parser's own text may quote the file, and the file holds secrets: only the place is told.
    let unreadable = |error: serde_json::Error| {
        let place = format!("{}: no apps at line {} column {}", file.display(), error.line(), error.column());
        io::Error::new(io::ErrorKind::InvalidData, place)
    };
    let read: AppsFile = serde_json::from_slice(&std::fs::read(file)?).map_err(unreadable)?;
    Ok(read.apps.into_iter().map(|(appid, AppEntry { secret, push })| App { appid, secret, push }).collect())
}
