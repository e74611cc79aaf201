//! The kernel's IP Virtual Server (IPVS) over generic netlink, and an `ipvsadm`-compatible command.
//!
//! What is here:
//! - **pure message codec**: [`wire`] (attributes), [`service`], [`dest`], [`stats`], [`daemon`], [`config`],
//!   [`request`], [`sync`] (its multicast messages). Bytes in, values out; no decoder panics, whatever the bytes;
//! - **a synchronous socket**: [`Ipvs`] sends many requests in one system call and matches every
//!   acknowledgement to its request. Synchronous because the kernel does the work inside `sendmsg`: a
//!   reactor would only add its own cost to some tens of microseconds per object. An async caller gives
//!   it a thread of its own;
//! - [`cli`]: arguments and listings of `ipvsadm`, as pure functions, and the driver the binary calls.
//!
//! What it refuses: product types, policy, and any answer about "atomic" changes: the kernel has 17
//! commands, one object each, and no transactions.
//!
//! The network namespace is that of the thread that calls [`Ipvs::open`]; it stays that one for the life
//! of the socket. Every command, also a read, needs `CAP_NET_ADMIN` in the initial user namespace.
//!
//! Checked against bytes recorded between Debian's `ipvsadm` and a real kernel (`tests/golden.rs`).
//! Constants come from the kernel's `include/uapi/linux/ip_vs.h` (6.1) unless another source is named.

pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod dest;
pub mod error;
pub mod request;
pub mod service;
mod socket;
pub mod stats;
pub mod sync;
pub mod wire;

pub use client::Ipvs;
pub use config::{Info, Timeouts};
pub use daemon::{Daemon, DaemonRole};
pub use dest::{Checksum, Dest, DestEntry, DestId, Forward, Tunnel};
pub use error::{Error, ErrorKind};
pub use request::Request;
pub use service::{Family, Flags, Netmask, Protocol, Service, ServiceEntry, ServiceId};
pub use stats::Stats;
