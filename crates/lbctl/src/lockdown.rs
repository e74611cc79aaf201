//! `lbctl lockdown`: from which networks SSH and the web interface are reached.
//!
//! An edit of the candidate like every other one. Whoever sits behind SSH is refused what would lock them out before
//! anything is sent; lbd refuses it again when it is applied. Tested by `tests/stories/lockdown.txt`.

use crate::{
    cli::EditOptions,
    error::Error,
    session::{Answer, Session},
};
use clap::Subcommand;
use ipnet::IpNet;
use lb_model::{Config, MANAGEMENT_PORTS};
use std::net::IpAddr;

#[derive(Debug, Subcommand)]
pub enum LockdownCommand {
    /// Show whether it is on, and who gets through
    Show,
    /// Turn it on: new connections from these networks only
    On {
        /// Of administrators, instead of those set before; several apart by commas
        #[arg(long, value_name = "NETWORK", value_delimiter = ',', value_parser = crate::parse::network)]
        from: Vec<IpNet>,
        #[command(flatten)]
        options: EditOptions,
    },
    /// Turn it off: connections from everywhere
    Off {
        #[command(flatten)]
        options: EditOptions,
    },
}

impl Session {
    pub fn lockdown(&self, command: &LockdownCommand) -> Result<Answer, Error> {
        match command {
            LockdownCommand::Show => self.show_lockdown(),
            LockdownCommand::On { from, options } => self.edit(options, |config| on(config, from, self.from)),
            LockdownCommand::Off { options } => self.edit(options, |config| {
                let mut config = config.clone();
                config.globals.lockdown.enabled = false;
                Ok(config)
            }),
        }
    }

    fn show_lockdown(&self) -> Result<Answer, Error> {
        let config = self.client.running()?.config;
        let mut text = shown(&config, self.from);
        if self.client.candidate()?.config.globals.lockdown != config.globals.lockdown {
            text += "A change of it is pending: lbctl diff\n";
        }
        Answer::new(text, &config.globals.lockdown)
    }
}

fn on(config: &Config, networks: &[IpNet], client: Option<IpAddr>) -> Result<Config, Error> {
    let mut new = config.clone();
    let lockdown = &mut new.globals.lockdown;
    lockdown.enabled = true;
    if !networks.is_empty() {
        lockdown.networks = networks.to_vec();
    }
    if lockdown.networks.is_empty() {
        let hint = format!("lbctl lockdown on --from {}", suggested(config, client));
        return Err(Error::request("no management network is known: nobody could reach this unit", Some(hint)));
    }
    if let Some(client) = client.filter(|client| config.admits(*client) && !new.admits(*client)) {
        let mine = new.likely_management_network(client);
        let more: Vec<String> = new.globals.lockdown.networks.iter().chain([&mine]).map(IpNet::to_string).collect();
        let hint = format!("lbctl lockdown on --from {}", more.join(","));
        return Err(Error::request(format!("you come from {client}, and would be locked out"), Some(hint)));
    }
    Ok(new)
}

/// Where administrators may well be: where this one is, or the network of the first card.
fn suggested(config: &Config, client: Option<IpAddr>) -> String {
    let first = || config.node.interfaces.iter().flat_map(|interface| &interface.addresses).next().map(IpNet::trunc);
    let network = client.map(|client| config.likely_management_network(client)).or_else(first);
    network.map_or_else(|| "NETWORK".to_owned(), |network| network.to_string())
}

fn shown(config: &Config, client: Option<IpAddr>) -> String {
    let lockdown = &config.globals.lockdown;
    let ports: Vec<String> = MANAGEMENT_PORTS.iter().map(u16::to_string).collect();
    let ports = ports.join(", ");
    let networks: Vec<String> = lockdown.networks.iter().map(IpNet::to_string).collect();
    match lockdown.enabled {
        true => format!(
            "Firewall lock-down: on\nManagement networks: {}\nPorts {ports} of this unit take new connections from there only.\n\
             Virtual servers stay open to all.\nhint: lbctl lockdown off --apply opens them to everybody again\n",
            networks.join(", ")
        ),
        false => {
            let known = if networks.is_empty() { suggested(config, client) } else { networks.join(",") };
            format!(
                "Firewall lock-down: off\nPorts {ports} of this unit take connections from everywhere.\n\
                 hint: lbctl lockdown on --from {known}\n"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_model::factory;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    /// Not so at the console, where nobody can be locked out.
    #[test]
    fn nobody_locks_themselves_out() {
        let client = Some([192, 168, 2, 77].into());
        let error = on(&factory(), &[net("10.0.0.0/8")], client).expect_err("refused").text();
        assert_eq!(
            error,
            "error: you come from 192.168.2.77, and would be locked out\n\
             hint: lbctl lockdown on --from 10.0.0.0/8,192.168.2.0/24\n"
        );
        assert!(on(&factory(), &[net("10.0.0.0/8"), net("192.168.2.77/32")], client).is_ok());
        assert!(on(&factory(), &[net("10.0.0.0/8")], None).is_ok());
    }

    /// A session of before the lock-down goes on, and may change what does not concern it.
    #[test]
    fn whom_it_leaves_out_already_may_edit_it() {
        let client = Some([192, 168, 2, 77].into());
        let locked = on(&factory(), &[net("10.0.0.0/8")], None).expect("locked");
        let more = on(&locked, &[net("10.0.0.0/8"), net("172.16.0.0/12")], client).expect("changed");
        assert_eq!(more.globals.lockdown.networks.len(), 2);
    }
}
