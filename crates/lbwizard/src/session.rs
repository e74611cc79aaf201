//! One run of the wizard: greet, ask, show, and commit once.
//!
//! A clustered pair has two more parts: [`master`] makes the pair in the middle of the questions and watches the
//! configuration arrive, [`slave`] waits for the master when all is done here.

mod master;
mod slave;
mod unit;

pub use unit::Unit;

use crate::{
    check::Refusal,
    flow::{self, Answers, Ask, Step},
    prompter::{PromptError, Prompter},
    settings::{Role, Settings},
    signals::Guard,
    text,
};
use lb_api::{Applied, ApplyRequest, ClientError, PairingView, Running};
use lb_model::Config;

#[derive(Debug, thiserror::Error)]
pub enum WizardError {
    #[error(transparent)]
    Prompt(#[from] PromptError),
    #[error(transparent)]
    Unit(#[from] ClientError),
    #[error("{0}\nNothing was changed.")]
    NotApplied(ClientError),
    #[error("{0}\nWhether the changes were made is not known.\nhint: lbctl history shows it")]
    PerhapsApplied(ClientError),
    #[error("the changes are made, but this could not be printed: {0}")]
    Report(PromptError),
    #[error(
        "{0}\nOnly this unit's own addresses were set, for the pairing.\nhint: lbctl history shows it, and lbctl rollback undoes it"
    )]
    NetworkOnly(ClientError),
    /// These two units cannot be a pair as they are.
    #[error("{0}")]
    Apart(Refusal),
    #[error("{0}\nThis unit is set up, but not yet one of a pair.")]
    NotPaired(Refusal),
    #[error("{0}\nThis unit is set up; only the slave does not have the configuration yet.")]
    NotInSync(Refusal),
}

/// What all parts of a run share.
struct Run<'a> {
    unit: &'a dyn Unit,
    prompter: &'a mut dyn Prompter,
    guard: &'a Guard,
    author: &'a str,
    dry_run: bool,
    running: Running,
    /// This unit's own network is applied for the pairing, and not confirmed yet: undone when the wizard is left.
    provisional: Option<Provisional>,
}

/// What was applied, and what ran before.
#[derive(Debug, Clone, Copy)]
struct Provisional {
    revision: u64,
    before: u64,
}

/// Asks everything, and applies it unless it is a dry run.
pub fn run(
    unit: &dyn Unit,
    prompter: &mut dyn Prompter,
    guard: &Guard,
    author: &str,
    dry_run: bool,
) -> Result<(), WizardError> {
    let running = unit.running()?;
    let mut run = Run { unit, prompter, guard, author, dry_run, running, provisional: None };
    run.prompter.say(text::WELCOME)?;
    run.prompter.pause(text::CONTINUE)?;
    let settings = run.ask_all()?;
    run.prompter.all_answered()?;
    let config = settings.configure(&run.running.config);
    let plan = unit.plan(&config)?;
    let summary = text::summary(&settings, &config);
    if dry_run {
        run.prompter.say(&format!("\n{summary}\n\n{}", text::dry_run(&plan)))?;
        guard.end();
        return Ok(());
    }
    run.prompter.say(&format!("\n{}\n\n{summary}\n", text::plan(&plan)))?;
    run.prompter.pause(text::CONFIRM)?;
    let applied = run.commit(config.clone(), settings.comment())?;
    let sent = match &settings.role {
        Role::Master(_, pair) => run.sent_to_the_slave(pair, &config),
        Role::Single(_) | Role::Slave => Ok(()),
    };
    run.prompter.say(&format!("\n{}", text::report(&settings, &applied))).map_err(WizardError::Report)?;
    match &settings.role {
        Role::Slave => run.wait_for_the_master(&settings),
        Role::Single(_) | Role::Master(..) => sent,
    }
}

impl Run<'_> {
    fn ask_all(&mut self) -> Result<Settings, WizardError> {
        let mut answers = Answers { sync_id: self.unit.draw_sync_id(), ..Answers::default() };
        loop {
            let Ask { question, default } = match flow::next(&self.running.config, &answers) {
                Step::Ask(ask) => ask,
                Step::Pair { slave } => {
                    answers = self.pair(answers, slave)?;
                    continue;
                }
                Step::Confirm(settings) => return Ok(settings),
            };
            let typed = self.prompter.ask(question.text(), default.as_deref())?;
            let text = match (typed.trim(), &default) {
                ("?", _) => {
                    self.prompter.say(question.help())?;
                    continue;
                }
                ("", Some(default)) => default.as_str(),
                (text, _) => text,
            };
            match flow::answered(&self.running.config, &answers, question, text) {
                Ok(taken) => answers = self.known(taken)?,
                Err(refusal) => self.prompter.refuse(&refusal)?,
            }
        }
    }

    /// A unit of a pair may have been paired before: then its role is given, and the other unit known.
    fn known(&mut self, answers: Answers) -> Result<Answers, WizardError> {
        if answers.ha_pair != Some(true) || answers.master.is_some() || answers.paired.is_some() {
            return Ok(answers);
        }
        match self.unit.pairing()? {
            PairingView::Done(view) => {
                self.prompter.say(&text::pair::already(&view))?;
                flow::paired(&self.running.config, &answers, view, None).map_err(WizardError::Apart)
            }
            _ => Ok(answers),
        }
    }

    fn commit(&mut self, config: Config, comment: String) -> Result<Applied, WizardError> {
        let request = ApplyRequest {
            config: Some(config),
            base: Some(self.running.revision.number),
            author: self.author.to_owned(),
            comment,
            ..ApplyRequest::default()
        };
        self.guard.begin();
        // lbd takes nothing else while a revision waits for its confirmation.
        let provisional = self.provisional.take();
        if let Some(Provisional { revision, .. }) = provisional {
            self.unit.confirm(revision, self.author).map_err(WizardError::NotApplied)?;
        }
        let applied = self.unit.apply(&request).map_err(|error| match error {
            ClientError::Refused(_) if provisional.is_some() => WizardError::NetworkOnly(error),
            error => not_applied(error),
        })?;
        self.guard.end();
        Ok(applied)
    }
}

/// What became of an apply that was not answered well.
fn not_applied(error: ClientError) -> WizardError {
    match error {
        ClientError::Refused(_) | ClientError::Connect { .. } => WizardError::NotApplied(error),
        _ => WizardError::PerhapsApplied(error),
    }
}
