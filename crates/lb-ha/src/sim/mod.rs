//! Two nodes in virtual time: paths that lose, delay, reorder, duplicate and are cut one way; clocks that drift;
//! daemons that freeze or die while their kernel lives on; reboots; an attacker who plays frames back. The same
//! seed gives the same run.
//!
//! - [`schedule`]: what happens in a run, drawn from its seed.
//! - [`world`]: the machine that runs it; kernels hold addresses for a lease, as real ones do.
//! - [`audit`]: who held the addresses at every instant, and every promise that was broken.

pub mod audit;
mod host;
mod random;
pub mod schedule;
pub mod world;

pub use audit::{Broken, Rule};
pub use random::Random;
pub use schedule::{Fault, Kind, Schedule};
pub use world::{Ended, World, run};
