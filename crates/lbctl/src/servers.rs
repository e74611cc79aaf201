//! Virtual and real servers: adding, removing, taking on and off.
//!
//! Owns the finding of servers of both layers by label or address, with suggestions for mistyped ones.

use crate::{
    cli::{RipAdd, Server, VipAdd},
    error::Error,
    layer7,
    parse::{AddressPort, AddressPorts, CheckType, Fallback},
    session::{Answer, Session},
    suggest::closest,
    text,
};
use lb_api::StateRequest;
use lb_model::{
    Check, CheckMethod, Config, FallbackServer, Family, FirewallMark, Label, Negotiate, Persistence, RealServer,
    RequestedState, Service, VirtualServer,
};

/// Appends the virtual server.
pub fn add_vip(config: &Config, args: &VipAdd) -> Result<Config, Error> {
    if config.layer7_virtual_server(args.label.as_str()).is_some() {
        let hint = format!("change it with lbctl config set layer7.virtual_servers.{}.…", args.label);
        return Err(Error::request(format!("there is a layer 7 virtual server {} already", args.label), Some(hint)));
    }
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
        agent: args.agent.agent(),
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
    match find_vip(&config, vip)? {
        Vip::Layer4(i) => drop(config.virtual_servers.remove(i)),
        Vip::Layer7(i) => drop(config.layer7.virtual_servers.remove(i)),
    }
    Ok(config)
}

/// Appends the real server; its forwarding method is the global setting's unless named.
pub fn add_rip(config: &Config, args: &RipAdd) -> Result<Config, Error> {
    let vip = find_vip(config, &args.vip)?;
    let mut config = config.clone();
    let forwarding = args.forwarding.unwrap_or(config.globals.default_forwarding);
    let (path, vs) = match vip {
        Vip::Layer4(i) => ("virtual_servers", &config.virtual_servers[i].label),
        Vip::Layer7(i) => ("layer7.virtual_servers", &config.layer7.virtual_servers[i].label),
    };
    if labels(&config, vip).any(|label| *label == args.label) {
        let hint = format!("change it with lbctl config set {path}.{vs}.real_servers.{}.…", args.label);
        return Err(Error::request(format!("there is a real server {} in {vs} already", args.label), Some(hint)));
    }
    let vs = match vip {
        Vip::Layer4(i) => &mut config.virtual_servers[i],
        Vip::Layer7(i) => {
            config.layer7.virtual_servers[i].real_servers.push(layer7::real_server(args)?);
            return Ok(config);
        }
    };
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
    let vip = find_vip(&config, &server.vip)?;
    let j = find_rip(&config, vip, &server.rip)?;
    match vip {
        Vip::Layer4(i) => drop(config.virtual_servers[i].real_servers.remove(j)),
        Vip::Layer7(i) => drop(config.layer7.virtual_servers[i].real_servers.remove(j)),
    }
    Ok(config)
}

impl Session {
    /// Takes a real server of the running configuration on or off.
    pub fn set_state(&self, server: &Server, state: RequestedState) -> Result<Answer, Error> {
        let config = self.client.running()?.config;
        let vip = find_vip(&config, &server.vip)?;
        let j = find_rip(&config, vip, &server.rip)?;
        let (vs, rs) = match vip {
            Vip::Layer4(i) => {
                let vs = &config.virtual_servers[i];
                (&vs.label, &vs.real_servers[j].label)
            }
            Vip::Layer7(i) => {
                let vs = &config.layer7.virtual_servers[i];
                (&vs.label, &vs.real_servers[j].label)
            }
        };
        let applied = self.client.set_state(&StateRequest {
            virtual_server: vs.clone(),
            real_server: rs.clone(),
            state,
            author: self.author.clone(),
        })?;
        let text = match applied.changes.is_empty() {
            true => format!("{rs} in {vs} was {state} already.\n"),
            false => text::applied(&applied),
        };
        Answer::new(text, &applied)
    }
}

/// A virtual server by its place in its layer's list.
#[derive(Clone, Copy)]
enum Vip {
    Layer4(usize),
    Layer7(usize),
}

fn find_vip(config: &Config, name: &str) -> Result<Vip, Error> {
    let layer4 = config.virtual_servers.iter().enumerate().map(|(i, v)| {
        let at = match &v.service {
            Service::Address { address, ports, .. } => Some((*address, ports)),
            Service::FirewallMark { .. } => None,
        };
        (Vip::Layer4(i), &v.label, at)
    });
    let layer7 = config.layer7.virtual_servers.iter().enumerate();
    let all = layer4.chain(layer7.map(|(i, v)| (Vip::Layer7(i), &v.label, Some((v.address, &v.ports)))));
    if let Some((vip, ..)) = all.clone().find(|(_, label, _)| label.as_str() == name) {
        return Ok(vip);
    }
    if let Ok(wanted) = name.parse::<AddressPorts>() {
        let mut found = all.clone().filter(|(.., at)| *at == Some((wanted.address, &wanted.ports)));
        match (found.next(), found.next()) {
            (Some((vip, ..)), None) => return Ok(vip),
            (Some(_), Some(_)) => {
                return Err(Error::request(
                    format!("several virtual servers are on {name}"),
                    Some("name one by its label".to_owned()),
                ));
            }
            (None, _) => {}
        }
    }
    Err(unknown(&format!("there is no virtual server {name}"), name, all.map(|(_, label, _)| label.as_str())))
}

/// The labels of the real servers of `vip`.
fn labels(config: &Config, vip: Vip) -> impl Iterator<Item = &Label> + Clone {
    let (layer4, layer7) = match vip {
        Vip::Layer4(i) => (&config.virtual_servers[i].real_servers[..], &[][..]),
        Vip::Layer7(i) => (&[][..], &config.layer7.virtual_servers[i].real_servers[..]),
    };
    layer4.iter().map(|rs| &rs.label).chain(layer7.iter().map(|rs| &rs.label))
}

fn find_rip(config: &Config, vip: Vip, name: &str) -> Result<usize, Error> {
    if let Some(i) = labels(config, vip).position(|label| label.as_str() == name) {
        return Ok(i);
    }
    let (vs, places): (_, Vec<_>) = match vip {
        Vip::Layer4(i) => {
            let vs = &config.virtual_servers[i];
            (&vs.label, vs.real_servers.iter().map(|r| (r.address, r.port)).collect())
        }
        Vip::Layer7(i) => {
            let vs = &config.layer7.virtual_servers[i];
            (&vs.label, vs.real_servers.iter().map(|r| (r.address, r.port)).collect())
        }
    };
    if let Ok(AddressPort { address, port }) = name.parse() {
        let fits = |place: &(std::net::IpAddr, Option<u16>)| place.0 == address && (port.is_none() || place.1 == port);
        let mut found = places.iter().enumerate().filter(|(_, place)| fits(place));
        if let (Some((i, _)), None) = (found.next(), found.next()) {
            return Ok(i);
        }
    }
    let known = labels(config, vip).map(Label::as_str);
    Err(unknown(&format!("there is no real server {name} in {vs}"), name, known))
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
