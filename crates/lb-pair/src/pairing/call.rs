//! The calling unit's side.

use super::{
    FIRST_KEY, Failure, Output, PATIENCE, Paired,
    keys::{Exchange, Keys, Side},
    message::{Message, stop, stopped},
};
use crate::{Seed, card::Card, code::Code};
use lb_ha::{Key, NodeId};
use std::time::Duration;

/// A call of a unit that waits.
///
/// ```text
///   Answer --2, sends 3--> Card --4 with a right proof, sends 5--> Kept --6, Paired--> Over
///     +-- anything else, too late: sends Stop, Failed ------------------------------> Over
/// ```
pub struct Call {
    card: Card,
    deadline: Duration,
    state: State,
}

enum State {
    Answer { exchange: Exchange, start: Vec<u8> },
    Card(Keys),
    Kept { keys: Keys, peer: Box<Card> },
    Over,
}

impl Call {
    /// `card`: of this unit. The bytes are the first message.
    pub fn new(code: &Code, card: Card, seed: Seed, now: Duration) -> (Call, Vec<u8>) {
        let exchange = Exchange::start(Side::Caller, code, seed);
        let start = Message::Start { share: &exchange.share }.write();
        let state = State::Answer { exchange, start: start.clone() };
        (Call { card, deadline: now.saturating_add(PATIENCE), state }, start)
    }

    /// When to call [`Call::tick`] at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        (!self.over()).then_some(self.deadline)
    }

    pub fn over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub fn tick(&mut self, now: Duration) -> Vec<Output> {
        if self.over() || now < self.deadline { Vec::new() } else { self.end(Failure::TooSlow) }
    }

    /// Takes one message.
    pub fn step(&mut self, bytes: &[u8], now: Duration) -> Vec<Output> {
        if self.over() {
            return Vec::new();
        }
        let next = if now >= self.deadline { Err(Failure::TooSlow) } else { self.advance(bytes) };
        next.unwrap_or_else(|failure| self.end(failure))
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Vec<Output>, Failure> {
        let message = Message::read(bytes)?;
        match (std::mem::replace(&mut self.state, State::Over), message) {
            (_, Message::Stop(reason)) => Ok(vec![Output::Failed(stopped(reason))]),
            (State::Answer { exchange, start }, Message::Answer { share }) => {
                let keys = exchange.finish(share, &start, bytes)?;
                let proof = Message::Proof(keys.proof()).write();
                self.state = State::Card(keys);
                Ok(vec![Output::Send(proof)])
            }
            (State::Card(keys), Message::WaiterPresents { proof, sealed }) => {
                if !keys.proves(proof) {
                    return Err(Failure::WrongCode);
                }
                let plain = keys.open(0, sealed).ok_or(Failure::OutOfPlace)?;
                let peer = Card::read(&plain).map_err(Failure::Card)?;
                if peer.certificate == self.card.certificate {
                    return Err(Failure::Myself);
                }
                let sealed = keys.seal(0, &self.card.write().map_err(Failure::Card)?);
                let answer = Message::CallerPresents { sealed: &sealed }.write();
                self.state = State::Kept { keys, peer: Box::new(peer) };
                Ok(vec![Output::Send(answer)])
            }
            (State::Kept { keys, peer }, Message::Kept { sealed }) => {
                keys.open(1, sealed).ok_or(Failure::OutOfPlace)?;
                let heartbeat = Key { id: FIRST_KEY, secret: keys.heartbeat };
                Ok(vec![Output::Paired(Box::new(Paired { unit: NodeId::One, peer: *peer, heartbeat }))])
            }
            _ => Err(Failure::OutOfPlace),
        }
    }

    fn end(&mut self, failure: Failure) -> Vec<Output> {
        self.state = State::Over;
        vec![Output::Send(stop(&failure)), Output::Failed(failure)]
    }
}
