//! The contract as an OpenAPI document, made from the types that are read and written.
//!
//! It is behind the feature `contract`, so nothing of it is deployed.

mod document;
mod forms;
mod operation;

pub use document::document;
pub use forms::one_of;
pub use operation::Operation;
