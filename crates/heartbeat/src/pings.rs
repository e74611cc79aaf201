//! Ping nodes: which of them answer to an ICMP echo (RFC 792, RFC 4443 section 4).
//!
//! Each is asked every second; it answers while its last answer is no older than three. A raw socket sees all echoes,
//! so an answer counts only with this daemon's random mark in it.

use crate::ready;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::HashMap,
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::{
    io::{
        Interest,
        unix::{AsyncFd, AsyncFdReadyGuard},
    },
    sync::{mpsc::UnboundedSender, watch},
    time::{MissedTickBehavior, interval},
};

const ASK_EVERY: Duration = Duration::from_secs(1);
const ANSWERS_FOR: Duration = Duration::from_secs(3);
const PACKET: usize = 16;

/// Asks the nodes in `nodes` until its sender is gone; tells how many answer whenever that changes.
pub async fn watch_nodes(mut nodes: watch::Receiver<Vec<IpAddr>>, mark: u64, told: UnboundedSender<u8>) {
    let open = |domain, protocol| ready::watch(raw(domain, protocol)?, Interest::READABLE);
    let v4 = open(Domain::IPV4, Protocol::ICMPV4);
    let v6 = open(Domain::IPV6, Protocol::ICMPV6);
    let mut answered: HashMap<IpAddr, Instant> = HashMap::new();
    let mut said = None;
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let list = nodes.borrow_and_update().clone();
        answered.retain(|node, at| list.contains(node) && at.elapsed() <= ANSWERS_FOR);
        let reached = u8::try_from(answered.len()).unwrap_or(u8::MAX);
        if said != Some(reached) {
            said = Some(reached);
            if told.send(reached).is_err() {
                return;
            }
        }
        tokio::select! {
            _ = ticks.tick() => {
                for node in &list {
                    let socket = if node.is_ipv4() { &v4 } else { &v6 };
                    let Ok(socket) = socket else { continue };
                    // Not sent is not answered.
                    let _ = socket.get_ref().send_to(&request(*node, mark), &SocketAddr::new(*node, 0).into());
                }
            }
            ready = readable(&v4) => read_all(ready, mark, true, &mut answered),
            ready = readable(&v6) => read_all(ready, mark, false, &mut answered),
            changed = nodes.changed() => if changed.is_err() { return },
        }
    }
}

fn raw(domain: Domain, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

async fn readable(socket: &io::Result<AsyncFd<Socket>>) -> AsyncFdReadyGuard<'_, Socket> {
    match socket {
        Ok(socket) => match socket.readable().await {
            Ok(ready) => ready,
            Err(_) => std::future::pending().await,
        },
        Err(_) => std::future::pending().await,
    }
}

fn read_all(
    mut ready: AsyncFdReadyGuard<'_, Socket>,
    mark: u64,
    version4: bool,
    answered: &mut HashMap<IpAddr, Instant>,
) {
    let mut buffer = [0; 128];
    // A bound, lest somebody who floods us keeps the loop from its beats.
    for _ in 0..64 {
        let (length, from) = match nix::sys::socket::recvfrom::<nix::sys::socket::SockaddrStorage>(
            std::os::fd::AsRawFd::as_raw_fd(ready.get_inner()),
            &mut buffer,
        ) {
            Ok(got) => got,
            Err(Errno::EAGAIN) => {
                ready.clear_ready();
                return;
            }
            Err(_) => continue,
        };
        let address = from.and_then(|from| {
            let v4 = from.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| from.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        });
        if let Some(address) = address.filter(|_| is_answer(&buffer[..length], mark, version4)) {
            answered.insert(address, Instant::now());
        }
    }
}

fn request(node: IpAddr, mark: u64) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[0] = if node.is_ipv4() { 8 } else { 128 };
    packet[4..6].copy_from_slice(&mark.to_be_bytes()[..2]);
    packet[8..].copy_from_slice(&mark.to_be_bytes());
    if node.is_ipv4() {
        // Version 6's covers the addresses; the kernel fills it in (RFC 3542, section 3.1).
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

fn is_answer(packet: &[u8], mark: u64, version4: bool) -> bool {
    // A raw version 4 socket delivers the IP header as well.
    let header = if version4 { packet.first().map_or(0, |byte| usize::from(byte & 15) * 4) } else { 0 };
    let mut echo = [0; PACKET];
    let Some(mut rest) = packet.get(header..) else { return false };
    let kind = if version4 { 0 } else { 129 };
    rest.read_exact(&mut echo).is_ok() && echo[0] == kind && echo[8..] == mark.to_be_bytes()
}

/// RFC 1071.
fn checksum(packet: &[u8; PACKET]) -> [u8; 2] {
    let sum: u32 = packet.chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_answer_counts() {
        let node: IpAddr = "10.0.0.1".parse().expect("an address");
        let mut answer = request(node, 7);
        assert_eq!(checksum(&answer), [0, 0], "a checksum that verifies");
        let with_header = |echo: &[u8]| [&[0x45][..], &[0; 19], echo].concat();
        assert!(!is_answer(&with_header(&answer), 7, true), "the request itself, seen on loopback");
        answer[0] = 0;
        assert!(is_answer(&with_header(&answer), 7, true));
        assert!(!is_answer(&with_header(&answer), 8, true));
        answer[0] = 129;
        assert!(is_answer(&answer, 7, false));
        for length in 0..36 {
            assert!(!is_answer(&vec![0x45; length], 7, true) && !is_answer(&vec![0x45; length], 7, false));
        }
    }
}
