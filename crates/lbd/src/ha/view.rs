//! What the HA page says, from what the heartbeat, the configuration and the peer say.

use lb_api::{FloatingView, HaRole, HaView, PathView, PeerView, ReplicationView};
use lb_ha::{State, control::Report, document::Transport};
use lb_model::Config;

/// `now`: Unix seconds. `heartbeat`: its status, or why there is none. `peer`, `replication`: as the peer's channel
/// knows them; what the heartbeat knows better is put in here.
pub fn view(
    config: &Config,
    heartbeat: Result<Report, String>,
    peer: Option<PeerView>,
    replication: Option<ReplicationView>,
    edits: bool,
    alarms: &[String],
    now: u64,
) -> HaView {
    let single = HaView { edits, alarms: alarms.to_vec(), peer, replication, ..HaView::default() };
    let Some((unit, _)) = config.pair() else { return HaView { replication: None, ..single } };
    let vip = |address| config.virtual_servers.iter().any(|vs| vs.service.address() == Some(address));
    let holds = heartbeat.as_ref().is_ok_and(|report| report.status.holds);
    let floating = lb_plan::floating(config).into_iter().map(|floating| FloatingView {
        address: floating.net.addr(),
        interface: floating.interface,
        vip: vip(floating.net.addr()),
        here: holds,
    });
    let view = HaView { unit: Some(unit), floating: floating.collect(), ..single };
    let report = match heartbeat {
        Ok(report) => report,
        Err(why) => {
            let peer = view.peer.map(|peer| PeerView { role: HaRole::Unknown, heard: false, ..peer });
            return HaView { role: HaRole::Unknown, why: why.clone(), unfit: vec![why], peer, ..view };
        }
    };
    let status = &report.status;
    let paths = status.paths.iter().enumerate().map(|(number, (name, quality))| PathView {
        name: name.clone(),
        serial: matches!(report.document.transports.get(number), Some(Transport::Serial(_))),
        up: quality.up,
        loss_percent: quality.up.then(|| u8::try_from(quality.loss_permille.div_ceil(10).min(100)).unwrap_or(100)),
        latency_us: quality.round_trip_us.filter(|_| quality.up),
        error: report.path_errors.get(number).cloned().flatten(),
    });
    let said = status.peer.as_ref();
    let peer = view.peer.map(|peer| PeerView {
        role: said.filter(|peer| peer.alive).map_or(HaRole::Unknown, |peer| role(peer.word.state, false)),
        heard: said.is_some_and(|peer| peer.alive),
        fit: said.is_some_and(|peer| peer.word.fit),
        hot: said.is_some_and(|peer| peer.word.hot),
        ..peer
    });
    let mut alarms = view.alarms;
    alarms.extend(status.alarms.iter().map(ToString::to_string));
    HaView {
        role: role(status.state, status.maintenance),
        since: Some(now.saturating_sub(report.for_how_long().as_secs())),
        why: status.because.clone(),
        paths: paths.collect(),
        peer,
        unfit: status.unfit.clone(),
        hot: status.hot,
        alarms,
        ..view
    }
}

fn role(state: State, maintenance: bool) -> HaRole {
    match state {
        State::Active => HaRole::Active,
        State::Standby if maintenance => HaRole::Maintenance,
        State::Standby => HaRole::Standby,
        State::Claiming | State::Taking | State::Acquiring => HaRole::Taking,
        State::Releasing | State::Leaving => HaRole::Releasing,
        State::Starting => HaRole::Starting,
        State::Stopped => HaRole::Stopped,
    }
}
