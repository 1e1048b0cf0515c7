//! Strangers: what one sends must not be noticed by others.
//!
//! One stranger floods the login from a public address that honest users share; requests of one source provoke everything
//! that WeChat can answer, and others are told what they would be told without them; and a refusal holds a function no
//! longer than it must.

pub mod figures;
pub mod flood;
pub mod held;
pub mod sender;
pub mod sources;
pub mod wechat;
