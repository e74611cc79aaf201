//! The web interface and the native API under it.
#![forbid(unsafe_code)]

pub mod assets;
pub mod forms;
