//! An ICMP echo (RFC 792, RFC 4443 section 4), on a socket of its own.
//!
//! First the kernel's datagram ICMP, which needs no privilege where `net.ipv4.ping_group_range` allows
//! it, else a raw socket. The echo is repeated each second until the limit: one lost packet is no failed
//! server. An answer counts when identifier, sequence number and a number of this probe come back; a raw
//! socket sees other people's echoes too, and with a loopback address its own.

use super::{Failed, Limit};
use lb_check::Outcome;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{MissedTickBehavior, interval},
};

const AGAIN: Duration = Duration::from_secs(1);

pub async fn ask(address: IpAddr, limit: Limit) -> Result<Outcome, Failed> {
    let (socket, kind) = open(address)?;
    socket.connect(&SocketAddr::new(address, 0).into())?;
    // A datagram socket to tokio, whatever its protocol.
    let socket = UdpSocket::from_std(OwnedFd::from(socket).into())?;
    let echo = Echo::new(address, kind);
    let answered = async {
        let mut ticks = interval(AGAIN);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                answer = receive(&socket, &echo) => break answer,
                _ = ticks.tick() => send(&socket, &echo).await?,
            }
        }
    };
    limit.hold("no answer", answered).await?;
    Ok(Outcome::Fit)
}

fn open(address: IpAddr) -> io::Result<(Socket, Type)> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let (socket, kind) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => (socket, Type::DGRAM),
        Err(_) => (Socket::new(domain, Type::RAW, Some(protocol))?, Type::RAW),
    };
    socket.set_nonblocking(true)?;
    Ok((socket, kind))
}

async fn send(socket: &UdpSocket, echo: &Echo) -> io::Result<()> {
    socket.send(&echo.request()).await.map(drop)
}

async fn receive(socket: &UdpSocket, echo: &Echo) -> io::Result<()> {
    let mut packet = [0; 256];
    loop {
        let n = socket.recv(&mut packet).await?;
        if echo.answered_by(&packet[..n]) {
            return Ok(());
        }
    }
}

/// One probe's echo.
struct Echo {
    version: Version,
    /// The kernel writes its own into what a datagram socket sends, and delivers only answers to it.
    own_identifier: bool,
    number: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    V4,
    V6,
}

impl Echo {
    fn new(address: IpAddr, kind: Type) -> Echo {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let version = match address {
            IpAddr::V4(_) => Version::V4,
            IpAddr::V6(_) => Version::V6,
        };
        Echo { version, own_identifier: kind == Type::RAW, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }

    /// Identifier, sequence number and what follows them. The process id tells two lbds apart.
    fn words(&self) -> ([u8; 2], [u8; 2], [u8; 8]) {
        let [a, b, c, d] = self.number.to_be_bytes();
        let [e, f, g, h] = std::process::id().to_be_bytes();
        ([a ^ g, b ^ h], [c, d], [e, f, g, h, a, b, c, d])
    }

    fn request(&self) -> [u8; 16] {
        let (identifier, sequence, payload) = self.words();
        let kind = match self.version {
            Version::V4 => 8,
            Version::V6 => 128,
        };
        let mut packet = [0; 16];
        packet[0] = kind;
        packet[4..6].copy_from_slice(&identifier);
        packet[6..8].copy_from_slice(&sequence);
        packet[8..].copy_from_slice(&payload);
        if self.version == Version::V4 {
            // Version 6's covers the addresses; the kernel fills it in (RFC 3542, section 3.1).
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum);
        }
        packet
    }

    fn answered_by(&self, packet: &[u8]) -> bool {
        // A raw version 4 socket delivers the IP header as well.
        let header = match (self.version, self.own_identifier) {
            (Version::V4, true) => packet.first().map_or(0, |b| usize::from(b & 0x0f) * 4),
            (Version::V4, false) | (Version::V6, _) => 0,
        };
        let kind = match self.version {
            Version::V4 => 0,
            Version::V6 => 129,
        };
        let Some([k, 0, _, _, i @ .., s0, s1, _, _, _, _, _, _, _, _]) = packet.get(header..header + 16) else {
            return false;
        };
        let (identifier, sequence, payload) = self.words();
        *k == kind
            && (!self.own_identifier || *i == identifier)
            && [*s0, *s1] == sequence
            && packet[header + 8..header + 16] == payload
    }
}

/// RFC 1071.
fn checksum(packet: &[u8; 16]) -> [u8; 2] {
    let sum: u32 = packet.chunks_exact(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!(folded as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(version: Version, own_identifier: bool) -> Echo {
        Echo { version, own_identifier, number: 0x0102_0304 }
    }

    fn answer(echo: &Echo, kind: u8) -> Vec<u8> {
        let mut packet = echo.request().to_vec();
        packet[0] = kind;
        packet
    }

    #[test]
    fn request_has_a_checksum_that_verifies() {
        let packet = echo(Version::V4, true).request();
        assert_eq!(checksum(&packet), [0, 0], "{packet:x?}");
        assert_eq!(echo(Version::V6, true).request()[2..4], [0, 0]);
    }

    #[test]
    fn only_its_own_answer_counts() {
        let raw = echo(Version::V4, true);
        let header = [&[0x46][..], &[0; 23]].concat();
        let with = |packet: Vec<u8>| [header.clone(), packet].concat();
        assert!(raw.answered_by(&with(answer(&raw, 0))));
        assert!(!raw.answered_by(&with(answer(&raw, 8))), "its own request, seen on loopback");
        let other = Echo { number: 0x0102_0305, ..echo(Version::V4, true) };
        assert!(!raw.answered_by(&with(answer(&other, 0))));
        for byte in 4..16 {
            let mut packet = answer(&raw, 0);
            packet[byte] ^= 1;
            assert!(!raw.answered_by(&with(packet)), "byte {byte}");
        }
    }

    #[test]
    fn the_kernels_identifier_is_the_kernels() {
        let datagram = echo(Version::V6, false);
        let mut packet = answer(&datagram, 129);
        packet[4] ^= 0xff;
        assert!(datagram.answered_by(&packet));
        assert!(!echo(Version::V6, true).answered_by(&packet));
    }

    #[test]
    fn short_packets_are_no_answers() {
        for own_identifier in [false, true] {
            for version in [Version::V4, Version::V6] {
                let echo = echo(version, own_identifier);
                for n in 0..40 {
                    assert!(!echo.answered_by(&vec![0x45; n]));
                }
            }
        }
    }
}
