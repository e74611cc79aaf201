//! What every request shares.

use crate::{
    args::Args,
    backend::Backend,
    dialects::Keys,
    live::{Hub, tail::Tails},
    sampler::History,
    tls::Tls,
    update::Updates,
};
use anyhow::Context;
use lb_access::Access;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

pub type Shared = Arc<App>;

pub struct App {
    pub lbd: Backend,
    pub access: Access,
    pub keys: Keys,
    pub live: Hub,
    pub tails: Tails,
    pub history: History,
    pub tls: Tls,
    pub updates: Updates,
    pub state: PathBuf,
    /// The port that http is redirected to.
    pub https_port: u16,
    /// What a session is told on its next page.
    flashes: Mutex<HashMap<String, Flash>>,
}

/// A message after something was done or refused.
#[derive(Debug, Clone)]
pub struct Flash {
    pub good: bool,
    pub text: String,
    /// Further lines, for example what was done.
    pub lines: Vec<String>,
}

impl Flash {
    pub fn good(text: impl Into<String>) -> Self {
        Flash { good: true, text: text.into(), lines: Vec::new() }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Flash { good: false, text: text.into(), lines: Vec::new() }
    }

    pub fn lines(mut self, lines: Vec<String>) -> Self {
        self.lines = lines;
        self
    }
}

impl App {
    pub fn open(args: &Args) -> anyhow::Result<Shared> {
        std::fs::create_dir_all(&args.state).with_context(|| format!("creating {}", args.state.display()))?;
        let access = Access::open(&args.state, now()).context("opening users and sessions")?;
        let keys = Keys::open(&args.state).context("opening the dialects' keys")?;
        let tls = Tls::open(&args.state, now()).context("opening the certificate")?;
        Ok(Arc::new(App {
            lbd: Backend::new(&args.socket),
            access,
            keys,
            live: Hub::default(),
            tails: Tails::default(),
            history: History::open(&args.state, lb_series::LIMIT),
            tls,
            updates: Updates::open(&args.updates, &args.state),
            state: args.state.clone(),
            https_port: args.https.port(),
            flashes: Mutex::default(),
        }))
    }

    /// Starts what runs beside the requests.
    pub fn start(self: &Arc<Self>) {
        tokio::spawn(crate::live::run(self.clone()));
        tokio::spawn(crate::sampler::run(self.clone()));
    }

    /// Says `flash` on the next page of the session.
    pub fn tell(&self, session: &str, flash: Flash) {
        let mut flashes = self.flashes.lock().unwrap_or_else(PoisonError::into_inner);
        // A session that never comes back leaves its message; sessions are bounded, so is this.
        if flashes.len() > 1000 {
            flashes.clear();
        }
        flashes.insert(session.to_owned(), flash);
    }

    pub(crate) fn told(&self, session: &str) -> Option<Flash> {
        self.flashes.lock().unwrap_or_else(PoisonError::into_inner).remove(session)
    }
}

/// Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
