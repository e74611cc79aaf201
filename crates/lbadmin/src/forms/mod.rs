//! The forms: what is typed in them, and what becomes of it in the configuration. Pure.
//!
//! A [`Form`] is data that a template renders. Each object of the configuration has an editor, which is
//! an [`Edit`]: `form` shows the object as it stands, `read` makes of what was posted a new
//! configuration, or gives the form back with every error at its field and everything typed kept.
//! What a field did not change stays as it is stored, whether the form could have said it or not.
//!
//! Two administrators: a form carries a fingerprint of each of its values ([`Form::seen`]). When somebody
//! else changed one of them meanwhile, `read` answers [`Refused::Conflict`] with a form that says
//! what, and that overwrites when it is sent again.
//!
//! Refuses: fields it did not ask for, and problems that were not there before. Tested by golden texts,
//! by reading back the forms of random configurations, and by garbage.

mod agent;
mod edit;
mod fallback_page;
mod floating_ip;
mod form;
mod globals;
mod health_check;
mod heartbeat;
pub mod layer7;
mod lockdown;
mod network;
mod parse;
mod places;
mod posted;
mod real_server;
mod virtual_server;

pub use edit::{Edit, Refused, Removal, Remove};
pub use fallback_page::FallbackPageForm;
pub use floating_ip::FloatingIpForm;
pub use form::{Field, Form, Kind, Section, wrong};
pub use globals::GlobalsForm;
pub use heartbeat::{HeartbeatForm, Proposal};
pub use layer7::{Layer7RealServerForm, Layer7VirtualServerForm};
pub use lockdown::LockdownForm;
pub use network::{DnsForm, InterfaceForm, RoutingForm};
pub use places::{new_problems, place};
pub use posted::Posted;
pub use real_server::RealServerForm;
pub use virtual_server::{VirtualServerForm, scheduler_phrase};

/// Every anchor in the help pages that some form's `?` leads to.
pub fn help_anchors() -> Vec<&'static str> {
    let mut config = lb_model::factory();
    let mut forms = vec![
        VirtualServerForm::add().form(&config),
        Layer7VirtualServerForm::add().form(&config),
        InterfaceForm::add().form(&config),
        DnsForm.form(&config),
        RoutingForm.form(&config),
        GlobalsForm.form(&config),
        FallbackPageForm.form(&config),
        LockdownForm { client: std::net::Ipv4Addr::LOCALHOST.into() }.form(&config),
        FloatingIpForm::add().form(&config),
        HeartbeatForm::of(Some(Proposal::default())).form(&config),
    ];
    if let (Ok(label), Ok(address)) = ("VIP".parse::<lb_model::Label>(), "192.168.2.21:80".parse()) {
        let address: std::net::SocketAddr = address;
        let layer7 = lb_model::Layer7VirtualServer::new(label.clone(), address.ip(), address.port().into());
        config.layer7.virtual_servers.push(layer7);
        forms.push(Layer7RealServerForm::add("VIP").form(&config));
        config.virtual_servers.push(virtual_server::blank(label, address.ip(), address.port()));
        forms.push(RealServerForm::add("VIP").form(&config));
    }
    let forms = forms.into_iter().flatten();
    let mut anchors: Vec<_> = forms.flat_map(|f| f.sections).flat_map(|s| s.fields).map(|f| f.help).collect();
    anchors.sort_unstable();
    anchors.dedup();
    anchors
}

/// Compares with `tests/forms/<name>`; `UPDATE_GOLDEN=1` rewrites it.
#[cfg(test)]
pub(crate) fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forms").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("writing the golden text");
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

#[cfg(test)]
mod tests;
