//! The support bundle: what somebody who helps needs to see, and nothing that lets them in.
//!
//! A tar.gz of JSON and text files: versions, the running configuration and what waits, status, network, load, logs,
//! the audit log. Nothing of lbadmin's own directory goes in. The configuration is stripped of what may hold secrets
//! ([`redacted`]), and every file once more of what looks like one ([`without_secrets`]). What cannot be had is said in
//! the bundle; the rest comes all the same. A test makes one on a unit full of secrets and searches it for them.

use crate::{Shared, app::now, frame::time};
use flate2::{Compression, write::GzEncoder};
use lb_api::{ConnectionQuery, LogName, LogQuery};
use lb_model::{CheckMethod, Config};
use regex::Regex;
use serde::Serialize;
use std::{fmt::Display, sync::LazyLock, time::Duration};
use tokio::sync::Semaphore;

/// Pages of 1,000 lines that are taken of each log.
const LOG_PAGES: usize = 5;
const AUDIT_ENTRIES: usize = 1000;
const REVISIONS: usize = 200;

static MAKING: Semaphore = Semaphore::const_new(1);
/// How long one waits for another.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Bundle {
    /// `lbmaster-2026-11-21-0713-support.tar.gz`
    pub name: String,
    pub bytes: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("another bundle is being made")]
    Busy,
    #[error("{0}")]
    Internal(String),
}

/// Files by name, and what could not be had.
#[derive(Default)]
struct Files {
    files: Vec<(String, String)>,
    missing: Vec<String>,
}

impl Files {
    fn add(&mut self, name: &str, text: String) {
        self.files.push((name.to_owned(), without_secrets(&text)));
    }

    fn json<E: Display>(&mut self, name: &str, got: Result<impl Serialize, E>) {
        match got.map_err(|e| e.to_string()).and_then(|v| serde_json::to_string_pretty(&v).map_err(|e| e.to_string())) {
            Ok(text) => self.add(name, text + "\n"),
            Err(error) => self.missing.push(format!("{name}: {error}")),
        }
    }
}

pub async fn bundle(app: &Shared) -> Result<Bundle, BundleError> {
    let Ok(_turn) = tokio::time::timeout(PATIENCE, MAKING.acquire()).await else { return Err(BundleError::Busy) };
    let lbd = &app.lbd.client;
    let at = now();
    let mut files = Files::default();
    let summary = lbd.summary().await;
    let host = summary.as_ref().map_or_else(|_| "unit".to_owned(), |s| s.hostname.clone());
    let system = lbd.system().await;
    files.json(
        "versions.json",
        Ok::<_, String>(Versions {
            made: time(at),
            lbadmin: env!("CARGO_PKG_VERSION"),
            lbd: summary.as_ref().map_or_else(ToString::to_string, |s| s.version.clone()),
            kernel: system.as_ref().map_or_else(ToString::to_string, |s| s.kernel.clone()),
        }),
    );
    files.json("summary.json", summary);
    files.json("system.json", system);
    files.json("configuration.json", lbd.running().await.map(|r| redacted(r.config)));
    match lbd.candidate().await {
        Ok(candidate) if candidate.etag != 0 => {
            files.json("candidate-changes.json", Ok::<_, String>(candidate.changes));
            files.json("candidate-problems.json", Ok::<_, String>(candidate.problems));
            files.json("candidate.json", Ok::<_, String>(redacted(candidate.config)));
        }
        Ok(_) => {}
        Err(error) => files.missing.push(format!("candidate.json: {error}")),
    }
    files.json("status.json", lbd.status().await);
    files.json("history.json", lbd.history(REVISIONS).await);
    match lbd.network().await {
        Ok(mut network) => {
            files.add("firewall.txt", std::mem::take(&mut network.firewall));
            files.json("network.json", Ok::<_, String>(network));
        }
        Err(error) => files.missing.push(format!("network.json: {error}")),
    }
    files.json("services.json", lbd.services().await);
    // States and numbers; the clients themselves are nobody else's business.
    let none = ConnectionQuery { limit: 1, ..ConnectionQuery::default() };
    files.json("connections.json", lbd.connections(&none).await.map(|c| (c.total, c.states)));
    files.json("certificate.json", Ok::<_, String>(Shown::of(app)));
    for (name, file) in [
        (LogName::LoadBalancer, "logs/load-balancer.txt"),
        (LogName::Ldirectord, "logs/ldirectord.txt"),
        (LogName::System, "logs/system.txt"),
    ] {
        match log(app, name).await {
            Ok(text) => files.add(file, text),
            Err(error) => files.missing.push(format!("{file}: {error}")),
        }
    }
    let shared = app.clone();
    let packed = tokio::task::spawn_blocking(move || {
        let audit = shared.access.audit(None, None, AUDIT_ENTRIES);
        files.json("logs/audit.json", Ok::<_, String>(audit.entries));
        let missing = files.missing.iter().map(|m| format!("{m}\n")).collect::<String>();
        files.add("README.txt", README.replace("{missing}", if missing.is_empty() { "nothing\n" } else { &missing }));
        let stamp: String = time(at).chars().take(16).filter(|c| *c != ':').collect();
        let folder = format!("{host}-{}-support", stamp.replace(' ', "-"));
        pack(&folder, files.files, at).map(|bytes| Bundle { name: format!("{folder}.tar.gz"), bytes })
    });
    packed.await.map_err(|e| BundleError::Internal(e.to_string()))?.map_err(|e| BundleError::Internal(e.to_string()))
}

const README: &str = "\
A support bundle of a load balancer.

It holds the configuration, the state, and the logs of the unit. Passwords, tokens,
keys and the addresses of clients are not in it; the names and addresses of your
servers and of your administrators are. Look through it before you hand it on.

What could not be had:
{missing}";

#[derive(Serialize)]
struct Versions {
    made: String,
    lbadmin: &'static str,
    lbd: String,
    kernel: String,
}

#[derive(Serialize)]
struct Shown {
    subject: String,
    issuer: String,
    names: Vec<String>,
    not_after: String,
    fingerprint: String,
}

impl Shown {
    fn of(app: &Shared) -> Shown {
        let c = app.tls.certificate();
        Shown {
            subject: c.subject,
            issuer: c.issuer,
            names: c.names,
            not_after: time(c.not_after),
            fingerprint: c.fingerprint,
        }
    }
}

/// The newest lines of a log, oldest first.
async fn log(app: &Shared, name: LogName) -> Result<String, lb_api::ClientError> {
    let mut lines = Vec::new();
    let mut before = None;
    for _ in 0..LOG_PAGES {
        let page = app.lbd.client.log(name, &LogQuery { before, limit: 1000, ..LogQuery::default() }).await?;
        before = page.lines.last().map(|l| l.cursor.clone());
        lines.extend(page.lines);
        if !page.more {
            break;
        }
    }
    Ok(lines.iter().rev().map(|l| format!("{} {}\n", l.time, l.text)).collect())
}

/// Without what may hold a secret: the query of a check's request, and the fallback page's text.
pub fn redacted(mut config: Config) -> Config {
    for vs in &mut config.virtual_servers {
        if let CheckMethod::Negotiate(negotiate) = &mut vs.check.method
            && let Some((path, _)) = negotiate.request.split_once('?')
        {
            negotiate.request = format!("{path}?(left-out)");
        }
    }
    if let Some(page) = &config.fallback_page {
        config.fallback_page = Some(lb_model::FallbackPage::new(format!("({} bytes left out)", page.as_str().len())));
    }
    config
}

/// What looks like a secret, wherever it came from, is left out of a text.
pub fn without_secrets(text: &str) -> String {
    static LOOKS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let patterns = [
            "lbt_[A-Za-z0-9_-]+",
            r#"\$argon2[^\s"]*"#,
            r#"[Bb]earer [^\s"]+"#,
            "-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*-----END [A-Z ]*PRIVATE KEY-----",
            r#"(?:[Pp]assword|PASSWORD|[Pp]assphrase|[Ss]ecret|[Cc]ookie)["']?\s*[=:]\s*["']?[^\s"',;&]+"#,
        ];
        patterns.iter().filter_map(|p| Regex::new(p).ok()).collect()
    });
    LOOKS.iter().fold(text.to_owned(), |text, looks| looks.replace_all(&text, "(left out)").into_owned())
}

fn pack(folder: &str, files: Vec<(String, String)>, at: u64) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(at);
        archive.append_data(&mut header, format!("{folder}/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_goes() {
        let cases = [
            ("a lbt_Abc-_9 b", "a (left out) b"),
            ("hash $argon2id$v=19$m=1,t=1$c2FsdA$aGFzaA x", "hash (left out) x"),
            ("authorization: Bearer abc.def", "authorization: (left out)"),
            ("password=hush&x=1", "(left out)&x=1"),
            (r#""passphrase": "hush", "x""#, r#""(left out)", "x""#),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "(left out)"),
            (
                "loadbalancer/token ci (10.0.0.5) changed the password of carol",
                "loadbalancer/token ci (10.0.0.5) changed the password of carol",
            ),
        ];
        for (text, left) in cases {
            assert_eq!(without_secrets(text), left);
        }
    }

    #[test]
    fn a_checks_query_and_the_page_stay_at_home() {
        let mut config = crate::testing::guide();
        config.virtual_servers[0].check.method = serde_json::from_value(
            serde_json::json!({"type": "negotiate", "service": "http", "request": "/check?key=hush"}),
        )
        .expect("a check");
        config.fallback_page = Some(lb_model::FallbackPage::new("<p>hush"));
        let text = serde_json::to_string(&redacted(config)).expect("written");
        assert!(
            !text.contains("hush") && text.contains("/check?(left-out)") && text.contains("(7 bytes left out)"),
            "{text}"
        );
    }
}
