//! The command line: `cargo run` starts the laptop, `cargo run -- doctor` checks a configuration or a deployment.

use std::{net::SocketAddr, os::unix::fs::DirBuilderExt as _, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand};
use local::{Data, Settings, StartError, World, doctor, playground::Playground};
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
    /// Where the API listens
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
    /// Another WeChat than the simulator
    #[arg(long, value_name = "URL")]
    wechat_url: Option<String>,
    /// Real mini programs: {"apps": {"wx...": {"secret": "...", "push": {"token": "..."}}}}
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

/// Prints the URL and the page, and lines for a shell that call login, refresh and phone.
#[expect(clippy::print_stdout, reason = "a command speaks to whoever started it")]
fn print_ready(world: &World, ahead: Secs) {
    let api = &world.url;
    println!("wxauth is ready at {api}\n");
    if ahead > 0 {
        println!("Its clock is {ahead} s ahead: the page has moved it. Without the data folder it is right again.\n");
    }
    let Some(_) = &world.simulator else {
        println!("WeChat is {}: take a code from wx.login in the developer tools, then", world.wechat_url);
        println!("  curl -s {api}/v1/login -H 'content-type: application/json' -d '{{\"code\":\"CODE\"}}'\n");
        return;
    };
    let wechat = &world.wechat_url;
    println!("WeChat is simulated at {wechat}. Paste these lines, one after the other:\n");
    println!(
        "# login: what wx.login gives, for our tokens\n\
         CODE=$(curl -s {wechat}/sim/login -d '{{\"user\":\"alice\"}}' | sed -E 's/.*\"code\":\"([^\"]*)\".*/\\1/')\n\
         LOGIN=$(curl -s {api}/v1/login -H 'content-type: application/json' -d \"{{\\\"code\\\":\\\"$CODE\\\"}}\"); echo \"$LOGIN\"\n\
         ACCESS=$(echo \"$LOGIN\" | sed -E 's/.*\"access_token\":\"([^\"]*)\".*/\\1/')\n\
         REFRESH=$(echo \"$LOGIN\" | sed -E 's/.*\"refresh_token\":\"([^\"]*)\".*/\\1/')\n\n\
         # refresh: a token younger than two minutes comes back unchanged, as it is meant to\n\
         curl -s {api}/v1/refresh -H 'content-type: application/json' -d \"{{\\\"refresh_token\\\":\\\"$REFRESH\\\"}}\"; echo\n\n\
         # phone, by encryptedData and by code: what the button gives\n\
         PHONE=$(curl -s {wechat}/sim/phone -d '{{\"user\":\"alice\"}}')\n\
         curl -s {api}/v1/phone -H \"authorization: Bearer $ACCESS\" -H 'content-type: application/json' \\\n  \
           -d \"$(echo \"$PHONE\" | sed -E 's/\"code\":\"[^\"]*\",?//; s/,}}/}}/')\"; echo\n\
         curl -s {api}/v1/phone -H \"authorization: Bearer $ACCESS\" -H 'content-type: application/json' \\\n  \
           -d \"{{$(echo \"$PHONE\" | grep -oE '\"code\":\"[^\"]*\"')}}\"; echo\n"
    );
    println!("Phones to play with, and switches that make things fail: {api}/ in a browser\n");
    if world.plays_owner {
        println!("What WeChat pushes goes to the shop on that page; --push-target names a server of yours.\n");
    }
}
