//! A small lbd in memory: keeps a candidate and a history with the model's own rules, answers over a
//! Unix socket, or over TLS to those who have a token. No kernel, no store, a clock that stands still.

use lb_api::*;
use lb_model::{Config, RequestedState, changes, factory, problems};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::net::UnixListener,
    path::Path,
    sync::{Arc, Mutex},
};

/// 2026-11-21 04:00:00 UTC
const NOW: u64 = 1_795_233_600;

#[derive(Default)]
pub struct Fake {
    /// Revision 0, the factory's, is not in it.
    history: Vec<Running>,
    candidate: Option<(u64, u64, Config)>,
    last_etag: u64,
    confirm: Option<(u64, u64)>,
    /// Labels of real servers whose check fails.
    pub failed: Vec<String>,
    pub alarms: Vec<String>,
    pub drift: Vec<String>,
    pub ha: HaView,
    /// What each question after a pairing was begun is answered with; the last one stays.
    pub pairing: Vec<PairingView>,
    /// Answers every order to the pair.
    pub refuse: Option<ApiError>,
    /// The shelf.
    pub certificates: Vec<CertificateView>,
    /// What layer 7 remembers of clients.
    pub entries: Vec<PersistenceEntry>,
    /// What was asked of the pair.
    pub asked: Vec<String>,
    /// Done just before the next change arrives: somebody else was faster.
    pub before_next_change: Option<fn(&mut Fake)>,
}

pub fn serve(socket: &Path, fake: Arc<Mutex<Fake>>) {
    let listener = UnixListener::bind(socket).expect("bind");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &mut fake.lock().expect("lock"), false);
        }
    });
}

/// A token with every right, and one that may only look.
pub const TOKEN: &str = "lb_all";
pub const LOOK_TOKEN: &str = "lb_look";

/// The same below `/api` over TLS on a port of the system's choice: the port, and the certificate.
pub fn serve_tls(fake: Arc<Mutex<Fake>>) -> (u16, rcgen::Certificate) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("connection");
            // Whoever does not trust the certificate is gone before a word is said.
            answer(rustls::StreamOwned::new(connection, stream), &mut fake.lock().expect("lock"), true);
        }
    });
    (port, made.cert)
}

/// What lbadmin asks of a request before it passes it on.
fn admitted<'a>(head: &str, method: &str, path: &'a str) -> Result<&'a str, (u16, ApiError)> {
    let token = head.lines().find_map(|l| l.strip_prefix("authorization: Bearer "));
    let refused = |status, message: &str| (status, ApiError::new(ErrorCode::BadRequest, message));
    match token {
        None => return Err(refused(401, "a token is needed")),
        Some(TOKEN) => {}
        Some(LOOK_TOKEN) if method == "GET" => {}
        Some(LOOK_TOKEN) => return Err(refused(403, "the role report may look, and change nothing")),
        Some(_) => return Err(refused(401, "this token is not known, or has expired")),
    }
    if matches!(method, "PUT" | "DELETE") && !head.contains("if-match: ") {
        return Err(refused(428, "If-Match is missing"));
    }
    path.strip_prefix("/api").ok_or_else(|| refused(404, "there is nothing here"))
}

fn answer(stream: impl Read + Write, fake: &mut Fake, remote: bool) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length =
        head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length:").and_then(|n| n.trim().parse().ok()));
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).expect("body");
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let path = if remote { admitted(&head, method, path) } else { Ok(path) };
    let answer = path.and_then(|path| fake.route(method, path, &body).map_err(|e| (e.code.http_status(), e)));
    let (status, json) = match answer {
        Ok(json) => (200, json),
        Err((status, e)) => (status, to_json(&e)),
    };
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", json.len());
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&json)).expect("write");
    stream.flush().expect("flush");
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("json")
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| ApiError::new(ErrorCode::BadRequest, e.to_string()))
}

impl Fake {
    /// Another one for the shelf.
    fn certificate(&mut self, subject: &str, names: Vec<String>) -> CertificateView {
        let view = CertificateView {
            fingerprint: format!("{:x}", self.certificates.len() + 10).repeat(64),
            kind: CertificateKind::Server,
            subject: subject.into(),
            issuer: "CN=Authority".into(),
            serial: String::new(),
            names,
            not_before: NOW,
            not_after: NOW + 90 * 86_400,
            key: "EC P-256".into(),
            chain: Vec::new(),
            warning: None,
            labels: Vec::new(),
            in_use: false,
            request: None,
            ocsp: None,
        };
        self.certificates.push(view.clone());
        view
    }

    fn shelf(&self) -> Vec<CertificateView> {
        let named = self.view().config.layer7.certificates;
        let labels = |view: &CertificateView| {
            let named = named.iter().filter(|named| named.fingerprint.as_str() == view.fingerprint);
            named.map(|named| named.label.to_string()).collect()
        };
        self.certificates.iter().map(|view| CertificateView { labels: labels(view), ..view.clone() }).collect()
    }

    fn route(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        if method != "GET"
            && let Some(other) = self.before_next_change.take()
        {
            other(self);
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if let Some(number) = path.strip_prefix("/v1/history/") {
            return self.revision(number.parse().unwrap_or(u64::MAX)).map(|r| to_json(&r));
        }
        if let Some(fingerprint) = path.strip_prefix("/v1/certificates/").filter(|_| method == "DELETE") {
            self.certificates.retain(|view| view.fingerprint != fingerprint);
            return Ok(to_json(&Done { message: format!("removed the certificate ({})", &fingerprint[..16]) }));
        }
        Ok(match (method, path) {
            ("GET", route::CERTIFICATES) => to_json(&self.shelf()),
            ("POST", route::CERTIFICATES) => {
                let request: AddCertificate = read(body)?;
                if !request.pem.as_ref().is_some_and(|pem| pem.expose().contains("PRIVATE KEY")) {
                    let error = ApiError::new(
                        ErrorCode::Invalid,
                        "the certificate was not taken: key: there is no private key in it, and none here fits",
                    );
                    return Err(error.hint("upload it together with its key"));
                }
                to_json(&self.certificate("CN=shop.example.com", vec!["shop.example.com".into()]))
            }
            ("POST", route::SELF_SIGNED) => {
                let request: SelfSigned = read(body)?;
                to_json(&self.certificate("CN=made here", request.names))
            }
            ("POST", route::REQUEST_CERTIFICATE) => {
                let request: RequestCertificate = read(body)?;
                let mut view = self.certificate("CN=asked for", request.names);
                view.kind = CertificateKind::Request;
                view.request = Some("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n".into());
                *self.certificates.last_mut().expect("one") = view.clone();
                to_json(&view)
            }
            ("GET", route::ACME) => {
                let config = self.view().config;
                let view = |one: &lb_model::layer7::Certificate| AcmeView {
                    label: one.label.to_string(),
                    names: one.acme.iter().map(ToString::to_string).collect(),
                    state: AcmeState::Failed,
                    not_after: 0,
                    next: NOW + 300,
                    failures: 2,
                    error: Some("www.example.com: no such host (dns)".into()),
                    waits_for: None,
                };
                to_json(&config.layer7.obtained().map(view).collect::<Vec<_>>())
            }
            ("POST", route::ORDER_CERTIFICATE) => {
                let request: OrderCertificate = read(body)?;
                to_json(&Done { message: format!("certificate {} is ordered", request.label) })
            }
            ("GET", route::RUNNING) => to_json(&self.running()),
            ("GET", route::FACTORY) => to_json(&factory()),
            ("GET", route::CANDIDATE) => to_json(&self.view()),
            ("PUT", route::CANDIDATE) => to_json(&self.put(read(body)?)?),
            ("DELETE", route::CANDIDATE) => {
                self.candidate = None;
                to_json(&self.view())
            }
            ("POST", route::PLAN) => {
                let config = read::<PlanRequest>(body)?.config.unwrap_or_else(|| self.view().config);
                valid(&config)?;
                let changes = changes(&self.running().config, &config);
                let actions = changes.iter().map(|c| format!("do: {}", c.text)).collect();
                to_json(&PlanView { changes, actions, drift: self.drift.clone() })
            }
            ("POST", route::APPLY) => to_json(&self.apply(read(body)?)?),
            ("POST", route::CONFIRM) => {
                let waiting = self
                    .confirm
                    .take()
                    .ok_or_else(|| ApiError::new(ErrorCode::NotFound, "no revision waits for its confirmation"))?;
                to_json(&ConfirmView { revision: waiting.0 })
            }
            ("GET", route::HISTORY) => {
                let limit = query.trim_start_matches("limit=").parse().unwrap_or(usize::MAX);
                to_json(&self.history.iter().rev().take(limit).map(|r| &r.revision).collect::<Vec<_>>())
            }
            ("POST", route::ROLLBACK) => {
                let RollbackRequest { revision, author, comment, confirm_within, .. } = read(body)?;
                let config = self.revision(revision)?.config;
                to_json(&self.commit(config, author, comment, confirm_within)?)
            }
            ("GET", route::STATUS) => to_json(&self.status()),
            ("POST", route::STATE) => {
                let StateRequest { virtual_server, real_server, state, author } = read(body)?;
                let mut config = self.running().config;
                let vs = config.virtual_servers.iter_mut().find(|v| v.label == virtual_server);
                let rs = vs.and_then(|v| v.real_servers.iter_mut().find(|r| r.label == real_server));
                rs.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "no such server"))?.state = state;
                to_json(&self.commit(config, author, "state".into(), None)?)
            }
            ("POST", route::RECONCILE) => {
                to_json(&ReconcileView { plan: vec![], drift: self.drift.clone(), pending: vec![], microseconds: 1234 })
            }
            ("GET", route::PERSISTENCE) => to_json(&self.remembered(query)),
            ("POST", route::FORGET_ENTRY) => {
                let ForgetEntryRequest { virtual_server, kind, key, .. } = read(body)?;
                self.entries.retain(|e| (&e.virtual_server, e.kind, &e.key) != (&virtual_server, kind, &key));
                to_json(&Done { message: "The entry is removed.".into() })
            }
            ("POST", route::CLEAR_ENTRIES) => {
                let ClearEntriesRequest { virtual_server, .. } = read(body)?;
                self.entries.retain(|e| e.virtual_server != virtual_server);
                to_json(&Done { message: "All entries are removed.".into() })
            }
            ("GET", route::HA) => to_json(&self.ha),
            ("GET", route::PAIRING) => to_json(&self.pairing()),
            ("POST", route::PAIRING) => {
                let PairingRequest { step, .. } = read(body)?;
                self.order(format!("{step:?}"))?;
                to_json(&self.pairing())
            }
            ("POST", route::TAKEOVER) => {
                let TakeoverRequest { force, .. } = read(body)?;
                to_json(&self.order(format!("take over, force {force}"))?)
            }
            ("POST", route::MAINTENANCE) => {
                let MaintenanceRequest { on, force, .. } = read(body)?;
                to_json(&self.order(format!("maintenance {on}, force {force}"))?)
            }
            ("POST", route::RESOLVE) => {
                let ResolveRequest { keep, .. } = read(body)?;
                to_json(&self.order(format!("keep {keep:?}"))?)
            }
            ("POST", route::STANDBY | route::UNPAIR) => {
                read::<ByRequest>(body)?;
                to_json(&self.order(path.to_owned())?)
            }
            ("GET", path) if path.starts_with("/v1/logs/") => {
                let line = |n: u32| LogLine {
                    cursor: n.to_string(),
                    time: format!("2026-11-21T04:00:0{n}Z"),
                    text: format!("{} {query} line {n}", path.trim_start_matches("/v1/logs/")),
                };
                to_json(&LogView { lines: vec![line(2), line(1)], more: false })
            }
            _ => return Err(ApiError::new(ErrorCode::NotFound, format!("no route {method} {path}"))),
        })
    }

    /// As lbd filters, by labels alone. Shop remembers clients in any case, as lbd knows from its configuration.
    fn remembered(&self, query: &str) -> PersistenceView {
        let asked = |name: &str| {
            let pair = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(is, _)| *is == name);
            pair.map(|(_, value)| value.to_owned())
        };
        let number = |name: &str| asked(name).and_then(|n| n.parse().ok()).unwrap_or(0);
        let is = |name: &str, value: Option<&str>| asked(name).is_none_or(|asked| Some(asked.as_str()) == value);
        let fits = |e: &&PersistenceEntry| {
            is("virtual_server", Some(&e.virtual_server))
                && is("real_server", e.real_server.as_deref())
                && is("client", Some(&e.key))
        };
        let entries: Vec<_> = self.entries.iter().filter(fits).cloned().collect();
        let of_shop = is("virtual_server", Some("Shop"));
        PersistenceView {
            matching: entries.len(),
            total: if of_shop { self.entries.len() } else { 0 },
            truncated: false,
            tables: of_shop
                .then(|| PersistenceTable {
                    virtual_server: "Shop".into(),
                    kind: PersistenceKind::Source,
                    entries: self.entries.len(),
                })
                .into_iter()
                .collect(),
            entries: entries.into_iter().skip(number("offset")).take(number("limit")).collect(),
        }
    }

    fn pairing(&mut self) -> PairingView {
        match self.pairing.len() {
            0 => PairingView::Idle,
            1 => self.pairing[0].clone(),
            _ => self.pairing.remove(0),
        }
    }

    fn order(&mut self, what: String) -> Result<Done, ApiError> {
        match &self.refuse {
            Some(error) => Err(error.clone()),
            None => {
                self.asked.push(what.clone());
                Ok(Done { message: format!("lbd did: {what}.") })
            }
        }
    }

    fn revision(&self, number: u64) -> Result<Running, ApiError> {
        match number {
            0 => Ok(Fake::default().running()),
            _ => {
                self.history.iter().find(|r| r.revision.number == number).cloned().ok_or_else(|| {
                    ApiError::new(ErrorCode::NotFound, format!("revision {number} is not in the history"))
                })
            }
        }
    }

    fn running(&self) -> Running {
        self.history.last().cloned().unwrap_or_else(|| Running {
            revision: RevisionView { number: 0, time: 0, author: "factory".into(), comment: String::new() },
            config: factory(),
        })
    }

    fn view(&self) -> CandidateView {
        let running = self.running();
        let (base, etag, config) =
            self.candidate.clone().unwrap_or((running.revision.number, 0, running.config.clone()));
        CandidateView {
            base,
            etag,
            author: String::new(),
            time: 0,
            changes: changes(&running.config, &config),
            problems: problems(&config),
            config,
        }
    }

    fn put(&mut self, request: PutCandidate) -> Result<CandidateView, ApiError> {
        let running = self.running();
        if request.etag.is_some_and(|e| e != self.view().etag) {
            return Err(ApiError::new(ErrorCode::Conflict, "the candidate is no longer the one that was edited"));
        }
        let mut config = request.config;
        config.assign_marks();
        let base = request.base.unwrap_or(running.revision.number);
        self.last_etag += 1;
        self.candidate = Some((base, self.last_etag, config)).filter(|(_, _, c)| *c != running.config);
        Ok(self.view())
    }

    fn apply(&mut self, request: ApplyRequest) -> Result<Applied, ApiError> {
        let view = self.view();
        let candidate = request.config.is_none();
        let (base, config) = match request.config {
            Some(config) => (request.base, config),
            None => (Some(view.base), view.config),
        };
        if let Some(base) = base.filter(|b| *b != self.running().revision.number) {
            let mut error =
                ApiError::new(ErrorCode::Conflict, format!("this configuration was made from revision {base}"));
            error.between = self.history.iter().map(|r| r.revision.clone()).filter(|r| r.number > base).collect();
            return Err(error);
        }
        let applied = self.commit(config, request.author, request.comment, request.confirm_within)?;
        if candidate {
            self.candidate = None;
        }
        Ok(applied)
    }

    pub fn commit(
        &mut self,
        mut config: Config,
        author: String,
        comment: String,
        confirm: Option<u64>,
    ) -> Result<Applied, ApiError> {
        config.assign_marks();
        valid(&config)?;
        if let Some((number, _)) = self.confirm {
            return Err(ApiError::new(
                ErrorCode::AwaitingConfirm,
                format!("revision {number} waits for its confirmation"),
            ));
        }
        let running = self.running();
        let changes = changes(&running.config, &config);
        if changes.is_empty() {
            let revision = running.revision;
            return Ok(Applied {
                revision,
                changes,
                plan: vec![],
                converged: true,
                pending: vec![],
                confirm_before: None,
            });
        }
        let number = running.revision.number + 1;
        let revision = RevisionView { number, time: NOW + number * 60, author, comment };
        self.history.push(Running { revision: revision.clone(), config });
        self.confirm = confirm.map(|_| (number, number - 1));
        let plan = changes.iter().map(|c| format!("do: {}", c.text)).collect();
        Ok(Applied {
            revision,
            changes,
            plan,
            converged: true,
            pending: vec![],
            confirm_before: confirm.map(|s| NOW + s),
        })
    }

    /// As somebody else would, between two steps of ours.
    pub fn somebody_applies(&mut self, edit: fn(&mut Config)) {
        let mut config = self.running().config;
        edit(&mut config);
        self.commit(config, "bob".into(), "Tuning".into(), None).expect("commit");
    }

    pub fn somebody_edits(&mut self, edit: fn(&mut Config)) {
        let mut config = self.view().config;
        edit(&mut config);
        self.put(PutCandidate { config, base: None, etag: None, author: "bob".into() }).expect("put");
    }

    fn status(&self) -> Status {
        let running = self.running();
        let virtual_servers = running.config.virtual_servers.iter().map(|vs| VirtualServerStatus {
            label: vs.label.to_string(),
            layer: 4,
            service: vs.service.to_string(),
            scheduler: vs.scheduler.to_string(),
            active: !vs.real_servers.is_empty(),
            fallback: !vs.real_servers.is_empty()
                && vs.real_servers.iter().all(|r| self.failed.iter().any(|f| f == r.label.as_str())),
            counters: Counters { connections_per_second: 12, ..Counters::default() },
            real_servers: vs.real_servers.iter().map(|rs| self.real_server(rs)).collect(),
        });
        Status {
            version: "0.1.0".into(),
            hostname: running.config.node.hostname.to_string(),
            revision: running.revision.number,
            alarms: self.alarms.clone(),
            converged: true,
            pending: vec![],
            drift: self.drift.clone(),
            confirm: self.confirm.map(|(revision, revert_to)| AwaitingConfirm {
                revision,
                before: NOW + 60,
                revert_to,
            }),
            pending_changes: self.view().changes.len(),
            old_connections: 0,
            virtual_servers: virtual_servers.collect(),
        }
    }

    fn real_server(&self, rs: &lb_model::RealServer) -> RealServerStatus {
        let failed = self.failed.iter().any(|f| f == rs.label.as_str());
        let text = if failed { "connect: connection refused" } else { "connect: accepted in 1 ms" };
        RealServerStatus {
            label: rs.label.to_string(),
            address: rs.port.map_or_else(|| rs.address.to_string(), |p| format!("{}:{p}", rs.address)),
            forwarding: rs.forwarding.to_string(),
            weight: rs.weight,
            requested: rs.state,
            actual: match rs.state {
                RequestedState::Online if !failed => ActualState::Active,
                RequestedState::Drain => ActualState::Draining,
                _ => ActualState::NonActive,
            },
            check: Some(CheckStatus { text: text.into(), since: NOW }),
            active_connections: 12,
            inactive_connections: 3,
            persistent_connections: 0,
            counters: Counters::default(),
        }
    }
}

fn valid(config: &Config) -> Result<(), ApiError> {
    match problems(config) {
        none if none.is_empty() => Ok(()),
        all => Err(ApiError::invalid(all)),
    }
}
