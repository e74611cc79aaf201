//! What goes wrong, and what operators do.

use super::{What, World, id};
use crate::codec::Refused;
use crate::core::Command;
use crate::frame::Frame;
use crate::node::Event;
use crate::sim::schedule::{Fault, Kind};
use crate::word::State;

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        // Whether the promise of a death applies, before the fault ends all promises.
        let steady = self.audit.in_contact(self.now) && self.audit.calm_for(self.now) > 1_000_000;
        self.audit.fault(self.now);
        if self.schedule.kind == Kind::OnePath && fault != Fault::Calm {
            self.audit.hold_still(self.now);
        }
        match fault {
            Fault::Cut { path, from } => self.cut[path][from] = true,
            Fault::Mend { path } => {
                self.cut[path] = [false; 2];
                self.wires[path].loss = self.wires[path].loss.min(30);
            }
            Fault::Loss { path, permille } => self.wires[path].loss = permille,
            Fault::Freeze { node, span } => {
                if self.hosts[node].runs() {
                    self.hosts[node].frozen = true;
                    self.hosts[node].frozen_since = self.now;
                    self.audit.interrupted(node, false);
                    self.at(self.now + span, What::Thaw { node });
                }
            }
            Fault::Kill { node, back_after } => {
                self.hosts[node].dies();
                self.audit.interrupted(node, false);
                self.at(self.now + back_after, What::Switch { node });
            }
            Fault::PowerOff { node, back_after } => self.power_off(node, back_after, steady),
            Fault::Fit { node, fit } => {
                self.hosts[node].fit = fit;
                self.tell_fitness(node);
            }
            Fault::Hot { node, hot } => {
                self.hosts[node].hot = hot;
                self.tell(node, Event::Hot(hot));
            }
            Fault::Floating { node, up, seen } => {
                self.hosts[node].floating_up = up;
                self.audit.floating_changed(self.now);
                if seen {
                    self.hosts[node].fit = up;
                    self.tell_fitness(node);
                }
            }
            Fault::Command { node, command } => self.command(node, command, steady),
            Fault::Replay { to, path, frames } => self.play_back(to, path, frames),
            Fault::Garbage { to, path } => {
                self.tell(to, Event::Refused { path: path as u8, why: Refused::Forged });
            }
            Fault::Calm => self.calm(),
        }
    }

    fn tell_fitness(&mut self, node: usize) {
        let reasons = if self.hosts[node].fit { Vec::new() } else { vec!["lbd is silent".to_owned()] };
        if self.hosts[node].node.is_some() {
            self.tell(node, Event::Fitness { reasons });
        }
    }

    fn power_off(&mut self, node: usize, back_after: u64, steady: bool) {
        let owned = self.hosts[node].kernel.holds;
        let other = 1 - node;
        let survivor = &self.hosts[other];
        let stands_by = survivor.runs() && survivor.fit && survivor.floating_up && {
            survivor.node.as_ref().is_some_and(|daemon| daemon.core().state() == State::Standby)
        };
        let promised = self.schedule.kind == Kind::Death && steady && owned && stands_by;
        let host = &mut self.hosts[node];
        host.dies();
        host.powered = false;
        host.exited = false;
        let held = std::mem::take(&mut host.kernel.holds);
        self.audit.interrupted(node, false);
        if held {
            self.audit.kernel_changed(node, false, &self.hosts, self.now);
        }
        if promised {
            self.audit.owes_service(other, self.now);
        }
        self.at(self.now + back_after, What::Switch { node });
    }

    fn command(&mut self, node: usize, command: Command, steady: bool) {
        if !self.hosts[node].runs() {
            return;
        }
        if command == Command::Shutdown {
            let owns = self.hosts[node].kernel.holds;
            let able = self.hosts[1 - node].node.as_ref().is_some_and(|daemon| {
                let word = daemon.core().word(self.hosts[1 - node].clock(self.now));
                word.state == State::Standby && word.can_serve()
            });
            if owns && able && steady && self.hosts[1 - node].runs() && self.hosts[1 - node].fit {
                self.audit.asked_to_shut_down(node);
            }
        }
        self.tell(node, Event::Command(command));
    }

    /// Plays back frames that `to` has had, or that are older than its daemon.
    fn play_back(&mut self, to: usize, path: usize, count: usize) {
        let (boot, seq) = self.newest[to];
        let old = |frame: &Frame| frame.from != id(to) && (frame.boot, frame.seq) <= (boot, seq);
        let known: Vec<usize> = (0..self.frames.len()).filter(|number| old(&self.frames[*number])).collect();
        if known.is_empty() {
            return;
        }
        for n in 0..count as u64 {
            let frame = self.random.pick(&known);
            self.at(self.now + 50 * n, What::Arrive { to, path, frame, replayed: true });
        }
    }

    fn calm(&mut self) {
        self.cut.iter_mut().for_each(|cut| *cut = [false; 2]);
        for (wire, planned) in self.wires.iter_mut().zip(&self.schedule.wires) {
            wire.loss = planned.loss;
        }
        self.audit.floating_changed(self.now);
        for node in 0..2 {
            self.hosts[node].floating_up = true;
            self.hosts[node].fit = true;
            self.hosts[node].exited = false;
            if self.hosts[node].frozen {
                self.at(self.now, What::Thaw { node });
            }
            if self.hosts[node].node.is_none() {
                self.at(self.now, What::Switch { node });
            }
            self.tell_fitness(node);
            if self.hosts[node].node.is_some() {
                self.tell(node, Event::Command(Command::Maintenance { on: false, force: false }));
            }
        }
        self.at(self.schedule.end, What::Look);
    }
}
