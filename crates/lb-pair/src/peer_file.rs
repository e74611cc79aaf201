//! Whom this unit belongs with: `peer.json` in the pair's directory, and the heartbeat's keys beside it.
//!
//! Written when the pair is made, forgotten when it is ended; never guessed. A file that is damaged is an error and not
//! "no peer": a unit of a pair that takes itself for a single one would serve the same addresses as its peer.

use crate::{card::Card, durable, pairing::Paired};
use lb_ha::{Keys, NodeId};
use serde::{Deserialize, Serialize};
use std::{io, path::Path};

pub const FILE: &str = "peer.json";
/// Read by the heartbeat daemon.
pub const KEYS: &str = "heartbeat.keys";
/// A card with 64 addresses has 8 KB.
const LARGEST: u64 = 64 << 10;
const FORM: u32 = 1;

/// The other unit, as it was when the pair was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    form: u32,
    /// Which of the pair this unit is.
    pub unit: NodeId,
    /// Unix seconds.
    pub paired_at: u64,
    #[serde(rename = "peer")]
    pub card: Card,
}

#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("{FILE} or {KEYS} cannot be read or written")]
    Io(#[from] io::Error),
    #[error("{FILE} is damaged: {0}. hint: end the pair on this unit and pair the units again")]
    Damaged(String),
}

impl Peer {
    /// The peer, if this unit has one.
    pub fn open(dir: &Path) -> Result<Option<Peer>, PeerError> {
        let text = match durable::read(dir, FILE, LARGEST) {
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(PeerError::Damaged(e.to_string())),
            read => read?,
        };
        let Some(text) = text else { return Ok(None) };
        let peer: Peer = serde_json::from_str(&text).map_err(|e| PeerError::Damaged(e.to_string()))?;
        if peer.form != FORM {
            return Err(PeerError::Damaged(format!("it is of form {}, known is {FORM}", peer.form)));
        }
        peer.card.check().map_err(|e| PeerError::Damaged(e.to_string()))?;
        Ok(Some(peer))
    }

    /// Keeps the peer and the heartbeat's key. `now`: Unix seconds.
    pub fn keep(dir: &Path, paired: &Paired, now: u64) -> Result<Peer, PeerError> {
        let peer = Peer { form: FORM, unit: paired.unit, paired_at: now, card: paired.peer.clone() };
        let mut text = serde_json::to_string_pretty(&peer).map_err(|e| PeerError::Damaged(e.to_string()))?;
        text.push('\n');
        // An old peer with a new key would be a pair that cannot hear itself: first no peer, then the key, then the peer.
        durable::forget(dir, &[FILE])?;
        durable::write(dir, KEYS, Keys { seal: paired.heartbeat.clone(), accept: None }.print().as_bytes())?;
        durable::write(dir, FILE, text.as_bytes())?;
        Ok(peer)
    }
}

/// Ends the pair on this unit. The identity stays.
pub fn forget(dir: &Path) -> io::Result<()> {
    durable::forget(dir, &[FILE, KEYS])
}
