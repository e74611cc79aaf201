//! Why something happened: data that prints as one sentence for the log, and what is told to people.

use crate::time::Micros;
use crate::word::State;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a node changed its state, or why it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Started,
    ServedAlone,
    PeerServes,
    PeerPresent,
    NobodyAfterStart { waited: Micros },
    PeerSilent { silence: Micros },
    PeerBack,
    NobodyServes,
    PeerCannotServe,
    PeerDidNotClaim,
    PeerHandsOver,
    OperatorAsked,
    FailbackDue,
    PeerGranted,
    PeerClaimsToo,
    ClaimUnanswered,
    NotFitToServe,
    FloatingAddressFree,
    PeerHeldNothing,
    LeaseOver { waited: Micros },
    WitnessAgrees,
    AddressesUp,
    AddressesFailed,
    AddressesGone,
    LeaseEnded,
    PeerOutranks { mine: u32, theirs: u32 },
    PeerAlreadyServes,
    PeerTakesOver,
    PeerAsks,
    Unfit,
    NetworkWorse { mine: u8, theirs: u8 },
    WitnessSilent,
    Frozen { span: Micros },
    StandbyAsked,
    MaintenanceAsked,
    ShutdownAsked,
    HandedOver,
    PeerDidNotTake,
    NothingToHandOver,
}

/// Spans as people read them.
struct Ms(Micros);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0 / 1000)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Reason::*;
        f.write_str(match *self {
            Started => "the daemon started and removes what a predecessor left",
            ServedAlone => "this unit served alone before there was a pair, and goes on",
            PeerServes => "the peer serves",
            PeerPresent => "the peer is there",
            NobodyAfterStart { waited } => return write!(f, "no peer was heard for {} after the start", Ms(waited)),
            PeerSilent { silence } => {
                return write!(f, "nothing was heard from the peer on any path for {}", Ms(silence));
            }
            PeerBack => "the peer was heard again",
            NobodyServes => "neither node serves, and this one comes first",
            PeerCannotServe => "neither node serves, and the peer cannot",
            PeerDidNotClaim => "neither node serves, and the peer has not claimed",
            PeerHandsOver => "the peer is handing over",
            OperatorAsked => "a take-over was asked for here",
            FailbackDue => "this node is preferred, fit and hot again",
            PeerGranted => "the peer agreed",
            PeerClaimsToo => "the peer claims as well and comes first",
            ClaimUnanswered => "the peer did not agree in time",
            NotFitToServe => "this node cannot serve any more",
            FloatingAddressFree => "the peer is silent and nobody answers for the floating address",
            PeerHeldNothing => "the peer is silent and held nothing when it was last heard",
            LeaseOver { waited } => {
                return write!(f, "the peer has been silent for {}, longer than its addresses live", Ms(waited));
            }
            WitnessAgrees => "the peer is silent and the witness agrees",
            AddressesUp => "the floating addresses are up",
            AddressesFailed => "the floating addresses could not be added",
            AddressesGone => "the floating addresses are gone",
            LeaseEnded => "the floating addresses have run out",
            PeerOutranks { mine, theirs } => {
                return write!(f, "both nodes served; the peer's ownership {theirs} outranks this one's {mine}");
            }
            PeerAlreadyServes => "the peer was quicker",
            PeerTakesOver => "the peer hears nothing from here and takes over",
            PeerAsks => "the peer asked for a take-over",
            Unfit => "this node is unfit and the peer is fit",
            NetworkWorse { mine, theirs } => {
                return write!(f, "this node reaches {mine} ping nodes, the peer {theirs}");
            }
            WitnessSilent => "neither peer nor witness can be reached, so the peer may serve",
            Frozen { span } => {
                return write!(f, "this daemon was frozen for {}, and the addresses have run out", Ms(span));
            }
            StandbyAsked => "stand-by was asked for here",
            MaintenanceAsked => "maintenance was asked for here",
            ShutdownAsked => "the daemon is being shut down",
            HandedOver => "the peer serves, so this daemon may exit",
            PeerDidNotTake => "the peer did not take over in time",
            NothingToHandOver => "there is nothing to hand over",
        })
    }
}

/// A line for Logs > Heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    Moved {
        from: State,
        to: State,
        reason: Reason,
    },
    /// A beat is later than the warn time.
    Late {
        silence: Micros,
    },
    /// This daemon did not run for so long.
    Stalled {
        span: Micros,
    },
    /// Take-over has to wait.
    Waits {
        why: Wait,
    },
    PathDown {
        path: u8,
    },
    PathUp {
        path: u8,
    },
    PeerRestarted,
    /// Frames refused since the last such line.
    Refused {
        frames: u64,
    },
}

/// What a take-over waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Somebody answers for the floating address: the peer's host lives, only its daemon does not.
    AddressAnswers,
    /// Whether it is free could not be found out, so the peer's lease has to end.
    Lease,
    Witness,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Moved { from, to, reason } => write!(f, "{from} -> {to}: {reason}"),
            Note::Late { silence } => write!(f, "late heartbeat: nothing from the peer for {}", Ms(*silence)),
            Note::Stalled { span } => {
                write!(f, "this daemon did not run for {}: its silence does not count", Ms(*span))
            }
            Note::Waits { why: Wait::AddressAnswers } => {
                f.write_str("take-over waits: the peer is silent, but its host still answers for the floating address")
            }
            Note::Waits { why: Wait::Lease } => {
                f.write_str("take-over waits until the addresses of the silent peer have run out")
            }
            Note::Waits { why: Wait::Witness } => f.write_str("take-over waits for the witness"),
            Note::PathDown { path } => write!(f, "heartbeat path {path} is down"),
            Note::PathUp { path } => write!(f, "heartbeat path {path} is up"),
            Note::PeerRestarted => f.write_str("the peer's daemon was started anew"),
            Note::Refused { frames } => write!(f, "refused {frames} frames that are not the peer's or not new"),
        }
    }
}

/// What an administrator must know until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// Every path is silent while this node serves: the peer may serve as well.
    PeerSilent,
    /// Both nodes hold the floating addresses.
    TwoOwners,
    /// The peer does not hear this node.
    PeerDeaf,
    /// A machine that is not the peer answers for a floating address.
    DuplicateAddress,
    /// The peer is silent and the address still answers: nobody can take over.
    AddressAnswers,
    WitnessSilent,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Alarm::PeerSilent => "the peer is silent on every path; it may serve as well",
            Alarm::TwoOwners => "both nodes hold the floating addresses",
            Alarm::PeerDeaf => "the peer does not hear this node",
            Alarm::DuplicateAddress => "another machine answers for a floating address",
            Alarm::AddressAnswers => "the peer is silent, but the floating address still answers",
            Alarm::WitnessSilent => "the witness does not answer",
        })
    }
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    AlreadyActive,
    NotActive,
    /// hint: mend what makes this node unfit.
    ThisNodeUnfit,
    /// hint: wait for the connection table, or force it and lose connections.
    ThisNodeNotHot,
    /// hint: see why the peer is unfit, or force it and serve nobody.
    PeerCannotServe,
    PeerSilent,
    PeerDidNotTake,
    Superseded,
    Busy,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::AlreadyActive => "this node serves already",
            Refusal::NotActive => "this node does not serve",
            Refusal::ThisNodeUnfit => "this node is unfit or in maintenance",
            Refusal::ThisNodeNotHot => "this node does not have the peer's connections yet",
            Refusal::PeerCannotServe => "the peer cannot serve: it is silent, unfit or in maintenance",
            Refusal::PeerSilent => "the peer is silent; this node takes over by itself if it may",
            Refusal::PeerDidNotTake => "the peer did not follow in time",
            Refusal::Superseded => "another command came after it",
            Refusal::Busy => "this node is just starting or stopping",
        })
    }
}
