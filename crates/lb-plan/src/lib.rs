//! From what should be and what is to what must be done.
//!
//! [`desired`] turns a configuration and the health of its real servers into the state the kernel
//! should have; [`plan`] compares that with what was observed and lists the [`Action`]s that lead
//! there, in the order that never breaks traffic, and the [`Drift`] that is not ours to touch.
//! An action prints as one line: that text is the golden file, the "what will happen" panel and the log.
//!
//! Pure: no I/O, no clock. Tested by stories in `tests/cases` and by properties in `tests/`.

mod action;
mod desired;
mod plan;
mod ruleset;
mod state;

pub use action::Action;
pub use desired::{AgentShare, Fitness, Health, desired, dest_key, floating, health_seen, service_key};
pub use plan::{Drift, Plan, plan};
pub use ruleset::{HeldBack, ManagementDoor, MarkRule, Masquerade, PeersDoor, Ruleset};
pub use state::{
    Address, Desired, Dest, DestKey, Forward, Link, Observed, ObservedAddress, ObservedRoute, ObservedSync, Route,
    Service, ServiceKey, SyncDaemon, SyncPair, SyncRole,
};
