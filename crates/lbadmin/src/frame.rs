//! What is around every page: menu, breadcrumbs, the bar of pending changes, the confirm window, messages.

use crate::{
    app::{App, Flash, now},
    menu::{self, Part},
    refusal::{Refusal, words},
    seat::{Scheme, Seat},
};
use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use lb_access::Permission;
use lb_api::{CandidateView, HaRole, HaView, PeerView, Summary};
use lb_model::Change;
use std::{sync::Arc, time::Duration};

/// Changes that the bar shows; the rest is on the page of pending changes.
pub const IN_BAR: usize = 5;

/// How long a page that does without lbd waits for it.
const PATIENCE: Duration = Duration::from_secs(4);

/// Seconds before its end at which everybody is told of the certificate.
const CERTIFICATE_ENDS: u64 = 14 * 86_400;

/// The frame of one page for one person. Templates extend `base.html` and call it `frame`.
pub struct Frame {
    pub title: String,
    /// In capitals as in the guide: `EDIT CONFIGURATION`, `REAL SERVERS`.
    pub crumbs: Vec<String>,
    /// Below `/lbadmin/`; marks the menu's entry.
    pub here: &'static str,
    pub user: String,
    pub role: String,
    pub csrf: String,
    pub hostname: String,
    pub menu: Vec<(&'static str, Vec<Part>)>,
    pub bar: Option<Bar>,
    pub confirm: Option<ConfirmBar>,
    pub alarms: Vec<String>,
    /// What this unit of a pair is; none on a single unit.
    pub pair: Option<Badge>,
    /// On a page that edits what the other unit has a say in, and this one has none.
    pub elsewhere: Option<Elsewhere>,
    pub flash: Option<Flash>,
    /// Where this page's live values come from; empty: it has none.
    pub live: String,
    /// Without JavaScript the page is loaded again after so many seconds; 0: never.
    pub refresh: u32,
    pub may_configure: bool,
    pub may_set_state: bool,
    pub may_administer: bool,
    pub secure: bool,
    summary: Summary,
    candidate: Arc<CandidateView>,
    ha: Arc<HaView>,
}

/// A role in the pair, as the header and the overview show it.
pub struct Badge {
    pub class: &'static str,
    pub text: &'static str,
    /// `unit one`, if it knows.
    pub unit: String,
}

/// Where the configuration that both units share is edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Empty: it has not said.
    pub hostname: String,
    /// Of its web interface.
    pub web: Option<String>,
}

impl Elsewhere {
    /// The unit that edits, where this one of a pair does not.
    pub fn of(ha: &HaView) -> Option<Elsewhere> {
        if ha.edits || matches!(ha.role, HaRole::Single | HaRole::Unknown) {
            return None;
        }
        let peer = ha.peer.as_ref();
        Some(Elsewhere {
            hostname: peer.map_or_else(String::new, |p| p.hostname.clone()),
            web: peer.and_then(web).map(str::to_owned),
        })
    }
}

/// The peer's web interface, if what it said is a web address: anything else is no link.
pub fn web(peer: &PeerView) -> Option<&str> {
    peer.web.as_deref().filter(|w| w.starts_with("https://") || w.starts_with("http://"))
}

/// Pages that edit what both units of a pair share. The others are about this unit alone.
const SHARED: [&str; 13] = [
    "edit/wizard",
    "edit/virtual-servers",
    "edit/real-servers",
    "edit/layer-7/virtual-servers",
    "edit/layer-7/real-servers",
    "edit/globals",
    "edit/heartbeat",
    "edit/floating-ips",
    "maintenance/servers",
    "maintenance/fallback-page",
    "maintenance/lockdown",
    "changes",
    "history",
];

/// Changes that wait.
pub struct Bar {
    pub etag: u64,
    pub author: String,
    pub changes: Vec<Change>,
    /// How many more there are.
    pub more: usize,
    pub problems: usize,
    /// Whom it hurts, each sentence once.
    pub impacts: Vec<String>,
    /// It changes how this unit is reached: apply asks for a confirmation.
    pub cuts_off: bool,
}

/// A revision that undoes itself.
pub struct ConfirmBar {
    pub revision: u64,
    pub revert_to: u64,
    pub seconds: u64,
    pub before: u64,
}

impl Frame {
    /// `crumbs` ends with the page itself, whose title it is too.
    pub async fn load(app: &App, seat: &Seat, here: &'static str, crumbs: &[&str]) -> Result<Frame, Refusal> {
        let summary = app.lbd.summary().await?;
        let candidate = app.lbd.candidate_of(&summary).await?;
        let role = seat.session.who.role;
        let ha = app.lbd.ha().await;
        Ok(Frame {
            title: crumbs.last().copied().unwrap_or_default().to_owned(),
            crumbs: crumbs.iter().map(|c| c.to_uppercase()).collect(),
            here,
            user: seat.session.who.user.clone(),
            role: role.to_string(),
            csrf: seat.session.csrf.clone(),
            hostname: summary.hostname.clone(),
            menu: menu::visible(role),
            bar: bar(app, &candidate).await?,
            confirm: summary.confirm.as_ref().map(|c| ConfirmBar {
                revision: c.revision,
                revert_to: c.revert_to,
                seconds: c.before.saturating_sub(summary.time),
                before: c.before,
            }),
            alarms: {
                let of_the_pair = ha.alarms.iter().filter(|alarm| !summary.alarms.contains(alarm)).cloned();
                summary.alarms.iter().cloned().chain(of_the_pair).chain(own_alarms(app)).collect()
            },
            pair: badge(&ha),
            elsewhere: Elsewhere::of(&ha).filter(|_| SHARED.contains(&here)),
            flash: app.told(&seat.session.id),
            live: String::new(),
            refresh: 0,
            may_configure: seat.may(Permission::Configure),
            may_set_state: seat.may(Permission::SetState),
            may_administer: seat.may(Permission::Administer),
            secure: seat.scheme == Scheme::Https,
            summary,
            candidate,
            ha,
        })
    }

    /// As [`Frame::load`], of a page that does without lbd: where it does not answer, an alarm says so.
    pub async fn load_alone(app: &App, seat: &Seat, here: &'static str, crumbs: &[&str]) -> Result<Frame, Refusal> {
        let why = match tokio::time::timeout(PATIENCE, Frame::load(app, seat, here, crumbs)).await {
            Ok(Err(Refusal::Lbd(error))) => words(&error),
            Ok(result) => return result,
            Err(_) => format!("It says nothing for {} s.", PATIENCE.as_secs()),
        };
        let role = seat.session.who.role;
        let config = lb_model::factory();
        Ok(Frame {
            title: crumbs.last().copied().unwrap_or_default().to_owned(),
            crumbs: crumbs.iter().map(|c| c.to_uppercase()).collect(),
            here,
            user: seat.session.who.user.clone(),
            role: role.to_string(),
            csrf: seat.session.csrf.clone(),
            hostname: nix::unistd::gethostname().map_or_else(|_| String::new(), |h| h.to_string_lossy().into_owned()),
            menu: menu::visible(role),
            bar: None,
            confirm: None,
            alarms: std::iter::once(format!("The load balancer's daemon does not answer. {why}"))
                .chain(own_alarms(app))
                .collect(),
            pair: None,
            elsewhere: None,
            flash: app.told(&seat.session.id),
            live: String::new(),
            refresh: 0,
            may_configure: seat.may(Permission::Configure),
            may_set_state: seat.may(Permission::SetState),
            may_administer: seat.may(Permission::Administer),
            secure: seat.scheme == Scheme::Https,
            summary: Summary::default(),
            candidate: Arc::new(CandidateView {
                base: 0,
                etag: 0,
                author: String::new(),
                time: 0,
                config,
                changes: Vec::new(),
                problems: Vec::new(),
            }),
            ha: Arc::new(HaView { role: HaRole::Unknown, ..HaView::default() }),
        })
    }

    /// The menu's group that this page is in; the overview, where one arrives, shows them all.
    pub fn is_open(&self, parts: &[Part]) -> bool {
        self.here.is_empty() || parts.iter().flat_map(|(_, entries)| entries).any(|entry| entry.path == self.here)
    }

    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    pub fn ha(&self) -> &HaView {
        &self.ha
    }

    /// What is being edited: the candidate, or what runs when there is none.
    pub fn candidate(&self) -> &Arc<CandidateView> {
        &self.candidate
    }

    /// Values that update by themselves, from `/lbadmin/live/…`; without JavaScript the page is loaded again.
    pub fn live(mut self, from: impl Into<String>, refresh: u32) -> Self {
        let from: String = from.into();
        let and = if from.contains('?') { '&' } else { '?' };
        self.live = format!("{from}{and}seen={}", crate::live::seen(&self.summary));
        self.refresh = refresh;
        self
    }

    /// Shown at once instead of on the next page.
    pub fn flash(mut self, flash: Flash) -> Self {
        self.flash = Some(flash);
        self
    }
}

fn badge(ha: &HaView) -> Option<Badge> {
    if ha.role == HaRole::Single {
        return None;
    }
    let (class, text) = role(ha.role);
    Some(Badge { class, text, unit: ha.unit.map_or_else(String::new, |unit| format!("unit {unit}")) })
}

/// A symbol and a word.
pub fn role(role: HaRole) -> (&'static str, &'static str) {
    match role {
        HaRole::Single => ("state state-off", "○ single unit"),
        HaRole::Active => ("state state-active", "● active"),
        HaRole::Standby => ("state state-wait", "◌ stand-by"),
        HaRole::Taking => ("state state-wait", "… taking over"),
        HaRole::Releasing => ("state state-wait", "… handing over"),
        HaRole::Starting => ("state state-wait", "… starting"),
        HaRole::Maintenance => ("state state-drain", "◐ maintenance"),
        HaRole::Stopped => ("state state-down", "✕ stopped"),
        HaRole::Unknown => ("state state-down", "▲ unknown"),
    }
}

/// What is wrong with the interface itself.
fn own_alarms(app: &App) -> impl Iterator<Item = String> {
    let until = app.tls.certificate().not_after;
    let ends = (until < now() + CERTIFICATE_ENDS).then(|| {
        format!("The certificate of https ends at {} (UTC): see Edit Configuration > Web Interface.", time(until))
    });
    app.access.alarms().into_iter().chain(ends)
}

async fn bar(app: &App, candidate: &CandidateView) -> Result<Option<Bar>, Refusal> {
    if candidate.etag == 0 || (candidate.changes.is_empty() && candidate.problems.is_empty()) {
        return Ok(None);
    }
    let mut impacts: Vec<String> = Vec::new();
    for impact in candidate.changes.iter().filter_map(|c| c.impact.as_ref()) {
        if !impacts.contains(impact) && impacts.len() < IN_BAR {
            impacts.push(impact.clone());
        }
    }
    Ok(Some(Bar {
        etag: candidate.etag,
        author: candidate.author.clone(),
        changes: candidate.changes.iter().take(IN_BAR).cloned().collect(),
        more: candidate.changes.len().saturating_sub(IN_BAR),
        problems: candidate.problems.len(),
        impacts,
        cuts_off: app.lbd.cuts_off(candidate).await?,
    }))
}

/// The page, with status 200.
pub fn show(page: &impl Template) -> Result<Response, Refusal> {
    Ok(Html(page.render()?).into_response())
}

/// A form that came back: 422.
pub fn refused(page: &impl Template) -> Result<Response, Refusal> {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Html(page.render()?)).into_response())
}

/// See the other page now (303), where the session is told `flash`.
pub fn go(app: &App, seat: &Seat, to: &str, flash: Flash) -> Response {
    app.tell(&seat.session.id, flash);
    axum::response::Redirect::to(to).into_response()
}

/// `2026-11-21 07:13:20` (UTC), as lists show it.
pub fn time(unix: u64) -> String {
    i64::try_from(unix)
        .ok()
        .and_then(|s| jiff::Timestamp::from_second(s).ok())
        .map_or_else(String::new, |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// `3 min ago`
pub fn ago(unix: u64) -> String {
    let seconds = now().saturating_sub(unix);
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}
