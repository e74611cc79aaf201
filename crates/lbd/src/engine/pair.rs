//! The pair, as the engine sees it: which version of the shared configuration runs, who may change it, what a push does.
//!
//! Every revision of a unit that is one of a pair carries the name of its shared version as its tag; a revision without
//! one ends the history that is told to the peer, so what a unit was in an earlier pair counts no more.

use super::{
    Engine, Now,
    commands::{Note, prepared},
    waiting::Halt,
};
use crate::ha;
use lb_api::{ApiError, Applied, ErrorCode};
use lb_haproxy::Rendered;
use lb_kernel::Kernel;
use lb_model::{Config, NodeId, Problem, Shared, factory};
use lb_pair::{Id, SharedVersion, lineage::MOST_TOLD, wire::Pem};
use lb_plan::{Action, Desired, Drift, MarkRule, SyncDaemon, desired};
use lb_store::RevisionMeta;
use std::{sync::Arc, time::Duration};

/// How long a unit that begins to serve answers nobody that it does not know. The other unit's kernel keeps a
/// connection to itself for two seconds, looks once a second whether it has done so (`IPVS_SYNC_FLUSH_TIME`,
/// `IPVS_SYNC_CHECK_PERIOD`), and sends it then.
pub const HELD_BACK: Duration = Duration::from_secs(4);

/// What the engine is told of the pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Which of a pair this unit is, by `peer.json`.
    pub unit: Option<NodeId>,
    /// Whether it serves, as its heartbeat says; none while that says nothing.
    pub serves: Option<bool>,
    /// The peer serves and can be reached: there is where one edits.
    pub editor: Option<Editor>,
    /// For people, while something is wrong with the pair.
    pub alarms: Vec<String>,
}

/// Whether this unit of a pair holds back what would end connections that it does not know yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldsBack {
    /// It serves.
    No,
    /// It does not, or nobody has said so.
    Always,
    /// It has begun to serve.
    Until(Duration),
}

/// The sync daemons that this unit is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// How often some were started or stopped since lbd started: connections may have been missed.
    pub starts: u64,
    /// They run, and the last reconcile left nothing else to be done.
    pub converged: bool,
    pub master: SyncDaemon,
    /// The rules by which packets get their marks.
    pub marks: Vec<MarkRule>,
}

/// The unit on which the shared configuration is edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Editor {
    pub hostname: String,
    /// Of its web interface.
    pub web: Option<String>,
}

/// The configuration's side of what is told to the peer.
#[derive(Debug, Clone)]
pub struct Told {
    pub config: Arc<Config>,
    /// Oldest first.
    pub history: Vec<Id>,
    /// What the pair shares is changed here.
    pub edits: bool,
    pub alarms: Vec<String>,
}

/// The shared revision that runs.
#[derive(Debug, Clone)]
pub struct Newest {
    pub version: SharedVersion,
    pub author: String,
    pub comment: String,
    /// Unix seconds.
    pub at: u64,
    pub config: Arc<Config>,
    /// The keys and chains that it names.
    pub certificates: Vec<Pem>,
}

/// A version that the peer pushed.
#[derive(Debug)]
pub struct Pushed {
    pub version: SharedVersion,
    /// The newest here must be this one.
    pub ground: Option<Id>,
    pub author: String,
    pub comment: String,
    /// JSON.
    pub document: Arc<str>,
    /// Keys and chains that it names.
    pub certificates: Vec<Pem>,
}

/// Why it was not taken; then nothing is changed.
#[derive(Debug)]
pub enum NotTaken {
    Stale(Option<Id>),
    Problems(Vec<Problem>),
}

fn not_taken(reason: String, hint: &str) -> NotTaken {
    let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
    NotTaken::Problems(vec![Problem { path: String::new(), value: "the configuration".into(), reason, hint }])
}

impl<K: Kernel> Engine<K> {
    pub(super) fn pair_facts(&mut self, facts: Facts, now: Now) {
        if facts != self.pair {
            self.pair = facts;
            self.touch();
        }
        let before = self.holds_back;
        self.holds_back = match (self.pair.serves, before) {
            (None, _) | (Some(true), HoldsBack::No | HoldsBack::Until(_)) => before,
            (Some(true), HoldsBack::Always) => HoldsBack::Until(now.since_start + HELD_BACK),
            (Some(false), _) => HoldsBack::Always,
        };
        self.dirty |= self.running.pair().is_some() && self.holds_back != before;
        self.write_ha();
    }

    /// What the kernel should have for this configuration, as things are.
    pub(super) fn wanted(&self, config: &Config) -> Desired {
        let wanted = desired(config, &self.health);
        match self.holds_back {
            HoldsBack::No => wanted,
            // On a single unit nothing floats.
            HoldsBack::Always | HoldsBack::Until(_) => wanted.holding_back(config),
        }
    }

    /// A restarted lbd knows whether its unit serves by the rules that are there.
    pub(super) fn adopt_role(&mut self) {
        let wanted = self.wanted(&self.running).ruleset;
        if self.observed.as_ref().is_some_and(|observed| observed.ruleset.as_ref() != Some(&wanted)) {
            self.holds_back = HoldsBack::Always;
        }
    }

    /// It has served for long enough.
    pub(super) fn serves_alone(&mut self, now: Now) {
        if self.holds_until().is_some_and(|until| now.since_start >= until) {
            self.holds_back = HoldsBack::No;
            self.dirty = true;
        }
    }

    pub(super) fn holds_until(&self) -> Option<Duration> {
        match self.holds_back {
            HoldsBack::No | HoldsBack::Always => None,
            HoldsBack::Until(until) => Some(until),
        }
    }

    /// Names of the shared versions since the pair was made.
    fn versions(&self) -> Vec<Id> {
        let Some(store) = &self.store else { return Vec::new() };
        let tagged = store.history(usize::MAX);
        let mut ids: Vec<Id> = tagged.iter().map_while(version_of).map(|version| version.id).collect();
        ids.dedup();
        ids.truncate(MOST_TOLD);
        ids.reverse();
        ids
    }

    pub(super) fn told(&self) -> Told {
        Told {
            config: self.running.clone(),
            history: self.versions(),
            edits: self.pair.editor.is_none(),
            alarms: self.all_alarms(),
        }
    }

    fn version(&self) -> Option<SharedVersion> {
        version_of(self.store.as_ref()?.history(1).first()?)
    }

    pub(super) fn newest(&self) -> Option<Newest> {
        let version = self.version()?;
        // The revision that brought the version, not one that came after it and changed only this unit's own part.
        let history = self.store.as_ref()?.history(usize::MAX);
        let first = history.iter().take_while(|meta| version_of(meta) == Some(version)).last()?;
        Some(Newest {
            version,
            author: first.author.clone(),
            comment: first.comment.clone(),
            at: first.time,
            config: self.running.clone(),
            certificates: self.named_material(),
        })
    }

    /// Under which name a configuration is stored that is about to run.
    pub(super) fn version_for(&self, config: &Config) -> Result<Option<SharedVersion>, ApiError> {
        if config.pair().is_none() {
            return Ok(None);
        }
        let previous = self.version().filter(|_| self.running.pair().is_some());
        match previous {
            Some(version) if config.same_shared(&self.running) => Ok(Some(version)),
            previous => {
                let text = serde_json::to_string(&config.shared())
                    .map_err(|e| ApiError::new(ErrorCode::Internal, format!("writing what the pair shares: {e}")))?;
                Ok(Some(lb_pair::next(previous, &text)))
            }
        }
    }

    /// What a pair shares is changed on the unit that serves.
    pub(super) fn edited_here(&self, config: &Config) -> Result<(), ApiError> {
        let Some(editor) = self.pair.editor.as_ref().filter(|_| !config.same_shared(&self.running)) else {
            return Ok(());
        };
        let message = format!("{} serves, and what the pair shares is changed there", editor.hostname);
        let hint = match &editor.web {
            Some(web) => format!("go to {web}, or take over first (lbctl ha takeover)"),
            None => "use that unit's console or web interface, or take over first (lbctl ha takeover)".into(),
        };
        Err(ApiError::new(ErrorCode::Conflict, message).hint(hint))
    }

    /// Whether a person may make this the configuration, here.
    pub(super) fn may_change(&self, config: &Config) -> Result<(), ApiError> {
        self.edited_here(config)?;
        let problem = match (config.node.unit, self.pair.unit) {
            (None, None) if config.heartbeat.is_none() => return Ok(()),
            (None, None) => Problem {
                path: "/heartbeat".into(),
                value: "set".into(),
                reason: "this unit is not paired, so nobody would bring its floating IPs up".into(),
                hint: Some("pair it first (lbwizard, lbctl ha pair, or the High availability page)".into()),
            },
            (Some(unit), Some(paired)) if unit == paired => return Ok(()),
            // Paired, and not set up as a pair yet: it goes on as it is.
            (None, Some(_)) if config.heartbeat.is_none() && self.running.pair().is_none() => return Ok(()),
            (unit, paired) => {
                let word = |unit: Option<NodeId>| unit.map_or_else(|| "none".to_owned(), |unit| unit.to_string());
                let hint = match paired {
                    Some(paired) => format!("use {paired}; to end the pair use lbctl ha unpair"),
                    None => "pair the units first, or leave node.unit, heartbeat and floating_ips out".into(),
                };
                Problem {
                    path: "/node/unit".into(),
                    value: word(unit),
                    reason: format!("by its pairing this unit is {}", word(paired)),
                    hint: Some(hint),
                }
            }
        };
        Err(ApiError::invalid(vec![problem]))
    }

    /// Runs what the peer pushed, with this unit's own part; `Err`: HAProxy must be asked about this first.
    pub(super) fn take_push(&mut self, pushed: &Pushed, now: Now) -> Result<Result<(), NotTaken>, Arc<Rendered>> {
        let config = match self.with_pushed(pushed) {
            Ok(config) => config,
            Err(not_taken) => return Ok(Err(not_taken)),
        };
        let comment = match pushed.comment.as_str() {
            "" => "From the other unit".to_owned(),
            comment => format!("From the other unit: {comment}"),
        };
        let note = Note {
            did: "took over from the other unit",
            author: pushed.author.clone(),
            comment,
            version: Some(pushed.version),
            ..Note::default()
        };
        let before = self.running.layer7.certificates.clone();
        match self.commit(config, note, now) {
            Ok(_) => {
                self.drop_superseded(&before);
                Ok(Ok(()))
            }
            Err(Halt::Unchecked(wanted)) => Err(wanted),
            Err(Halt::Refused(error)) if error.problems.is_empty() => {
                Ok(Err(not_taken(error.message, &error.hint.unwrap_or_default())))
            }
            Err(Halt::Refused(error)) => Ok(Err(NotTaken::Problems(error.problems))),
        }
    }

    /// What would run with what the peer pushed; its keys are kept.
    fn with_pushed(&mut self, pushed: &Pushed) -> Result<Arc<Config>, NotTaken> {
        let mine = self.version().map(|version| version.id);
        if mine != pushed.ground {
            return Err(NotTaken::Stale(mine));
        }
        let shared: Shared = serde_json::from_str(&pushed.document)
            .map_err(|e| not_taken(e.to_string(), "install the same software version on both units"))?;
        let mut config = self.running.with_shared(shared);
        config.node.unit = self.pair.unit;
        let config = prepared(config).map_err(|error| match error.problems {
            problems if problems.is_empty() => not_taken(error.message, ""),
            problems => NotTaken::Problems(problems),
        })?;
        let keep = "both units must have the keys; look at the disk of this one, or upload the certificate here";
        self.take_material(&pushed.certificates, &config).map_err(|reason| not_taken(reason, keep))?;
        Ok(config)
    }

    /// A single unit again: serving what the pair served, or nothing, where the other unit goes on.
    pub(super) fn end_pair(&mut self, author: String, serve: bool, now: Now) -> Result<Applied, Halt> {
        let mut config = match serve {
            true => Config::clone(&self.running),
            false => self.running.with_shared(factory().shared()),
        };
        config.node.unit = None;
        config.heartbeat = None;
        config.floating_ips.clear();
        let comment = "The pair has ended on this unit".to_owned();
        let note = Note { did: "applied", author, comment, may_use_reserve: true, ..Note::default() };
        self.commit(prepared(config)?, note, now)
    }

    /// Says how the sync daemons stand after these actions. Without `wanted` the kernel could not be read.
    pub(super) fn tell_sync(&mut self, wanted: Option<&Desired>, done: &[Action], drift: &[Drift]) {
        let restarted = done.iter().any(|action| matches!(action, Action::StartSync { .. } | Action::StopSync(_)));
        self.sync_starts += u64::from(restarted);
        let others = drift.iter().any(|drift| matches!(drift, Drift::Sync(_)));
        let (starts, converged) = (self.sync_starts, wanted.is_some() && self.pending.is_empty() && !others);
        let told = wanted.map(|wanted| {
            let marks = || wanted.ruleset.marks.clone();
            wanted.sync.as_ref().map(|pair| Sync { starts, converged, master: pair.master.clone(), marks: marks() })
        });
        self.sync.send_if_modified(|sync| {
            let blind = || sync.clone().map(|sync| Sync { converged, ..sync });
            let told = told.unwrap_or_else(blind);
            let changed = *sync != told;
            *sync = told;
            changed
        });
    }

    /// heartbeat's document, equal to what runs. A failure stays an alarm until it is written.
    pub(super) fn write_ha(&mut self) {
        if let Some(file) = &mut self.ha_file {
            let alarm = file.keep(ha::document(&self.running)).err();
            if alarm != self.ha_alarm {
                if let Some(alarm) = &alarm {
                    tracing::error!("alarm: {alarm}");
                }
                self.ha_alarm = alarm;
                self.touch();
            }
        }
    }

    /// Everything that people must know now.
    pub(super) fn all_alarms(&self) -> Vec<String> {
        let lost = match (self.running.pair(), self.pair.unit) {
            (Some(_), None) => Some(
                "this unit is one of a pair, but its pairing is lost, so nobody moves the floating IPs. hint: pair the \
                 units again (lbctl ha pair), or end the pair here (lbctl ha unpair)"
                    .to_owned(),
            ),
            _ => None,
        };
        let pair = self.pair.alarms.iter().cloned();
        let layer7 = self.layer7.view().alarm.clone().into_iter().chain(self.certificate_alarms.iter().cloned());
        self.alarms
            .iter()
            .cloned()
            .chain(self.notices.texts().cloned())
            .chain(lost)
            .chain(self.ha_alarm.clone())
            .chain(layer7)
            .chain(pair)
            .collect()
    }
}

fn version_of(meta: &RevisionMeta) -> Option<SharedVersion> {
    serde_json::from_str(meta.tag.as_deref()?).ok()
}
