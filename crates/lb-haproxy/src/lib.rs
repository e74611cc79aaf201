//! Layer 7 by HAProxy 2.6: what it shall be told, and telling it without dropping a connection.
//!
//! Pure: [`render`] writes a configuration in HAProxy's language and remembers which line comes from which field;
//! [`plan`] compares what should be with what was observed and lists [`Action`]s, a reload only where the runtime API
//! cannot do it; [`Statistics`] and the complaints of `haproxy -c` are parsed. The hands are [`Proxy`]: [`Haproxy`]
//! drives the real one over its sockets, [`fake::Fake`] one in memory. What it remembers of clients is read and cleared
//! by [`Memory`].
//!
//! Tested by golden files, and against the real HAProxy where it is installed (`tests/`).
#![forbid(unsafe_code)]

pub mod fake;
mod files;
mod haproxy;
mod memory;
mod plan;
mod refusal;
mod render;
mod statistics;

pub use files::{Certificates, File, Material, Missing};
pub use haproxy::{Haproxy, Paths};
pub use memory::{Entry, Forgotten, Known, Memory, Table, tables};
pub use plan::{Action, Observed, ObservedAgent, ObservedServer, plan};
pub use render::{Definition, List, Places, Rendered, ServerKey, ServerSetting, answered, render, render_in};
pub use statistics::{ActualAgent, ActualServer, AgentAnswer, Detail, Statistics, Totals, VirtualServerStatistics};

use lb_model::Problem;

/// Why HAProxy did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("{doing}: {source}")]
    Io { doing: String, source: std::io::Error },
    /// It does not run, or has not been told anything yet.
    #[error("HAProxy does not run")]
    Down,
    /// It runs, and answers with a complaint.
    #[error("HAProxy refuses \"{command}\": {answer}")]
    Refused { command: String, answer: String },
    #[error("HAProxy refuses the new configuration and goes on with the old one: {0}")]
    Reload(String),
}

/// The hands on HAProxy.
pub trait Proxy: Send {
    /// What `haproxy -c` says to it: nothing, or each complaint at the field that caused it. Touches nothing that runs.
    fn check(&mut self, wanted: &Rendered) -> Result<Vec<Problem>, ProxyError>;

    /// What runs.
    fn observe(&mut self) -> Result<Observed, ProxyError>;

    /// Carries one step out; safe to repeat.
    fn execute(&mut self, action: &Action) -> Result<(), ProxyError>;

    /// Counters and health; empty while it does not run.
    fn statistics(&mut self) -> Result<Statistics, ProxyError>;
}
