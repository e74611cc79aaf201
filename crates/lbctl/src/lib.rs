//! The command line of the load balancer: what `lbctl` does, as a library so that tests reach its parts.
//!
//! One command is one [`session::Answer`]: text for people, JSON for programs, an exit status. Only
//! this file prints; only `lb_api::BlockingClient` speaks to lbd, on its socket or over HTTPS; nothing here decides what a configuration
//! may be (that is `lb_model`). Tested by the stories in `tests/stories` against a small lbd in memory.

#![forbid(unsafe_code)]

mod certificate;
pub mod cli;
mod edit;
mod editor;
mod error;
mod ha;
mod layer7;
mod lockdown;
mod manual;
mod pair;
mod parse;
mod path;
mod persistence;
mod remote;
mod servers;
mod session;
mod show;
mod status;
mod suggest;
mod text;
mod update;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, ConfigCommand, RipCommand, Source, VipCommand};
use error::Error;
use lb_api::{ConfirmRequest, DiscardRequest, LogQuery, PlanRequest, RollbackRequest};
use lb_model::RequestedState;
use session::{Answer, Session};
use std::{
    ffi::OsString,
    io::{self, Write},
};

/// Runs one command line; the exit status.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.len() < 2 {
        return print(io::stderr(), &Cli::command().render_help().to_string(), error::USAGE);
    }
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() && args.iter().any(|a| a == "--json") => {
            return print(io::stdout(), &(error::usage_json(&e.render().to_string()) + "\n"), error::USAGE);
        }
        Err(e) => {
            let exit = if e.use_stderr() { error::USAGE } else { error::DONE };
            return e.print().map_or(error::REFUSED, |()| exit);
        }
    };
    let json = cli.json;
    if let Command::Update { command } = &cli.command {
        return update::run(command.as_ref(), &cli.remote, json);
    }
    match run(cli) {
        Ok(Answer { text, json: document, exit }) => print(io::stdout(), if json { &document } else { &text }, exit),
        Err(Error::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => error::DONE,
        Err(e) => match e.json() {
            Ok(document) if json => print(io::stdout(), &(document + "\n"), e.exit()),
            _ => print(io::stderr(), &e.text(), e.exit()),
        },
    }
}

/// Whoever reads may stop reading (`lbctl history | head`): that is no failure.
fn print(mut to: impl Write, text: &str, exit: u8) -> u8 {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => error::REFUSED,
        _ => exit,
    }
}

fn run(cli: Cli) -> Result<Answer, Error> {
    let json = cli.json;
    let (client, warnings) = remote::client(&cli.socket, &cli.remote)?;
    for warning in warnings {
        print(io::stderr(), &format!("warning: {warning}\n"), error::DONE);
    }
    // Another unit sees for itself where a request comes from.
    let from = if cli.remote.url.is_none() { session::from() } else { None };
    let s = Session { client, author: session::author(), from };
    match cli.command {
        Command::Status(args) => s.status(&args, json),
        Command::Config(command) => config(&s, command),
        Command::Vip(VipCommand::Add(args)) => s.edit(&args.options, |c| servers::add_vip(c, &args)),
        Command::Vip(VipCommand::AddLayer7(args)) => s.edit(&args.options, |c| layer7::add_vip(c, &args)),
        Command::Vip(VipCommand::Remove { vip, options }) => s.edit(&options, |c| servers::remove_vip(c, &vip)),
        Command::Rip(RipCommand::Add(args)) => s.edit(&args.options, |c| servers::add_rip(c, &args)),
        Command::Rip(RipCommand::Remove { server, options }) => s.edit(&options, |c| servers::remove_rip(c, &server)),
        Command::Lockdown(command) => s.lockdown(&command),
        Command::Certificate(command) => s.certificate(command),
        Command::Persistence(command) => s.persistence(command),
        Command::Online(server) => s.set_state(&server, RequestedState::Online),
        Command::Offline(server) => s.set_state(&server, RequestedState::Offline),
        Command::Drain(server) => s.set_state(&server, RequestedState::Drain),
        Command::Diff { from: None, to: None } => {
            let view = s.client.candidate()?;
            let running = if view.changes.is_empty() { None } else { Some(s.client.running()?.revision.number) };
            Answer::new(text::candidate(&view, running), &view)
        }
        Command::Diff { from, to } => {
            let (old, new) = (s.config(from.unwrap_or(Source::Running))?, s.config(to.unwrap_or(Source::Candidate))?);
            let changes = lb_model::changes(&old, &new);
            let text =
                if changes.is_empty() { "They are the same.\n".to_owned() } else { text::change_lines(&changes) };
            Answer::new(text, &changes)
        }
        Command::Plan { file } => {
            let config = file.map(|f| session::read_document(&f)).transpose()?;
            let request = PlanRequest { config };
            let plan = s.client.plan(&request).map_err(|e| {
                let error = Error::from(e);
                match request.config.or_else(|| s.client.candidate().ok().map(|c| c.config)) {
                    Some(config) => error.about(&config),
                    None => error,
                }
            })?;
            Answer::new(text::plan(&plan), &plan)
        }
        Command::Apply { options, file, base } => {
            let config = file.map(|f| session::read_document(&f)).transpose()?;
            let applied = s.apply(&options, config, base)?;
            Answer::new(text::applied(&applied), &applied)
        }
        Command::Confirm { revision } => {
            let view = s.client.confirm(&ConfirmRequest { revision, author: s.author })?;
            Answer::new(format!("Revision {} stays.\n", view.revision), &view)
        }
        Command::Discard => discard(&s),
        Command::History { limit } => {
            let revisions = s.client.history(limit)?;
            Answer::new(text::history(&revisions), &revisions)
        }
        Command::Rollback { revision, options } => {
            let comment = options.comment.unwrap_or_else(|| format!("rollback to revision {revision}"));
            let confirm_within = options.confirm;
            let request = RollbackRequest { revision, author: s.author, comment, confirm_within, from: s.from };
            let applied = s.client.rollback(&request)?;
            Answer::new(text::applied(&applied), &applied)
        }
        Command::Reconcile => {
            let view = s.client.reconcile()?;
            Answer::new(text::reconciled(&view), &view)
        }
        Command::Ha { command } => s.ha(command),
        Command::Log { name, lines, filter } => {
            let view = s.client.log(name, &LogQuery { filter, limit: lines.into(), ..LogQuery::default() })?;
            Answer::new(text::log(&view), &view)
        }
        // It needs no lbd: it may be what mends it.
        Command::Update { .. } => Err(Error::request("an update is installed by lbupdate", None)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lbctl", &mut script);
            let script = String::from_utf8_lossy(&script).into_owned();
            Answer::new(script.clone(), &script)
        }
        Command::Man => {
            let page = manual::page()?;
            Answer::new(page.clone(), &page)
        }
    }
}

fn config(s: &Session, command: ConfigCommand) -> Result<Answer, Error> {
    match command {
        ConfigCommand::Show { which, path } => s.show(which.as_deref(), path.as_deref()),
        ConfigCommand::Set { path, value, options } => s.edit(&options, |c| Ok(path::set(c, &path, &value)?)),
        ConfigCommand::Unset { path, options } => {
            s.edit(&options, |c| Ok(path::unset(c, &path)?.unwrap_or_else(|| c.clone())))
        }
        ConfigCommand::Edit => editor::edit(s),
        ConfigCommand::Put { file, options } => {
            let config = session::read_document(&file)?;
            s.put_document(&options, config)
        }
        ConfigCommand::Discard => discard(s),
    }
}

fn discard(s: &Session) -> Result<Answer, Error> {
    let before = s.client.candidate()?;
    let view = s.client.discard(&DiscardRequest { etag: Some(before.etag), author: s.author.clone() })?;
    let text = match before.changes.len() {
        0 => "Nothing was pending.\n".to_owned(),
        _ => format!("Gave up what was pending:\n{}", text::change_lines(&before.changes)),
    };
    Answer::new(text, &view)
}
