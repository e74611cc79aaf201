//! Two real daemons in two network namespaces: two networks between them, a null-modem cable of two pseudo terminals,
//! and a client beside them. Needs root; says so and passes without.
//!
//! After every step, and continuously between them, an audit asks both kernels who has the floating addresses: never
//! two while any path works. Steps wait for states, at most [`rig::LIMIT`]. What the client saw is printed, not judged.
//!
//! [`linux_ha`] is the list of the Linux-HA test suite, under its names; [`stories`] is what it lacks; [`strangers`]
//! send what is not the peer's. `HEARTBEAT` names another daemon than cargo's: so the guest runs them too.

mod linux_ha;
mod rig;
mod stories;
mod strangers;
