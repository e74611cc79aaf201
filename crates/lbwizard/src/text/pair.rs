//! What the wizard prints while two units become a pair.

use super::wrapped;
use crate::settings::{Pair, Settings};
use ipnet::IpNet;
use lb_api::{ClientError, HaView, PairedView, ReplicationState};
use lb_model::Config;
use std::net::Ipv4Addr;

pub const CODE: &str = "Code that the slave shows";
/// What Enter means there.
pub const CABLE_AGAIN: &str = "try the cable again";
pub const CODE_HELP: &str = "\
The slave's wizard waits for this unit, and shows a code of eight digits. It
is valid for ten minutes. Enter tries the null-modem cable instead.";
pub const CALLING_CABLE: &str =
    "\nPairing with the slave over the null-modem cable; nothing is typed.\nThis takes up to a minute.";
pub const SET_NETWORK: &str = "Press Enter to set this unit's own addresses now, or Ctrl-C to exit.[]";
pub const NEW_CODE: &str = "Press Enter to wait again, with a new code, or Ctrl-C to exit.[]";
pub const PAIRING_STAYS: &str = "But the units stay paired: lbwizard goes on from there;\nlbctl ha unpair ends it.";
pub const STOPPED: &str =
    "This unit no longer waits. What was set up stays; lbwizard waits again, or:\n  lbctl ha pair wait";
pub const WAITS_ON: &str = "This unit waits on by itself. What was set up stays.";
pub const UNCHANGED: &str = "Nothing was changed.";
pub const UNDONE: &str = "This unit's own addresses are as they were before. Nothing was changed.";

/// Where undoing did not work.
pub fn not_undone(before: u64, error: &ClientError) -> String {
    format!(
        "This unit's own addresses could not be set back now: {error}\n\
         They go back by themselves within half an hour.\nhint: lbctl rollback {before}"
    )
}

/// The cable gave nothing, so the network must.
pub fn over_the_network(reason: &str, slave: Ipv4Addr, set: bool) -> String {
    let mut text = format!("\n{}\n", wrapped(&format!("The cable gives nothing: {reason}"), 2));
    text += &wrapped(&format!("So the units are paired over the network; the slave is {slave}."), 0);
    if set {
        text += "\nFor that this unit's own addresses must be set first. They go back when you\n\
                 leave before the end. Whoever is here over the network may lose the line: use\n\
                 the console.";
    }
    text
}

pub fn paired(view: &PairedView) -> String {
    let lines = [
        format!("\nPaired with {} ({}).", view.hostname, addresses(view)),
        "Its certificate's SHA-256 fingerprint:".to_owned(),
    ];
    format!("\n{}\n{}", lines.map(|l| wrapped(l.trim(), 2)).join("\n"), fingerprint(&view.fingerprint))
}

fn addresses(view: &PairedView) -> String {
    view.addresses.iter().map(|a: &IpNet| a.addr().to_string()).collect::<Vec<_>>().join(", ")
}

/// In two lines, as one has 95 columns.
fn fingerprint(text: &str) -> String {
    let bytes: Vec<&str> = text.split(':').collect();
    bytes.chunks(16).map(|half| format!("  {}", half.join(":"))).collect::<Vec<_>>().join("\n")
}

/// The unit on the cable, or behind the code, is another than the one that was named.
pub fn another(view: &PairedView, slave: Ipv4Addr) -> Option<String> {
    let known = view.addresses.iter().any(|net| net.addr() == slave);
    (!known).then(|| wrapped(&format!("note: it has no address {slave}; its own addresses are used"), 6))
}

pub fn already(view: &PairedView) -> String {
    wrapped(&format!("This unit is paired already, with {} ({}).", view.hostname, addresses(view)), 2)
}

/// What the slave shows while it waits; `minutes` how long the code is valid.
pub fn waiting(settings: &Settings, code: &str, minutes: u64, serial_error: Option<&str>) -> String {
    let cable = match serial_error {
        None => "With a null-modem cable between the two units nothing is typed.".to_owned(),
        Some(error) => format!("The null-modem cable cannot be used here: {error}"),
    };
    format!(
        "\nThis unit waits for the master. Go there, and type lbwizard.\n\
         {}\n\
         Without the cable the master asks for this unit's address and for a code:\n\
         \n\
         \x20     address  {}\n\
         \x20     code     {code}      valid for {minutes} minute{}\n\
         \n\
         Ctrl-C stops waiting, and leaves this unit as it was set up.",
        wrapped(&cable, 2),
        settings.network.eth0.addr(),
        if minutes == 1 { "" } else { "s" },
    )
}

/// What the slave says in the end.
pub fn slave_done(view: &PairedView, settings: &Settings) -> String {
    let eth0 = settings.network.eth0.addr();
    format!(
        "{}\n\n{}\n\n\
         See it in a browser, or here:\n\
         \x20 https://{eth0}:9443/lbadmin/\n\
         \x20 lbctl ha",
        paired(view),
        wrapped(
            "This unit is the slave. Its virtual servers come from the master as soon as the master's wizard is done.",
            0
        ),
    )
}

/// How far the pair is; `None`: not far enough, ask again. An error: it will not get there by itself.
pub fn in_sync(view: &HaView) -> Option<Result<(), (String, String)>> {
    let replication = view.replication.as_ref()?;
    let hint = match replication.state {
        ReplicationState::InSync => return Some(Ok(())),
        ReplicationState::Behind | ReplicationState::Unreachable => return None,
        ReplicationState::Refused => "change what the slave cannot run; it is sent again with every change",
        ReplicationState::Diverged => "lbctl ha resolve mine sends this unit's configuration",
    };
    Some(Err((replication.detail.clone(), hint.to_owned())))
}

/// What the master says once the configuration has arrived.
pub fn master_done(view: &HaView, pair: &Pair, config: &Config) -> String {
    let mut text = wrapped(&format!("{} has the same configuration.", pair.peer.hostname), 0);
    let floating = config.floating().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    text += "\n";
    text += &match view.role {
        lb_api::HaRole::Active => wrapped(&format!("This unit is active: it holds {floating}."), 2),
        role => wrapped(&format!("This unit is {role}; lbctl ha shows when it holds {floating}."), 2),
    };
    let down: Vec<&str> = view.paths.iter().filter(|p| !p.up).map(|p| p.name.as_str()).collect();
    if !down.is_empty() {
        let sentence = format!("note: nothing is heard yet on {}; lbctl ha shows when it is", down.join(", "));
        text += &format!("\n{}", wrapped(&sentence, 6));
    }
    text
}
