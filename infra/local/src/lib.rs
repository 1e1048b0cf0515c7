//! The laptop: functions, embedded DynamoDB and WeChat simulator in one process, on loopback unless told otherwise.
//!
//! The functions are the same routers that Lambda serves. They reach the table through the AWS SDK and WeChat through the
//! HTTP client of a deployment; only the two servers are others.

mod clock;
mod data_folder;
pub mod doctor;
pub mod error;
pub mod front;
mod mock_code;
pub mod mounts;
pub mod networks;
mod owner;
pub mod playground;
mod push_target;
pub mod ready;
pub mod secrets;
pub mod settings;
mod tasks;
pub mod template;
pub mod world;

pub use error::StartError;
pub use settings::{Data, Settings};
pub use world::World;
