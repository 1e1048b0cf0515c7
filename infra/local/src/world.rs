//! Starts and stops all servers of a laptop.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::middleware;
use dynoxide::Database;
use shared::env::Env;
use tokio::net::TcpListener;
use wechat_simulator::{App, Simulator};

use crate::{
    data_folder,
    error::StartError,
    front::Front,
    mock_code, mounts,
    networks::Networks,
    owner::{self, Owner},
    push_target,
    secrets::SecretFiles,
    settings::{Data, Settings, Urls},
    tasks::Tasks,
    template,
};

/// How often the embedded database deletes expired items. DynamoDB may take days.
const SWEEP: Duration = Duration::from_mins(1);

/// A laptop that runs.
pub struct World {
    pub url: String,
    pub wechat_url: String,
    pub dynamodb_url: String,
    /// Absent if the settings name another WeChat.
    pub simulator: Option<Simulator>,
    /// The mini programs, as far as a file names them.
    pub appids: Vec<String>,
    /// Whether the simulator logs in codes that it did not make.
    pub admits_foreign_codes: bool,
    /// Whether only this machine can call it.
    pub is_on_loopback: bool,
    /// How others in the machine's networks call it.
    pub network_urls: Vec<String>,
    /// Whether the shop of the page gets what WeChat pushes.
    pub plays_owner: bool,
    /// The environment that the functions were built from.
    pub env: Env,
    tasks: Tasks,
}

impl World {
    /// Starts each server for which the settings name no other.
    pub async fn start(mut settings: Settings) -> Result<Self, StartError> {
        let secrets = SecretFiles::in_folder(settings.data.folder(), settings.signing)?;
        settings.apply_variables();
        secrets.write_push(settings.apps_file(&secrets))?;
        let mut tasks = Tasks::default();

        let api = Listener::bind(settings.listen).await?;
        let is_on_loopback = settings.listen.ip().is_loopback();
        let networks = if is_on_loopback { Networks::default } else { settings.networks };
        let network_urls = networks().reaching(api.address).iter().map(|address| format!("http://{address}")).collect();
        let dynamodb_url = start_dynamodb(&settings, &mut tasks).await?;
        let wechat = Wechat::start(&settings, &secrets, &mut tasks).await?;
        let plays_owner = settings.plays_owner();
        if plays_owner {
            settings.push_target = format!("{}{}", api.url, owner::FUNCTION).parse().ok();
        }
        let lambda = start_push_target(&settings, &mut tasks).await?;
        let urls = Urls { wechat: wechat.url, dynamodb: dynamodb_url, lambda };

        let vars = settings.function_vars(&secrets, &urls);
        let appids = settings.apps_file(&secrets).and_then(read_apps).unwrap_or_default();
        let appids = appids.into_iter().map(|app| app.appid).collect();
        let entropy = Arc::clone(&settings.entropy);
        let env = Env::new(vars, settings.clock, settings.entropy, settings.log)?;
        if urls.dynamodb.starts_with("http://") {
            // A table on AWS costs money, so only the template makes it.
            let (client, name) = env.dynamodb()?;
            template::create_table(&client, &name).await?;
        }

        let mut router = Front::new(mounts::routers(&mounts::all(&env).await?)?).router();
        let admits_foreign_codes = settings.foreign_codes && wechat.simulator.is_some();
        if admits_foreign_codes {
            router = router.layer(middleware::from_fn_with_state(entropy, mock_code::replace));
        }
        if let Some(playground) = settings.playground {
            let owner = Owner::from_env(&env, plays_owner).await?;
            let owns_table = settings.dynamodb_url.is_none();
            router = playground.in_front_of(router, wechat.simulator.clone(), owner, networks, owns_table);
        }
        if let Some(simulator) = wechat.simulator.clone()
            && let Ok(url) = format!("{}{}", api.url, push::PUSH.path).parse()
        {
            tasks.spawn(simulator.push_to(url, tasks.stopped()));
        }
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serve = axum::serve(api.socket, service).with_graceful_shutdown(tasks.stopped());
        tasks.spawn(async move { drop(serve.await) });

        let Urls { wechat: wechat_url, dynamodb: dynamodb_url, .. } = urls;
        Ok(Self {
            url: api.url,
            wechat_url,
            dynamodb_url,
            simulator: wechat.simulator,
            appids,
            admits_foreign_codes,
            is_on_loopback,
            network_urls,
            plays_owner,
            env,
            tasks,
        })
    }

    /// One of several mini programs, of which a login has to name one.
    pub(crate) fn several_apps(&self) -> Option<&str> {
        self.appids.first().filter(|_| self.appids.len() > 1).map(String::as_str)
    }

    /// Stops all servers and waits until they have ended.
    pub async fn stop(self) {
        self.tasks.stop().await;
    }
}

/// The URL of the embedded DynamoDB, or of the one in the settings.
async fn start_dynamodb(settings: &Settings, tasks: &mut Tasks) -> Result<String, StartError> {
    if let Some(url) = &settings.dynamodb_url {
        return Ok(url.clone());
    }
    let database = match &settings.data {
        Data::Memory(_) => Database::memory(),
        Data::Folder(folder) => Database::new(&data_folder::database(folder)?.to_string_lossy()),
    };
    let database = database.map_err(|_| StartError::Database)?;
    let Listener { socket, url, .. } = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;

    let (swept, stopped) = (database.clone(), tasks.stopped());
    tasks.spawn(async move {
        let mut stopped = pin!(stopped);
        while tokio::time::timeout(SWEEP, &mut stopped).await.is_err() {
            drop(swept.sweep_ttl());
        }
    });
    let stopped = tasks.stopped();
    tasks.spawn(async move { drop(dynoxide::server::serve_with_shutdown(socket, database, stopped).await) });
    Ok(url)
}

/// The URL of what stands in for Lambda, if the settings name a server that plays the owner's function.
async fn start_push_target(settings: &Settings, tasks: &mut Tasks) -> Result<Option<String>, StartError> {
    let Some(target) = &settings.push_target else { return Ok(None) };
    let router = push_target::router(target.clone(), &settings.vars.iter().cloned().collect())?;
    let Listener { socket, url, .. } = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
    let serve = axum::serve(socket, router).with_graceful_shutdown(tasks.stopped());
    tasks.spawn(async move { drop(serve.await) });
    Ok(Some(url))
}

struct Wechat {
    url: String,
    simulator: Option<Simulator>,
}

impl Wechat {
    /// The simulator, or the WeChat in the settings.
    async fn start(settings: &Settings, secrets: &SecretFiles, tasks: &mut Tasks) -> Result<Self, StartError> {
        if let Some(url) = &settings.wechat_url {
            return Ok(Self { url: url.clone(), simulator: None });
        }
        let apps = read_apps(settings.apps.as_ref().unwrap_or(&secrets.apps)).ok_or(StartError::Apps)?;
        let clock = Arc::clone(&settings.clock);
        let simulator = Simulator::with_clock(apps, Arc::new(move || clock.now()));
        if settings.foreign_codes {
            simulator.admit_foreign_codes();
        }
        let Listener { socket, url, .. } = Listener::bind(settings.wechat_listen).await?;
        tasks.spawn(simulator.clone().serve(socket, tasks.stopped()));
        Ok(Self { url, simulator: Some(simulator) })
    }
}

fn read_apps(file: impl AsRef<Path>) -> Option<Vec<App>> {
    App::read_all(&std::fs::read(file).ok()?).ok()
}

struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    /// How this process calls it.
    url: String,
}

impl Listener {
    async fn bind(address: SocketAddr) -> Result<Self, StartError> {
        let failed = |cause| StartError::Listen { address, cause };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let mut local = address;
        // `0.0.0.0` means all addresses of the machine: nobody can call it.
        if local.ip().is_unspecified() {
            local.set_ip(if local.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        Ok(Self { socket, address, url: format!("http://{local}") })
    }
}
