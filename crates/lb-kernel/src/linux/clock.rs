//! What the kernel was told of its clock. It is set by chronyd alone; lbd only looks.

use nix::libc;

#[expect(unsafe_code, reason = "nix has no adjtimex")]
pub(super) fn is_set() -> bool {
    // SAFETY: timex is plain data, and all zeroes, no mode among them, asks for nothing to be changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes into the struct, which lives through the call.
    let known = unsafe { libc::adjtimex(&raw mut state) } >= 0;
    known && state.status & libc::STA_UNSYNC == 0
}
