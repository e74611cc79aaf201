//! What HAProxy remembers of clients: which tables there are, and what an entry of one says (`show table`, Management
//! Guide 9.3).
//!
//! A table belongs to a virtual server and has one kind of key. [`Memory`] is for those who look and clear, beside the
//! thread that drives HAProxy; it works on one table and one key at a time, however long the table is. A key is what
//! clients sent: before it becomes a word of a command, [`key_word`] refuses what could be another command.

use crate::{ProxyError, ServerKey};
use lb_model::{Config, Label, Layer7VirtualServer, layer7::Layer7Persistence};
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::ControlFlow,
};

/// A longer key is no key of ours: names of RDP cookies are the longest, and are cut at 64.
const LONGEST_KEY: usize = 256;

/// By what a table knows a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known {
    /// Its address, or its network's.
    Source,
    /// A digest of its session's cookie.
    ApplicationCookie,
    /// The user's name in an RDP cookie.
    RdpCookie,
    SslSessionId,
}

/// One table of a virtual server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub virtual_server: Label,
    pub known: Known,
    pub(crate) name: String,
    /// Addresses of both families.
    mapped: bool,
    ipv4_prefix: u8,
    ipv6_prefix: u8,
}

/// One entry, as long as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    pub key: Cow<'a, str>,
    /// The real server's label; none while its first request is under way.
    pub server: Option<&'a str>,
    /// Seconds until it goes unless the client comes.
    pub expires: u32,
}

/// What became of an entry that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    Gone,
    /// There was none.
    Unknown,
}

/// The eyes and the eraser on HAProxy's tables.
pub trait Memory: Send + Sync {
    /// How many entries each table has, by its name in HAProxy; nothing while that does not run.
    fn used(&self) -> Result<BTreeMap<String, usize>, ProxyError>;

    /// Each entry of `table`, or only that of `key`, until `see` breaks. What became of the look, to its end or not.
    fn entries(
        &self,
        table: &Table,
        key: Option<&str>,
        see: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ProxyError>;

    fn forget(&self, table: &Table, key: &str) -> Result<Forgotten, ProxyError>;

    /// Forgets all of `table`. No connection is cut.
    fn clear(&self, table: &Table) -> Result<(), ProxyError>;
}

/// The tables of a configuration, in its order.
pub fn tables(config: &Config) -> Vec<Table> {
    config.layer7.virtual_servers.iter().flat_map(tables_of).collect()
}

fn tables_of(vs: &Layer7VirtualServer) -> Vec<Table> {
    let table = |known, source: Option<&lb_model::layer7::SourceTable>, name: String| {
        let (full, prefix) = (if vs.address.is_ipv4() { 32 } else { 128 }, source.and_then(|s| s.granularity));
        let prefix = prefix.unwrap_or(full);
        let (ipv4_prefix, ipv6_prefix) = if vs.address.is_ipv4() { (prefix, 128) } else { (32, prefix) };
        let mapped = crate::render::address_type(vs) == "ipv6";
        Table { virtual_server: vs.label.clone(), known, name, mapped, ipv4_prefix, ipv6_prefix }
    };
    let own = |known, source| table(known, source, vs.label.to_string());
    match &vs.persistence {
        None => Vec::new(),
        Some(Layer7Persistence::Cookie(cookie)) => {
            cookie.source.iter().map(|source| own(Known::Source, Some(source))).collect()
        }
        Some(Layer7Persistence::ApplicationCookie(cookie)) => {
            let second = |source| table(Known::Source, Some(source), format!("source:{}", vs.label));
            std::iter::once(own(Known::ApplicationCookie, None)).chain(cookie.source.as_ref().map(second)).collect()
        }
        Some(Layer7Persistence::Source(source)) => vec![own(Known::Source, Some(source))],
        Some(Layer7Persistence::RdpCookie(_)) => vec![own(Known::RdpCookie, None)],
        Some(Layer7Persistence::SslSessionId(_)) => vec![own(Known::SslSessionId, None)],
    }
}

impl Table {
    /// Its name in HAProxy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The keys under which this table may know what somebody looks for: an address, a user's name, a session's cookie
    /// or its digest. None: it cannot know it.
    pub fn keys(&self, client: &str) -> Vec<String> {
        match self.known {
            Known::Source => client.parse().ok().and_then(|address| self.source(address)).into_iter().collect(),
            Known::RdpCookie => vec![client.to_owned()],
            Known::ApplicationCookie => {
                let digest = Sha256::digest(client).iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02X}");
                    hex
                });
                vec![client.to_ascii_uppercase(), digest]
            }
            Known::SslSessionId => vec![client.to_ascii_uppercase()],
        }
    }

    fn source(&self, client: IpAddr) -> Option<String> {
        match (client.to_canonical(), self.mapped) {
            (IpAddr::V4(client), mapped) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(self.ipv4_prefix.into())).unwrap_or(0);
                let network = Ipv4Addr::from(u32::from(client) & mask);
                Some(if mapped { network.to_ipv6_mapped().to_string() } else { network.to_string() })
            }
            (IpAddr::V6(client), true) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.ipv6_prefix.into())).unwrap_or(0);
                Some(Ipv6Addr::from(u128::from(client) & mask).to_string())
            }
            (IpAddr::V6(_), false) => None,
        }
    }

    /// The real server of an entry.
    pub fn server(&self, entry: &Entry<'_>) -> Option<ServerKey> {
        Some(ServerKey { virtual_server: self.virtual_server.clone(), real_server: entry.server?.parse().ok()? })
    }
}

/// `# table: Shop, type: ip, size:1000, used:1`: the name, and how many entries it has.
pub(crate) fn used(line: &str) -> Option<(String, usize)> {
    let (name, more) = line.strip_prefix("# table: ")?.split_once(", type: ")?;
    Some((name.to_owned(), more.rsplit_once("used:")?.1.trim().parse().ok()?))
}

/// `0x558c: key=DOMAIN\\user use=0 exp=1799124 server_id=1 server_key=Web1`; none for other lines.
pub(crate) fn entry(line: &str) -> Option<Entry<'_>> {
    let (_, text) = line.strip_prefix("0x")?.split_once(": key=")?;
    let (key, more) = key(text)?;
    let word = |name: &str| more.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let expires: u32 = word("exp")?.parse().ok()?;
    Some(Entry { key, server: word("server_key").filter(|server| !server.is_empty()), expires: expires / 1000 })
}

/// The key at the beginning of `text`, as `dump_text` in HAProxy's `tools.c` writes it, and what follows. What cannot be
/// printed keeps its escape.
fn key(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut escaped = false;
    let end = text.char_indices().find_map(|(at, c)| {
        let ends = c == ' ' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })?;
    let (key, more) = text.split_at(end);
    if !key.contains('\\') {
        return Some((Cow::Borrowed(key), more));
    }
    let (mut plain, mut chars) = (String::new(), key.chars());
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(next @ (' ' | '\\' | '='))) => {
                plain.push(next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    Some((Cow::Owned(plain), more))
}

/// A key as one word of a command. A `;` would begin another command, `<<` a payload, and what cannot be printed cannot
/// be written at all: refused are all that no client of good will sends.
pub(crate) fn key_word(key: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:@/+-=~%!$&*,^|()[]{}?".contains(c);
    let fits = !key.is_empty() && key.len() <= LONGEST_KEY && key.chars().all(|c| plain(c) || " \\".contains(c));
    fits.then(|| key.replace('\\', "\\\\").replace(' ', "\\ "))
}

#[cfg(test)]
mod tests;
