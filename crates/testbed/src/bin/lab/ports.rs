//! Which ports of a machine answer, all 65,535 of a protocol: TCP by SYNs of which nothing follows, UDP by empty
//! datagrams that a kernel refuses where nobody listens (RFC 9293 3.10.7.1, RFC 1122 3.2.2.1).
//!
//! The packets are made here, a window of them at a time, and sent again until they are answered: a connection for each
//! port would take minutes through two emulated machines. What a packet says is told by functions of its bytes. It needs
//! root.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

/// Questions under way: their answers fit into a socket's buffer.
const WINDOW: usize = 128;
/// Times that a silent port is asked: a packet may be lost.
const TRIES: u32 = 4;
/// How long a window waits for its last answer at the first try, and as much longer at each further one; an answer that
/// comes later counts all the same.
const PATIENCE: Duration = Duration::from_millis(700);
/// How often the clock is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// Bytes of a TCP header without options, and its flags (RFC 9293 3.1).
const TCP_HEADER: usize = 20;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// Protocol numbers of the IP header.
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Bytes of an ICMP header; destination unreachable, and of that "port unreachable" (RFC 792).
const ICMP_HEADER: usize = 8;
const UNREACHABLE: u8 = 3;
const PORT: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Tcp,
    Udp,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Udp => "udp",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Open,
    Refused,
}

/// The ports of `of` that are open; of UDP those that are not refused. A TCP port that says nothing at all is an error:
/// somebody drops what comes for it.
pub fn scan(of: Ipv4Addr, kind: Kind) -> Result<BTreeSet<u16>> {
    let probe = Probe::new(of, kind)?;
    let mut answers: Vec<Option<Answer>> = vec![None; usize::from(u16::MAX) + 1];
    let mut left: Vec<u16> = (1..=u16::MAX).collect();
    for n in 1..=TRIES {
        for window in left.chunks(WINDOW) {
            window.iter().try_for_each(|port| probe.ask(*port))?;
            let end = Instant::now() + PATIENCE * n;
            while window.iter().any(|port| answers[usize::from(*port)].is_none()) && Instant::now() < end {
                if let Some((port, answer)) = probe.hear()? {
                    answers[usize::from(port)].get_or_insert(answer);
                }
            }
        }
        left.retain(|port| answers[usize::from(*port)].is_none());
    }
    match (kind, left.first()) {
        (Kind::Udp, _) => Ok(left.into_iter().collect()),
        (Kind::Tcp, Some(first)) => {
            bail!("{} TCP ports of {of} neither take nor refuse a connection, the first is {first}", left.len())
        }
        (Kind::Tcp, None) => {
            Ok((1..=u16::MAX).filter(|port| answers[usize::from(*port)] == Some(Answer::Open)).collect())
        }
    }
}

struct Probe {
    mine: SocketAddrV4,
    of: Ipv4Addr,
    /// Hears TCP's answers, or what ICMP says of UDP; TCP's questions go out by it too.
    raw: Socket,
    holds: Holds,
}

/// A port of our own that nobody else gets meanwhile.
enum Holds {
    /// The kernel resets what this is answered, so that nothing stays half open.
    Tcp {
        _listener: TcpListener,
    },
    Udp(UdpSocket),
}

impl Probe {
    fn new(of: Ipv4Addr, kind: Kind) -> Result<Probe> {
        let own = own_address(of)?;
        let (protocol, port, holds) = match kind {
            Kind::Tcp => {
                let listener = TcpListener::bind((own, 0)).context("holding a TCP port")?;
                (Protocol::TCP, listener.local_addr()?.port(), Holds::Tcp { _listener: listener })
            }
            Kind::Udp => {
                let socket = UdpSocket::bind((own, 0)).context("holding a UDP port")?;
                (Protocol::ICMPV4, socket.local_addr()?.port(), Holds::Udp(socket))
            }
        };
        let raw = Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).context("opening a raw socket")?;
        raw.set_read_timeout(Some(LOOK)).context("setting a socket's time-out")?;
        Ok(Probe { mine: SocketAddrV4::new(own, port), of, raw, holds })
    }

    fn ask(&self, port: u16) -> Result<()> {
        let to = SocketAddrV4::new(self.of, port);
        let sent = match &self.holds {
            Holds::Tcp { .. } => self.raw.send_to(&syn(self.mine, to), &to.into()),
            Holds::Udp(socket) => socket.send_to(&[], to),
        };
        sent.map(drop).with_context(|| format!("asking {to}"))
    }

    /// Whatever comes within [`LOOK`], if it is an answer.
    fn hear(&self) -> Result<Option<(u16, Answer)>> {
        let mut packet = [0; 1500];
        let length = match (&self.raw).read(&mut packet) {
            Ok(length) => length,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => return Ok(None),
            Err(error) => return Err(error).context("waiting for answers"),
        };
        Ok(match &self.holds {
            Holds::Tcp { .. } => of_tcp(&packet[..length], self.mine, self.of),
            Holds::Udp(_) => of_icmp(&packet[..length], self.mine, self.of),
        })
    }
}

/// The address from which this machine speaks with `of`.
fn own_address(of: Ipv4Addr) -> Result<Ipv4Addr> {
    // Nothing is sent: a UDP socket that is connected knows its own address.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("opening a socket")?;
    socket.connect((of, 9)).with_context(|| format!("looking for the way to {of}"))?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(own) => Ok(own),
        IpAddr::V6(own) => bail!("the way to {of} is from {own}"),
    }
}

/// A SYN; the kernel puts the IP header before it.
fn syn(from: SocketAddrV4, to: SocketAddrV4) -> [u8; TCP_HEADER] {
    let mut header = [0; TCP_HEADER];
    header[0..2].copy_from_slice(&from.port().to_be_bytes());
    header[2..4].copy_from_slice(&to.port().to_be_bytes());
    // Any sequence number will do.
    header[4..8].copy_from_slice(b"scan");
    header[12] = 5 << 4;
    header[13] = SYN;
    header[14..16].copy_from_slice(&1024_u16.to_be_bytes());
    let sum = checksum(*from.ip(), *to.ip(), &header);
    header[16..18].copy_from_slice(&sum.to_be_bytes());
    header
}

/// Over the pseudo header and a segment of whole words (RFC 9293 3.1); of one that has its checksum already it is 0.
fn checksum(from: Ipv4Addr, to: Ipv4Addr, segment: &[u8]) -> u16 {
    let words = |bytes: &[u8]| bytes.chunks_exact(2).map(|b| u32::from(u16::from_be_bytes([b[0], b[1]]))).sum::<u32>();
    let length = u32::try_from(segment.len()).unwrap_or_default();
    let mut sum = words(&from.octets()) + words(&to.octets()) + u32::from(TCP) + length + words(segment);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// Protocol, sender, receiver and content of an IPv4 packet, whose content may be cut short (RFC 791 3.1).
fn ipv4(packet: &[u8]) -> Option<(u8, Ipv4Addr, Ipv4Addr, &[u8])> {
    let first = *packet.first()?;
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    (first >> 4 == 4).then_some(())?;
    Some((*packet.get(9)?, address(12)?, address(16)?, packet.get(usize::from(first & 0xf) * 4..)?))
}

/// The two ports that TCP and UDP begin with.
fn ports(segment: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d, ..] = *segment else { return None };
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// What a TCP packet from `of` to us says about its port.
fn of_tcp(packet: &[u8], mine: SocketAddrV4, of: Ipv4Addr) -> Option<(u16, Answer)> {
    let (protocol, from, to, segment) = ipv4(packet)?;
    let (port, back) = ports(segment)?;
    let flags = *segment.get(13)?;
    if (protocol, from, to, back) != (TCP, of, *mine.ip(), mine.port()) {
        return None;
    }
    match flags & (SYN | RST | ACK) {
        flags if flags & RST != 0 => Some((port, Answer::Refused)),
        flags if flags == SYN | ACK => Some((port, Answer::Open)),
        _ => None,
    }
}

/// The port of our own datagram that a "port unreachable" of `of` sends back.
fn of_icmp(packet: &[u8], mine: SocketAddrV4, of: Ipv4Addr) -> Option<(u16, Answer)> {
    let (_, from, _, icmp) = ipv4(packet)?;
    let (UNREACHABLE, PORT) = (*icmp.first()?, *icmp.get(1)?) else { return None };
    let (protocol, sender, receiver, datagram) = ipv4(icmp.get(ICMP_HEADER..)?)?;
    let (back, port) = ports(datagram)?;
    let ours = (from, protocol, sender, receiver, back) == (of, UDP, *mine.ip(), of, mine.port());
    ours.then_some((port, Answer::Refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 30), 40000);
    const OF: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 21);

    fn packet(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, content: &[u8]) -> Vec<u8> {
        let mut header = vec![0; 20];
        header[0] = 0x45;
        header[9] = protocol;
        header[12..16].copy_from_slice(&from.octets());
        header[16..20].copy_from_slice(&to.octets());
        header.extend(content);
        header
    }

    /// From port 80 to ours.
    fn segment(flags: u8) -> Vec<u8> {
        let mut segment = syn(SocketAddrV4::new(OF, 80), MINE).to_vec();
        segment[13] = flags;
        segment
    }

    #[test]
    fn a_syn_has_the_checksum_that_a_kernel_takes() {
        let made = syn(MINE, SocketAddrV4::new(OF, 80));
        assert_eq!(checksum(*MINE.ip(), OF, &made), 0);
        assert_eq!(&made[..4], [0x9c, 0x40, 0, 80]);
        assert_eq!((made[12], made[13]), (0x50, SYN));
    }

    #[test]
    fn tcp_takes_or_refuses() {
        let says = |flags| of_tcp(&packet(TCP, OF, *MINE.ip(), &segment(flags)), MINE, OF);
        assert_eq!(says(SYN | ACK), Some((80, Answer::Open)));
        assert_eq!(says(RST | ACK), Some((80, Answer::Refused)));
        assert_eq!(says(ACK), None);
        let other = Ipv4Addr::new(10, 0, 0, 50);
        assert_eq!(of_tcp(&packet(TCP, other, *MINE.ip(), &segment(SYN | ACK)), MINE, OF), None);
        let another = SocketAddrV4::new(*MINE.ip(), 40001);
        assert_eq!(of_tcp(&packet(TCP, OF, *MINE.ip(), &segment(SYN | ACK)), another, OF), None);
        assert_eq!(of_tcp(&packet(TCP, OF, *MINE.ip(), &segment(SYN | ACK)[..10]), MINE, OF), None);
    }

    #[test]
    fn udp_is_refused_by_icmp() {
        let datagram = [0x9c, 0x40, 0, 53, 0, 8, 0, 0];
        let says = |kind: u8, code: u8, from: Ipv4Addr, to: Ipv4Addr| {
            let mut icmp = vec![kind, code, 0, 0, 0, 0, 0, 0];
            icmp.extend(packet(UDP, *MINE.ip(), to, &datagram));
            of_icmp(&packet(1, from, *MINE.ip(), &icmp), MINE, OF)
        };
        assert_eq!(says(UNREACHABLE, PORT, OF, OF), Some((53, Answer::Refused)));
        // Forbidden by a filter is not refused; somebody else's word does not count.
        assert_eq!(says(UNREACHABLE, 13, OF, OF), None);
        assert_eq!(says(0, 0, OF, OF), None);
        assert_eq!(says(UNREACHABLE, PORT, Ipv4Addr::new(10, 0, 0, 50), OF), None);
        assert_eq!(says(UNREACHABLE, PORT, OF, Ipv4Addr::new(10, 0, 0, 50)), None);
    }
}
