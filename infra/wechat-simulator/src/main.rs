//! The simulator as a process of its own: which address, which apps.
//!
//! It prints the address and the appids, never a secret and never a request.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use clap::Parser;
use tokio::net::TcpListener;
use wechat_simulator::{App, Simulator};

/// A stand-in for api.weixin.qq.com.
#[derive(Parser)]
#[command(name = "wechat-simulator")]
struct Flags {
    /// Address to listen on; keep it on loopback, anyone who reaches it may log in as anyone
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// JSON file `{"apps":{"wx...":{"secret":"..."}}}` instead of the demo app; an app that is pushed to has
    /// `"push":{"token":"...","encoding_aes_key":"..."}` too, and one that sells `"app_keys":{"production":"...","sandbox":"..."}`
    #[arg(long)]
    apps: Option<PathBuf>,
    /// Where the messages that follow a purchase are sent, and repeated until they are acknowledged
    #[arg(long, value_name = "URL")]
    push_url: Option<Uri>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let flags = Flags::parse();
    let apps = match &flags.apps {
        Some(file) => read_apps(file)?,
        None => vec![App::demo()],
    };
    let listener = TcpListener::bind(flags.listen).await?;
    let mut out = io::stdout();
    writeln!(out, "WeChat simulator on http://{}/", listener.local_addr()?)?;
    for app in &apps {
        writeln!(out, "  {}", app.appid)?;
    }
    let simulator = Simulator::new(apps);
    if let Some(url) = flags.push_url {
        tokio::spawn(simulator.clone().push_to(url, std::future::pending()));
    }
    simulator.serve(listener, std::future::pending()).await;
    Ok(())
}

fn read_apps(file: &Path) -> io::Result<Vec<App>> {
    // The error gives only the place, since the parser's own text may quote the file and its secrets.
    App::read_all(&std::fs::read(file)?).map_err(|error| {
        let place = format!("{}: no apps at line {} column {}", file.display(), error.line(), error.column());
        io::Error::new(io::ErrorKind::InvalidData, place)
    })
}
