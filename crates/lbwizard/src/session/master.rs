//! The master makes the pair: over the null-modem cable, else over the network; and sees its configuration arrive.
//!
//! The network needs this unit's own addresses before the end. They are applied with a time to confirm them in, which
//! the last Enter does: whoever leaves before, in whatever way, finds the unit as it was.

use super::{Provisional, Run, WizardError};
use crate::{
    check::{self, Refusal},
    flow::{self, Answers},
    settings::Pair,
    text::pair as words,
};
use ipnet::IpNet;
use lb_api::{ApplyRequest, ClientError, HaRole, HaView, PairedView, PairingStep, PairingView};
use lb_model::{Config, NodeId};
use std::net::Ipv4Addr;

/// How long the addresses stay that are set for the pairing; a code is valid for a third of it.
const CONFIRM_WITHIN: u64 = 1800;
/// Looks, half a second apart: a pairing takes a minute at most.
const PAIRING_LOOKS: usize = 180;
/// The first beats take five seconds, the rest is a busy unit's.
const ARRIVAL_LOOKS: usize = 120;

/// How far it is, for those who leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pairing {
    Not,
    Under,
    Made,
}

impl Run<'_> {
    /// `answers` with the other unit in them; or without the slave's address, which is then asked for again.
    pub(super) fn pair(&mut self, answers: Answers, slave: Ipv4Addr) -> Result<Answers, WizardError> {
        if self.dry_run {
            return self.supposed(answers, slave);
        }
        loop {
            self.prompter.say(words::CALLING_CABLE)?;
            let reason = match self.call(PairingStep::CallSerial {})? {
                Ok(view) => return self.paired(&answers, view, slave, true),
                Err(refusal) => refusal.reason,
            };
            let set = !self.has_addresses(&answers);
            self.prompter.say(&words::over_the_network(&reason, slave, set))?;
            if set {
                self.set_addresses(&answers)?;
            }
            let Some(code) = self.ask_code()? else { continue };
            match self.call(PairingStep::CallNetwork { address: slave.into(), code })? {
                Ok(view) => return self.paired(&answers, view, slave, false),
                Err(refusal) => {
                    self.prompter.refuse(&refusal)?;
                    return Ok(Answers { slave: None, ..answers });
                }
            }
        }
    }

    fn paired(
        &mut self,
        answers: &Answers,
        view: PairedView,
        slave: Ipv4Addr,
        cable: bool,
    ) -> Result<Answers, WizardError> {
        self.on_leave(Pairing::Made);
        self.prompter.say(&words::paired(&view))?;
        if let Some(note) = words::another(&view, slave) {
            self.prompter.say(&note)?;
        }
        flow::paired(&self.running.config, answers, view, Some(cable)).map_err(WizardError::Apart)
    }

    /// A dry run calls nobody.
    fn supposed(&mut self, answers: Answers, slave: Ipv4Addr) -> Result<Answers, WizardError> {
        self.prompter.say("This is a dry run: nobody is called, and a cable is supposed.")?;
        let cards = answers.network().into_iter().flat_map(|n| [Some(n.eth0), n.eth1]).flatten();
        let net = cards.filter(|net| net.contains(&slave)).map(|net| net.prefix_len()).next();
        let addresses = net.and_then(|prefix| IpNet::new(slave.into(), prefix).ok()).into_iter().collect();
        let view = PairedView { unit: NodeId::One, hostname: "lbslave".into(), addresses, fingerprint: String::new() };
        flow::paired(&self.running.config, &answers, view, Some(true)).map_err(WizardError::Apart)
    }

    /// Until it is answered; lbd's refusal is an answer too.
    fn call(&mut self, step: PairingStep) -> Result<Result<PairedView, Refusal>, WizardError> {
        self.on_leave(Pairing::Under);
        let answer = self.looked_after(step);
        self.on_leave(Pairing::Not);
        answer
    }

    fn looked_after(&mut self, step: PairingStep) -> Result<Result<PairedView, Refusal>, WizardError> {
        let mut view = match self.unit.pair(step, self.author) {
            Ok(view) => view,
            Err(ClientError::Refused(error)) => {
                return Ok(Err(Refusal::new(error.message, error.hint.unwrap_or_default())));
            }
            Err(error) => return Err(error.into()),
        };
        for _ in 0..PAIRING_LOOKS {
            match view {
                PairingView::Done(view) => return Ok(Ok(view)),
                PairingView::Failed { reason, hint } => return Ok(Err(Refusal::new(reason, hint))),
                PairingView::Idle => return Ok(Err(Refusal::new("somebody else stopped the call", "try it again"))),
                PairingView::Working { .. } | PairingView::Waiting { .. } => {}
            }
            self.unit.wait();
            view = self.unit.pairing()?;
        }
        self.unit.pair(PairingStep::Cancel {}, self.author)?;
        Ok(Err(Refusal::new("the slave did not answer in time", "is its wizard waiting for the master?")))
    }

    fn ask_code(&mut self) -> Result<Option<String>, WizardError> {
        loop {
            let typed = self.prompter.ask(words::CODE, Some(words::CABLE_AGAIN))?;
            let judged = match typed.trim() {
                "" => return Ok(None),
                "?" => {
                    self.prompter.say(words::CODE_HELP)?;
                    continue;
                }
                text => check::line(text).and_then(check::code),
            };
            match judged {
                Ok(code) => return Ok(Some(code)),
                Err(refusal) => self.prompter.refuse(&refusal)?,
            }
        }
    }

    /// Stops what is under way and undoes what was done, when the wizard is left; says what stays.
    fn on_leave(&self, pairing: Pairing) {
        let (unit, author, provisional) = (self.unit.again(), self.author.to_owned(), self.provisional);
        self.guard.on_leave(Box::new(move |_| {
            if pairing == Pairing::Under {
                // Who leaves is told what lbd did not manage to do only where it matters to him.
                let _ = unit.pair(PairingStep::Cancel {}, &author);
            }
            let undone = match provisional.map(|p| (p.before, unit.rollback(p.before, &author))) {
                None => words::UNCHANGED.to_owned(),
                Some((_, Ok(()))) => words::UNDONE.to_owned(),
                Some((before, Err(error))) => words::not_undone(before, &error),
            };
            if pairing == Pairing::Made { format!("{undone}\n{}", words::PAIRING_STAYS) } else { undone }
        }));
    }

    fn has_addresses(&self, answers: &Answers) -> bool {
        if self.provisional.is_some() {
            return true;
        }
        let has = |name: &str, net| {
            let interface = self.running.config.node.interfaces.iter().find(|i| i.name.as_str() == name);
            interface.is_some_and(|i| i.addresses.contains(&IpNet::V4(net)))
        };
        answers.network().is_some_and(|n| has("eth0", n.eth0) && n.eth1.is_none_or(|net| has("eth1", net)))
    }

    /// Applies this unit's own network, to be confirmed by the last Enter.
    fn set_addresses(&mut self, answers: &Answers) -> Result<(), WizardError> {
        let Some(network) = answers.network() else { return Ok(()) };
        self.prompter.pause(words::SET_NETWORK)?;
        let before = self.running.revision.number;
        let config = network.configure(&self.running.config);
        let request = ApplyRequest {
            config: Some(config),
            base: Some(before),
            author: self.author.to_owned(),
            comment: "setup wizard: own addresses, to pair over the network".into(),
            confirm_within: Some(CONFIRM_WITHIN),
            ..ApplyRequest::default()
        };
        self.guard.begin();
        let revision = self.unit.apply(&request).map_err(super::not_applied)?.revision;
        self.provisional = Some(Provisional { revision: revision.number, before });
        self.on_leave(Pairing::Not);
        // What ran before is still what the answers are judged by, and what the new configuration is made from.
        self.running.revision = revision;
        Ok(())
    }

    /// Watches until the slave has the configuration and this unit serves; a clear word if it does not come so far.
    pub(super) fn sent_to_the_slave(&mut self, pair: &Pair, config: &Config) -> Result<(), WizardError> {
        let name = &pair.peer.hostname;
        self.prompter.say(&format!("\nSending the configuration to {name} ...")).map_err(WizardError::Report)?;
        let mut last: Option<HaView> = None;
        for _ in 0..ARRIVAL_LOOKS {
            if let Ok(view) = self.unit.ha() {
                match words::in_sync(&view) {
                    Some(Ok(())) if view.role == HaRole::Active => {
                        return self
                            .prompter
                            .say(&words::master_done(&view, pair, config))
                            .map_err(WizardError::Report);
                    }
                    Some(Err((reason, hint))) => {
                        return Err(WizardError::NotInSync(Refusal::new(format!("{name}: {reason}"), hint)));
                    }
                    _ => last = Some(view),
                }
            }
            self.unit.wait();
        }
        match last {
            // Not serving yet is no failure: the first beats may still be on their way.
            Some(view) if words::in_sync(&view) == Some(Ok(())) => {
                self.prompter.say(&words::master_done(&view, pair, config)).map_err(WizardError::Report)
            }
            last => {
                let detail = last.and_then(|v| v.replication).map(|r| r.detail).filter(|d| !d.is_empty());
                let reason = detail.unwrap_or_else(|| "there was no answer within a minute".into());
                let hint = "it is sent by itself as soon as that is possible; lbctl ha shows when it has arrived";
                Err(WizardError::NotInSync(Refusal::new(format!("{name}: {reason}"), hint)))
            }
        }
    }
}
