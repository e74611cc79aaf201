//! What the two lbd of a pair say to each other, and how it lies on a stream: a length of four bytes, then JSON.
//!
//! After a [`Hello`] from each side either may say anything at any time. Lengths are checked before anything is read, and
//! memory grows with what has arrived, not with what was announced. Fields that this version does not know are refused;
//! a peer of another protocol is recognised by its hello before anything else of it is judged.

mod table;

pub use table::{Buckets, Bytes, Table};

use crate::lineage::{Id, MOST_TOLD, SharedVersion};
use lb_ha::NodeId;
use lb_model::{Hostname, Problem};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroize;

/// Both must speak the same.
pub const PROTOCOL: u32 = 1;
/// Bytes of a message: the largest configuration has a few.
pub const LARGEST: usize = 64 << 20;
/// Bytes of a hello: 1,024 names of versions with room.
pub const LARGEST_HELLO: usize = 256 << 10;
/// Where units wait for their peer.
pub const PORT: u16 = 6694;
/// Characters of a reason.
pub const LONGEST_REASON: usize = 1024;

/// One thing said.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    Hello(Hello),
    /// I am there, and so I am. Every few seconds, and at once when it changes.
    Alive(Alive),
    /// Take this configuration.
    Push(Push),
    /// I run this now.
    Pushed {
        version: SharedVersion,
    },
    /// I cannot run it, and why.
    Refused {
        version: SharedVersion,
        problems: Vec<Problem>,
    },
    /// It was made for another ground than the one I have; this is mine.
    Stale {
        version: SharedVersion,
        newest: Option<Id>,
    },
    /// Send me yours. `ground`: my newest.
    Ask {
        ground: Option<Id>,
    },
    /// About the connection table.
    Table(Table),
    /// I hang up.
    Bye {
        reason: String,
    },
}

/// The first thing that each side says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    pub protocol: u32,
    /// Of the software.
    pub version: String,
    pub hostname: Hostname,
    pub unit: NodeId,
    /// Names of shared versions, oldest first; at most [`MOST_TOLD`].
    pub history: Vec<Id>,
    /// Of its web interface: `https://192.168.2.21:9443/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
    /// It holds the floating addresses: there is where one edits.
    pub active: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alive {
    pub active: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
    /// The newest of the history.
    pub newest: Option<Id>,
    /// My kernel takes connections, and I have your configuration. The number is another one whenever it may have
    /// missed some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<u64>,
    /// You have every connection of mine, if you are still ready by this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot: Option<u64>,
}

/// A private key with its chain, or an authority's certificates. In no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pem(String);

impl Pem {
    pub fn new(text: String) -> Pem {
        Pem(text)
    }

    /// For whoever must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem(..)")
    }
}

impl Drop for Pem {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A version of the shared configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    pub version: SharedVersion,
    /// What the receiver must have as its newest: it takes the document only then.
    pub ground: Option<Id>,
    pub author: String,
    pub comment: String,
    /// Unix seconds.
    pub at: u64,
    /// The keys and chains that the document names: whoever takes it can serve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Pem>,
    /// Everything of the configuration but the node's own part.
    pub document: Box<RawValue>,
}

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("reading from or writing to the peer")]
    Io(#[from] io::Error),
    #[error("the peer sends a message of {0} bytes; at most {1} are taken")]
    TooLong(usize, usize),
    #[error("the peer sends what is no message: {0}")]
    Form(String),
    #[error(
        "the peer speaks version {theirs} of the pair's protocol, this unit version {PROTOCOL}. hint: install the same \
         software version on both units"
    )]
    Protocol { theirs: u32 },
    #[error("the peer did not begin with a hello")]
    NoHello,
    #[error("the peer's hello is out of bounds")]
    Hello,
}

/// Reads bytes with their length in front. `None`: the other side has closed.
pub async fn read_frame(from: &mut (impl AsyncRead + Unpin), largest: usize) -> Result<Option<Vec<u8>>, WireError> {
    let mut length = [0; 4];
    if from.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..]).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > largest {
        return Err(WireError::TooLong(length, largest));
    }
    // `read_to_end` grows by what has come.
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() != length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(bytes))
}

/// Writes bytes with their length in front, and flushes.
pub async fn write_frame(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), WireError> {
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= LARGEST);
    let length = length.ok_or(WireError::TooLong(bytes.len(), LARGEST))?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(bytes).await?;
    to.flush().await?;
    Ok(())
}

/// Reads a message. Not to be dropped half-way: bytes would be lost.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Message>, WireError> {
    match read_frame(from, LARGEST).await? {
        None => Ok(None),
        Some(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| WireError::Form(e.to_string())),
    }
}

pub async fn write(to: &mut (impl AsyncWrite + Unpin), message: &Message) -> Result<(), WireError> {
    let bytes = serde_json::to_vec(message).map_err(|e| WireError::Form(e.to_string()))?;
    write_frame(to, &bytes).await
}

/// Reads the peer's first message.
pub async fn read_hello(from: &mut (impl AsyncRead + Unpin)) -> Result<Hello, WireError> {
    let bytes = read_frame(from, LARGEST_HELLO).await?.ok_or(WireError::NoHello)?;
    hello(&bytes)
}

/// It becomes a link on a page.
fn is_link(text: &str) -> bool {
    let plain = text.len() <= 256 && text.bytes().all(|b| b.is_ascii_graphic());
    plain && (text.starts_with("https://") || text.starts_with("http://"))
}

fn hello(bytes: &[u8]) -> Result<Hello, WireError> {
    // What every version of the protocol must keep to.
    #[derive(Deserialize)]
    struct Opening {
        hello: Spoken,
    }
    #[derive(Deserialize)]
    struct Spoken {
        protocol: u32,
    }
    let opening: Opening = serde_json::from_slice(bytes).map_err(|_| WireError::NoHello)?;
    if opening.hello.protocol != PROTOCOL {
        return Err(WireError::Protocol { theirs: opening.hello.protocol });
    }
    let message: Message = serde_json::from_slice(bytes).map_err(|e| WireError::Form(e.to_string()))?;
    let Message::Hello(hello) = message else { return Err(WireError::NoHello) };
    let short = |text: &str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
    let web = hello.web.as_deref().unwrap_or("https://");
    if hello.history.len() > MOST_TOLD || !short(&hello.version) || !is_link(web) {
        return Err(WireError::Hello);
    }
    Ok(hello)
}

#[cfg(test)]
mod tests;
