//! Netlink messages and attributes as bytes: the writer that requests are built with and the readers that
//! replies are taken apart with. Pure; knows nothing of IPVS but the numbers of its commands.
//!
//! Integers are in host order unless a name says otherwise (`be16`). Attributes are padded to 4 bytes.
//! Readers never panic and never read past the slice they were given (property-tested in
//! `tests/properties.rs`).

use thiserror::Error;

/// Length of `struct nlmsghdr` (`linux/netlink.h`).
pub const NLMSG_HDRLEN: usize = 16;
/// Length of `struct genlmsghdr` (`linux/genetlink.h`); IPVS adds no header of its own.
pub const GENL_HDRLEN: usize = 4;
/// `NLMSG_ERROR`: also the acknowledgement, with error 0.
pub const NLMSG_ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub const NLMSG_DONE: u16 = 3;
/// `GENL_ID_CTRL`: the controller that knows the other families' numbers.
pub const GENL_ID_CTRL: u16 = 0x10;
/// `NLM_F_REQUEST`.
pub const NLM_F_REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
pub const NLM_F_ACK: u16 = 0x4;
/// `NLM_F_ROOT | NLM_F_MATCH`.
pub const NLM_F_DUMP: u16 = 0x300;
/// Set on nests in requests; the kernel's IPVS replies do not carry it.
pub const NLA_F_NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are its number (without `NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`).
pub const NLA_TYPE_MASK: u16 = 0x3fff;

/// `CTRL_CMD_GETFAMILY`.
pub const CTRL_CMD_GETFAMILY: u8 = 3;
/// `CTRL_ATTR_FAMILY_ID`, u16.
pub const CTRL_ATTR_FAMILY_ID: u16 = 1;
/// `CTRL_ATTR_FAMILY_NAME`, string.
pub const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// `IPVS_GENL_NAME`.
pub const IPVS_GENL_NAME: &str = "IPVS";
/// `IPVS_GENL_VERSION`.
pub const IPVS_GENL_VERSION: u8 = 1;

/// Top-level attribute numbers (`IPVS_CMD_ATTR_*`); the reply to [`Cmd::GetInfo`] has its own.
pub mod attr {
    /// Nest: the service (identity alone is enough for most commands).
    pub const SERVICE: u16 = 1;
    /// Nest: the destination.
    pub const DEST: u16 = 2;
    /// Nest: the sync daemon.
    pub const DAEMON: u16 = 3;
    /// u32, seconds.
    pub const TIMEOUT_TCP: u16 = 4;
    /// u32, seconds.
    pub const TIMEOUT_TCP_FIN: u16 = 5;
    /// u32, seconds.
    pub const TIMEOUT_UDP: u16 = 6;
}

/// The commands of the IPVS family (`IPVS_CMD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cmd {
    NewService = 1,
    SetService = 2,
    DelService = 3,
    GetService = 4,
    NewDest = 5,
    SetDest = 6,
    DelDest = 7,
    GetDest = 8,
    NewDaemon = 9,
    DelDaemon = 10,
    GetDaemon = 11,
    SetConfig = 12,
    GetConfig = 13,
    SetInfo = 14,
    GetInfo = 15,
    Zero = 16,
    Flush = 17,
}

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A header or a length runs past the end.
    #[error("message cut short")]
    Truncated,
    /// An attribute has the wrong size for its kind.
    #[error("attribute `{0}` has an unexpected length")]
    Length(&'static str),
    /// An attribute that every reply of this kind carries is absent.
    #[error("attribute `{0}` is missing")]
    Missing(&'static str),
    /// An attribute's value is outside what its type can mean.
    #[error("attribute `{0}` has an impossible value")]
    Value(&'static str),
    /// A name is not UTF-8.
    #[error("attribute `{0}` is not text")]
    Text(&'static str),
}

const fn align(len: usize) -> usize {
    (len + 3) & !3
}

/// Writes messages one behind the other into one buffer that is kept between uses.
#[derive(Debug, Default)]
pub struct Encoder {
    buf: Vec<u8>,
    start: usize,
}

/// An open nest: closed by [`Encoder::end_nest`].
#[derive(Debug)]
#[must_use = "a nest that is not closed has no length"]
pub struct Nest(usize);

impl Encoder {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything written since [`Encoder::clear`].
    pub fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Forgets the messages, keeps the memory.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.start = 0;
    }

    /// Opens a message of family `family` with command `cmd`; [`Encoder::end`] closes it.
    pub fn begin(&mut self, family: u16, flags: u16, seq: u32, cmd: u8, version: u8) {
        self.start = self.buf.len();
        let mut head = [0u8; NLMSG_HDRLEN + GENL_HDRLEN];
        head[4..6].copy_from_slice(&family.to_ne_bytes());
        head[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        head[8..12].copy_from_slice(&seq.to_ne_bytes());
        head[16] = cmd;
        head[17] = version;
        self.buf.extend_from_slice(&head);
    }

    /// Closes the message: writes its length.
    pub fn end(&mut self) {
        let len = (self.buf.len() - self.start) as u32;
        self.buf[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
    }

    /// Opens a nested attribute.
    pub fn nest(&mut self, kind: u16) -> Nest {
        let at = self.buf.len();
        self.header(kind | NLA_F_NESTED, 0);
        Nest(at)
    }

    /// Closes a nested attribute.
    pub fn end_nest(&mut self, nest: Nest) {
        let len = (self.buf.len() - nest.0) as u16;
        self.buf[nest.0..nest.0 + 2].copy_from_slice(&len.to_ne_bytes());
    }

    /// A `u8`.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.fixed(kind, [value]);
    }

    /// A `u16` in host order.
    pub fn u16(&mut self, kind: u16, value: u16) {
        self.fixed(kind, value.to_ne_bytes());
    }

    /// A `u16` in network order.
    pub fn be16(&mut self, kind: u16, value: u16) {
        self.fixed(kind, value.to_be_bytes());
    }

    /// A `u32` in host order.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.fixed(kind, value.to_ne_bytes());
    }

    /// A NUL-terminated string.
    pub fn string(&mut self, kind: u16, value: &str) {
        self.header(kind, value.len() + 1);
        self.buf.extend_from_slice(value.as_bytes());
        self.buf.push(0);
        self.pad();
    }

    /// Bytes as they are.
    pub fn raw(&mut self, kind: u16, value: &[u8]) {
        self.header(kind, value.len());
        self.buf.extend_from_slice(value);
        self.pad();
    }

    fn fixed<const N: usize>(&mut self, kind: u16, value: [u8; N]) {
        self.raw(kind, &value);
    }

    fn header(&mut self, kind: u16, payload: usize) {
        let mut head = [0u8; 4];
        head[..2].copy_from_slice(&((payload + 4) as u16).to_ne_bytes());
        head[2..].copy_from_slice(&kind.to_ne_bytes());
        self.buf.extend_from_slice(&head);
    }

    fn pad(&mut self) {
        let want = self.start + align(self.buf.len() - self.start);
        self.buf.resize(want, 0);
    }
}

/// One netlink message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`: [`NLMSG_ERROR`], [`NLMSG_DONE`] or the number of a family.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: that of the request answered.
    pub seq: u32,
    /// What follows the netlink header.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The errno of a [`NLMSG_ERROR`] as a positive number; 0 is an acknowledgement.
    pub fn errno(&self) -> Result<i32, DecodeError> {
        let bytes = self.payload.first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        Ok(i32::from_ne_bytes(*bytes).saturating_neg())
    }

    /// The attributes behind the generic-netlink header.
    pub fn attrs(&self) -> Result<Attrs<'a>, DecodeError> {
        self.payload.get(GENL_HDRLEN..).map(Attrs).ok_or(DecodeError::Truncated)
    }
}

/// The messages of a datagram, in order; ends after the first malformed one.
#[derive(Debug, Clone)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = self.split();
        if message.is_none() {
            self.0 = &[];
        }
        Some(message.ok_or(DecodeError::Truncated))
    }
}

impl<'a> Messages<'a> {
    fn split(&mut self) -> Option<Message<'a>> {
        let bytes = self.0;
        let head = bytes.first_chunk::<NLMSG_HDRLEN>()?;
        let len = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let payload = bytes.get(NLMSG_HDRLEN..len)?;
        self.0 = bytes.get(align(len)..).unwrap_or(&[]);
        Some(Message {
            kind: u16::from_ne_bytes([head[4], head[5]]),
            flags: u16::from_ne_bytes([head[6], head[7]]),
            seq: u32::from_ne_bytes([head[8], head[9], head[10], head[11]]),
            payload,
        })
    }
}

/// One attribute: its number without flag bits, and its payload without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    pub kind: u16,
    pub data: &'a [u8],
}

/// The attributes of a message or a nest, in order; ends after the first malformed one.
#[derive(Debug, Clone)]
pub struct Attrs<'a>(pub &'a [u8]);

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.0;
        if bytes.is_empty() {
            return None;
        }
        let Some(head) = bytes.first_chunk::<4>() else {
            self.0 = &[];
            return Some(Err(DecodeError::Truncated));
        };
        let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & NLA_TYPE_MASK;
        let Some(data) = bytes.get(4..len) else {
            self.0 = &[];
            return Some(Err(DecodeError::Truncated));
        };
        self.0 = bytes.get(align(len)..).unwrap_or(&[]);
        Some(Ok(Attr { kind, data }))
    }
}

impl<'a> Attr<'a> {
    /// The attributes inside a nest.
    pub fn nested(&self) -> Attrs<'a> {
        Attrs(self.data)
    }

    /// A `u8`.
    pub fn u8(&self, name: &'static str) -> Result<u8, DecodeError> {
        self.chunk::<1>(name).map(|[b]| b)
    }

    /// A `u16` in host order.
    pub fn u16(&self, name: &'static str) -> Result<u16, DecodeError> {
        self.chunk(name).map(u16::from_ne_bytes)
    }

    /// A `u16` in network order.
    pub fn be16(&self, name: &'static str) -> Result<u16, DecodeError> {
        self.chunk(name).map(u16::from_be_bytes)
    }

    /// A `u32` in host order.
    pub fn u32(&self, name: &'static str) -> Result<u32, DecodeError> {
        self.chunk(name).map(u32::from_ne_bytes)
    }

    /// A `u64` in host order.
    pub fn u64(&self, name: &'static str) -> Result<u64, DecodeError> {
        self.chunk(name).map(u64::from_ne_bytes)
    }

    /// Text up to the first NUL (or the end).
    pub fn text(&self, name: &'static str) -> Result<&'a str, DecodeError> {
        let end = self.data.iter().position(|b| *b == 0).unwrap_or(self.data.len());
        std::str::from_utf8(&self.data[..end]).map_err(|_| DecodeError::Text(name))
    }

    /// The first `N` bytes, which must be there: a newer kernel may send more.
    pub fn chunk<const N: usize>(&self, name: &'static str) -> Result<[u8; N], DecodeError> {
        self.data.first_chunk::<N>().copied().ok_or(DecodeError::Length(name))
    }
}
