//! `lbctl ha pair`: makes a pair, and reports how far it is until it is made or has failed.
//!
//! Progress, the code among it, goes to standard error; the outcome is the answer. lbd does the work: leaving with
//! Ctrl-C leaves lbd waiting or calling. Tested by `tests/stories/pair.txt`.

use crate::{
    cli::{PairCommand, PairOptions},
    error::Error,
    session::{Answer, Session},
    text::{time, wrapped},
};
use lb_api::{PairedView, PairingRequest, PairingStep, PairingView};
use std::{
    io::{self, BufRead, IsTerminal},
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(250);
/// A call over the cable takes a minute at most; waiting ends by itself when the code does.
const PATIENCE: Duration = Duration::from_secs(120);
const CODE_LIMIT: usize = 64;

impl Session {
    pub fn pair(&self, command: PairCommand) -> Result<Answer, Error> {
        let (step, options) = match command {
            PairCommand::Wait(options) => (PairingStep::Wait {}, options),
            PairCommand::Serial(options) => (PairingStep::CallSerial {}, options),
            PairCommand::Network { address, code, options } => {
                let code = code.map_or_else(typed_code, Ok)?;
                (PairingStep::CallNetwork { address, code }, options)
            }
            PairCommand::Cancel => (PairingStep::Cancel {}, PairOptions { no_wait: true }),
        };
        let begun = self.client.pair(&PairingRequest { author: self.author.clone(), step })?;
        if options.no_wait { outcome(&begun) } else { self.follow(begun) }
    }

    /// Until it is made, has failed, or is given up.
    fn follow(&self, begun: PairingView) -> Result<Answer, Error> {
        let mut last = None;
        let mut view = begun;
        let start = Instant::now();
        loop {
            let text = progress(&view);
            match (&view, text) {
                (PairingView::Idle | PairingView::Done(_) | PairingView::Failed { .. }, _) => return outcome(&view),
                (_, text) if text != last => {
                    eprintln!("{}", text.as_deref().unwrap_or_default());
                    last = text;
                }
                _ => {}
            }
            if matches!(view, PairingView::Working { .. }) && start.elapsed() > PATIENCE {
                let hint = "lbctl ha pair cancel gives it up";
                return Err(Error::request("the pairing has not ended yet", Some(hint.into())));
            }
            std::thread::sleep(POLL);
            view = self.client.pairing()?;
        }
    }
}

/// The code, without its being seen in the list of processes.
fn typed_code() -> Result<String, Error> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        eprint!("Code that the slave shows: ");
    }
    let mut code = String::new();
    io::Read::take(stdin.lock(), CODE_LIMIT as u64).read_line(&mut code)?;
    match code.trim() {
        "" => Err(Error::request("the code is missing", Some("the slave shows it: eight digits".into()))),
        code => Ok(code.to_owned()),
    }
}

/// What is said while it goes on.
fn progress(view: &PairingView) -> Option<String> {
    match view {
        PairingView::Waiting { code, until, serial_error } => {
            let cable = match serial_error {
                None => "Over the null-modem cable nothing is typed.".to_owned(),
                Some(error) => format!("The null-modem cable cannot be used: {error}"),
            };
            let lines = [
                format!("This unit waits for the master until {}.", time(*until)),
                cable,
                format!("Over the network the master asks for this code: {code}"),
            ];
            Some(lines.map(|l| wrapped(&l, 2)).join("\n"))
        }
        PairingView::Working { text } => Some(wrapped(text, 2)),
        _ => None,
    }
}

fn outcome(view: &PairingView) -> Result<Answer, Error> {
    let text = match view {
        PairingView::Idle => "This unit neither waits nor calls.".to_owned(),
        PairingView::Waiting { .. } | PairingView::Working { .. } => progress(view).unwrap_or_default(),
        PairingView::Done(PairedView { unit, hostname, addresses, fingerprint }) => {
            let addresses: Vec<String> = addresses.iter().map(|a| a.addr().to_string()).collect();
            let lines = [
                format!("Paired with {hostname} ({}); this unit is unit {unit}.", addresses.join(", ")),
                format!("Its certificate's SHA-256 fingerprint is {fingerprint}"),
            ];
            lines.map(|l| wrapped(&l, 2)).join("\n")
        }
        PairingView::Failed { reason, hint } => {
            return Err(Error::request(reason.clone(), Some(hint.clone()).filter(|h| !h.is_empty())));
        }
    };
    Answer::new(text + "\n", view)
}
