//! What the small lbd says of a pair, well and hurt.

use lb_api::*;
use lb_model::NodeId;

/// 2026-11-21 04:00:00 UTC
const NOW: u64 = 1_795_233_600;
const FINGERPRINT: &str =
    "9f:86:d0:81:88:4c:7d:65:9a:2f:ea:a0:c5:5a:d0:15:a3:bf:4f:1b:2b:0b:82:2c:d1:5d:6c:15:b0:f0:0a:08";

fn floating(address: &str, interface: &str, vip: bool) -> FloatingView {
    let interface = interface.parse().expect("name");
    FloatingView { address: address.parse().expect("address"), interface, vip, here: true }
}

fn path(name: &str, serial: bool, latency: u64) -> PathView {
    PathView { name: name.into(), serial, up: true, loss_percent: Some(0), latency_us: Some(latency), error: None }
}

pub fn healthy() -> HaView {
    HaView {
        role: HaRole::Active,
        unit: Some(NodeId::One),
        since: Some(NOW),
        why: "Serves: lbslave was silent on every path for 400 ms.".into(),
        edits: true,
        floating: vec![floating("10.0.0.20", "eth0", true), floating("192.168.2.20", "eth1", false)],
        paths: vec![path("ttyS1", true, 6210), path("10.0.0.22", false, 213)],
        peer: Some(PeerView {
            hostname: "lbslave".into(),
            role: HaRole::Standby,
            heard: true,
            fit: true,
            hot: true,
            web: Some("https://10.0.0.22:9443".into()),
            fingerprint: FINGERPRINT.into(),
        }),
        unfit: vec![],
        hot: true,
        replication: Some(ReplicationView { state: ReplicationState::InSync, last: Some(NOW), detail: String::new() }),
        alarms: vec![],
    }
}

pub fn hurt(view: &mut HaView) {
    view.paths[0].up = false;
    view.paths[0].loss_percent = Some(100);
    view.paths[0].latency_us = None;
    view.paths[0].error = Some("nothing is heard on the cable".into());
    view.replication = Some(ReplicationView {
        state: ReplicationState::Diverged,
        last: Some(NOW),
        detail: "revision 7 here and revision 9 at lbslave both follow revision 6".into(),
    });
    view.alarms.push("the configurations have diverged".into());
}

fn paired(unit: NodeId) -> PairingView {
    let (hostname, addresses) = match unit {
        NodeId::One => ("lbslave", ["10.0.0.22/24", "192.168.2.22/24"]),
        NodeId::Two => ("lbmaster", ["10.0.0.21/24", "192.168.2.21/24"]),
    };
    let addresses = addresses.map(|a| a.parse().expect("network")).to_vec();
    PairingView::Done(PairedView { unit, hostname: hostname.into(), addresses, fingerprint: FINGERPRINT.into() })
}

pub fn waits_and_is_called() -> Vec<PairingView> {
    let waiting = PairingView::Waiting {
        code: "1234 5678".into(),
        until: NOW + 600,
        serial_error: Some("there is no /dev/ttyS1".into()),
    };
    let working = PairingView::Working { text: "The master calls from 10.0.0.21.".into() };
    vec![waiting.clone(), waiting, working, paired(NodeId::Two)]
}

pub fn no_answer() -> Vec<PairingView> {
    let working = PairingView::Working { text: "Calling over the null-modem cable.".into() };
    let (reason, hint) =
        ("nobody answers on the null-modem cable", "is the slave waiting, and the cable in both units?");
    vec![working, PairingView::Failed { reason: reason.into(), hint: hint.into() }]
}

pub fn answers() -> Vec<PairingView> {
    vec![PairingView::Working { text: "Calling 10.0.0.22.".into() }, paired(NodeId::One)]
}

pub fn refusal() -> ApiError {
    ApiError::new(ErrorCode::Conflict, "this unit does not have the clients' connections yet")
        .hint("wait until it has them, or force it: connections are lost then")
}
