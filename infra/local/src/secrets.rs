//! The laptop's secrets: files in its data folder, made once, in the forms that Secrets Manager holds on AWS.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::json;
use shared::{
    clock::{Clock as _, SystemClock},
    entropy::OsEntropy,
    token::{
        jwks::{KeyKind, PrivateJwks},
        keyring::StoredKeyring,
    },
};
use wechat_simulator::App;

use crate::StartError;

/// The files, by the variable that names each.
#[derive(Clone, Debug)]
pub struct SecretFiles {
    /// `WXAUTH_APPS`.
    pub apps: PathBuf,
    /// `WXAUTH_KEYRING`.
    pub keyring: PathBuf,
    /// `WXAUTH_SIGNING_KEYS`.
    pub signing_keys: PathBuf,
    /// `WXAUTH_JWKS`.
    pub jwks: PathBuf,
}

impl SecretFiles {
    /// The files in `folder`; those that are not there are made.
    pub fn in_folder(folder: &Path, signing: KeyKind) -> Result<Self, StartError> {
        let files = Self {
            apps: folder.join("apps.json"),
            keyring: folder.join("keyring.json"),
            signing_keys: folder.join("signing-keys.json"),
            jwks: folder.join("jwks.json"),
        };
        std::fs::create_dir_all(folder).map_err(|cause| StartError::Data {
            path: folder.to_owned(),
            cause,
        })?;
        let App { appid, secret } = App::demo();
        write_new(&files.apps, || {
            Ok(json!({ "apps": { appid: { "secret": secret } } }).to_string())
        })?;
        let now = SystemClock.now();
        write_new(&files.keyring, || {
            let ring = serde_json::from_str::<StoredKeyring>(r#"{"keys":{}}"#).map_err(|_| StartError::Keys)?;
            let ring = ring.rotated(now, 0, &OsEntropy).ok_or(StartError::Keys)?;
            serde_json::to_string(&ring).map_err(|_| StartError::Keys)
        })?;
        if !files.signing_keys.exists() {
            let keys = PrivateJwks { keys: Vec::new() }
                .rotated(signing, now)
                .ok()
                .flatten()
                .ok_or(StartError::Keys)?;
            // The public half first: a key that nobody can verify must not sign.
            drop(std::fs::remove_file(&files.jwks));
            write_new(&files.jwks, || {
                serde_json::to_string(&keys.public()).map_err(|_| StartError::Keys)
            })?;
            write_new(&files.signing_keys, || {
                serde_json::to_string(&keys).map_err(|_| StartError::Keys)
            })?;
        }
        Ok(files)
    }
}

/// Writes a file that only its owner may read, unless it is there.
fn write_new(path: &Path, text: impl FnOnce() -> Result<String, StartError>) -> Result<(), StartError> {
    let failed = |cause| StartError::Data {
        path: path.to_owned(),
        cause,
    };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(text()?.as_bytes()).map_err(failed),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// The apps of a file in the form of `WXAUTH_APPS`, for the simulator to answer for.
pub fn simulated_apps(path: &Path) -> Result<Vec<App>, StartError> {
    #[derive(serde::Deserialize)]
    struct Apps {
        apps: std::collections::BTreeMap<String, Secret>,
    }
    #[derive(serde::Deserialize)]
    struct Secret {
        secret: String,
    }
    let text = std::fs::read_to_string(path).map_err(|cause| StartError::Data {
        path: path.to_owned(),
        cause,
    })?;
    let apps: Apps = serde_json::from_str(&text).map_err(|_| StartError::Apps)?;
    Ok(apps
        .apps
        .into_iter()
        .map(|(appid, Secret { secret })| App { appid, secret })
        .collect())
}
