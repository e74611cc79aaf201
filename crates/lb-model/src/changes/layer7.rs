//! What differs between two layer 7 configurations. A reload keeps connections: what hurts is where clients go.

use super::{List, joined, on, shown};
use crate::{
    Layer7, Layer7RealServer, Layer7VirtualServer, RequestedState,
    layer7::{Acme, Certificate, ClientCertificates, ServerVerification, Tls, TlsProfile},
};
use std::collections::HashMap;

pub(super) fn layer7(old: &Layer7, new: &Layer7, list: &mut List) {
    for ((name, _, was), (_, _, is)) in old.timeouts.words().into_iter().zip(new.timeouts.words()) {
        let name = format!("layer 7 {} time-out", name.replace('_', " "));
        list.set(&name, format!("{was} s"), format!("{is} s"));
    }
    list.set("maximum connections of layer 7", old.max_connections, new.max_connections);
    acme(old.acme.as_ref(), new.acme.as_ref(), list);
    certificates(&old.certificates, &new.certificates, list);
    let before: HashMap<_, _> = old.virtual_servers.iter().map(|v| (&v.label, v)).collect();
    for vs in &new.virtual_servers {
        match before.get(&vs.label) {
            None => {
                list.add(format!("Add layer 7 virtual server {} on {} ({})", vs.label, vs.service(), vs.balance));
                for rs in &vs.real_servers {
                    list.add(format!("Add real server {rs} to {}", vs.label));
                }
            }
            Some(was) if *was != vs => virtual_server(was, vs, list),
            Some(_) => {}
        }
    }
    for gone in old.virtual_servers.iter().filter(|o| !new.virtual_servers.iter().any(|n| n.label == o.label)) {
        let text = format!("Remove layer 7 virtual server {} on {}", gone.label, gone.service());
        list.hurting(text, format!("no new clients of {}; those connected end their requests", gone.label));
    }
}

fn acme(old: Option<&Acme>, new: Option<&Acme>, list: &mut List) {
    match (old, new) {
        (None, Some(is)) => list.add(format!("Obtain certificates from {}", is.directory)),
        (Some(was), None) => list.add(format!("Obtain no certificates from {} any more", was.directory)),
        (Some(was), Some(is)) => {
            list.set("ACME server", &was.directory, &is.directory);
            list.set("contact for the ACME server", shown(was.contact.as_ref()), shown(is.contact.as_ref()));
            list.set("agreement to the ACME server's terms", on(was.terms_agreed), on(is.terms_agreed));
            list.set("authority of the ACME server", shown(was.authority.as_ref()), shown(is.authority.as_ref()));
        }
        (None, None) => {}
    }
}

fn certificates(old: &[Certificate], new: &[Certificate], list: &mut List) {
    for certificate in new {
        let was = old.iter().find(|was| was.label == certificate.label);
        if was.is_some_and(|was| was.stapling != certificate.stapling) {
            let text = if certificate.stapling { "Staple OCSP responses" } else { "Staple no OCSP responses" };
            list.add(format!("{text} to certificate {}", certificate.label));
        }
        match was {
            None if certificate.is_obtained() => {
                list.add(format!("Obtain certificate {} for {}", certificate.label, joined(&certificate.acme)));
            }
            None => list.add(format!("Add certificate {certificate}")),
            Some(was) if was.acme != certificate.acme => list.add(match certificate.is_obtained() {
                true => format!("Obtain certificate {} for {}", certificate.label, joined(&certificate.acme)),
                false => format!("Use certificate {certificate}, and do not obtain it any more"),
            }),
            Some(was) if was.fingerprint != certificate.fingerprint => {
                let (label, was) = (&certificate.label, was.fingerprint.short());
                let names = joined(&certificate.names);
                list.add(format!("Renew certificate {label}: {was} by {} ({names})", certificate.fingerprint.short()));
            }
            Some(was) if *was != (Certificate { stapling: was.stapling, ..certificate.clone() }) => {
                list.add(format!("Change what is said of certificate {certificate}"))
            }
            Some(_) => {}
        }
    }
    for gone in old.iter().filter(|was| !new.iter().any(|certificate| certificate.label == was.label)) {
        list.add(format!("Remove certificate {gone}"));
    }
}

fn tls(old: &Layer7VirtualServer, new: &Layer7VirtualServer, list: &mut List) {
    let label = &new.label;
    let (was, is) = match (&old.tls, &new.tls) {
        (None, None) => return,
        (None, Some(tls)) => {
            let text = format!("Serve {label} over TLS with {} ({})", joined(&tls.certificates), tls.profile);
            return list.hurting(text, format!("clients of {label} that speak no TLS are refused"));
        }
        (Some(_), None) => {
            let text = format!("Serve {label} without TLS");
            return list.hurting(text, format!("clients of {label} that speak TLS are refused"));
        }
        (Some(was), Some(is)) => (was, is),
    };
    list.set(&format!("certificates of {label}"), joined(&was.certificates), joined(&is.certificates));
    if was.profile != is.profile {
        let text = format!("Change TLS profile of {label} from {} to {}", was.profile, is.profile);
        match is.profile {
            TlsProfile::Modern => list.hurting(text, format!("clients of {label} without TLS 1.3 are refused")),
            TlsProfile::Compatible => list.add(text),
        }
    }
    let seconds = |tls: &Tls| tls.hsts.map_or_else(|| "off".to_owned(), |s| format!("{s} s"));
    list.set(&format!("HSTS of {label}"), seconds(was), seconds(is));
    let asked = |tls: &Tls| {
        let words = |c: &ClientCertificates| format!("{} of {}", c.verify, c.authority);
        tls.client.as_ref().map_or_else(|| "not asked for".to_owned(), words)
    };
    if was.client != is.client {
        let text = format!("Change client certificates of {label} from {} to {}", asked(was), asked(is));
        list.hurting(text, format!("clients of {label} whose certificate does not fit are refused"));
    }
}

fn virtual_server(old: &Layer7VirtualServer, new: &Layer7VirtualServer, list: &mut List) {
    let label = &new.label;
    let before = list.0.len();
    if old.service() != new.service() {
        let text = format!("Move layer 7 virtual server {label} from {} to {}", old.service(), new.service());
        list.hurting(text, format!("no new clients of {label} at the old place"));
    }
    tls(old, new, list);
    list.set(&format!("balance of {label}"), old.balance, new.balance);
    if old.persistence != new.persistence {
        let (was, is) = (shown(old.persistence.as_ref()), shown(new.persistence.as_ref()));
        let text = match was == is {
            true => format!("Change the settings of the persistence of {label} ({is})"),
            false => format!("Change persistence of {label} from {was} to {is}"),
        };
        list.hurting(text, format!("may move clients of {label} to another server"));
    }
    if old.check != new.check {
        list.add(match old.check.method == new.check.method {
            true => format!("Change the health check settings of {label}"),
            false => format!("Change the health check of {label} from {} to {}", old.check.method, new.check.method),
        });
    }
    list.set(&format!("agent of {label}"), shown(old.agent.as_ref()), shown(new.agent.as_ref()));
    for ((name, _, was), (_, _, is)) in old.timeouts.words().into_iter().zip(new.timeouts.words()) {
        let seconds = |s: Option<u32>| s.map_or_else(|| "global".to_owned(), |s| format!("{s} s"));
        list.set(&format!("{} time-out of {label}", name.replace('_', " ")), seconds(was), seconds(is));
    }
    list.set(&format!("maximum connections of {label}"), old.max_connections, new.max_connections);
    list.set(&format!("X-Forwarded-For of {label}"), on(old.forwarded_for), on(new.forwarded_for));
    if old.accept_proxy != new.accept_proxy {
        let who = if new.accept_proxy { "clients that speak" } else { "clients without" };
        let text = format!("Turn the PROXY protocol from clients of {label} {}", on(new.accept_proxy));
        list.hurting(text, format!("only {who} it are served"));
    }
    list.set(&format!("keep-alive of {label}"), old.keep_alive, new.keep_alive);
    list.set(&format!("compression of {label}"), on(old.compression), on(new.compression));
    list.set(&format!("transparent source of {label}"), on(old.transparent), on(new.transparent));
    list.set(&format!("redirect of {label} to https"), on(old.redirect_https), on(new.redirect_https));
    list.set(&format!("slow start of {label}"), format!("{} s", old.slow_start), format!("{} s", new.slow_start));
    list.set(&format!("fallback server of {label}"), shown(old.fallback.as_ref()), shown(new.fallback.as_ref()));
    list.set(&format!("log of every request of {label}"), on(old.log_requests), on(new.log_requests));
    let verified = |vs: &Layer7VirtualServer| {
        let words = |v: &ServerVerification| match &v.name {
            Some(name) => format!("{} for {name}", v.authority),
            None => v.authority.to_string(),
        };
        vs.server_verification.as_ref().map_or_else(|| "none".to_owned(), words)
    };
    list.set(&format!("verification of the servers of {label}"), verified(old), verified(new));
    let parts = [
        ("content rules", old.rules != new.rules),
        ("request headers", old.request_headers != new.request_headers),
        ("response headers", old.response_headers != new.response_headers),
        ("limits", old.limits != new.limits),
        ("fallback page", old.fallback_page != new.fallback_page),
        ("manual configuration", old.manual != new.manual),
    ];
    for (name, _) in parts.into_iter().filter(|(_, changed)| *changed) {
        list.add(format!("Change the {name} of {label}"));
    }
    real_servers(old, new, list);
    if list.0.len() == before {
        list.add(format!("Reorder the real servers of {label}"));
    }
}

fn real_servers(old: &Layer7VirtualServer, new: &Layer7VirtualServer, list: &mut List) {
    let vs = &new.label;
    for rs in &new.real_servers {
        match old.real_servers.iter().find(|o| o.label == rs.label) {
            None => list.add(format!("Add real server {rs} to {vs}")),
            Some(was) if was != rs => real_server(was, rs, vs.as_str(), list),
            Some(_) => {}
        }
    }
    for gone in old.real_servers.iter().filter(|o| !new.real_servers.iter().any(|n| n.label == o.label)) {
        let text = format!("Remove real server {gone} from {vs}");
        list.hurting(text, format!("its clients on {vs} are sent to the others"));
    }
}

fn real_server(old: &Layer7RealServer, new: &Layer7RealServer, vs: &str, list: &mut List) {
    let name = format!("{} in {vs}", new.label);
    let place =
        |r: &Layer7RealServer| format!("{}{}", r.address, r.port.map_or_else(String::new, |p| format!(" port {p}")));
    if place(old) != place(new) {
        let text = format!("Move {name} from {} to {}", place(old), place(new));
        list.hurting(text, format!("its clients on {vs} meet another machine"));
    }
    list.set(&format!("weight of {name}"), old.weight, new.weight);
    list.set(&format!("minimum connections of {name}"), old.min_connections, new.min_connections);
    list.set(&format!("maximum connections of {name}"), old.max_connections, new.max_connections);
    list.set(&format!("PROXY protocol to {name}"), old.send_proxy, new.send_proxy);
    list.set(&format!("TLS to {name}"), on(old.tls), on(new.tls));
    if old.label == new.label && old.cookie != new.cookie {
        let (from, to) = (old.cookie_value(), new.cookie_value());
        let text = format!("Change the cookie value of {name} from {from} to {to}");
        list.hurting(text, "clients that have the old value may come to another server");
    }
    list.set(
        &format!("ending of connections to {name} when it is unfit"),
        on(old.shutdown_sessions),
        on(new.shutdown_sessions),
    );
    match (old.state == new.state, new.state) {
        (true, _) => {}
        (_, RequestedState::Online) => list.add(format!("Take {name} online")),
        (_, RequestedState::Drain) => list.add(format!("Drain {name}: no new clients, those connected stay")),
        (_, RequestedState::Offline) => {
            list.hurting(format!("Take {name} offline"), format!("moves its clients on {vs}"));
        }
    }
}
