//! Starts and stops all servers of a laptop.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use dynoxide::Database;
use shared::env::Env;
use tokio::net::TcpListener;
use wechat_simulator::{App, Simulator};

use crate::{
    data_folder,
    error::StartError,
    front::Front,
    mounts,
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
        let dynamodb_url = start_dynamodb(&settings, &mut tasks).await?;
        let wechat = Wechat::start(&settings, &secrets, &mut tasks).await?;
        let plays_owner = settings.plays_owner();
        if plays_owner {
            settings.push_target = format!("{}{}", api.url, owner::FUNCTION).parse().ok();
        }
        let lambda = start_push_target(&settings, &mut tasks).await?;
        let urls = Urls { api: api.url.clone(), wechat: wechat.url, dynamodb: dynamodb_url, lambda };

        let vars = settings.function_vars(&secrets, &urls);
        let env = Env::new(vars, settings.clock, settings.entropy, settings.log)?;
        if urls.dynamodb.starts_with("http://") {
            // A table on AWS costs money, so only the template makes it.
            let (client, name) = env.dynamodb()?;
            template::create_table(&client, &name, template::TEXT).await?;
        }

        let mut router = Front::new(mounts::routers(&mounts::all(&env).await?)?).router();
        if let Some(playground) = settings.playground
            && settings.listen.ip().is_loopback()
        {
            let owner = Owner::from_env(&env, plays_owner).await?;
            router = playground.in_front_of(router, wechat.simulator.clone(), owner, settings.dynamodb_url.is_none());
        }
        if let Some(simulator) = wechat.simulator.clone()
            && let Ok(url) = format!("{}{}", api.url, push::PUSH.path).parse()
        {
            tasks.spawn(simulator.push_to(url, tasks.stopped()));
        }
        let serve = axum::serve(api.socket, router).with_graceful_shutdown(tasks.stopped());
        tasks.spawn(async move { drop(serve.await) });

        let Urls { api: url, wechat: wechat_url, dynamodb: dynamodb_url, .. } = urls;
        Ok(Self { url, wechat_url, dynamodb_url, simulator: wechat.simulator, plays_owner, env, tasks })
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
    let Listener { socket, url } = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;

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
    let Listener { socket, url } = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
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
        let apps = std::fs::read(settings.apps.as_ref().unwrap_or(&secrets.apps)).ok();
        let apps = apps.and_then(|json| App::read_all(&json).ok()).ok_or(StartError::Apps)?;
        let clock = Arc::clone(&settings.clock);
        let simulator = Simulator::with_clock(apps, Arc::new(move || clock.now()));
        let Listener { socket, url } = Listener::bind(settings.wechat_listen).await?;
        tasks.spawn(simulator.clone().serve(socket, tasks.stopped()));
        Ok(Self { url, simulator: Some(simulator) })
    }
}

struct Listener {
    socket: TcpListener,
    /// How this process calls it.
    url: String,
}

impl Listener {
    async fn bind(address: SocketAddr) -> Result<Self, StartError> {
        let failed = |cause| StartError::Listen { address, cause };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let mut local = socket.local_addr().map_err(failed)?;
        // `0.0.0.0` means all addresses of the machine: nobody can call it.
        if local.ip().is_unspecified() {
            local.set_ip(if local.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        Ok(Self { socket, url: format!("http://{local}") })
    }
}
