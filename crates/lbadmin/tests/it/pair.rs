//! An lbd that answers as one of a pair, before a real one: what is asked of the pair is canned and written down, the
//! rest is passed on.

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lb_api::{
    ApiError, Done, FloatingView, HaRole, HaView, PairedView, PairingView, PathView, PeerView, ReplicationState,
    ReplicationView,
};
use lb_model::NodeId;
use serde_json::Value;
use std::{
    path::{Path as FilePath, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What the unit says of the pair, and what it was asked to do.
pub struct Said {
    pub ha: HaView,
    pub pairing: PairingView,
    /// In place of what is done.
    pub refusal: Option<ApiError>,
    /// In place of whatever an edit or an apply would answer.
    pub no_edits: Option<ApiError>,
    /// Paths below `/v1/ha` and bodies.
    pub asked: Vec<(String, Value)>,
}

#[derive(Clone)]
pub struct Pair {
    said: Arc<Mutex<Said>>,
    lbd: PathBuf,
}

impl Pair {
    /// Before the lbd at `lbd`, at a socket of its own in `dir`.
    pub fn before(lbd: &FilePath, dir: &FilePath, runtime: &tokio::runtime::Runtime) -> (Pair, PathBuf) {
        let socket = dir.join("pair.sock");
        let said = Said {
            ha: HaView::default(),
            pairing: PairingView::Idle,
            refusal: None,
            no_edits: None,
            asked: Vec::new(),
        };
        let pair = Pair { said: Arc::new(Mutex::new(said)), lbd: lbd.to_owned() };
        let router = Router::new()
            .route("/v1/ha", get(|State(pair): State<Pair>| async move { Json(pair.now().ha.clone()) }))
            .route("/v1/ha/pairing", get(pairing).post(|pair, body| act(pair, Path("pairing".into()), body)))
            .route("/v1/ha/{what}", post(act))
            .fallback(pass_on)
            .with_state(pair.clone());
        let _guard = runtime.enter();
        let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
        runtime.spawn(async move { axum::serve(listener, router).await });
        (pair, socket)
    }

    pub fn now(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked for since the last time.
    pub fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.now().asked)
    }
}

async fn pairing(State(pair): State<Pair>) -> Json<PairingView> {
    Json(pair.now().pairing.clone())
}

async fn act(State(pair): State<Pair>, Path(what): Path<String>, Json(body): Json<Value>) -> Response {
    let mut said = pair.now();
    said.asked.push((what.clone(), body));
    match (&said.refusal, what.as_str()) {
        (Some(error), _) => refused(error),
        (None, "pairing") => Json(said.pairing.clone()).into_response(),
        (None, what) => Json(Done { message: format!("Done: {what}.") }).into_response(),
    }
}

fn refused(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.code.http_status()).expect("a status");
    (status, Json(error.clone())).into_response()
}

async fn pass_on(State(pair): State<Pair>, request: Request) -> Response {
    let edits = request.method() != "GET" && !request.uri().path().ends_with("/plan");
    if let Some(error) = pair.now().no_edits.as_ref().filter(|_| edits) {
        return refused(error);
    }
    let stream = tokio::net::UnixStream::connect(&pair.lbd).await.expect("lbd listens");
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("a connection");
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.expect("an answer");
    answer.map(Body::new)
}

/// Unit one, which serves; all is well.
pub fn active() -> HaView {
    let path = |name: &str, serial| PathView {
        name: name.into(),
        serial,
        up: true,
        loss_percent: Some(0),
        latency_us: Some(420),
        error: None,
    };
    HaView {
        role: HaRole::Active,
        unit: Some(NodeId::One),
        since: Some(1_790_000_000),
        why: "The other unit was silent for 400 ms.".into(),
        edits: true,
        floating: vec![
            FloatingView {
                address: [10, 0, 0, 100].into(),
                interface: "eth0".parse().expect("a name"),
                vip: true,
                here: true,
            },
            FloatingView {
                address: [192, 168, 2, 20].into(),
                interface: "eth1".parse().expect("a name"),
                vip: false,
                here: true,
            },
        ],
        paths: vec![path("ttyS1", true), path("10.0.0.22", false)],
        peer: Some(PeerView {
            hostname: "lbslave".into(),
            role: HaRole::Standby,
            heard: true,
            fit: true,
            hot: true,
            web: Some("https://10.0.0.22:9443".into()),
            fingerprint: "AB:CD".into(),
        }),
        unfit: Vec::new(),
        hot: true,
        replication: Some(ReplicationView {
            state: ReplicationState::InSync,
            last: Some(1_790_000_100),
            detail: "Both units have revision 7.".into(),
        }),
        alarms: Vec::new(),
    }
}

/// The same pair seen from unit two.
pub fn standby() -> HaView {
    let mut ha = active();
    ha.role = HaRole::Standby;
    ha.unit = Some(NodeId::Two);
    ha.edits = false;
    ha.floating.iter_mut().for_each(|f| f.here = false);
    if let Some(peer) = &mut ha.peer {
        peer.role = HaRole::Active;
        peer.hostname = "lbmaster".into();
        peer.web = Some("https://10.0.0.21:9443".into());
    }
    ha
}

pub fn paired(unit: NodeId) -> PairingView {
    PairingView::Done(PairedView {
        unit,
        hostname: "lbslave".into(),
        addresses: ["10.0.0.22/24", "192.168.2.22/24"].map(|a| a.parse().expect("a network")).to_vec(),
        fingerprint: "AB:CD".into(),
    })
}
