//! Two appliances that act as one: the daemon around [`lb_ha::Node`].
//!
//! It carries frames over serial lines and UDP ([`paths`]), has the kernel add, renew, announce and remove the
//! floating addresses ([`hands`], a thread), listens to who claims them ([`listen`]), finds out whether this node can
//! serve ([`fitness`], [`pings`]), and answers on its status socket ([`control`]). It decides nothing: [`daemon`] is
//! one loop that turns what happens into events and carries out what the node wants, in order.
//!
//! It refuses a document or keys that make no sense, and goes on with those in force. What may wait (kernel, disk,
//! log) is done by threads of their own, so that no beat waits. Tested by `tests/pair.rs`: two real daemons in
//! network namespaces.
#![forbid(unsafe_code)]

mod boot;
mod clock;
mod control;
mod daemon;
mod fitness;
mod hands;
mod listen;
pub mod load;
mod outlet;
mod paths;
mod pings;
mod ready;

pub use daemon::{Places, run};
