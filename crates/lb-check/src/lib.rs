//! Is this real server fit: probe schedules, rise and fall, what a reply means.
//!
//! Pure: no I/O, no clock, no threads. Time is an argument, a [`Duration`](std::time::Duration) since
//! any fixed start of the caller's monotonic clock. The caller's loop is
//!
//! ```text
//!   specs(&Config) --> Checker::configure --> transitions
//!   sleep until Checker::deadline, then Checker::due --> probes, each carried out by the caller
//!   Outcome of a probe --> Checker::result --> transitions (to be written into the plan's health)
//! ```
//!
//! - [`specs`]: what the configuration asks of each real server; equal questions are asked once.
//! - [`Checker`]: when to ask next, and what the answers add up to.
//! - [`reply`]: what an HTTP answer means.
//! - [`Agents`]: the agents on real servers that say how much of the load they want, asked beside the checks in the
//!   same way; [`AgentReply`]: what they answer.
//! - [`Known`]: the verdicts as they are kept over a restart.
//!
//! # The place for further check types
//! A new type is a variant of [`Kind`] (its question), an arm in [`specs`] (from the configuration), an
//! arm in lbd's `probes::run` (the asking), and beside [`reply`] a module that reads its answer. The
//! [`Checker`] does not know the types apart and stays as it is.
//!
//! Tested with a world in virtual time (`tests/simulation.rs`): servers that fail and return at random
//! moments must be found within [`CheckSpec::detection_bound`].
#![forbid(unsafe_code)]

mod agent;
mod agents;
mod checker;
mod known;
pub mod reply;
mod spec;
mod verdict;

pub use agent::{ANSWER_LIMIT, AgentMode, AgentReply, AgentState, Heard, agent_text};
pub use agents::{AgentKey, AgentQuestion, AgentSpec, AgentTurn, Agents, agents};
pub use checker::{Checker, Probe, ProbeKey, Standing, Transition};
pub use known::{Known, LastState};
pub use spec::{CheckSpec, Kind, Target, specs};
pub use verdict::{Outcome, Verdict};
