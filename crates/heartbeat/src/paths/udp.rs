//! A UDP path: one socket, one frame a datagram, unicast.
//!
//! The socket is not connected, so that a peer that is down is no error of ours. Who may speak, the frames' seal says.

use super::AT_ONCE;
use crate::ready;
use lb_ha::document::Udp;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    task::{Context, Poll},
};
use tokio::io::{Interest, unix::AsyncFd};

/// Longer than any frame, so that one that is too long is seen to be.
const BUFFER: usize = 256;
/// DSCP CS6, network control (RFC 4594 section 3.1), shifted over the two bits of ECN.
const TRAFFIC_CLASS: u32 = 48 << 2;

pub(super) struct UdpPath {
    socket: AsyncFd<UdpSocket>,
    peer: SocketAddr,
}

impl UdpPath {
    pub(super) fn open(udp: &Udp) -> io::Result<UdpPath> {
        let socket = Socket::new(Domain::for_address(udp.local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if let Some(interface) = &udp.interface {
            socket.bind_device(Some(interface.as_str().as_bytes()))?;
        }
        if udp.local.is_ipv6() {
            socket.set_only_v6(true)?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
        } else {
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        }
        let scoped = |mut address: SocketAddr| -> io::Result<SocketAddr> {
            if let (SocketAddr::V6(v6), Some(interface)) = (&mut address, &udp.interface)
                && v6.ip().is_unicast_link_local()
            {
                v6.set_scope_id(if_nametoindex(interface.as_str())?);
            }
            Ok(address)
        };
        let local = scoped(udp.local)?;
        socket.bind(&local.into()).map_err(|error| io::Error::new(error.kind(), format!("{local}: {error}")))?;
        let socket = ready::watch(UdpSocket::from(socket), Interest::READABLE)?;
        Ok(UdpPath { socket, peer: scoped(udp.peer)? })
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.get_ref().send_to(bytes, self.peer) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A full queue loses a frame, as a network may.
                Err(error) if is_loss(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn drain(&mut self, mut frame: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut buffer = [0; BUFFER];
        for _ in 0..AT_ONCE {
            match self.socket.get_ref().recv(&mut buffer) {
                Ok(length) => frame(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted || is_loss(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Cleared first, then read empty: what comes in between wakes us once more.
        self.socket.poll_read_ready(context).map_ok(|mut guard| guard.clear_ready())
    }
}

/// Errors that say that this frame is lost, and nothing of the socket.
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, PermissionDenied, WouldBlock};
    const NO_BUFFERS: i32 = nix::libc::ENOBUFS;
    matches!(error.kind(), WouldBlock | ConnectionRefused | PermissionDenied)
        || error.raw_os_error() == Some(NO_BUFFERS)
}
