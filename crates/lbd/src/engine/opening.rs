//! From the disk to a configuration that can run; or to the failsafe, with the reason. Writes nothing of its own.

use super::notice::{NOTICES, Notices};
use crate::{acme::account::Account, certificates::Certificates, engine::Now};
use lb_api::RevisionView;
use lb_model::{Config, factory, failsafe, migrate, problems};
use lb_store::{OpenError, Opened, Revision, RevisionMeta, Store};
use std::path::Path;

/// What the engine starts from.
pub struct Opening {
    pub(super) store: Option<Store>,
    pub(super) certificates: Certificates,
    pub(super) account: Account,
    pub(super) running: Config,
    pub(super) revision: RevisionView,
    pub(super) alarms: Vec<String>,
    pub(super) notices: Notices,
}

/// What lies beside the store.
type Shelves = (Certificates, Account);

impl Opening {
    /// The store at `state`, and the certificates beside it.
    pub fn open(state: &Path, now: Now) -> Opening {
        let (certificates, alarms) = Certificates::open(&state.with_file_name("certificates"));
        let shelves = (certificates, Account::open(&state.with_file_name("acme")));
        let mut opening = match Store::open(state, now.unix) {
            Ok((store, opened)) => Opening::opened(store, &opened, shelves),
            Err(error) => Opening::failsafe(None, shelves, view(None), &unopened(state, error)),
        };
        opening.alarms.extend(alarms);
        opening
    }

    /// With the folder in which other programs say what people must know, and a place on the data partition.
    pub fn with_notices(self, folder: &Path, data: &Path) -> Opening {
        let files = NOTICES.iter().map(|name| folder.join(name)).collect();
        Opening { notices: Notices { files, data: Some(data.to_owned()), ..Notices::default() }, ..self }
    }

    fn opened(store: Store, opened: &Opened, shelves: Shelves) -> Opening {
        let mut alarms = Vec::new();
        match opened {
            Opened::Created => tracing::info!("a new store: factory settings"),
            Opened::Clean => {}
            Opened::Recovered { alarm, .. } => alarms.push(alarm.clone()),
        }
        let running = store.running();
        let revision = view(running.as_ref().map(Revision::meta).as_ref());
        let config = match &running {
            None => Ok(factory()),
            Some(r) => {
                migrate(&r.document).map_err(|e| e.to_string()).and_then(|config| match problems(&config).as_slice() {
                    [] => Ok(config),
                    [first, ..] => Err(first.to_string()),
                })
            }
        };
        match config {
            Ok(running) => {
                let (certificates, account) = shelves;
                Opening {
                    store: Some(store),
                    certificates,
                    account,
                    running,
                    revision,
                    alarms,
                    notices: Notices::default(),
                }
            }
            Err(reason) => {
                let reason = format!("revision {} cannot run: {reason}", revision.number);
                let mut opening = Opening::failsafe(Some(store), shelves, revision, &reason);
                opening.alarms.extend(alarms);
                opening
            }
        }
    }

    fn failsafe(store: Option<Store>, shelves: Shelves, revision: RevisionView, reason: &str) -> Opening {
        let alarm = format!(
            "FAILSAFE: {reason}. The unit answers at {} and balances nothing. hint: apply or roll back to a working configuration",
            lb_model::FACTORY_ADDRESS
        );
        let (certificates, account) = shelves;
        Opening {
            store,
            certificates,
            account,
            running: failsafe(),
            revision,
            alarms: vec![alarm],
            notices: Notices::default(),
        }
    }
}

fn unopened(state: &Path, error: OpenError) -> String {
    let mut reason = format!("the store at {} cannot be opened: {error}", state.display());
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    reason
}

/// A revision as the API shows it; the factory settings are revision 0.
pub(super) fn view(meta: Option<&RevisionMeta>) -> RevisionView {
    match meta {
        Some(m) => {
            RevisionView { number: m.number, time: m.time, author: m.author.clone(), comment: m.comment.clone() }
        }
        None => RevisionView { number: 0, time: 0, author: "factory".into(), comment: "factory settings".into() },
    }
}
