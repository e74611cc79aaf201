//! The slave waits for the master, after it has been set up.
//!
//! lbd does the waiting; this shows the code until the pair is made. Leaving stops it, but for a line that breaks:
//! an administrator who came over the network may have changed the address under his own feet.

use super::{Run, WizardError};
use crate::{check::Refusal, settings::Settings, text::pair as words};
use lb_api::{ClientError, PairingStep, PairingView};
use nix::sys::signal::Signal;

impl Run<'_> {
    pub(super) fn wait_for_the_master(&mut self, settings: &Settings) -> Result<(), WizardError> {
        if let PairingView::Done(view) = self.unit.pairing()? {
            return self.prompter.say(&words::slave_done(&view, settings)).map_err(WizardError::Report);
        }
        let (unit, author) = (self.unit.again(), self.author.to_owned());
        self.guard.on_leave(Box::new(move |signal| match signal {
            Some(Signal::SIGHUP) => words::WAITS_ON.to_owned(),
            _ => {
                let _ = unit.pair(PairingStep::Cancel {}, &author);
                words::STOPPED.to_owned()
            }
        }));
        loop {
            match self.until_it_ends(settings)? {
                Ok(()) => {
                    self.guard.end();
                    return Ok(());
                }
                // Not by itself: each code is a few guesses for whoever wants to guess.
                Err(refusal) if self.prompter.attended() => {
                    self.prompter.refuse(&refusal)?;
                    self.prompter.pause(words::NEW_CODE)?;
                }
                Err(refusal) => return Err(WizardError::NotPaired(refusal)),
            }
        }
    }

    /// One code's time: paired, or why not.
    fn until_it_ends(&mut self, settings: &Settings) -> Result<Result<(), Refusal>, WizardError> {
        let mut view = match self.unit.pair(PairingStep::Wait {}, self.author) {
            Ok(view) => view,
            Err(ClientError::Refused(error)) => {
                let hint = error.hint.unwrap_or_else(|| "lbctl ha pair wait tries it again".into());
                return Ok(Err(Refusal::new(error.message, hint)));
            }
            Err(error) => return Err(error.into()),
        };
        let mut shown = String::new();
        loop {
            let text = match view {
                PairingView::Done(view) => {
                    self.prompter.say(&words::slave_done(&view, settings))?;
                    return Ok(Ok(()));
                }
                PairingView::Failed { reason, hint } => return Ok(Err(Refusal::new(reason, hint))),
                PairingView::Idle => {
                    return Ok(Err(Refusal::new("somebody else stopped the waiting", "wait again here")));
                }
                PairingView::Working { text } => text,
                PairingView::Waiting { code, until, serial_error } if !shown.contains(&code) => {
                    let minutes = until.saturating_sub(self.unit.now()).div_ceil(60);
                    words::waiting(settings, &code, minutes, serial_error.as_deref())
                }
                PairingView::Waiting { .. } => shown.clone(),
            };
            if text != shown {
                self.prompter.say(&text)?;
                shown = text;
            }
            self.unit.wait();
            view = self.unit.pairing()?;
        }
    }
}
