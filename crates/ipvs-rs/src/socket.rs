//! A blocking generic-netlink socket: sends buffers, receives datagrams, several per system call.
//!
//! Owns the file descriptor and the receive memory; knows nothing of what the bytes mean. The kernel
//! handles requests inside `sendmsg`, so their answers wait in the receive queue when it returns:
//! `recvmmsg` fetches up to [`SLOTS`] of them at once.
#![expect(unsafe_code, reason = "recvmmsg has no safe wrapper that keeps its buffers between calls")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, send, setsockopt, socket,
};
use nix::sys::time::TimeVal;

/// Datagrams per receive call.
const SLOTS: usize = 32;
/// Bytes per datagram: netlink fills dump chunks up to the reader's buffer, 32 KiB at most.
const SLOT: usize = 32 * 1024;
/// Asked for as receive queue: the answers to a batch are some 100 KiB.
const RECEIVE_QUEUE: usize = 4 << 20;

/// How long the kernel may take for an answer. It answers inside `sendmsg`; only a scheduler module that
/// must be loaded from a slow disk takes noticeable time, and that is spent inside `sendmsg` too.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    lengths: [usize; SLOTS],
    truncated: bool,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkGeneric)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // Beyond net.core.rmem_max where allowed; the default (212,992) holds a batch as well.
        if setsockopt(&fd, RcvBufForce, &RECEIVE_QUEUE).is_err() {
            setsockopt(&fd, RcvBuf, &RECEIVE_QUEUE)?;
        }
        setsockopt(&fd, ReceiveTimeout, &TimeVal::new(TIMEOUT.as_secs() as libc::time_t, 0))?;
        cap_acks(&fd);
        Ok(Self { fd, buffer: vec![0; SLOTS * SLOT], lengths: [0; SLOTS], truncated: false })
    }

    /// Sends one buffer of whole messages to the kernel.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for at least one datagram and takes at most `want` (1..=[`SLOTS`]) of those that are there;
    /// returns how many, for [`Socket::datagram`]. `WouldBlock` after [`TIMEOUT`]; `ENOBUFS` when the
    /// queue overflowed.
    pub(crate) fn receive(&mut self, want: usize) -> io::Result<usize> {
        let want = want.clamp(1, SLOTS);
        let base = self.buffer.as_mut_ptr();
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: SLOT }; SLOTS];
        // SAFETY: mmsghdr is plain data for which all zeroes is a valid value (null pointers, no lengths).
        let mut headers: [libc::mmsghdr; SLOTS] = unsafe { std::mem::zeroed() };
        for (slot, (vector, header)) in vectors.iter_mut().zip(&mut headers).take(want).enumerate() {
            vector.iov_base = base.wrapping_add(slot * SLOT).cast();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        let got = loop {
            // SAFETY: `headers` holds `want` (<= SLOTS) headers, each with one vector that covers its own
            // SLOT bytes of `self.buffer` (SLOTS * SLOT long), all alive and not otherwise used until the
            // call returns; a null timeout is allowed.
            let got = unsafe {
                libc::recvmmsg(
                    self.fd.as_raw_fd(),
                    headers.as_mut_ptr(),
                    want as libc::c_uint,
                    libc::MSG_WAITFORONE as _,
                    std::ptr::null_mut(),
                )
            };
            match usize::try_from(got) {
                Ok(got) => break got,
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        };
        for (slot, header) in headers.iter().take(got).enumerate() {
            self.lengths[slot] = (header.msg_len as usize).min(SLOT);
            self.truncated |= header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        }
        Ok(got)
    }

    /// Datagram `slot` of the last [`Socket::receive`].
    pub(crate) fn datagram(&self, slot: usize) -> &[u8] {
        &self.buffer[slot * SLOT..slot * SLOT + self.lengths[slot]]
    }

    /// Whether a datagram was longer than its slot since the last call.
    pub(crate) fn take_truncated(&mut self) -> bool {
        std::mem::take(&mut self.truncated)
    }
}

/// Asks for errors without an echo of the request (`NETLINK_CAP_ACK`, since 4.3). Only saves copying, so
/// an older kernel's refusal is of no consequence.
fn cap_acks(fd: &OwnedFd) {
    let on: libc::c_int = 1;
    // SAFETY: the option value is a live c_int and its size is passed.
    let _ignored = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_CAP_ACK,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
}
