//! What a configuration is and whether it makes sense.
//!
//! Owns the document that an administrator edits ([`Config`]), the words in it (newtypes that
//! parse once), all its [`problems`], the [`factory`] settings, the [`changes`] between two
//! documents as sentences with their impact, and [`migrate`] from older documents.
//!
//! Pure: no I/O, no clock, no threads. Tested beside the code and by `tests/`.

mod agent;
mod changes;
mod check;
mod config;
pub mod dialects;
mod factory;
mod fallback_page;
pub mod heartbeat;
pub mod layer7;
mod lockdown;
mod migrate;
mod names;
mod ports;
mod problems;
#[cfg(feature = "sample")]
pub mod sample;
#[cfg(feature = "schema")]
pub mod schema;
mod service;

pub(crate) use service::words;

pub use agent::Agent;
pub use changes::{Change, changes};
pub use check::{Check, CheckMethod, Negotiate, NegotiateService, Pattern, StatusCodes};
pub use config::{Config, DOCUMENT_VERSION, Globals, HealthDefaults, Interface, Node, Route, Timeouts};
pub use dialects::Dialects;
pub use factory::{FACTORY_ADDRESS, FACTORY_HOSTNAME, factory, failsafe};
pub use fallback_page::FallbackPage;
pub use heartbeat::{Heartbeat, HeartbeatPath, NodeId, SerialPath, Shared, UdpPath, Witness};
pub use layer7::{Layer7, Layer7RealServer, Layer7VirtualServer};
pub use lockdown::{Lockdown, MANAGEMENT_PORTS};
pub use migrate::{MigrateError, migrate};
pub use names::{FirewallMark, Hostname, IfName, Label, NameError, TimeServer};
pub use ports::{PortRange, Ports};
pub use problems::{HeartbeatTimes, Problem, problems};
pub use service::{
    FallbackServer, Family, ForwardingMethod, Persistence, Protocol, RealServer, RequestedState, Scheduler, Service,
    Tunnel, VirtualServer,
};

/// The port of the appliance's own fallback page, on loopback and every local address.
pub const FALLBACK_PAGE_PORT: u16 = 9081;
