//! heartbeat's status socket, from lbd's side.

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
/// The status is looked at this often.
const EVERY: Duration = Duration::from_millis(500);

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
