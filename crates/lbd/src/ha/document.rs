//! From the configuration to `/run/lb/ha.json`.

use ipnet::IpNet;
use lb_ha::{
    document::{DOCUMENT_VERSION, Document, Floating, Transport, Udp, frame_ms},
    settings::{Path as BeatPath, Settings},
};
use lb_model::{Config, Heartbeat, HeartbeatPath, NodeId, Problem};
use std::{
    io::{ErrorKind, Write},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// What heartbeat obeys; none on a single unit.
pub fn document(config: &Config) -> Option<Document> {
    let (me, heartbeat) = config.pair()?;
    // With the prefix of their network: what else is in it says where a witness can be asked.
    let floating = config.floating().into_iter().filter_map(|address| {
        let (interface, network) = config.interface_to(address)?;
        let net = IpNet::new(address, network.prefix_len()).ok()?;
        Some(Floating { interface: interface.name.clone(), net })
    });
    let transports: Vec<Transport> = heartbeat.paths.iter().map(|path| transport(config, me, path)).collect();
    Some(Document {
        version: DOCUMENT_VERSION,
        me,
        settings: settings(config, me, heartbeat, &transports),
        floating: floating.collect(),
        transports,
    })
}

/// What heartbeat would not obey, said of the configuration. The rest is found by [`lb_model::problems`].
pub fn problems(config: &Config) -> Vec<Problem> {
    let found = document(config).map(|document| document.problems()).unwrap_or_default();
    found.into_iter().map(|problem| Problem { path: at(&problem.path), ..problem }).collect()
}

/// Where in the configuration a field of the document comes from.
fn at(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        ["settings", "paths", number, ..] | ["transports", number, ..] => format!("/heartbeat/paths/{number}"),
        ["settings", rest @ ..] => format!("/heartbeat/{}", rest.join("/")),
        ["floating", ..] => "/floating_ips".to_owned(),
        _ => "/heartbeat".to_owned(),
    }
}

fn settings(config: &Config, me: NodeId, heartbeat: &Heartbeat, transports: &[Transport]) -> Settings {
    let many = transports.len();
    let paths = heartbeat.paths.iter().zip(transports).map(|(path, transport)| BeatPath {
        name: name(config, me, path, &heartbeat.paths),
        min_interval_ms: match transport {
            // A beat that takes longer on the line than the time between two of them goes out less often.
            Transport::Serial(serial) => Some(frame_ms(serial.baud, many)).filter(|ms| *ms > heartbeat.keepalive_ms),
            Transport::Udp(_) => None,
        }
        .unwrap_or_default(),
    });
    Settings { paths: paths.collect(), ..Settings::from(heartbeat) }
}

/// `ttyS1`; `eth0`, or where two paths use one card, `eth0 to 10.0.0.22`.
fn name(config: &Config, me: NodeId, path: &HeartbeatPath, all: &[HeartbeatPath]) -> String {
    let card = |address: IpAddr| config.interface_to(address).map(|(interface, _)| interface.name.to_string());
    match path {
        HeartbeatPath::Serial(serial) => serial.device.trim_start_matches("/dev/").to_owned(),
        HeartbeatPath::Udp(udp) => {
            let mine = card(udp.of(me));
            let same = |other: &&HeartbeatPath| match other {
                HeartbeatPath::Udp(other) => card(other.of(me)) == mine,
                HeartbeatPath::Serial(_) => false,
            };
            let peer = udp.of(me.other());
            match mine {
                Some(card) if all.iter().filter(same).count() == 1 => card,
                Some(card) => format!("{card} to {peer}"),
                None => peer.to_string(),
            }
        }
    }
}

fn transport(config: &Config, me: NodeId, path: &HeartbeatPath) -> Transport {
    match path {
        HeartbeatPath::Serial(serial) => Transport::Serial(serial.clone()),
        HeartbeatPath::Udp(udp) => {
            let link_local = matches!(udp.of(me), IpAddr::V6(address) if address.is_unicast_link_local());
            let card = config.interface_to(udp.of(me)).map(|(interface, _)| interface.name.clone());
            Transport::Udp(Udp {
                local: SocketAddr::new(udp.of(me), udp.port),
                peer: SocketAddr::new(udp.of(me.other()), udp.port),
                interface: card.filter(|_| link_local),
            })
        }
    }
}

/// The file, kept equal to what runs.
#[derive(Debug)]
pub struct HaFile(PathBuf);

impl HaFile {
    /// `run`: where what lasts until the next boot is.
    pub fn below(run: &Path) -> HaFile {
        HaFile(run.join("ha.json"))
    }

    /// Writes it if it differs, removes it where there is no pair.
    pub fn keep(&mut self, document: Option<Document>) -> Result<(), String> {
        let said = |error: std::io::Error| {
            format!("{} cannot be written, so the heartbeat does not know the new settings: {error}", self.0.display())
        };
        let Some(document) = document else {
            return match std::fs::remove_file(&self.0) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(said(error)),
                _ => Ok(()),
            };
        };
        let mut text = serde_json::to_string_pretty(&document).map_err(|error| said(error.into()))?;
        text.push('\n');
        if std::fs::read_to_string(&self.0).is_ok_and(|there| there == text) {
            return Ok(());
        }
        let beside = self.0.with_extension("json.new");
        let write = || {
            std::fs::File::create(&beside)?.write_all(text.as_bytes())?;
            std::fs::rename(&beside, &self.0)
        };
        write().map_err(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_model::Witness;

    fn pair() -> Config {
        let text = include_str!("../../../lb-model/tests/cases/pair-two-arm.json");
        serde_json::from_str(text).expect("a configuration")
    }

    #[test]
    fn a_pair_becomes_a_document_that_heartbeat_obeys() {
        let config = pair();
        assert_eq!(problems(&config), []);
        let document = document(&config).expect("a pair");
        let names: Vec<&str> = document.settings.paths.iter().map(|path| path.name.as_str()).collect();
        assert_eq!(names, ["ttyS1", "eth0", "eth1"]);
        let floating: Vec<String> =
            document.floating.iter().map(|floating| format!("{} {}", floating.interface, floating.net)).collect();
        assert_eq!(floating, ["eth0 10.0.0.20/24", "eth1 192.168.2.20/24"]);
    }

    #[test]
    fn the_witness_is_asked_on_the_card_of_its_network() {
        let mut config = pair();
        let heartbeat = config.heartbeat.as_mut().expect("a pair");
        heartbeat.witness = Some(Witness::Address([10, 0, 0, 31].into()));
        assert_eq!(problems(&config), []);
        let document = document(&config).expect("a pair");
        assert_eq!(document.witness_interface().map(ToString::to_string), Some("eth0".to_owned()));
    }

    #[test]
    fn what_heartbeat_would_not_obey_is_said_of_the_configuration() {
        let mut config = pair();
        let heartbeat = config.heartbeat.as_mut().expect("a pair");
        (heartbeat.keepalive_ms, heartbeat.warntime_ms, heartbeat.deadtime_ms) = (10, 25, 50);
        let HeartbeatPath::Serial(serial) = &mut heartbeat.paths[0] else { unreachable!() };
        serial.baud = 4800;
        let found = problems(&config);
        assert_eq!(found.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), ["/heartbeat/paths/0"], "{found:?}");
    }

    #[test]
    fn the_file_is_written_once_and_goes_with_the_pair() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = HaFile::below(dir.path());
        let config = pair();
        file.keep(document(&config)).expect("written");
        let at = dir.path().join("ha.json");
        let first = std::fs::metadata(&at).expect("there").modified().expect("a time");
        file.keep(document(&config)).expect("the same");
        assert_eq!(std::fs::metadata(&at).expect("there").modified().expect("a time"), first);
        let read: Document = serde_json::from_slice(&std::fs::read(&at).expect("read")).expect("a document");
        assert_eq!(Some(read), document(&config));
        file.keep(None).expect("removed");
        assert!(!at.exists());
        file.keep(None).expect("nothing to remove");
    }
}
