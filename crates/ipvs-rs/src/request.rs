//! Every change the kernel's IPVS knows, as one closed enum, and its message. Pure.

use std::fmt;

use crate::config::Timeouts;
use crate::daemon::{Daemon, DaemonRole};
use crate::dest::{Dest, DestId};
use crate::service::{Service, ServiceId};
use crate::wire::{Cmd, Encoder, IPVS_GENL_VERSION, NLM_F_ACK};

/// One change. Changes of a batch are done in order; a refused one does not stop those behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    AddService(Service),
    /// Keeps connections, counters and destinations.
    SetService(Service),
    DelService(ServiceId),
    AddDest(ServiceId, Dest),
    SetDest(ServiceId, Dest),
    DelDest(ServiceId, DestId),
    SetTimeouts(Timeouts),
    StartDaemon(Daemon),
    StopDaemon(DaemonRole),
    /// Counters of one service (and its destinations) or of all.
    Zero(Option<ServiceId>),
    /// Deletes every service in the network namespace, whoever made it.
    Flush,
}

impl Request {
    /// The command that carries it.
    pub fn command(&self) -> Cmd {
        match self {
            Self::AddService(_) => Cmd::NewService,
            Self::SetService(_) => Cmd::SetService,
            Self::DelService(_) => Cmd::DelService,
            Self::AddDest(..) => Cmd::NewDest,
            Self::SetDest(..) => Cmd::SetDest,
            Self::DelDest(..) => Cmd::DelDest,
            Self::SetTimeouts(_) => Cmd::SetConfig,
            Self::StartDaemon(_) => Cmd::NewDaemon,
            Self::StopDaemon(_) => Cmd::DelDaemon,
            Self::Zero(_) => Cmd::Zero,
            Self::Flush => Cmd::Flush,
        }
    }

    /// Appends its message, which asks for an acknowledgement.
    pub fn encode(&self, out: &mut Encoder, family: u16, seq: u32) {
        out.begin(family, NLM_F_ACK, seq, self.command() as u8, IPVS_GENL_VERSION);
        match self {
            Self::AddService(service) | Self::SetService(service) => service.encode_nest(out),
            Self::DelService(id) | Self::Zero(Some(id)) => id.encode_nest(out),
            Self::AddDest(id, dest) | Self::SetDest(id, dest) => {
                id.encode_nest(out);
                dest.encode_nest(out);
            }
            Self::DelDest(id, dest) => {
                id.encode_nest(out);
                dest.encode_nest(out);
            }
            Self::SetTimeouts(timeouts) => timeouts.encode(out),
            Self::StartDaemon(daemon) => daemon.encode_nest(out),
            Self::StopDaemon(role) => role.encode_nest(out),
            Self::Zero(None) | Self::Flush => {}
        }
        out.end();
    }
}

/// Names the object alone, as an error message does: `10.9.1.1:80 of tcp 10.1.0.1:80`.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService(service) | Self::SetService(service) => {
                write!(f, "{} (scheduler {})", service.id, service.scheduler)
            }
            Self::DelService(id) | Self::Zero(Some(id)) => id.fmt(f),
            Self::AddDest(id, dest) | Self::SetDest(id, dest) => write!(f, "{} of {id}", dest.id()),
            Self::DelDest(id, dest) => write!(f, "{dest} of {id}"),
            Self::SetTimeouts(_) | Self::Zero(None) | Self::Flush => Ok(()),
            Self::StartDaemon(daemon) => write!(f, "{} on {}", daemon.role, daemon.interface),
            Self::StopDaemon(role) => role.fmt(f),
        }
    }
}
