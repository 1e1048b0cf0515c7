//! Why the laptop does not start.

use std::{net::SocketAddr, path::PathBuf};

use shared::vars::ConfigError;

/// One sentence that says what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {address}: {cause}")]
    Listen { address: SocketAddr, cause: std::io::Error },
    #[error("cannot use {}: {cause}", path.display())]
    Data { path: PathBuf, cause: std::io::Error },
    #[error("the database in the data folder does not open; --data names another folder")]
    Database,
    #[error("the table cannot be made at the DynamoDB endpoint")]
    Table,
    #[error("no key could be made")]
    Keys,
    #[error(r#"--apps (or WXAUTH_APPS=file:PATH) should name a file that holds {{"apps": {{"wx...": {{"secret": "..."}}}}}}"#)]
    Apps,
    /// The template has no such member, or it has another form.
    #[error("infra/template.yaml: {0}")]
    Template(String),
}
