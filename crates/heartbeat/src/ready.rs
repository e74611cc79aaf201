//! Descriptors that the loop waits for.

use std::{io, os::fd::AsRawFd};
use tokio::io::{Interest, unix::AsyncFd};

/// Watches a descriptor that its owner, `inner`, keeps open and never exchanges: sockets and files of std and socket2.
#[expect(deprecated, reason = "its successor is unsafe, for owners that close or exchange their descriptor")]
pub fn watch<T: AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, interest)
}
