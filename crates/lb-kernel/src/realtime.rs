//! What a daemon that must not be late asks of the kernel.

use crate::Cause;
use nix::{
    errno::Errno,
    libc,
    sys::mman::{MlockAllFlags, mlockall},
};

/// Keeps every page of this process in memory, also those to come.
pub fn lock_memory() -> Result<(), Cause> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?;
    Ok(())
}

/// The calling thread goes before every ordinary one (`SCHED_FIFO`, 1 to 99), as do the threads that it starts.
pub fn run_first(priority: i32) -> Result<(), Cause> {
    set_scheduler(libc::SCHED_FIFO, priority)
}

/// The calling thread is an ordinary one again.
pub fn run_in_turn() -> Result<(), Cause> {
    set_scheduler(libc::SCHED_OTHER, 0)
}

#[expect(unsafe_code, reason = "nix has no sched_setscheduler")]
fn set_scheduler(policy: libc::c_int, priority: libc::c_int) -> Result<(), Cause> {
    // SAFETY: sched_param is plain data; musl's has more fields than glibc's, for which zero is right.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority;
    // SAFETY: the parameters live through the call; 0 is the calling thread.
    let done = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    Errno::result(done)?;
    Ok(())
}
