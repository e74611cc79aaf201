//! What the loop says: lines of the log, and answers on the status socket.

use super::Daemon;
use crate::{clock, control::Asked};
use lb_ha::control::{Reply, Report, Request};
use lb_ha::{Command, Event, Note};

impl Daemon {
    pub(super) fn tell(&self, note: Note) {
        match note {
            Note::PathDown { path } => self.log.warn(format!("heartbeat path {} is down", self.paths.name(path))),
            Note::PathUp { path } => self.log.info(format!("heartbeat path {} is up", self.paths.name(path))),
            Note::Late { .. } | Note::Stalled { .. } | Note::Waits { .. } | Note::Refused { .. } => {
                self.log.warn(note.to_string());
            }
            Note::Moved { .. } | Note::PeerRestarted => self.log.info(note.to_string()),
        }
    }

    pub(super) fn outcome(&mut self, command: Command, result: Result<(), lb_ha::Refusal>) {
        let reply = match result {
            Ok(()) => Reply::Done,
            Err(reason) => Reply::Refused { reason, text: reason.to_string() },
        };
        match &reply {
            Reply::Refused { text, .. } => self.log.warn(format!("{command:?} refused: {text}")),
            _ => self.log.info(format!("{command:?} done")),
        }
        if let Some(at) = self.pending.iter().position(|(pending, _)| *pending == command) {
            // Whoever asked may have gone.
            let _ = self.pending.remove(at).1.send(reply);
        }
    }

    pub(super) fn asked(&mut self, Asked { request, answer }: Asked) {
        if let Some(command) = request.command() {
            self.pending.push((command, answer));
            self.handle(Event::Command(command));
            return;
        }
        if let Request::Hot(hot) = request {
            self.handle(Event::Hot(hot));
            let _ = answer.send(Reply::Done);
            return;
        }
        let now = clock::now();
        let report = Report {
            now: now.0,
            status: self.node.status(now),
            document: self.document.clone(),
            path_errors: self.paths.errors(),
            degraded: self.degraded.clone(),
        };
        let _ = answer.send(Reply::Status(Box::new(report)));
    }
}
