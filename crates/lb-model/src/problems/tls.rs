//! Problems of certificates, and of what virtual servers say of TLS. That one has expired needs a clock: lbd says it.

use super::Found;
use crate::{
    Label, Layer7, Layer7VirtualServer,
    layer7::{Certificate, Layer7Persistence, ProxyMode, Tls},
};
use std::collections::HashSet;

pub(super) fn certificates(layer7: &Layer7, found: &mut Found) {
    let all = &layer7.certificates;
    if all.len() > Layer7::MOST_CERTIFICATES {
        let reason = format!("at most {} are possible", Layer7::MOST_CERTIFICATES);
        found.add("/layer7/certificates".into(), all.len(), reason, "remove those that nobody names");
    }
    server(layer7, found);
    let mut labels = HashSet::new();
    for (i, certificate) in all.iter().enumerate() {
        let at = format!("/layer7/certificates/{i}");
        if !labels.insert(&certificate.label) {
            found.add(
                format!("{at}/label"),
                &certificate.label,
                "another certificate has this label",
                "labels must differ",
            );
        }
        if certificate.names.len() > Certificate::MOST_NAMES {
            let reason = format!("at most {} are kept here", Certificate::MOST_NAMES);
            found.add(
                format!("{at}/names"),
                certificate.names.len(),
                reason,
                "leave the others out: clients find them all",
            );
        }
        obtained(layer7, certificate, &at, found);
    }
}

/// Whom certificates are obtained from.
fn server(layer7: &Layer7, found: &mut Found) {
    let Some(acme) = &layer7.acme else { return };
    if let Some(authority) = &acme.authority {
        named(layer7, authority, true, "/layer7/acme/authority", found);
    }
}

/// One that the unit shall obtain: what no server could ever give is said here.
fn obtained(layer7: &Layer7, certificate: &Certificate, at: &str, found: &mut Found) {
    if !certificate.is_obtained() {
        return;
    }
    let path = format!("{at}/acme");
    if certificate.acme.len() > Certificate::MOST_NAMES {
        let reason = format!("at most {} are possible", Certificate::MOST_NAMES);
        found.add(path.clone(), certificate.acme.len(), reason, "make two certificates of them");
    }
    if certificate.authority {
        found.add(format!("{at}/authority"), true, "nobody gives out an authority", "leave it out");
    }
    let mut names = HashSet::new();
    for (i, name) in certificate.acme.iter().enumerate() {
        let path = format!("{path}/{i}");
        match host(name.as_str()) {
            Err((reason, hint)) => found.add(path, name, reason, hint),
            Ok(()) if !names.insert(name) => found.add(path, name, "is named twice", "name each host once"),
            Ok(()) => {}
        }
    }
    let agreed = layer7.acme.as_ref().is_some_and(|acme| acme.terms_agreed);
    if !agreed {
        let hint = "say from whom, and agree to its terms (lbctl certificate acme-server --agree-terms, or Edit \
                    Configuration > SSL Termination)";
        found.add(path, &certificate.label, "there is no ACME server whose terms are agreed to", hint);
    }
}

/// Lower case, as certificates come back.
fn host(name: &str) -> Result<(), (&'static str, &'static str)> {
    if name.starts_with("*.") {
        return Err(("is a wildcard, which needs proof in DNS", "name each host by itself, or upload a certificate"));
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Err(("is an address", "certificates are obtained for host names only"));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match name.len() <= 253 && name.contains('.') && name.split('.').all(label) {
        true => Ok(()),
        false => Err(("is not a full host name in lower case", "for example shop.example.com")),
    }
}

/// A label that must be a certificate's, of an authority or not.
fn named(layer7: &Layer7, label: &Label, authority: bool, path: &str, found: &mut Found) {
    match layer7.certificate(label.as_str()) {
        None => {
            let hint = "add it first (lbctl certificate add, or Edit Configuration > SSL Termination)";
            found.add(path.to_owned(), label, "there is no such certificate", hint);
        }
        Some(certificate) if certificate.authority && !authority => {
            let hint = "name one that was added with its key";
            found.add(path.to_owned(), label, "is an authority's certificate, which has no key here", hint);
        }
        Some(certificate) if !certificate.authority && authority => {
            let hint = "add the authority's own certificate, without a key";
            found.add(path.to_owned(), label, "is a server's certificate, not an authority's", hint);
        }
        Some(_) => {}
    }
}

pub(super) fn check(layer7: &Layer7, vs: &Layer7VirtualServer, at: &str, found: &mut Found) {
    let Some(tls) = &vs.tls else { return };
    let at_tls = format!("{at}/tls");
    let count = tls.certificates.len();
    if !(1..=Tls::MOST_CERTIFICATES).contains(&count) {
        let reason = format!("must be 1 to {} certificates", Tls::MOST_CERTIFICATES);
        found.add(format!("{at_tls}/certificates"), count, reason, "the first is for clients that name no host");
    }
    let mut labels = HashSet::new();
    for (i, label) in tls.certificates.iter().enumerate() {
        let path = format!("{at_tls}/certificates/{i}");
        if !labels.insert(label) {
            found.add(path, label, "is named twice", "name each certificate once");
            continue;
        }
        named(layer7, label, false, &path, found);
    }
    if let Some(seconds) = tls.hsts {
        found.range(&at_tls, "hsts", seconds, 1, Tls::LONGEST_HSTS, " seconds");
        if vs.mode != ProxyMode::Http {
            found.add(format!("{at_tls}/hsts"), seconds, "needs mode http", "set mode http, or leave it out");
        }
    }
    if let Some(client) = &tls.client {
        named(layer7, &client.authority, true, &format!("{at_tls}/client/authority"), found);
    }
    if vs.redirect_https {
        let hint = "add a layer 7 virtual server at port 80 with the redirect, and leave it out here";
        found.add(
            format!("{at}/redirect_https"),
            "set",
            "clients speak TLS already and would be redirected for ever",
            hint,
        );
    }
    if let Some(persistence @ Layer7Persistence::SslSessionId(_)) = &vs.persistence {
        let hint = "use persistence by source, or mode http and a cookie";
        let reason = "needs TLS that passes through, and it ends here";
        found.add(format!("{at}/persistence/type"), persistence, reason, hint);
    }
}

pub(super) fn servers(layer7: &Layer7, vs: &Layer7VirtualServer, at: &str, found: &mut Found) {
    let Some(verification) = &vs.server_verification else { return };
    let at = format!("{at}/server_verification");
    named(layer7, &verification.authority, true, &format!("{at}/authority"), found);
    let host = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    if let Some(name) = verification.name.as_ref().filter(|name| !host(name.as_str())) {
        found.add(format!("{at}/name"), name, "is not a host name", "for example www.example.com");
    }
}
