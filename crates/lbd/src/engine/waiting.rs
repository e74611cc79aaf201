//! What waits until HAProxy has looked at a configuration.
//!
//! ```text
//!  asked --> does it --> Halt::Unchecked: nothing was done --> Layer7::ask, a thread of its own
//!              ^                                                   |
//!              \-- once more, from the beginning <-- News::Checked-/
//! ```
//! Meanwhile the loop goes on, and others may change what runs: whatever is asked again is judged again, by what runs
//! then. Whose asker is gone is not done.

use super::{Command, Engine, Now, Reply, pair};
use crate::layer7::Said;
use lb_api::{ApiError, ErrorCode};
use lb_haproxy::Rendered;
use lb_kernel::Kernel;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::oneshot;

/// Why something is not done; nothing was changed.
pub(super) enum Halt {
    Refused(ApiError),
    /// HAProxy must be asked about this first.
    Unchecked(Arc<Rendered>),
}

impl From<ApiError> for Halt {
    fn from(error: ApiError) -> Self {
        Halt::Refused(error)
    }
}

impl From<Halt> for ApiError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Refused(error) => error,
            Halt::Unchecked(_) => busy("HAProxy has not looked at it yet"),
        }
    }
}

/// What can wait.
pub(super) enum Asked {
    Command {
        command: Command,
        answer: oneshot::Sender<Result<Reply, ApiError>>,
    },
    Pushed {
        pushed: Box<pair::Pushed>,
        answer: oneshot::Sender<Result<(), pair::NotTaken>>,
    },
    /// Certificates that were obtained.
    Obtained,
}

impl Asked {
    fn is_given_up(&self) -> bool {
        match self {
            Asked::Command { answer, .. } => answer.is_closed(),
            Asked::Pushed { answer, .. } => answer.is_closed(),
            Asked::Obtained => false,
        }
    }
}

/// By the number of the question that each waits for.
#[derive(Default)]
pub(super) struct Waiting(BTreeMap<u64, Asked>);

impl Waiting {
    /// Certificates that were obtained are among it.
    pub(super) fn has_obtained(&self) -> bool {
        self.0.values().any(|asked| matches!(asked, Asked::Obtained))
    }
}

impl Command {
    /// The same once more, of those that HAProxy may have to be asked about.
    fn again(&self) -> Option<Command> {
        match self {
            Command::Plan(request) => Some(Command::Plan(request.clone())),
            Command::Apply(request) => Some(Command::Apply(request.clone())),
            Command::Rollback(request) => Some(Command::Rollback(request.clone())),
            Command::SetState(request) => Some(Command::SetState(request.clone())),
            Command::EndPair { author, serve } => Some(Command::EndPair { author: author.clone(), serve: *serve }),
            Command::Running
            | Command::Factory
            | Command::Candidate
            | Command::PutCandidate(_)
            | Command::Discard(_)
            | Command::Confirm(_)
            | Command::History { .. }
            | Command::Revision(_)
            | Command::Summary
            | Command::Reconcile
            | Command::Certificates
            | Command::AddCertificate { .. }
            | Command::SelfSigned(_)
            | Command::RequestCertificate(_)
            | Command::Acme
            | Command::OrderCertificate(_)
            | Command::RemoveCertificate { .. } => None,
        }
    }

    /// Brings a configuration along that has no layer 7, so that nobody is asked.
    fn is_without_layer7(&self) -> bool {
        let config = match self {
            Command::Plan(request) => &request.config,
            Command::Apply(request) => &request.config,
            _ => return false,
        };
        config.as_ref().is_some_and(|config| config.layer7.virtual_servers.is_empty())
    }
}

impl<K: Kernel> Engine<K> {
    /// Does it and answers, or lets it wait.
    pub(super) fn asked(&mut self, asked: Asked, now: Now) {
        // Whoever asked may have hung up when the answer is sent.
        match asked {
            Asked::Command { command, answer } => {
                let again = if command.is_without_layer7() { None } else { command.again() };
                match (self.command(command, now), again) {
                    (Err(Halt::Unchecked(wanted)), Some(command)) => {
                        self.wait(wanted, Asked::Command { command, answer });
                    }
                    (done, _) => drop(answer.send(done.map_err(ApiError::from))),
                }
            }
            Asked::Pushed { pushed, answer } => match self.take_push(&pushed, now) {
                Ok(done) => drop(answer.send(done)),
                Err(wanted) => self.wait(wanted, Asked::Pushed { pushed, answer }),
            },
            Asked::Obtained => self.run_obtained(now),
        }
    }

    pub(super) fn wait(&mut self, wanted: Arc<Rendered>, asked: Asked) {
        let number = self.layer7.ask(wanted);
        self.waiting.0.insert(number, asked);
    }

    /// There is an answer to question `number`, and [`Layer7`](crate::layer7::Layer7) knows it.
    pub(super) fn checked(&mut self, number: u64, now: Now) {
        if let Some(asked) = self.waiting.0.remove(&number).filter(|asked| !asked.is_given_up()) {
            self.asked(asked, now);
        }
    }

    /// What HAProxy would be told, if it takes that.
    pub(super) fn proxied(&mut self, config: &lb_model::Config) -> Result<Option<Arc<Rendered>>, Halt> {
        let lacking = self.lacking(config);
        if !lacking.is_empty() {
            return Err(ApiError::invalid(lacking).into());
        }
        let rendered = self.rendered(config);
        match (self.layer7.said(rendered.as_deref()), rendered) {
            (Some(Said::Takes), rendered) => Ok(rendered),
            (Some(Said::Refuses(problems)), _) => Err(ApiError::invalid(problems).into()),
            (Some(Said::Nothing(why)), _) => Err(busy(&why).into()),
            (None, Some(rendered)) => Err(Halt::Unchecked(rendered)),
            (None, None) => Ok(None),
        }
    }
}

/// No word about the configuration.
fn busy(why: &str) -> ApiError {
    ApiError::new(ErrorCode::Busy, format!("HAProxy could not check the configuration: {why}"))
        .hint("nothing was changed; try again in a few seconds")
}
