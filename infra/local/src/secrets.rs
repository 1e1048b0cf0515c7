//! The laptop's secrets: files in its data folder, made once, in the forms that Secrets Manager holds on AWS.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use shared::{
    entropy::{self, OsEntropy},
    token::jwks::{KeyKind, KeyState, MakeError, PrivateJwk, PrivateJwks},
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
        write_new(&files.keyring, || Ok(keyring()))?;
        if !files.signing_keys.exists() {
            let keys = signing_keys(signing).map_err(|_| StartError::Keys)?;
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

fn keyring() -> String {
    let key = || URL_SAFE_NO_PAD.encode(entropy::bytes::<32>(&OsEntropy));
    json!({ "current": 1, "keys": { "1": key(), "2": key() } }).to_string()
}

fn signing_keys(kind: KeyKind) -> Result<PrivateJwks, MakeError> {
    Ok(PrivateJwks {
        keys: vec![
            PrivateJwk::make(kind, KeyState::Current)?,
            PrivateJwk::make(kind, KeyState::Next)?,
        ],
    })
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
