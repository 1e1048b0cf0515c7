//! The command line: `cargo run` starts the laptop, `cargo run -- doctor` checks a configuration or a deployment.

use std::{
    io::IsTerminal as _, net::SocketAddr, os::unix::fs::DirBuilderExt as _, path::PathBuf, process::ExitCode, sync::Arc,
};

use clap::{Parser, Subcommand};
use local::{Data, Settings, StartError, World, doctor, networks::Networks, playground::Playground, ready};
use shared::{
    clock::{Secs, SystemClock},
    entropy::{self, OsEntropy},
    env::Env,
    token::jwks::KeyKind,
};
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// Sign-in for WeChat mini programs on your own machine: no WeChat, no AWS.
#[derive(Parser)]
#[command(name = "wxauth", version, args_conflicts_with_subcommands = true)]
struct Flags {
    /// Where the API listens; 0.0.0.0:9000 is for phones in your network, too, and for everybody else in it
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Where the WeChat simulator listens
    #[arg(long, default_value = "127.0.0.1:9001")]
    wechat_listen: SocketAddr,
    /// Where the embedded database and the generated keys are kept
    #[arg(long, value_name = "DIR", default_value = ".local")]
    data: PathBuf,
    /// Keep nothing: a new database and new keys at each start
    #[arg(long, conflicts_with = "data")]
    memory: bool,
    /// Another DynamoDB endpoint than the embedded one
    #[arg(long, value_name = "URL")]
    dynamodb_url: Option<String>,
    /// Another WeChat than the simulator; "simulator" simulates it for the mini programs of --apps, too
    #[arg(long, value_name = "URL")]
    wechat_url: Option<String>,
    /// Real mini programs, for which WeChat itself is asked: {"apps": {"wx...": {"secret": "...", "push": {"token": "..."}}}}
    #[arg(long, value_name = "FILE")]
    apps: Option<PathBuf>,
    /// Where every message that WeChat pushes is posted, as your function would get it
    #[arg(long, value_name = "URL", value_parser = push_target)]
    push_target: Option<Url>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Look at the configuration in the environment, and at a deployment; change nothing
    Doctor {
        /// A deployment to look at beside it
        #[arg(long, value_name = "https://HOST")]
        url: Option<String>,
        /// Ask WeChat how often each call may be made today, and was
        #[arg(long)]
        quota: bool,
        /// Ask WeChat what it knows of a request: the rid of an error or a log line
        #[arg(long, value_name = "RID", value_parser = rid)]
        rid: Option<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let result = match flags.command {
        Some(Command::Doctor { url, quota, rid }) => examine(url, quota, rid).await,
        None => run(flags).await.map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn push_target(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or("it should be a URL such as http://127.0.0.1:8080/push")
}

fn rid(text: &str) -> Result<String, &'static str> {
    let is_rid =
        (1..=64).contains(&text.len()) && text.chars().all(|at| at.is_ascii_alphanumeric() || "-_".contains(at));
    is_rid.then(|| text.to_owned()).ok_or("it should be the id alone, such as 61725984-6126f6f9-040f19c4")
}

async fn run(flags: Flags) -> Result<(), StartError> {
    let temporary = if flags.memory { Some(TemporaryFolder::new()?) } else { None };
    let data = temporary.as_ref().map_or(Data::Folder(flags.data), |folder| Data::Memory(folder.0.clone()));
    loop {
        let playground = Playground::new(Arc::new(SystemClock), data.folder());
        let (ahead, start_over) = (playground.ahead(), playground.start_over());
        let settings = Settings {
            listen: flags.listen,
            wechat_listen: flags.wechat_listen,
            data: data.clone(),
            dynamodb_url: flags.dynamodb_url.clone(),
            wechat_url: flags.wechat_url.clone(),
            foreign_codes: true,
            networks: Networks::of_this_machine,
            apps: flags.apps.clone(),
            push_target: flags.push_target.clone(),
            vars: Env::process_vars()?,
            signing: KeyKind::Rsa,
            clock: playground.clock(),
            entropy: Arc::new(OsEntropy),
            log: playground.log(),
            playground: Some(playground),
        };
        let world = World::start(settings).await?;
        print_ready(&world, ahead);
        let is_over = tokio::select! {
            () = stop_signal() => true,
            () = start_over.notified() => false,
        };
        world.stop().await;
        if is_over {
            return Ok(());
        }
        data.start_over()?;
    }
}

/// The exit code says whether something is wrong.
async fn examine(url: Option<String>, quota: bool, rid: Option<String>) -> Result<ExitCode, StartError> {
    let options = doctor::Options { url, quota, rid, clock: Arc::new(SystemClock) };
    let report = doctor::examine(Env::process_vars()?, options).await;
    print_report(&report);
    Ok(if report.is_wrong() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A folder for keys: nobody else may read it, its name is random, and it is deleted at the end.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> Result<Self, StartError> {
        let name: String = entropy::bytes::<16>(&OsEntropy).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let path = std::env::temp_dir().join(format!("wxauth-{name}"));
        let created = std::fs::DirBuilder::new().mode(0o700).create(&path);
        created.map(|()| Self(path.clone())).map_err(|cause| StartError::Data { path, cause })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Waits for Ctrl-C, or for the signal that a supervisor sends.
async fn stop_signal() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[expect(clippy::print_stderr, reason = "a command speaks to whoever started it")]
fn print_error(error: &StartError) {
    eprintln!("wxauth: {error}");
}

#[expect(clippy::print_stdout, reason = "a command speaks to whoever started it")]
fn print_report(report: &doctor::Report) {
    println!("{report}");
}

/// Prints where everything is, and lines to paste.
#[expect(clippy::print_stdout, reason = "a command speaks to whoever started it")]
fn print_ready(world: &World, ahead: Secs) {
    print!("{}", ready::text(world, ahead, std::io::stdout().is_terminal()));
}
