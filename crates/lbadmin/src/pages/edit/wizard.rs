//! Edit Configuration > Setup Wizard: the console's questions, one a page.
//!
//! The flow is lbwizard's own ([`lbwizard::flow`]), so questions, defaults and refusals are the same as on the
//! console. Answers travel in hidden fields and are judged again on every page; nothing is kept here, and nothing
//! is changed before the last button, which applies in one step.

use crate::{
    Shared,
    app::Flash,
    frame::{self, Frame, go},
    pages::changes::CONFIRM_WITHIN,
    refusal::{Refusal, words},
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use lb_access::Permission;
use lb_api::{Applied, ApplyRequest, ClientError, PlanRequest};
use lb_model::{Change, Config};
use lbwizard::{
    check::{self, Refusal as Judgement},
    flow::{self, Answers, Ask, Question, Step},
    settings::Settings,
    text,
};

const HERE: &str = "edit/wizard";
const CRUMBS: [&str; 2] = ["Edit Configuration", "Setup Wizard"];
/// Actions of the plan that the summary shows.
const SHOWN: usize = 20;

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/edit/wizard", get(begin).post(step))
}

/// The hidden field of a question's answer.
fn name(question: Question) -> &'static str {
    match question {
        Question::HaPair => "ha_pair",
        Question::OneArm => "one_arm",
        Question::Eth0Address => "eth0_address",
        Question::Eth0Netmask => "eth0_netmask",
        Question::Eth1Address => "eth1_address",
        Question::Eth1Netmask => "eth1_netmask",
        Question::Gateway => "gateway",
        Question::Nameserver => "nameserver",
        Question::Port => "port",
        Question::RealServer => "real_server",
        // Of a pair: asked on the console only, see [`answered`].
        Question::Role => "role",
        Question::SlaveReady => "slave_ready",
        Question::SlaveAddress => "slave_address",
        Question::Cable => "cable",
        Question::FloatingIp => "floating_ip",
        Question::InternalFloatingIp => "internal_floating_ip",
    }
}

/// The console's judgement. A pair is made on the consoles of both units, where the slave waits for the master.
fn answered(running: &Config, answers: &Answers, question: Question, text: &str) -> Result<Answers, Judgement> {
    let taken = flow::answered(running, answers, question, text)?;
    match taken.ha_pair {
        Some(true) => Err(Judgement::new(
            "a pair is set up on the consoles of both units, the slave first: log in there and type lbwizard",
            "answer no to set this unit up by itself",
        )),
        _ => Ok(taken),
    }
}

/// The console's words, without what one does on a console only.
fn on_a_page(text: &str) -> String {
    let text =
        text.replace(", or press Ctrl-C to leave", "").replace(" with lbctl", "").replace("lbctl", "this interface");
    let text = text.replace("y: ", "Yes: ").replace("n: ", "No: ").replace('\n', " ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What has been answered, as far as it can still be taken.
#[derive(Debug, Clone, Default)]
struct So {
    answers: Answers,
    given: Vec<(Question, String)>,
    /// An answer that was taken before and cannot be any more.
    refused: Option<(String, Judgement)>,
}

/// Takes the hidden answers in the order of the questions.
fn so_far(running: &Config, answer: impl Fn(&str) -> Option<String>) -> So {
    let mut so = So::default();
    while let Some(question) = so.answers.open() {
        let Some(text) = answer(name(question)) else { break };
        match answered(running, &so.answers, question, &text) {
            Ok(answers) => {
                so.answers = answers;
                so.given.push((question, text));
            }
            Err(judgement) => {
                so.refused = Some((text, judgement));
                break;
            }
        }
    }
    so
}

#[derive(Template)]
#[template(path = "wizard.html")]
struct QuestionPage {
    frame: Frame,
    number: usize,
    given: Vec<(&'static str, String)>,
    question: String,
    help: String,
    yes_or_no: bool,
    value: String,
    refused: Option<(String, String)>,
    first: bool,
}

#[derive(Template)]
#[template(path = "wizard_summary.html")]
struct SummaryPage {
    frame: Frame,
    given: Vec<(&'static str, String)>,
    summary: String,
    changes: Vec<Change>,
    actions: Vec<String>,
    more_actions: usize,
    revision: u64,
    /// Where this unit is reached afterwards; empty: where it is now.
    moves_to: String,
    confirm_within: u64,
}

#[derive(Template)]
#[template(path = "wizard_done.html")]
struct DonePage {
    frame: Frame,
    report: String,
}

#[derive(Template)]
#[template(path = "wizard_pending.html")]
struct PendingPage {
    frame: Frame,
}

async fn begin(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "Setup Wizard")?;
    let frame = Frame::load(&app, &seat, HERE, &CRUMBS).await?;
    if frame.bar.is_some() {
        return frame::show(&PendingPage { frame });
    }
    let running = app.lbd.running().await?;
    ask(frame, &running.config, &So::default(), String::new(), None)
}

/// The open question. `typed`: what stands in its field; empty: the default.
fn ask(
    frame: Frame,
    running: &Config,
    so: &So,
    typed: String,
    refused: Option<Judgement>,
) -> Result<Response, Refusal> {
    let Step::Ask(Ask { question, default }) = flow::next(running, &so.answers) else {
        return Err(Refusal::Internal("the wizard has no open question".into()));
    };
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let keep_typed = refused.is_some() || !typed.is_empty();
    let page = QuestionPage {
        frame,
        number: so.given.len() + 1,
        given: hidden(so),
        question: question.text().replace(" (y/n)", ""),
        help: on_a_page(question.help()),
        yes_or_no: matches!(question, Question::HaPair | Question::OneArm),
        value: if keep_typed { typed } else { default.unwrap_or_default() },
        refused: refused.map(|r| (on_a_page(&r.reason), on_a_page(&r.hint))),
        first: so.given.is_empty(),
    };
    Ok((status, Html(page.render()?)).into_response())
}

fn hidden(so: &So) -> Vec<(&'static str, String)> {
    so.given.iter().map(|(question, text)| (name(*question), text.clone())).collect()
}

async fn step(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "Setup Wizard")?;
    let frame = Frame::load(&app, seat, HERE, &CRUMBS).await?;
    if frame.bar.is_some() {
        return frame::refused(&PendingPage { frame });
    }
    let running = app.lbd.running().await?;
    let field = |name: &str| sent.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let mut so = so_far(&running.config, field);
    if let Some((text, judgement)) = so.refused.take() {
        return ask(frame, &running.config, &so, text, Some(judgement));
    }
    match (sent.get("do"), so.answers.open()) {
        ("back", _) => {
            let Some((question, text)) = so.given.pop() else {
                return ask(frame, &running.config, &So::default(), String::new(), None);
            };
            let earlier = so_far(&running.config, |n| if n == name(question) { None } else { given(&so, n) });
            ask(frame, &running.config, &earlier, text, None)
        }
        ("apply", None) => apply(&app, seat, &so, &running.config, sent.get("revision")).await,
        (_, None) => summary(&app, frame, &so, &running).await,
        (_, Some(question)) => {
            let typed = sent.get("answer");
            let default = match flow::next(&running.config, &so.answers) {
                Step::Ask(ask) => ask.default,
                Step::Pair { .. } | Step::Confirm(_) => None,
            };
            let text = match (typed.trim(), default) {
                ("", Some(default)) => default,
                (text, _) => text.to_owned(),
            };
            match answered(&running.config, &so.answers, question, &text) {
                Ok(answers) => {
                    so.answers = answers;
                    so.given.push((question, text));
                    match so.answers.open() {
                        Some(_) => ask(frame, &running.config, &so, String::new(), None),
                        None => summary(&app, frame, &so, &running).await,
                    }
                }
                Err(judgement) => {
                    let typed: String = typed.chars().take(check::LONGEST * 2).collect();
                    ask(frame, &running.config, &so, typed, Some(judgement))
                }
            }
        }
    }
}

fn given(so: &So, wanted: &str) -> Option<String> {
    so.given.iter().find(|(question, _)| name(*question) == wanted).map(|(_, text)| text.clone())
}

fn settings(so: &So) -> Result<Settings, Refusal> {
    so.answers.settings().ok_or_else(|| Refusal::Internal("the wizard's answers are not complete".into()))
}

async fn summary(app: &Shared, frame: Frame, so: &So, running: &lb_api::Running) -> Result<Response, Refusal> {
    let settings = settings(so)?;
    let config = settings.configure(&running.config);
    let plan = match app.lbd.client.plan(&PlanRequest { config: Some(config.clone()) }).await {
        Ok(plan) => plan,
        Err(ClientError::Refused(error)) => {
            let lines = error.problems.iter().map(ToString::to_string).collect();
            let frame = frame.flash(Flash::bad(error.message.clone()).lines(lines));
            return ask(frame, &running.config, &So::default(), String::new(), None);
        }
        Err(error) => return Err(error.into()),
    };
    let address = settings.network.eth0.addr();
    let stays = running.config.node.owns(address.into());
    let mut actions = plan.actions;
    let more_actions = actions.len().saturating_sub(SHOWN);
    actions.truncate(SHOWN);
    frame::show(&SummaryPage {
        frame,
        given: hidden(so),
        summary: text::summary(&settings, &config),
        changes: plan.changes,
        actions,
        more_actions,
        revision: running.revision.number,
        moves_to: if stays { String::new() } else { address.to_string() },
        confirm_within: CONFIRM_WITHIN,
    })
}

async fn apply(app: &Shared, seat: &Seat, so: &So, running: &Config, revision: &str) -> Result<Response, Refusal> {
    let settings = settings(so)?;
    let config = settings.configure(running);
    let request = ApplyRequest {
        // What the summary was made from: somebody may have applied something else since.
        base: Some(revision.parse().map_err(|_| Refusal::Unreadable("revision: a number is expected".into()))?),
        author: seat.author(),
        comment: settings.comment(),
        confirm_within: (config.node != running.node).then_some(CONFIRM_WITHIN),
        config: Some(config),
        ..ApplyRequest::default()
    };
    match app.lbd.apply(&request).await {
        Ok(applied) => {
            seat.audit(app, "setup wizard", &format!("revision {}: {}", applied.revision.number, settings.comment()));
            let frame = Frame::load(app, seat, HERE, &CRUMBS).await?;
            frame::show(&DonePage { report: report(&settings, &applied), frame })
        }
        Err(ClientError::Refused(error)) => {
            seat.refused(app, "setup wizard", &error.message);
            let lines = error.between.iter().map(ToString::to_string).chain(error.hint.clone()).collect();
            Ok(go(app, seat, "/lbadmin/edit/wizard", Flash::bad(words(&ClientError::Refused(error))).lines(lines)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The console's report, without its last part, which names the console's commands.
fn report(settings: &Settings, applied: &Applied) -> String {
    let text = text::report(settings, applied);
    let parts: Vec<&str> = text.split("\n\n").filter(|part| !part.contains("lbctl")).collect();
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Question; 10] = [
        Question::HaPair,
        Question::OneArm,
        Question::Eth0Address,
        Question::Eth0Netmask,
        Question::Eth1Address,
        Question::Eth1Netmask,
        Question::Gateway,
        Question::Nameserver,
        Question::Port,
        Question::RealServer,
    ];

    #[test]
    fn no_page_speaks_of_the_console() {
        let refusals = ["y", "", "::1", "22"].map(|text| {
            let asked = [Question::HaPair, Question::OneArm, Question::Gateway, Question::Port];
            let judge = |q| flow::answered(&lb_model::factory(), &Answers::default(), q, text).err();
            asked.into_iter().filter_map(judge).map(|r| format!("{} {}", r.reason, r.hint)).collect::<String>()
        });
        let helps = ALL.map(|q| q.help().to_owned());
        for text in refusals.into_iter().chain(helps) {
            let shown = on_a_page(&text);
            assert!(!shown.contains("lbctl") && !shown.contains("Ctrl-C"), "{shown}");
        }
    }

    /// The guide's own answers lead to its summary, and back to the first question.
    #[test]
    fn hidden_answers_are_judged_again() {
        let answers = [
            ("ha_pair", "n"),
            ("one_arm", "n"),
            ("eth0_address", "10.0.0.21"),
            ("eth0_netmask", "255.255.255.0"),
            ("eth1_address", "192.168.2.21"),
            ("eth1_netmask", "255.255.255.0"),
            ("gateway", "10.0.0.31"),
            ("nameserver", "10.0.0.31"),
            ("port", "80"),
            ("real_server", "192.168.2.50"),
        ];
        let of = |all: &[(&str, &str)], name: &str| all.iter().find(|(n, _)| *n == name).map(|(_, t)| (*t).to_owned());
        let so = so_far(&lb_model::factory(), |n| of(&answers, n));
        assert_eq!((so.given.len(), so.answers.open()), (10, None));
        let mut forged = answers;
        forged[6].1 = "172.16.0.1";
        let so = so_far(&lb_model::factory(), |n| of(&forged, n));
        assert_eq!(so.answers.open(), Some(Question::Gateway));
        assert!(so.refused.is_some());
    }
}
