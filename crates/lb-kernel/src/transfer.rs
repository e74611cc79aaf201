//! The connection table on its way to the other unit of a pair.
//!
//! A backup daemon hears of a connection when a packet of it comes; what it has never heard of is lost when it takes
//! over. So who serves sends its whole table ([`send_table`]), and then the two compare:
//!
//! ```text
//!   serving                                       joining
//!   table, in sync messages ===================>  its backup daemon
//!   key (random)            ------------------->
//!                           <-------------------  Digest of its table: entries and sum per bucket
//!   differing buckets       ------------------->
//!                           <-------------------  Held: fingerprints of its entries in those buckets
//!   what it lacks           ===================>  again from the key on, until nothing that was sent lacks: it is hot
//! ```
//! A unit that has handed over sends the other one, which serves now, what it lacks ([`First::Lacking`]): it asks first.
//!
//! Only the double lines are the kernel's messages: they may be lost, and carry no proof of who sent them. The others
//! are the pair's own channel's business ([`OtherTable`]), which is authenticated. Entries that end meanwhile keep
//! nobody from being hot, nor do those that begin: the kernel's master daemon sends these too. What changes while the
//! kernel prints its table may make it leave out others; the next round finds them lacking, and sends them.
//!
//! What an entry becomes in a message is `Rules`' decision, what is missing [`Held`]'s: both pure. The hands are in
//! `linux/transfer.rs`; checked with real kernels by the VM cases `sync_*`.

mod digest;
mod rules;

pub use crate::linux::{
    End, First, OtherTable, Pace, Progress, Report, Transfer, send_table, table_digest, table_held,
};
pub use digest::{Digest, DigestKey, Held};

pub(crate) use digest::{Buckets, fingerprint};
pub(crate) use rules::{Rules, Unsent, number};

/// Whether a socket of that port in `/proc/net/udp` or `udp6` has something that nobody has read:
/// `sl local_address rem_address st tx_queue:rx_queue ...`, all hexadecimal.
pub(crate) fn unread(sockets: &str, port: u16) -> bool {
    let port = format!(":{port:04X}");
    sockets.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let ours = words.next().is_some_and(|local| local.ends_with(&port));
        let queue = words.nth(2).and_then(|queues| queues.split_once(':'));
        ours && queue.is_some_and(|(_, received)| received.bytes().any(|b| b != b'0'))
    })
}

#[cfg(test)]
mod tests;
