//! The laptop's secrets: files in its data folder, with the same content that Secrets Manager has on AWS.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use shared::{
    clock::{Clock as _, Secs, SystemClock},
    entropy::OsEntropy,
    token::{
        jwks::{KeyKind, PrivateJwks},
        keyring::StoredKeyring,
    },
};
use wechat_simulator::App;

use crate::{data_folder, error::StartError};

/// The paths of the files.
#[derive(Clone, Debug)]
pub struct SecretFiles {
    pub apps: PathBuf,
    /// Made anew at each start, from the mini programs.
    pub push: PathBuf,
    pub keyring: PathBuf,
    pub signing_keys: PathBuf,
    pub jwks: PathBuf,
}

impl SecretFiles {
    /// The files in `folder`. A file that does not exist is made.
    pub fn in_folder(folder: &Path, signing: KeyKind) -> Result<Self, StartError> {
        let files = Self {
            apps: folder.join("apps.json"),
            push: folder.join("push.json"),
            keyring: folder.join("keyring.json"),
            signing_keys: folder.join("signing-keys.json"),
            jwks: folder.join("jwks.json"),
        };
        data_folder::open(folder)?;
        let App { appid, secret, push, app_keys } = App::demo();
        let app = json!({ "secret": secret, "push": push, "app_keys": app_keys });
        write_new(&files.apps, || Ok(json!({ "apps": { appid: app } }).to_string()))?;
        let now = SystemClock.now();
        write_new(&files.keyring, || new_keyring(now))?;
        write_new(&files.signing_keys, || new_signing_keys(signing, now))?;
        let keys = std::fs::read_to_string(&files.signing_keys);
        let keys = keys.map_err(|cause| StartError::Data { path: files.signing_keys.clone(), cause })?;
        // Keys that somebody else put there may be malformed: the functions report it when they read them.
        if let Ok(keys) = serde_json::from_str::<PrivateJwks>(&keys) {
            write_new(&files.jwks, || serde_json::to_string(&keys.public()).map_err(|_| StartError::Keys))?;
        }
        files.write_push(Some(&files.apps))?;
        Ok(files)
    }

    /// Writes what `push` gets of the mini programs in this file.
    pub(crate) fn write_push(&self, apps: Option<&Path>) -> Result<(), StartError> {
        let part = apps.and_then(|path| push_part(&std::fs::read_to_string(path).ok()?));
        let text = part.unwrap_or_else(|| "{}".to_owned());
        data_folder::write(&self.push, &text).map_err(|cause| StartError::Data { path: self.push.clone(), cause })
    }
}

/// What `push` gets of a file of mini programs, which may hold `push` in each: no AppSecret. `None` if it is no such file.
#[must_use]
pub fn push_part(apps: &str) -> Option<String> {
    let file: Value = serde_json::from_str(apps).ok()?;
    let apps = file.get("apps")?.as_object()?.iter();
    let parts = apps.filter_map(|(appid, app)| Some((appid.clone(), app.get("push")?.clone())));
    let parts: Map<_, _> = parts.filter(|(_, push)| !push.is_null()).collect();
    Some(json!({ "apps": parts }).to_string())
}

fn new_keyring(now: Secs) -> Result<String, StartError> {
    let empty = serde_json::from_str::<StoredKeyring>(r#"{"keys":{}}"#).map_err(|_| StartError::Keys)?;
    let keyring = empty.rotated(now, 0, &OsEntropy).ok_or(StartError::Keys)?;
    serde_json::to_string(&keyring).map_err(|_| StartError::Keys)
}

fn new_signing_keys(kind: KeyKind, now: Secs) -> Result<String, StartError> {
    let keys = PrivateJwks { keys: Vec::new() }.rotated(kind, now).ok().flatten().ok_or(StartError::Keys)?;
    serde_json::to_string(&keys).map_err(|_| StartError::Keys)
}

fn write_new(path: &Path, text: impl FnOnce() -> Result<String, StartError>) -> Result<(), StartError> {
    if path.exists() {
        return Ok(());
    }
    data_folder::write(path, &text()?).map_err(|cause| StartError::Data { path: path.to_owned(), cause })
}
