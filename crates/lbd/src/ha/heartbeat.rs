//! heartbeat's status socket, from lbd's side.

use crate::hot::View;
use lb_ha::control::{Reply, Report, Request};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

/// A status answers at once; a command when the other unit has done its part, or has not in time.
const STATUS: Duration = Duration::from_secs(1);
const COMMAND: Duration = Duration::from_secs(30);
/// The status is looked at this often: so long a unit that has handed over may not know it, and keeps its youngest
/// connections to itself.
const EVERY: Duration = Duration::from_millis(200);

/// heartbeat's status socket.
#[derive(Debug, Clone)]
pub struct Heartbeat(PathBuf);

impl Heartbeat {
    pub fn at(socket: &Path) -> Heartbeat {
        Heartbeat(socket.to_owned())
    }

    /// Or why there is none.
    pub async fn status(&self) -> Result<Report, String> {
        match self.ask(&Request::Status, STATUS).await? {
            Reply::Status(report) => Ok(*report),
            Reply::Error { text } | Reply::Refused { text, .. } => Err(text),
            Reply::Done => Err("the heartbeat answers something else than its status".into()),
        }
    }

    /// Done, or the refusal's sentence.
    pub async fn command(&self, request: &Request) -> Result<(), String> {
        match self.ask(request, COMMAND).await? {
            Reply::Done => Ok(()),
            Reply::Refused { text, .. } | Reply::Error { text } => Err(text),
            Reply::Status(_) => Err("the heartbeat answers with its status".into()),
        }
    }

    async fn ask(&self, request: &Request, patience: Duration) -> Result<Reply, String> {
        let spoken = async {
            let mut stream = BufReader::new(UnixStream::connect(&self.0).await?);
            let mut line = serde_json::to_string(request)?;
            line.push('\n');
            stream.write_all(line.as_bytes()).await?;
            line.clear();
            stream.read_line(&mut line).await?;
            std::io::Result::Ok(serde_json::from_str::<Reply>(&line)?)
        };
        match timeout(patience, spoken).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(format!("the heartbeat does not answer on {}: {error}", self.0.display())),
            Err(_) => Err(format!("the heartbeat has not answered for {} s", patience.as_secs())),
        }
    }

    /// Lets it know for ever whether this unit has all connections: when that changes, and when it has forgotten it.
    pub async fn keep_hot(self, mut hot: watch::Receiver<View>, mut seen: watch::Receiver<Option<Report>>) {
        loop {
            let wanted = hot.borrow_and_update().hot;
            let said = seen.borrow_and_update().as_ref().map(|report| report.status.hot);
            if said.is_some_and(|said| said != wanted) && self.ask(&Request::Hot(wanted), STATUS).await.is_err() {
                tracing::warn!("the heartbeat was not told that this unit is hot: {wanted}");
            }
            let changed = tokio::select! {
                changed = hot.changed() => changed,
                changed = seen.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Looks for ever; the receiver has the newest status, none while there is none.
    pub async fn watch(self, seen: watch::Sender<Option<Report>>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let report = self.status().await.ok();
            seen.send_replace(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_ha::{Event, Node, Start, Time};
    use std::sync::{Arc, Mutex};
    use tokio::net::UnixListener;

    /// A heartbeat's core behind its socket, and what it was told.
    async fn daemon(socket: PathBuf, told: Arc<Mutex<Vec<bool>>>) {
        let text = include_str!("../../../lb-model/tests/cases/pair-two-arm.json");
        let document = crate::ha::document(&serde_json::from_str(text).expect("a configuration")).expect("a pair");
        let (me, settings) = (document.me, document.settings.clone());
        let mut out = Vec::new();
        let mut node = Node::start(Start { me, boot: 1, nonce: 1, settings, at: Time(0) }, &mut out).expect("a node");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).expect("a socket");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            if stream.read_line(&mut line).await.is_err() {
                continue;
            }
            let reply = match serde_json::from_str(&line).expect("a request") {
                Request::Status => Reply::Status(Box::new(Report {
                    now: 0,
                    status: node.status(Time(0)),
                    document: document.clone(),
                    path_errors: Vec::new(),
                    degraded: Vec::new(),
                })),
                Request::Hot(hot) => {
                    told.lock().expect("the list").push(hot);
                    node.handle(Event::Hot(hot), Time(0), &mut out);
                    Reply::Done
                }
                other => panic!("{other:?}"),
            };
            let _ = stream.write_all((serde_json::to_string(&reply).expect("a reply") + "\n").as_bytes()).await;
        }
    }

    #[test]
    fn the_heartbeat_is_told_when_it_changes_and_when_it_has_forgotten() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let dir = tempfile::tempdir().expect("a directory");
            let socket = dir.path().join("heartbeat.sock");
            let heartbeat = Heartbeat::at(&socket);
            let (view, hot) = watch::channel(View::default());
            let (seen, reports) = watch::channel(None);
            tokio::spawn(heartbeat.clone().watch(seen));
            tokio::spawn(heartbeat.keep_hot(hot, reports.clone()));
            let told = Arc::new(Mutex::new(Vec::new()));
            let says = async |hot: bool| {
                let mut reports = reports.clone();
                let known = reports.wait_for(|seen| seen.as_ref().is_some_and(|seen| seen.status.hot == hot));
                timeout(Duration::from_secs(30), known).await.expect("in time").expect("watched");
            };
            let first = tokio::spawn(daemon(socket.clone(), told.clone()));
            says(false).await;
            // It is so already.
            assert_eq!(told.lock().expect("the list").as_slice(), [false; 0]);
            view.send_modify(|view| view.hot = true);
            says(true).await;
            view.send_modify(|view| view.hot = false);
            says(false).await;
            view.send_modify(|view| view.hot = true);
            says(true).await;
            first.abort();
            let _ = first.await;
            let again = Arc::new(Mutex::new(Vec::new()));
            let _second = tokio::spawn(daemon(socket, again.clone()));
            let mut waiting = tokio::time::interval(Duration::from_millis(10));
            let told_again = async {
                while again.lock().expect("the list").first() != Some(&true) {
                    waiting.tick().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), told_again).await.expect("within a minute");
            assert!(told.lock().expect("the list").starts_with(&[true]));
        });
    }
}
