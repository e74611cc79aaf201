//! Stand-ins for lbd: one to call, and one that listens on a socket.

use lb_api::{
    ApiError, Applied, ApplyRequest, ClientError, ErrorCode, HaView, PairingRequest, PairingStep, PairingView,
    PlanRequest, PlanView, RevisionView, RollbackRequest, Running, route,
};
use lb_model::{Config, changes, factory, problems};
use lbwizard::session::Unit;
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Applies in memory, as lbd does on disk.
#[derive(Clone)]
pub struct FakeUnit(pub Arc<Mutex<State>>);

pub struct State {
    pub running: Running,
    pub applies: Vec<ApplyRequest>,
    /// Answers every apply with this.
    pub refuse: Option<ApiError>,
    pub pair: Pair,
    /// What was asked beside plans and applies.
    pub calls: Vec<String>,
}

/// What this unit says of the pair, look by look; the last one stays.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pair {
    pub pairing: Vec<PairingView>,
    pub ha: Vec<HaView>,
}

fn next<T: Clone>(views: &mut Vec<T>) -> Option<T> {
    if views.len() > 1 { Some(views.remove(0)) } else { views.first().cloned() }
}

impl FakeUnit {
    pub fn new(config: Config) -> FakeUnit {
        let revision = RevisionView { number: 0, time: 0, author: "factory".into(), comment: String::new() };
        FakeUnit(Arc::new(Mutex::new(State {
            running: Running { revision, config },
            applies: Vec::new(),
            refuse: None,
            pair: Pair::default(),
            calls: Vec::new(),
        })))
    }

    pub fn applies(&self) -> Vec<ApplyRequest> {
        self.0.lock().expect("state").applies.clone()
    }

    fn call(&self, what: String) {
        self.0.lock().expect("state").calls.push(what);
    }

    fn look_at_pairing(&self) -> PairingView {
        next(&mut self.0.lock().expect("state").pair.pairing).unwrap_or(PairingView::Idle)
    }

    fn planned(&self, config: &Config) -> PlanView {
        let changes = changes(&self.0.lock().expect("state").running.config, config);
        let vs = config.virtual_servers.iter().map(|v| format!("add service {}", v.service));
        PlanView { changes, actions: vs.collect(), drift: Vec::new() }
    }

    fn applied(&self, request: &ApplyRequest) -> Result<Applied, ApiError> {
        let config = request.config.clone().ok_or_else(|| ApiError::new(ErrorCode::BadRequest, "no configuration"))?;
        let plan = self.planned(&config);
        let mut state = self.0.lock().expect("state");
        state.applies.push(request.clone());
        if let Some(error) = &state.refuse {
            return Err(error.clone());
        }
        let found = problems(&config);
        if !found.is_empty() {
            return Err(ApiError::invalid(found));
        }
        state.running.revision = RevisionView {
            number: state.running.revision.number + 1,
            time: 0,
            author: request.author.clone(),
            comment: request.comment.clone(),
        };
        state.running.config = config;
        Ok(Applied {
            revision: state.running.revision.clone(),
            changes: plan.changes,
            plan: plan.actions,
            converged: true,
            pending: Vec::new(),
            confirm_before: None,
        })
    }

    /// Listens as lbd does, on a socket in `dir`, until the process ends.
    pub fn listen(&self, dir: &Path) -> PathBuf {
        let path = dir.join("lbd.sock");
        let listener = UnixListener::bind(&path).expect("socket");
        let unit = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let unit = unit.clone();
                std::thread::spawn(move || unit.serve(stream.expect("connection")));
            }
        });
        path
    }

    fn serve(&self, stream: UnixStream) {
        let mut reader = BufReader::new(&stream);
        let mut first = String::new();
        reader.read_line(&mut first).expect("request line");
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).expect("header");
            match header.trim().to_ascii_lowercase().split_once(':') {
                Some(("content-length", n)) => length = n.trim().parse().expect("length"),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("body");
        let path = first.split(' ').nth(1).expect("path");
        let (status, answer) = match path {
            route::RUNNING => (200, json(&self.0.lock().expect("state").running)),
            route::PLAN => {
                let request: PlanRequest = serde_json::from_slice(&body).expect("plan request");
                (200, json(&self.planned(&request.config.expect("configuration"))))
            }
            route::APPLY => match self.applied(&serde_json::from_slice(&body).expect("apply request")) {
                Ok(applied) => (200, json(&applied)),
                Err(error) => (error.code.http_status(), json(&error)),
            },
            route::PAIRING => {
                if let Ok(request) = serde_json::from_slice::<PairingRequest>(&body) {
                    self.call(format!("pair: {:?}", request.step));
                }
                (200, json(&self.look_at_pairing()))
            }
            route::ROLLBACK => {
                let request: RollbackRequest = serde_json::from_slice(&body).expect("roll-back request");
                self.call(format!("roll back to {}", request.revision));
                match self.applied(&ApplyRequest { config: Some(factory()), ..ApplyRequest::default() }) {
                    Ok(applied) => (200, json(&applied)),
                    Err(error) => (error.code.http_status(), json(&error)),
                }
            }
            other => panic!("the wizard asked for {other}"),
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        (&stream).write_all(&[head.into_bytes(), answer].concat()).expect("answer");
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("json")
}

impl Unit for FakeUnit {
    fn running(&self) -> Result<Running, ClientError> {
        Ok(self.0.lock().expect("state").running.clone())
    }

    fn plan(&self, config: &Config) -> Result<PlanView, ClientError> {
        Ok(self.planned(config))
    }

    fn apply(&self, request: &ApplyRequest) -> Result<Applied, ClientError> {
        self.applied(request).map_err(ClientError::Refused)
    }

    fn confirm(&self, revision: u64, _: &str) -> Result<(), ClientError> {
        self.call(format!("confirm {revision}"));
        Ok(())
    }

    fn rollback(&self, revision: u64, _: &str) -> Result<(), ClientError> {
        self.call(format!("roll back to {revision}"));
        Ok(())
    }

    fn pairing(&self) -> Result<PairingView, ClientError> {
        Ok(self.look_at_pairing())
    }

    fn pair(&self, step: PairingStep, _: &str) -> Result<PairingView, ClientError> {
        self.call(format!("pair: {step:?}"));
        Ok(self.look_at_pairing())
    }

    fn ha(&self) -> Result<HaView, ClientError> {
        let no_pair = || ClientError::Refused(ApiError::new(ErrorCode::NotFound, "no pair"));
        next(&mut self.0.lock().expect("state").pair.ha).ok_or_else(no_pair)
    }

    fn again(&self) -> Box<dyn Unit + Send> {
        Box::new(self.clone())
    }

    fn wait(&self) {}

    fn now(&self) -> u64 {
        1000
    }

    fn draw_sync_id(&self) -> u8 {
        77
    }
}
