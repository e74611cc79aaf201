//! The web interface and the native API under it.
//!
//! ```text
//!  browser --http/https--> server (limits, TLS, headers) --> pages / api --Backend--> /run/lbd.sock
//!                                                             |   |  \-- lb-access: users, sessions, audit
//!                                        templates, forms <---+   \----- live: one poll of lbd for all viewers
//! ```
//! It sees the product through lb-api only (what takes root goes to the one other socket, [`update`]), runs without root, and keeps nothing but its own state directory
//! (users, certificate, graphs). [`app`] is what every request shares; [`pages`] holds a module for each page of the
//! menu ([`menu`]); [`forms`] is pure. Tested by `tests/it`: a real lbd with the fake kernel, real sockets.
#![forbid(unsafe_code)]

pub mod api;
pub mod app;
pub mod args;
pub mod assets;
pub mod backend;
pub mod backup;
pub mod confine;
pub mod dialects;
pub mod form_view;
pub mod forms;
pub mod frame;
pub mod help;
pub mod live;
pub mod menu;
pub mod metrics;
pub mod pages;
pub mod refusal;
pub mod restore;
pub mod sampler;
pub mod seat;
pub mod server;
pub mod support;
pub mod tls;
pub mod update;

#[cfg(test)]
mod testing;

pub use app::{App, Shared};
