//! Layer 7: a thread that keeps HAProxy equal to the running configuration, and the engine's end of it.
//!
//! The thread alone drives HAProxy, so that the engine never waits for a reload: it is told what HAProxy shall do, works
//! until that is so, looks again every second, and publishes a [`View`]. `haproxy -c` is asked by a second thread before
//! a configuration is committed: whose change it is waits, and nobody else. What is decided when is [`keeper`]'s; what
//! HAProxy must be told is lb-haproxy's. Tested with a HAProxy in memory (`tests/it/layer7.rs`) and with the real one in
//! a guest.

mod figures;
mod keeper;
mod look;

pub use figures::statistics;
pub use look::{virtual_server, with_agent};

use crate::engine::chain;
use keeper::Keeper;
use lb_api::Pending;
use lb_haproxy::{
    Action, Certificates, Observed, Places, Proxy, ProxyError, Rendered, ServerKey, Statistics, render_in,
};
use lb_model::{Config, Label, Layer7VirtualServer, Problem};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;

/// Between two looks at HAProxy.
const EVERY: Duration = Duration::from_secs(1);

/// What the thread is told.
struct Order {
    number: u64,
    /// `None`: HAProxy shall not run.
    wanted: Option<Arc<Rendered>>,
}

/// What the thread last saw and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The order that it speaks of.
    pub order: u64,
    /// Of the last order that HAProxy carries out in full.
    pub settled: u64,
    /// What did not work and is tried again.
    pub pending: Vec<Pending>,
    /// What people must know.
    pub alarm: Option<String>,
    pub observed: Observed,
    pub statistics: Statistics,
    /// Since when each server stands as it does (Unix seconds).
    pub since: BTreeMap<ServerKey, u64>,
}

impl View {
    /// Clients' connections now.
    fn connections(&self) -> u32 {
        self.statistics.virtual_servers.values().map(|vs| vs.totals.current).sum()
    }
}

/// A question for `haproxy -c`.
struct Question {
    number: u64,
    wanted: Arc<Rendered>,
}

/// What `haproxy -c` came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Takes,
    /// Each problem at its field.
    Refuses(Vec<Problem>),
    /// It was not asked, or did not answer in time, and why: no word about the configuration.
    Nothing(String),
}

/// What the threads tell the engine.
pub enum News {
    /// People would see something else than before.
    Changed,
    /// To question `number`, about what has this outline.
    Checked { number: u64, outline: String, said: Said },
}

/// The engine's end.
pub struct Layer7 {
    questions: Sender<Question>,
    /// Of the last question.
    asked: u64,
    places: Places,
    orders: Sender<Order>,
    /// Whole, so that nobody looks at it under its lock: a second look while the first lasts and the thread waits to
    /// write would never end.
    view: watch::Receiver<Arc<View>>,
    /// Of the last order.
    number: u64,
    /// HAProxy shall run.
    used: bool,
    /// The outline of the last order.
    ordered: Option<String>,
    /// What was said since then, and of which outline; a refusal only until whoever asked was answered.
    said: Option<(String, Said)>,
}

impl Layer7 {
    /// Starts the threads, which end with what this returns. `hands` drive HAProxy, `checker` asks the same one.
    pub fn start(
        hands: Box<dyn Proxy>,
        checker: Box<dyn Proxy>,
        places: Places,
        tell: impl Fn(News) + Clone + Send + 'static,
    ) -> std::io::Result<Layer7> {
        let (orders, inbox) = channel();
        let (questions, asked) = channel();
        let (show, view) = watch::channel(Arc::new(View::default()));
        let news = tell.clone();
        thread::Builder::new()
            .name("layer7".into())
            .spawn(move || keep(hands, &inbox, &show, &|| news(News::Changed)))?;
        thread::Builder::new().name("layer7-check".into()).spawn(move || check(checker, &asked, &tell))?;
        Ok(Layer7 { questions, asked: 0, places, orders, view, number: 0, used: false, ordered: None, said: None })
    }

    /// HAProxy answers ACME servers for the account with this key.
    pub fn answer_with(&mut self, thumbprint: String) {
        self.places.acme = Some(thumbprint);
    }

    /// What HAProxy shall do; `None`: not run.
    pub fn render(&self, config: &Config, certificates: &Certificates) -> Option<Arc<Rendered>> {
        render_in(config, &self.places, certificates).map(Arc::new)
    }

    /// What HAProxy says to it, where that is known; `None`: [ask](Layer7::ask). What differs from what runs by weights
    /// and states alone needs no question.
    pub fn said(&self, wanted: Option<&Rendered>) -> Option<Said> {
        let Some(wanted) = wanted.filter(|wanted| self.ordered.as_ref() != Some(&wanted.outline)) else {
            return Some(Said::Takes);
        };
        self.said.as_ref().filter(|(outline, _)| *outline == wanted.outline).map(|(_, said)| said.clone())
    }

    /// Has HAProxy asked. [`News::Checked`] comes with this number.
    pub fn ask(&mut self, wanted: Arc<Rendered>) -> u64 {
        self.asked += 1;
        // The thread ends only after this end is gone.
        let _ = self.questions.send(Question { number: self.asked, wanted });
        self.asked
    }

    pub fn learn(&mut self, outline: String, said: Said) {
        self.said = Some((outline, said));
    }

    /// Whoever asked knows: the next one who wants the same asks again, unless HAProxy takes it.
    pub fn forget(&mut self) {
        self.said = self.said.take().filter(|(_, said)| *said == Said::Takes);
    }

    /// From now on HAProxy is kept so.
    pub fn want(&mut self, wanted: Option<Arc<Rendered>>) {
        self.number += 1;
        self.used = wanted.is_some();
        self.ordered = wanted.as_ref().map(|wanted| wanted.outline.clone());
        self.said = None;
        // The thread ends only after this end is gone.
        let _ = self.orders.send(Order { number: self.number, wanted });
    }

    /// What did not work of the last order and is tried again; nothing is known of one that was just given.
    pub fn pending(&self) -> Vec<Pending> {
        let view = self.view();
        if view.order == self.number { view.pending.clone() } else { Vec::new() }
    }

    /// As it was last seen.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// HAProxy does what it was told last; where it shall not run and does not, that needs no look.
    pub fn is_settled(&self) -> bool {
        let view = self.view();
        view.settled == self.number || (!self.used && view.observed.shape.is_none())
    }

    /// What would be done to HAProxy as it was last seen, one line an action.
    pub fn preview(&self, wanted: Option<&Rendered>) -> Vec<String> {
        let view = self.view();
        let actions = lb_haproxy::plan(wanted, &view.observed);
        actions.iter().map(|action| line(action, &view)).collect()
    }
}

/// The labels of all certificates that virtual servers need, each once.
pub fn named(layer7: &lb_model::Layer7) -> BTreeSet<&Label> {
    fn of(vs: &Layer7VirtualServer) -> impl Iterator<Item = &Label> {
        let tls = vs.tls.iter().flat_map(|tls| {
            let client = tls.client.iter().map(|client| &client.authority);
            tls.certificates.iter().chain(client)
        });
        tls.chain(vs.server_verification.iter().map(|verification| &verification.authority))
    }
    layer7.virtual_servers.iter().flat_map(of).collect()
}

fn line(action: &Action, view: &View) -> String {
    let line = plain(action, view);
    match (action, view.observed.old_connections, view.observed.last_connections) {
        (Action::Reload, n, last) if last > 0 => {
            format!("{line}; older processes serve {n} already, and {last} of them end now: their process is too old")
        }
        (Action::Reload | Action::Stop, n, _) if n > 0 => format!("{line}; older processes serve {n} already"),
        _ => line,
    }
}

fn plain(action: &Action, view: &View) -> String {
    match (action, view.connections()) {
        (Action::Stop, 1) => "layer 7: stop HAProxy: 1 connection is served to its end".to_owned(),
        (Action::Stop, n) if n > 1 => format!("layer 7: stop HAProxy: {n} connections are served to their end"),
        (Action::Reload, _) if view.observed.shape.is_none() => "layer 7: start HAProxy".to_owned(),
        (Action::Reload, 0) => "layer 7: reload HAProxy: no connection is open".to_owned(),
        (Action::Reload, 1) => "layer 7: reload HAProxy: 1 connection keeps the old process until it ends".to_owned(),
        (Action::Reload, n) => format!("layer 7: reload HAProxy: {n} connections keep the old process until they end"),
        _ => action.to_string(),
    }
}

/// The thread that asks, until the engine is gone.
fn check(mut checker: Box<dyn Proxy>, questions: &Receiver<Question>, tell: &dyn Fn(News)) {
    for Question { number, wanted } in questions {
        let said = match checker.check(&wanted) {
            Ok(problems) if problems.is_empty() => Said::Takes,
            Ok(problems) => Said::Refuses(problems),
            Err(error) => unchecked(&error),
        };
        tell(News::Checked { number, outline: wanted.outline.clone(), said });
    }
}

fn unchecked(error: &ProxyError) -> Said {
    match error {
        ProxyError::Io { source, .. } if source.kind() == ErrorKind::NotFound => Said::Refuses(vec![Problem {
            path: "/layer7".into(),
            value: "the virtual servers".into(),
            reason: format!("HAProxy is not installed ({})", chain(error)),
            hint: Some("layer 7 needs it; without it leave the layer 7 virtual servers out".into()),
        }]),
        _ => Said::Nothing(chain(error)),
    }
}

/// The thread: until the engine is gone.
fn keep(mut hands: Box<dyn Proxy>, inbox: &Receiver<Order>, show: &watch::Sender<Arc<View>>, changed: &dyn Fn()) {
    let started = Instant::now();
    let mut keeper = Keeper::default();
    loop {
        let order = match (keeper.is_idle(), inbox.recv_timeout(EVERY)) {
            (_, Ok(order)) => Some(order),
            (true, Err(RecvTimeoutError::Timeout)) => continue,
            (false, Err(RecvTimeoutError::Timeout)) => None,
            (_, Err(RecvTimeoutError::Disconnected)) => return,
        };
        // Only the last word counts.
        if let Some(Order { number, wanted }) = inbox.try_iter().last().or(order) {
            keeper.want(number, wanted);
        }
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut view = keeper.work(&mut *hands, started.elapsed());
        view.since = look::since(&show.borrow(), &view.statistics, unix);
        let seen = look::differ(&show.borrow(), &view);
        look::log_turns(&show.borrow().statistics, &view.statistics);
        show.send_replace(Arc::new(view));
        if seen {
            changed();
        }
    }
}
