//! Messages of the connection synchronisation, version 1 (`net/netfilter/ipvs/ip_vs_sync.c`). Pure.
//!
//! A master daemon multicasts them, a backup daemon does with its connection table what they say
//! (`ip_vs_proc_conn`): an entry that it does not have is made, one that it has gets the message's state and time-out.
//! They are the only way into the table: netlink has no call for it. Big-endian; one datagram:
//!
//! ```text
//!  0 | sync id | size              header: sizeof(struct ip_vs_sync_mesg) = 8
//!  connections | 1 | 0 | 0
//!  type | protocol | ver., size    a connection: struct ip_vs_sync_v4 (36 bytes) or _v6 (72), type 1
//!  flags
//!  state | client port
//!  virtual port | real port
//!  mark
//!  time-out
//!  client, virtual, real address
//!  [option, length, data]...       then zeros up to the next multiple of 4, not counted in its size
//! ```
//!
//! Refuses what a backup would refuse, which drops the rest of the message: an entry of mixed families, an engine's
//! data without its name. Checked by properties, and in a guest against what a real kernel sends and takes.

use std::net::{IpAddr, SocketAddr};

/// `SYNC_PROTO_VER`.
const VERSION: u8 = 1;
/// `sizeof(struct ip_vs_sync_mesg)`.
const HEADER: usize = 8;
/// `sizeof(struct ip_vs_sync_v4)`, `sizeof(struct ip_vs_sync_v6)`.
const V4: usize = 36;
const V6: usize = 72;
/// `STYPE_F_INET6`.
const INET6: u8 = 1;
/// `SVER_MASK`: the upper four bits are the entry's version, 0.
const SIZE_MASK: u16 = 0x0fff;

/// `IPVS_OPT_*`.
mod option {
    pub const SEQUENCE: u8 = 1;
    pub const ENGINE_DATA: u8 = 2;
    pub const ENGINE_NAME: u8 = 3;
    /// `IPVS_OPT_F_PARAM`: who does not know the kind may skip it.
    pub const OPTIONAL: u8 = 1 << 6;
}

/// `sizeof(struct ip_vs_sync_conn_options)`.
const SEQUENCE: usize = 24;
/// `IP_VS_PEDATA_MAXLEN` (`ip_vs.h`); one byte holds the length.
const LONGEST_ENGINE_DATA: usize = 255;
/// `IP_VS_PENAME_MAXLEN`.
const LONGEST_ENGINE_NAME: usize = 16;

/// `IP_VS_SYNC_GROUP`.
pub const GROUP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(224, 0, 0, 81);
/// `IP_VS_SYNC_PORT`.
pub const PORT: u16 = 8848;

/// Bits of [`Connection::flags`] (`IP_VS_CONN_F_*`).
pub mod flag {
    /// The lowest three: the forwarding method, as in a destination. Used only while the backup has no destination of
    /// that address; else that one's own.
    pub const FORWARD: u32 = 0x0007;
    pub const NO_OUTPUT: u32 = 0x0080;
    /// Counted among the destination's inactive connections.
    pub const INACTIVE: u32 = 0x0100;
    pub const OUT_SEQUENCE: u32 = 0x0200;
    pub const IN_SEQUENCE: u32 = 0x0400;
    /// The client's port is not known yet (FTP data).
    pub const NO_CLIENT_PORT: u32 = 0x0800;
    pub const TEMPLATE: u32 = 0x1000;
    /// `IP_VS_CONN_F_BACKUP_MASK`: what a backup takes from a message.
    pub const KEPT: u32 = FORWARD | NO_OUTPUT | INACTIVE | OUT_SEQUENCE | IN_SEQUENCE | NO_CLIENT_PORT | TEMPLATE;
}

/// One entry of the connection table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// IPPROTO_TCP, …; 0 for a template of a firewall mark, whose number stands in the first four bytes of
    /// `virtual_server`.
    pub protocol: u8,
    /// Of [`flag`].
    pub flags: u32,
    /// The protocol's number for it; a backup refuses one that the protocol does not have.
    pub state: u16,
    /// A template's: the network's address, port 0.
    pub client: SocketAddr,
    pub virtual_server: SocketAddr,
    pub destination: SocketAddr,
    /// The mark by which the service is found; 0 = by address.
    pub mark: u32,
    /// Seconds from when the message is read, and again from every packet that does not change it; 0 = the state's
    /// own, for a template three minutes.
    pub timeout: u32,
    /// How a helper (FTP) has moved the stream's numbers; belongs to the two sequence flags.
    pub sequence: Option<Sequences>,
    /// What a persistence engine (SIP) knows a client by.
    pub engine: Option<Engine>,
}

impl Connection {
    /// A TCP connection of which at least one side has said that it is done (`IP_VS_TCP_S_FIN_WAIT` to `_LAST_ACK`).
    pub fn has_ended(&self) -> bool {
        self.protocol == 6 && self.flags & flag::TEMPLATE == 0 && (4..=8).contains(&self.state)
    }
}

/// `struct ip_vs_sync_conn_options`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sequences {
    pub incoming: Sequence,
    pub outgoing: Sequence,
}

/// `struct ip_vs_seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sequence {
    pub initial: u32,
    pub delta: u32,
    pub previous_delta: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub name: String,
    /// Never empty.
    pub data: Vec<u8>,
}

/// Why an entry cannot be said, or a message not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    #[error("the entry's addresses are of different families")]
    MixedFamilies,
    #[error("the persistence engine's name or data is empty or too long")]
    Engine,
    #[error("the entry is longer than a message")]
    TooLong,
    #[error("the message is cut short, or longer than it says")]
    Size,
    #[error("not a message of version 1")]
    Version,
    #[error("an entry of unknown type {0}")]
    Type(u8),
    #[error("an option of kind {0} that is unknown, twice there or of a wrong size")]
    Option(u8),
}

/// A datagram being filled.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    longest: usize,
}

impl Message {
    /// `longest`: in bytes, what the backup takes (its `max_len`: by itself its interface's MTU less 28).
    pub fn new(sync_id: u8, longest: u16) -> Message {
        Message { bytes: vec![0, sync_id, 0, HEADER as u8, 0, VERSION, 0, 0], longest: longest.into() }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes[4] == 0
    }

    /// Entries in it.
    pub fn len(&self) -> u8 {
        self.bytes[4]
    }

    /// What goes over the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins the next one.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER);
        self.bytes[4] = 0;
        self.set_size();
    }

    /// `Ok(false)`: it does not fit, and nothing was changed; send this one and begin the next.
    pub fn push(&mut self, connection: &Connection) -> Result<bool, SyncError> {
        let size = connection.size()?;
        let start = self.bytes.len().next_multiple_of(4);
        if HEADER + size > self.longest {
            return Err(SyncError::TooLong);
        }
        if start + size > self.longest || self.bytes[4] == u8::MAX {
            return Ok(false);
        }
        self.bytes.resize(start, 0);
        connection.encode(size, &mut self.bytes);
        self.bytes[4] += 1;
        self.set_size();
        Ok(true)
    }

    fn set_size(&mut self) {
        // `longest` is 16 bits.
        let size = self.bytes.len() as u16;
        self.bytes[2..4].copy_from_slice(&size.to_be_bytes());
    }
}

impl Connection {
    /// What binds a client, or a network of clients, to a destination for so many seconds.
    pub fn template(
        protocol: u8,
        client: SocketAddr,
        virtual_server: SocketAddr,
        destination: SocketAddr,
        timeout: u32,
    ) -> Connection {
        Connection {
            protocol,
            flags: flag::TEMPLATE,
            state: 0,
            client,
            virtual_server,
            destination,
            mark: 0,
            timeout,
            sequence: None,
            engine: None,
        }
    }

    fn size(&self) -> Result<usize, SyncError> {
        let mut size = match (self.client, self.virtual_server, self.destination) {
            (SocketAddr::V4(_), SocketAddr::V4(_), SocketAddr::V4(_)) => V4,
            (SocketAddr::V6(_), SocketAddr::V6(_), SocketAddr::V6(_)) => V6,
            _ => return Err(SyncError::MixedFamilies),
        };
        if self.sequence.is_some() {
            size += 2 + SEQUENCE;
        }
        if let Some(Engine { name, data }) = &self.engine {
            let fits =
                (1..=LONGEST_ENGINE_NAME).contains(&name.len()) && (1..=LONGEST_ENGINE_DATA).contains(&data.len());
            if !fits {
                return Err(SyncError::Engine);
            }
            size += 2 + data.len() + 2 + name.len();
        }
        Ok(size)
    }

    fn encode(&self, size: usize, out: &mut Vec<u8>) {
        out.extend([if self.client.is_ipv6() { INET6 } else { 0 }, self.protocol]);
        // At most 72 + 26 + 257 + 18.
        out.extend((size as u16).to_be_bytes());
        out.extend(self.flags.to_be_bytes());
        out.extend(self.state.to_be_bytes());
        for socket in [self.client, self.virtual_server, self.destination] {
            out.extend(socket.port().to_be_bytes());
        }
        out.extend(self.mark.to_be_bytes());
        out.extend(self.timeout.to_be_bytes());
        for socket in [self.client, self.virtual_server, self.destination] {
            match socket.ip() {
                IpAddr::V4(ip) => out.extend(ip.octets()),
                IpAddr::V6(ip) => out.extend(ip.octets()),
            }
        }
        if let Some(Sequences { incoming, outgoing }) = self.sequence {
            out.extend([option::SEQUENCE, SEQUENCE as u8]);
            for Sequence { initial, delta, previous_delta } in [incoming, outgoing] {
                out.extend([initial, delta, previous_delta].into_iter().flat_map(u32::to_be_bytes));
            }
        }
        if let Some(Engine { name, data }) = &self.engine {
            for (kind, value) in [(option::ENGINE_DATA, data.as_slice()), (option::ENGINE_NAME, name.as_bytes())] {
                out.extend([kind, value.len() as u8]);
                out.extend(value);
            }
        }
    }
}

/// The sync id and the entries of a message, with the checks of `ip_vs_process_message`.
pub fn decode(bytes: &[u8]) -> Result<(u8, Vec<Connection>), SyncError> {
    let (header, _) = bytes.split_first_chunk::<HEADER>().ok_or(SyncError::Size)?;
    let [zero, sync_id, size0, size1, count, version, spare0, spare1] = *header;
    if usize::from(u16::from_be_bytes([size0, size1])) != bytes.len() {
        return Err(SyncError::Size);
    }
    if (zero, version, spare0, spare1) != (0, VERSION, 0, 0) {
        return Err(SyncError::Version);
    }
    let mut connections = Vec::with_capacity(count.into());
    let mut at = HEADER;
    for _ in 0..count {
        let rest = bytes.get(at..).ok_or(SyncError::Size)?;
        let size = u16::from_be_bytes(*rest.get(2..).and_then(|r| r.first_chunk()).ok_or(SyncError::Size)?);
        if size & !SIZE_MASK != 0 {
            return Err(SyncError::Version);
        }
        let entry = rest.get(..size.into()).ok_or(SyncError::Size)?;
        connections.push(decode_one(entry)?);
        at += usize::from(size).next_multiple_of(4);
    }
    Ok((sync_id, connections))
}

/// Takes from the front of what is left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SyncError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(SyncError::Size)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, SyncError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, SyncError> {
        self.take().map(u32::from_be_bytes)
    }

    fn ip(&mut self, v6: bool) -> Result<IpAddr, SyncError> {
        Ok(if v6 { IpAddr::from(self.take::<16>()?) } else { IpAddr::from(self.take::<4>()?) })
    }

    fn sequence(&mut self) -> Result<Sequence, SyncError> {
        Ok(Sequence { initial: self.u32()?, delta: self.u32()?, previous_delta: self.u32()? })
    }

    /// Kind and data of the next option; `None` at the end.
    fn option(&mut self) -> Result<Option<(u8, &'a [u8])>, SyncError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let [kind, length] = self.take()?;
        if length == 0 || usize::from(length) > self.0.len() {
            return Err(SyncError::Option(kind));
        }
        let (data, rest) = self.0.split_at(length.into());
        self.0 = rest;
        Ok(Some((kind, data)))
    }
}

fn decode_one(entry: &[u8]) -> Result<Connection, SyncError> {
    let mut reader = Reader(entry);
    let [kind, protocol, _, _] = reader.take()?;
    let v6 = match kind {
        0 => false,
        INET6 => true,
        other => return Err(SyncError::Type(other)),
    };
    let flags = reader.u32()?;
    let state = reader.u16()?;
    let ports = [reader.u16()?, reader.u16()?, reader.u16()?];
    let (mark, timeout) = (reader.u32()?, reader.u32()?);
    let mut socket = |port| Ok(SocketAddr::new(reader.ip(v6)?, port));
    let (client, virtual_server, destination) = (socket(ports[0])?, socket(ports[1])?, socket(ports[2])?);
    let (mut sequence, mut data, mut name) = (None, None, None);
    while let Some((kind, value)) = reader.option()? {
        let refused = SyncError::Option(kind);
        match kind & !option::OPTIONAL {
            option::SEQUENCE if value.len() == SEQUENCE && sequence.is_none() => {
                let mut value = Reader(value);
                sequence = Some(Sequences { incoming: value.sequence()?, outgoing: value.sequence()? });
            }
            option::ENGINE_DATA if data.is_none() => data = Some(value.to_vec()),
            option::ENGINE_NAME if name.is_none() && value.len() <= LONGEST_ENGINE_NAME => {
                name = Some(String::from_utf8(value.to_vec()).map_err(|_| refused)?);
            }
            option::SEQUENCE | option::ENGINE_DATA | option::ENGINE_NAME => return Err(refused),
            _ if kind & option::OPTIONAL != 0 => {}
            _ => return Err(refused),
        }
    }
    let engine = match (name, data) {
        (Some(name), Some(data)) => Some(Engine { name, data }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(SyncError::Engine),
    };
    Ok(Connection { protocol, flags, state, client, virtual_server, destination, mark, timeout, sequence, engine })
}

#[cfg(test)]
mod tests;
