//! The waiting unit's side of one attempt.

use super::{
    FIRST_KEY, Failure, Offer, Output, PATIENCE, Paired,
    keys::{Exchange, Keys, Side},
    message::{Message, stop, stopped},
};
use crate::{Seed, card::Card};
use lb_ha::{Key, NodeId};
use std::time::Duration;

/// One attempt of somebody who called.
///
/// ```text
///   Start --1, sends 2--> Proof --3 right, sends 4--> Card --5, Paired, sends 6--> Over
///     +-- anything else, too late, offer over: sends Stop, Failed --------------> Over
/// ```
pub struct Wait {
    card: Card,
    deadline: Duration,
    state: State,
}

enum State {
    Start(Seed),
    Proof(Keys),
    Card(Keys),
    Over,
}

impl Wait {
    /// `card`: of this unit. `seed`: fresh for each attempt.
    pub fn new(card: Card, seed: Seed, now: Duration) -> Wait {
        Wait { card, deadline: now.saturating_add(PATIENCE), state: State::Start(seed) }
    }

    /// When to call [`Wait::tick`] at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        (!self.over()).then_some(self.deadline)
    }

    pub fn over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub fn tick(&mut self, offer: &mut Offer, now: Duration) -> Vec<Output> {
        if self.over() || now < self.deadline {
            return Vec::new();
        }
        self.end(offer, Failure::TooSlow)
    }

    /// Takes one message.
    pub fn step(&mut self, offer: &mut Offer, bytes: &[u8], now: Duration) -> Vec<Output> {
        if self.over() {
            return Vec::new();
        }
        let next = match offer.over(now) {
            Some(over) => Err(over),
            None if now >= self.deadline => Err(Failure::TooSlow),
            None => self.advance(offer, bytes),
        };
        next.unwrap_or_else(|failure| self.end(offer, failure))
    }

    fn advance(&mut self, offer: &mut Offer, bytes: &[u8]) -> Result<Vec<Output>, Failure> {
        let message = Message::read(bytes)?;
        match (std::mem::replace(&mut self.state, State::Over), message) {
            (_, Message::Stop(reason)) => {
                // Their word, not ours: it does not count as a wrong code.
                offer.refuse(&Failure::Stopped);
                Ok(vec![Output::Failed(stopped(reason))])
            }
            (State::Start(seed), Message::Start { share }) => {
                let exchange = Exchange::start(Side::Waiter, &offer.code, seed);
                let answer = Message::Answer { share: &exchange.share }.write();
                self.state = State::Proof(exchange.finish(share, bytes, &answer)?);
                Ok(vec![Output::Send(answer)])
            }
            (State::Proof(keys), Message::Proof(proof)) => {
                if !keys.proves(proof) {
                    return Err(Failure::WrongCode);
                }
                let sealed = keys.seal(0, &self.card.write().map_err(Failure::Card)?);
                let answer = Message::WaiterPresents { proof: keys.proof(), sealed: &sealed }.write();
                self.state = State::Card(keys);
                Ok(vec![Output::Send(answer)])
            }
            (State::Card(keys), Message::CallerPresents { sealed }) => {
                let plain = keys.open(0, sealed).ok_or(Failure::OutOfPlace)?;
                let peer = Card::read(&plain).map_err(Failure::Card)?;
                if peer.certificate == self.card.certificate {
                    return Err(Failure::Myself);
                }
                offer.take();
                let kept = keys.seal(1, &[]);
                let heartbeat = Key { id: FIRST_KEY, secret: keys.heartbeat };
                let paired = Paired { unit: NodeId::Two, peer, heartbeat };
                let Ok(sealed) = kept.as_slice().try_into() else { return Err(Failure::OutOfPlace) };
                let kept = Message::Kept { sealed }.write();
                Ok(vec![Output::Paired(Box::new(paired)), Output::Send(kept)])
            }
            _ => Err(Failure::OutOfPlace),
        }
    }

    fn end(&mut self, offer: &mut Offer, failure: Failure) -> Vec<Output> {
        self.state = State::Over;
        offer.refuse(&failure);
        vec![Output::Send(stop(&failure)), Output::Failed(failure)]
    }
}
