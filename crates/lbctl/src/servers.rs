//! Virtual and real servers: adding, removing, taking on and off.
//!
//! Owns the finding of servers by label or address, with suggestions for mistyped ones.

use crate::{
    cli::{RipAdd, Server, VipAdd},
    error::Error,
    parse::{AddressPort, AddressPorts, CheckType, Fallback},
    session::{Answer, Session},
    suggest::closest,
    text,
};
use lb_api::StateRequest;
use lb_model::{
    Check, CheckMethod, Config, FallbackServer, Family, FirewallMark, Negotiate, Persistence, RealServer,
    RequestedState, Service, VirtualServer,
};

/// Appends the virtual server.
pub fn add_vip(config: &Config, args: &VipAdd) -> Result<Config, Error> {
    if config.virtual_server(args.label.as_str()).is_some() {
        let hint = format!("change it with lbctl config set virtual_servers.{}.…", args.label);
        return Err(Error::request(format!("there is a virtual server {} already", args.label), Some(hint)));
    }
    let mut config = config.clone();
    config.virtual_servers.push(VirtualServer {
        label: args.label.clone(),
        service: service(args)?,
        scheduler: args.scheduler,
        hash_port: args.hash_port,
        one_packet: args.one_packet,
        persistence: args.persistent.map(|timeout| Persistence { timeout, granularity: args.granularity }),
        check: check(args)?,
        quiescent: None,
        fallback: args.fallback.map_or_else(FallbackServer::page, Fallback::server),
        real_servers: Vec::new(),
    });
    Ok(config)
}

fn service(args: &VipAdd) -> Result<Service, Error> {
    match (&args.service, args.firewall_mark) {
        (Some(AddressPorts { address, ports }), _) => {
            Ok(Service::Address { address: *address, protocol: args.protocol, ports: ports.clone(), mark: None })
        }
        (None, mark) => {
            let family = if args.ipv6 { Family::Ipv6 } else { Family::Ipv4 };
            let mark = FirewallMark::try_from(mark.unwrap_or(0)).map_err(|e| Error::request(e.to_string(), None))?;
            Ok(Service::FirewallMark { mark, family })
        }
    }
}

fn check(args: &VipAdd) -> Result<Check, Error> {
    let asks = args.check_request.is_some()
        || args.check_response.is_some()
        || args.check_host.is_some()
        || args.check_status.is_some();
    let method = match args.check.unwrap_or(CheckType::Connect) {
        CheckType::Negotiate(service) => CheckMethod::Negotiate(Negotiate {
            service,
            request: args.check_request.clone().unwrap_or_else(|| "/".to_owned()),
            response: args.check_response.clone(),
            virtual_host: args.check_host.clone(),
            status: args.check_status.clone().unwrap_or_default(),
        }),
        _ if asks => {
            let hint = Some("add --check http, or --check https".to_owned());
            return Err(Error::request("only the checks http and https send a request and read an answer", hint));
        }
        CheckType::Connect => CheckMethod::Connect,
        CheckType::Ping => CheckMethod::Ping,
        CheckType::On => CheckMethod::On,
        CheckType::Off => CheckMethod::Off,
    };
    Ok(Check { method, port: args.check_port, ..Check::default() })
}

pub fn remove_vip(config: &Config, vip: &str) -> Result<Config, Error> {
    let mut config = config.clone();
    let i = find_vip(&config, vip)?;
    config.virtual_servers.remove(i);
    Ok(config)
}

/// Appends the real server; its forwarding method is the global setting's unless named.
pub fn add_rip(config: &Config, args: &RipAdd) -> Result<Config, Error> {
    let i = find_vip(config, &args.vip)?;
    let mut config = config.clone();
    let forwarding = args.forwarding.unwrap_or(config.globals.default_forwarding);
    let vs = &mut config.virtual_servers[i];
    if vs.real_servers.iter().any(|r| r.label == args.label) {
        let hint =
            format!("change it with lbctl config set virtual_servers.{}.real_servers.{}.…", vs.label, args.label);
        return Err(Error::request(
            format!("there is a real server {} in {} already", args.label, vs.label),
            Some(hint),
        ));
    }
    vs.real_servers.push(RealServer {
        label: args.label.clone(),
        address: args.address.address,
        port: args.address.port,
        weight: args.weight,
        min_connections: args.min_connections,
        max_connections: args.max_connections,
        forwarding,
        tunnel: args.tunnel,
        state: RequestedState::Online,
    });
    Ok(config)
}

pub fn remove_rip(config: &Config, server: &Server) -> Result<Config, Error> {
    let mut config = config.clone();
    let i = find_vip(&config, &server.vip)?;
    let vs = &mut config.virtual_servers[i];
    let j = find_rip(vs, &server.rip)?;
    vs.real_servers.remove(j);
    Ok(config)
}

impl Session {
    /// Takes a real server of the running configuration on or off.
    pub fn set_state(&self, server: &Server, state: RequestedState) -> Result<Answer, Error> {
        let config = self.client.running()?.config;
        let vs = &config.virtual_servers[find_vip(&config, &server.vip)?];
        let rs = &vs.real_servers[find_rip(vs, &server.rip)?];
        let applied = self.client.set_state(&StateRequest {
            virtual_server: vs.label.clone(),
            real_server: rs.label.clone(),
            state,
            author: self.author.clone(),
        })?;
        let text = match applied.changes.is_empty() {
            true => format!("{} in {} was {state} already.\n", rs.label, vs.label),
            false => text::applied(&applied),
        };
        Answer::new(text, &applied)
    }
}

fn find_vip(config: &Config, name: &str) -> Result<usize, Error> {
    let all = &config.virtual_servers;
    if let Some(i) = all.iter().position(|v| v.label.as_str() == name) {
        return Ok(i);
    }
    if let Ok(at) = name.parse::<AddressPorts>() {
        let mut found = all.iter().enumerate().filter(
            |(_, v)| matches!(&v.service, Service::Address { address, ports, .. } if *address == at.address && *ports == at.ports),
        );
        match (found.next(), found.next()) {
            (Some((i, _)), None) => return Ok(i),
            (Some(_), Some(_)) => {
                return Err(Error::request(
                    format!("several virtual servers are on {name}"),
                    Some("name one by its label".to_owned()),
                ));
            }
            (None, _) => {}
        }
    }
    Err(unknown(&format!("there is no virtual server {name}"), name, all.iter().map(|v| v.label.as_str())))
}

fn find_rip(vs: &VirtualServer, name: &str) -> Result<usize, Error> {
    let all = &vs.real_servers;
    if let Some(i) = all.iter().position(|r| r.label.as_str() == name) {
        return Ok(i);
    }
    if let Ok(AddressPort { address, port }) = name.parse() {
        let mut found =
            all.iter().enumerate().filter(|(_, r)| r.address == address && (port.is_none() || r.port == port));
        if let (Some((i, _)), None) = (found.next(), found.next()) {
            return Ok(i);
        }
    }
    Err(unknown(&format!("there is no real server {name} in {}", vs.label), name, all.iter().map(|r| r.label.as_str())))
}

fn unknown<'a>(message: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let hint = match (closest(name, known.clone()), known.clone().count()) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, 0) => "there is none yet".to_owned(),
        (None, 1) => format!("there is {}", known.collect::<String>()),
        (None, _) => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Error::request(message, Some(hint))
}
