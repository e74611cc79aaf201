//! Making and restoring backups on this unit, for the pages and for the API.
//!
//! A restore is looked at first: [`Looked`] says what it would change. Its configuration goes into the candidate, where
//! it waits to be applied like any other edit; users, tokens, settings and certificate take effect at once, if they are
//! asked for. Deriving a key takes memory and time: one at a time on the unit.

use crate::{
    Shared,
    app::now,
    backup::{About, Backup, BackupError, Secrets, keeping_node},
    tls::{self, Certificate, TlsError},
};
use lb_access::{AuditEntry, Refusal, Role, Who};
use lb_api::{CandidateView, ClientError, PutCandidate};
use lb_model::{Change, Config, Problem, changes, problems};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Keys derived at once.
static DERIVING: Semaphore = Semaphore::const_new(1);
/// How long one waits for another.
const PATIENCE: Duration = Duration::from_secs(20);
/// Seconds after which another one may be asked for.
pub const AGAIN: u64 = 3;

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("{0}")]
    Backup(#[from] BackupError),
    #[error("another backup is being encrypted or opened")]
    Busy,
    #[error("{0}")]
    Lbd(#[from] ClientError),
    #[error("{0}")]
    Access(#[from] Refusal),
    #[error("{0}")]
    Certificate(#[from] TlsError),
    #[error("the users cannot be read, so they cannot be saved")]
    NoUsers,
    #[error("{0}")]
    Internal(String),
}

/// Runs `work`, which derives a key, where it may block.
async fn deriving<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, RestoreError> {
    let Ok(_turn) = tokio::time::timeout(PATIENCE, DERIVING.acquire()).await else { return Err(RestoreError::Busy) };
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| RestoreError::Internal(e.to_string()))?;
    Ok(done?)
}

/// What runs, as a backup; with a passphrase also users, tokens, settings and certificate.
pub async fn make(app: &Shared, who: &Who, passphrase: Option<String>) -> Result<Backup, RestoreError> {
    let running = app.lbd.running().await?;
    let about = About { made: now(), hostname: running.config.node.hostname.clone() };
    let backup = Backup::of(&running.config, about)?;
    let revision = running.revision.number;
    let (backup, detail) = match passphrase {
        None => (backup, format!("Revision {revision}, without users and keys.")),
        Some(passphrase) => {
            let access = app.access.export().ok_or(RestoreError::NoUsers)?;
            let certificate = app.tls.export().map_err(TlsError::Io)?;
            let secrets = Secrets { access, certificate };
            let sealed = deriving(move || backup.seal(&secrets, &passphrase)).await?;
            (sealed, format!("Revision {revision}, with users and keys, encrypted."))
        }
    };
    app.access.record(AuditEntry::new(now(), who, "backup", detail));
    Ok(backup)
}

/// What a restore is asked to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// This unit's own host name, addresses, gateways and routes stay.
    pub keep_node: bool,
    pub users: bool,
    pub certificate: bool,
}

/// A backup that was opened, and what restoring it would change. Nothing is changed yet.
pub struct Looked {
    pub made: u64,
    pub hostname: String,
    pub software: String,
    pub config: Config,
    /// Against what runs.
    pub changes: Vec<Change>,
    pub problems: Vec<Problem>,
    pub secrets: Option<Opened>,
}

pub struct Opened {
    secrets: Secrets,
    pub users: Vec<(String, Role)>,
    pub tokens: usize,
    pub certificate: Certificate,
}

pub async fn look(
    app: &Shared,
    backup: Backup,
    passphrase: Option<String>,
    keep_node: bool,
) -> Result<Looked, RestoreError> {
    let running = app.lbd.running().await?;
    let config = backup.config()?;
    let config = if keep_node { keeping_node(config, &running.config) } else { config };
    let (made, hostname, software) = (backup.made, backup.hostname.to_string(), backup.software.clone());
    let secrets = match passphrase {
        None => None,
        Some(passphrase) => {
            let secrets = deriving(move || backup.open(&passphrase)).await?;
            let users = secrets.access.users().map(|(name, role)| (name.to_owned(), role)).collect();
            let certificate = tls::inspect(&secrets.certificate)?;
            Some(Opened { users, tokens: secrets.access.tokens(), certificate, secrets })
        }
    };
    let (changes, problems) = (changes(&running.config, &config), problems(&config));
    Ok(Looked { made, hostname, software, config, changes, problems, secrets })
}

/// Puts the configuration into the candidate, and what else is wanted into effect.
pub async fn restore(
    app: &Shared,
    who: &Who,
    looked: Looked,
    wanted: Wanted,
) -> Result<Arc<CandidateView>, RestoreError> {
    let Looked { made, hostname, config, secrets, .. } = looked;
    let secrets = secrets.map(|opened| opened.secrets);
    if (wanted.users || wanted.certificate) && secrets.is_none() {
        return Err(BackupError::NoSecrets.into());
    }
    // What can be wrong with the rest is found before anything is done.
    if let Some(secrets) = &secrets {
        if wanted.users {
            secrets.access.check()?;
        }
        if wanted.certificate {
            tls::valid_at(&tls::inspect(&secrets.certificate)?, now())?;
        }
    }
    let seen = app.lbd.candidate().await?.etag;
    let put = PutCandidate { config, base: None, etag: Some(seen), author: who.author() };
    let view = Arc::new(app.lbd.client.put_candidate(&put).await?);
    let from = format!("The backup of {hostname}, {} UTC", crate::frame::time(made));
    app.access.record(AuditEntry::new(now(), who, "restore", format!("{from}, is in the candidate.")));
    if let Some(secrets) = secrets {
        let (work, by, from) = (app.clone(), who.clone(), from.clone());
        let done = tokio::task::spawn_blocking(move || -> Result<(), RestoreError> {
            if wanted.certificate {
                work.tls.replace(&secrets.certificate, &secrets.certificate, now())?;
                work.access.record(AuditEntry::new(now(), &by, "certificate", format!("{from}: its certificate.")));
            }
            if wanted.users {
                work.access.import(secrets.access.clone(), &by, now())?;
            }
            Ok(())
        });
        done.await.map_err(|e| RestoreError::Internal(e.to_string()))??;
    }
    Ok(view)
}
