//! One run of the wizard: greet, ask, show, and commit once.

use crate::{
    flow::{self, Answers, Ask, Step},
    prompter::{PromptError, Prompter},
    settings::Settings,
    signals::Guard,
    text,
};
use lb_api::{Applied, ApplyRequest, BlockingClient, ClientError, PlanRequest, PlanView, Running};
use lb_model::Config;

/// The unit that is set up: lbd, or a test's stand-in.
pub trait Unit {
    fn running(&self) -> Result<Running, ClientError>;
    fn plan(&self, config: &Config) -> Result<PlanView, ClientError>;
    fn apply(&self, request: &ApplyRequest) -> Result<Applied, ClientError>;
}

impl Unit for BlockingClient {
    fn running(&self) -> Result<Running, ClientError> {
        BlockingClient::running(self)
    }

    fn plan(&self, config: &Config) -> Result<PlanView, ClientError> {
        BlockingClient::plan(self, &PlanRequest { config: Some(config.clone()) })
    }

    fn apply(&self, request: &ApplyRequest) -> Result<Applied, ClientError> {
        BlockingClient::apply(self, request)
    }
}

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
    prompter.say(text::WELCOME)?;
    prompter.pause(text::CONTINUE)?;
    let settings = ask_all(&running.config, prompter)?;
    prompter.all_answered()?;
    let config = settings.configure(&running.config);
    let plan = unit.plan(&config)?;
    let summary = text::summary(&settings, &config);
    if dry_run {
        prompter.say(&format!("\n{summary}\n\n{}", text::dry_run(&plan)))?;
        guard.end();
        return Ok(());
    }
    prompter.say(&format!("\n{}\n\n{summary}\n", text::plan(&plan)))?;
    prompter.pause(text::CONFIRM)?;
    let request = ApplyRequest {
        config: Some(config),
        base: Some(running.revision.number),
        etag: None,
        author: author.to_owned(),
        comment: settings.comment(),
        confirm_within: None,
    };
    guard.begin();
    let applied = unit.apply(&request).map_err(|error| match error {
        ClientError::Refused(_) | ClientError::Connect { .. } => WizardError::NotApplied(error),
        _ => WizardError::PerhapsApplied(error),
    })?;
    guard.end();
    prompter.say(&format!("\n{}", text::report(&settings, &applied))).map_err(WizardError::Report)
}

fn ask_all(running: &Config, prompter: &mut dyn Prompter) -> Result<Settings, PromptError> {
    let mut answers = Answers::default();
    loop {
        let Ask { question, default } = match flow::next(running, &answers) {
            Step::Ask(ask) => ask,
            Step::Confirm(settings) => return Ok(settings),
        };
        let typed = prompter.ask(question.text(), default.as_deref())?;
        let text = match (typed.trim(), &default) {
            ("?", _) => {
                prompter.say(question.help())?;
                continue;
            }
            ("", Some(default)) => default.as_str(),
            (text, _) => text,
        };
        match flow::answered(running, &answers, question, text) {
            Ok(taken) => answers = taken,
            Err(refusal) => prompter.refuse(&refusal)?,
        }
    }
}
