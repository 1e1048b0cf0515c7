//! The settings of a laptop, and the variables that its functions get from them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use shared::{clock::Clock, config::WECHAT_URL, entropy::Entropy, http::record::Log, token::jwks::KeyKind, vars::Vars};

use url::Url;

use crate::{
    data_folder, error::StartError, networks::Networks, playground::Playground, push_target, secrets::SecretFiles,
};

/// Instead of a URL of WeChat: the simulator, also for mini programs of the owner's.
pub const SIMULATOR: &str = "simulator";

/// The table's name if `WXAUTH_TABLE` is not set.
const TABLE: &str = "wxauth";

/// Where the table and the secrets are stored.
#[derive(Clone, Debug)]
pub enum Data {
    /// In a folder: a restart keeps every session.
    Folder(PathBuf),
    /// The table in memory, the secrets in this folder.
    Memory(PathBuf),
}

impl Data {
    #[must_use]
    pub fn folder(&self) -> &Path {
        let (Self::Folder(folder) | Self::Memory(folder)) = self;
        folder
    }

    /// Deletes users and sessions, and sets the clock right again. The laptop must not run.
    pub fn start_over(&self) -> Result<(), StartError> {
        data_folder::start_over(self.folder())
    }
}

/// What the flags say, and what only a test chooses.
pub struct Settings {
    pub listen: SocketAddr,
    /// Where the simulator listens.
    pub wechat_listen: SocketAddr,
    pub data: Data,
    /// A DynamoDB other than the embedded one.
    pub dynamodb_url: Option<String>,
    /// The URL of a WeChat, or [`SIMULATOR`]. Without it the demo app is simulated, and others are asked for at WeChat itself.
    pub wechat_url: Option<String>,
    /// Whether the simulator logs in codes that it did not make, all as one user.
    pub foreign_codes: bool,
    /// The networks that the machine is in now. They are not asked for on loopback.
    pub networks: fn() -> Networks,
    /// A file of mini programs other than the demo's.
    pub apps: Option<PathBuf>,
    /// The URL of a server that plays the owner's function, which gets what WeChat pushes.
    pub push_target: Option<Url>,
    /// The variables of the process. They replace the laptop's own.
    pub vars: Vec<(String, String)>,
    /// The kind of signing keys, if they have to be made.
    pub signing: KeyKind,
    /// For the functions and the simulator.
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub log: Log,
    /// The page at `GET /`.
    pub playground: Option<Playground>,
}

/// Where the laptop's servers, or those that replace them, are reached.
pub(crate) struct Urls {
    pub wechat: String,
    pub dynamodb: String,
    /// What runs the owner's function, if the settings name one.
    pub lambda: Option<String>,
}

impl Settings {
    /// A variable that names another server or file does what its flag does. A flag wins over the variable.
    pub(crate) fn apply_variables(&mut self) {
        // A variable with an empty value counts as not set, so the laptop's own value is used.
        self.vars.retain(|(_, value)| !value.is_empty());
        let vars: Vars = self.vars.iter().cloned().collect();
        let text = |name: &str| vars.get(name).map(str::to_owned);
        self.dynamodb_url = self.dynamodb_url.take().or_else(|| text("AWS_ENDPOINT_URL_DYNAMODB"));
        let apps = vars.get("WXAUTH_APPS").and_then(|apps| apps.strip_prefix("file:")).map(PathBuf::from);
        self.apps = self.apps.take().or(apps);
        let has_own_apps = self.apps.is_some() || vars.get("WXAUTH_APPS").is_some();
        let wechat_url = self.wechat_url.take().or_else(|| text("WXAUTH_WECHAT_URL"));
        let wechat_url = wechat_url.or_else(|| has_own_apps.then(|| WECHAT_URL.to_owned()));
        self.wechat_url = wechat_url.filter(|url| url != SIMULATOR);
    }

    /// Whether the page is served, and messages go to its function unless the variables name another.
    pub(crate) fn plays_owner(&self) -> bool {
        let is_named = self.vars.iter().any(|(name, _)| name == "WXAUTH_PUSH_TARGET");
        self.playground.is_some() && self.push_target.is_none() && !is_named
    }

    /// The file of mini programs, if they are in one.
    pub(crate) fn apps_file<'a>(&'a self, files: &'a SecretFiles) -> Option<&'a Path> {
        let is_elsewhere = self.vars.iter().any(|(name, _)| name == "WXAUTH_APPS");
        self.apps.as_deref().or((!is_elsewhere).then_some(&files.apps))
    }

    /// The variables of the functions: of two values for a name, the later one is used.
    pub(crate) fn function_vars(&self, files: &SecretFiles, urls: &Urls) -> Vars {
        let file = |path: &Path| format!("file:{}", path.display());
        let defaults = [
            ("WXAUTH_TABLE", TABLE.to_owned()),
            ("WXAUTH_APPS", file(&files.apps)),
            ("WXAUTH_PUSH", file(&files.push)),
            ("WXAUTH_KEYRING", file(&files.keyring)),
            ("WXAUTH_SIGNING_KEYS", file(&files.signing_keys)),
            ("WXAUTH_JWKS", file(&files.jwks)),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ];
        let process = self.vars.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let servers =
            [("WXAUTH_WECHAT_URL", urls.wechat.clone()), ("AWS_ENDPOINT_URL_DYNAMODB", urls.dynamodb.clone())];
        let apps = self.apps.as_deref().map(|apps| ("WXAUTH_APPS", file(apps)));
        let target = urls.lambda.iter().flat_map(|url| {
            [("WXAUTH_PUSH_TARGET", push_target::FUNCTION.to_owned()), ("AWS_ENDPOINT_URL_LAMBDA", url.clone())]
        });
        defaults.into_iter().chain(process).chain(servers).chain(apps).chain(target).collect()
    }
}
