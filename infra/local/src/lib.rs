//! The laptop: functions, embedded DynamoDB and WeChat simulator in one process on loopback.
//!
//! The functions are the very routers that Lambda serves, the table is reached through the real SDK, and WeChat through
//! the real client; only what stands at the other end of the wire differs.

pub mod doctor;
pub mod front;
pub mod mounts;
pub mod playground;
pub mod secrets;
pub mod template;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dynoxide::Database;
use shared::{
    clock::Clock,
    entropy::Entropy,
    env::Env,
    http::record::Log,
    token::jwks::KeyKind,
    vars::{ConfigError, Vars},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use wechat_simulator::Simulator;

use front::Front;
use playground::Playground;
use secrets::SecretFiles;

/// The table's name unless `WXAUTH_TABLE` says another.
const TABLE: &str = "wxauth";

/// How often the embedded database deletes what has run out; DynamoDB takes days.
const SWEEP: Duration = Duration::from_mins(1);

/// Why the laptop does not start, as one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A variable or a secret is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address is taken or not ours.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The data folder or a file in it cannot be used.
    #[error("cannot use {}: {cause}", path.display())]
    Data {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The embedded database does not open.
    #[error("the database in the data folder does not open; --data names another folder")]
    Database,
    /// The table cannot be made.
    #[error("the table cannot be made at the DynamoDB endpoint")]
    Table,
    /// No key could be made.
    #[error("no key could be made")]
    Keys,
    /// The file of mini programs is not there or has another form.
    #[error(r#"--apps (or WXAUTH_APPS=file:PATH) should name a file that holds {{"apps": {{"wx...": {{"secret": "..."}}}}}}"#)]
    Apps,
    /// The template is not as expected.
    #[error("infra/template.yaml: {0}")]
    Template(String),
}

/// Where the table and the secrets lie.
#[derive(Clone, Debug)]
pub enum Data {
    /// In a folder: a restart keeps every session.
    Folder(PathBuf),
    /// The table in memory, the secrets in this folder.
    Memory(PathBuf),
}

impl Data {
    fn folder(&self) -> &Path {
        let (Self::Folder(folder) | Self::Memory(folder)) = self;
        folder
    }
}

/// What the flags say, and what a test may choose beside.
pub struct Settings {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where the simulator listens.
    pub wechat_listen: SocketAddr,
    /// Where things are kept.
    pub data: Data,
    /// Another DynamoDB than the embedded one.
    pub dynamodb_url: Option<String>,
    /// Another WeChat than the simulator.
    pub wechat_url: Option<String>,
    /// Another file of mini programs than the demo's.
    pub apps: Option<PathBuf>,
    /// Variables that go before the laptop's own.
    pub vars: Vec<(String, String)>,
    /// What new signing keys are.
    pub signing: KeyKind,
    /// The time, for the functions and the simulator.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where log lines go.
    pub log: Log,
    /// The page at `GET /`; it is served on loopback only.
    pub playground: Option<Playground>,
}

impl Settings {
    /// A variable that points elsewhere does what its flag does; a flag goes before it.
    fn apply_variables(&mut self) {
        // A variable that is set to nothing is not set: the laptop's own value stands.
        self.vars.retain(|(_, value)| !value.is_empty());
        let vars: Vars = self.vars.iter().cloned().collect();
        let given = |name: &str| vars.get(name).map(str::to_owned);
        self.wechat_url = self.wechat_url.take().or_else(|| given("WXAUTH_WECHAT_URL"));
        self.dynamodb_url = self.dynamodb_url.take().or_else(|| given("AWS_ENDPOINT_URL_DYNAMODB"));
        let apps = given("WXAUTH_APPS").and_then(|apps| apps.strip_prefix("file:").map(PathBuf::from));
        self.apps = self.apps.take().or(apps);
    }
}

/// Everything, running.
pub struct World {
    /// Where the API is.
    pub url: String,
    /// Where WeChat is.
    pub wechat_url: String,
    /// Where DynamoDB is.
    pub dynamodb_url: String,
    /// The simulator, if it runs.
    pub simulator: Option<Simulator>,
    /// The environment that the functions were built from.
    pub env: Env,
    stop: watch::Sender<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    /// Starts everything that the settings do not point elsewhere.
    pub async fn start(mut settings: Settings) -> Result<Self, StartError> {
        let (stop, stopped) = watch::channel(());
        let files = SecretFiles::in_folder(settings.data.folder(), settings.signing)?;
        settings.apply_variables();
        let apps = settings.apps.clone().unwrap_or_else(|| files.apps.clone());
        let api = listen(settings.listen).await?;
        let url = format!("http://{}", address(&api, settings.listen)?);
        let mut tasks = Vec::new();

        let (dynamodb_url, table_task) = table(&settings, stopped.clone()).await?;
        tasks.extend(table_task);
        let (wechat_url, simulator, wechat_task) = wechat(&settings, &apps, stopped.clone()).await?;
        tasks.extend(wechat_task);

        let vars = vars(&settings, &files, &apps, [&url, &wechat_url, &dynamodb_url]);
        let env = Env::new(vars, settings.clock, settings.entropy, settings.log)?;
        if dynamodb_url.starts_with("http://") {
            // A table that costs money is made by the template, not by the way.
            let (client, name) = env.dynamodb()?;
            template::create_table(&client, &name, template::TEXT).await?;
        }
        let front = Front::new(mounts::routed(&mounts::all(&env).await?)?).router();
        let front = match settings.playground.filter(|_| settings.listen.ip().is_loopback()) {
            Some(playground) => playground.before(front, simulator.clone()),
            None => front,
        };
        let mut stopping = stopped;
        let serve = axum::serve(api, front).with_graceful_shutdown(async move { drop(stopping.changed().await) });
        tasks.push(tokio::spawn(async move { drop(serve.await) }));
        Ok(Self { url, wechat_url, dynamodb_url, simulator, env, stop, tasks })
    }

    /// Stops everything and waits until it has.
    pub async fn stop(self) {
        drop(self.stop);
        for task in self.tasks {
            drop(task.await);
        }
    }
}

/// What the functions are started with: the laptop's own, what was set for it, and what both came to.
fn vars(settings: &Settings, files: &SecretFiles, apps: &Path, [url, wechat_url, dynamodb_url]: [&String; 3]) -> Vars {
    let file = |path: &Path| format!("file:{}", path.display());
    let own = [
        ("WXAUTH_TABLE", TABLE.to_owned()),
        ("WXAUTH_APPS", file(apps)),
        ("WXAUTH_KEYRING", file(&files.keyring)),
        ("WXAUTH_SIGNING_KEYS", file(&files.signing_keys)),
        ("WXAUTH_JWKS", file(&files.jwks)),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
    ];
    let resolved = [("WXAUTH_WECHAT_URL", wechat_url.clone()), ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url.clone())];
    let named = |(name, value): (&str, String)| (name.to_owned(), value);
    // Elsewhere than on loopback an http origin is no issuer; there the domain of each request stands in.
    let issuer = settings.listen.ip().is_loopback().then(|| named(("WXAUTH_ISSUER", url.clone())));
    let mut vars: Vec<_> = own.map(named).into_iter().chain(issuer).chain(settings.vars.iter().cloned()).collect();
    vars.extend(resolved.map(named));
    if settings.apps.is_some() {
        vars.push(named(("WXAUTH_APPS", file(apps))));
    }
    vars.into_iter().collect()
}

/// The embedded DynamoDB, or the other one's address.
async fn table(
    settings: &Settings,
    mut stopped: watch::Receiver<()>,
) -> Result<(String, Vec<JoinHandle<()>>), StartError> {
    if let Some(url) = &settings.dynamodb_url {
        return Ok((url.clone(), Vec::new()));
    }
    let database = match &settings.data {
        Data::Memory(_) => Database::memory(),
        Data::Folder(folder) => Database::new(&folder.join("dynamodb.sqlite").to_string_lossy()),
    };
    let database = database.map_err(|_| StartError::Database)?;
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = listen(any_port).await?;
    let url = format!("http://{}", address(&listener, any_port)?);
    let (swept, mut sweep_stopped) = (database.clone(), stopped.clone());
    let sweep = tokio::spawn(async move {
        while tokio::time::timeout(SWEEP, sweep_stopped.changed()).await.is_err() {
            drop(swept.sweep_ttl());
        }
    });
    let shutdown = async move { drop(stopped.changed().await) };
    let serve = tokio::spawn(async move {
        drop(dynoxide::server::serve_with_shutdown(listener, database, shutdown).await);
    });
    Ok((url, vec![sweep, serve]))
}

/// The simulator, or the other WeChat's address.
async fn wechat(
    settings: &Settings,
    apps: &Path,
    mut stopped: watch::Receiver<()>,
) -> Result<(String, Option<Simulator>, Vec<JoinHandle<()>>), StartError> {
    if let Some(url) = &settings.wechat_url {
        return Ok((url.clone(), None, Vec::new()));
    }
    let clock = Arc::clone(&settings.clock);
    let simulator = Simulator::with_clock(secrets::simulated_apps(apps)?, Arc::new(move || clock.now()));
    let listener = listen(settings.wechat_listen).await?;
    let url = format!("http://{}", address(&listener, settings.wechat_listen)?);
    let serving = simulator.clone();
    let serve = tokio::spawn(async move {
        serving.serve(listener, async move { drop(stopped.changed().await) }).await;
    });
    Ok((url, Some(simulator), vec![serve]))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|cause| StartError::Listen { address, cause })
}

/// Where this process reaches what listens there: an address that stands for all of them is no address to call.
fn address(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    let mut address = listener.local_addr().map_err(|cause| StartError::Listen { address: asked, cause })?;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    Ok(address)
}
