//! The Firewall Lock-down form: whether it is on, and from where administrators come.

use super::{
    edit::{Object, Standing, Typed, Values},
    form::{Field, Form, Section},
    parse,
};
use lb_model::{Config, Lockdown};
use std::net::IpAddr;

/// For whoever sits at `client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockdownForm {
    pub client: IpAddr,
}

impl LockdownForm {
    /// Fills in the client's own network where none is named yet. Who sits at the unit itself needs none.
    pub fn suggest(self, config: &Config, form: &mut Form) {
        for field in form.fields_mut().filter(|f| f.name == "networks" && f.value.is_empty()) {
            if !self.client.is_loopback() {
                field.value = config.likely_management_network(self.client).to_string();
            }
        }
    }
}

impl Object for LockdownForm {
    fn title(&self) -> String {
        "Firewall Lock-down".into()
    }

    fn name(&self) -> String {
        self.title()
    }

    fn standing(&self, config: &Config) -> Standing {
        let Lockdown { enabled, networks } = &config.globals.lockdown;
        let enabled = if *enabled { "on" } else { "" };
        Standing::There(Values::from([("enabled", enabled.to_owned()), ("networks", parse::joined(networks))]))
    }

    fn sections(&self, _: &Config, _: &Values) -> Vec<Section> {
        let enabled = Field::checkbox("enabled", "Lock-down", "lockdown")
            .hint("SSH and the web interface take new connections from the management networks only");
        let hint = format!("One a line, at most {}; you come from {}", Lockdown::MOST_NETWORKS, self.client);
        let networks = Field::area("networks", "Management networks", "management-networks", 5)
            .placeholder("192.168.2.0/24")
            .hint(hint);
        vec![Section::new("", vec![enabled, networks])]
    }

    fn pointer(&self, _: &Config) -> Option<String> {
        Some("/globals/lockdown".into())
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let admitted = config.admits(self.client);
        let lockdown = &mut config.globals.lockdown;
        lockdown.enabled = typed.on("enabled");
        typed.put("networks", &mut lockdown.networks, |text| parse::lines(text, parse::network));
        // Where none is named nobody gets in, which is a problem of its own.
        if admitted && !lockdown.networks.is_empty() && !config.admits(self.client) {
            let mine = config.likely_management_network(self.client);
            typed.wrong("networks", format!("You come from {}, and would be locked out; add {mine}", self.client));
        }
        "/globals/lockdown".into()
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        Some(if tail.starts_with("/networks") { "networks" } else { "enabled" })
    }
}
