//! TLS towards clients and servers (Configuration Manual, 5.1 "Bind options" and 5.2 "Server options").

use super::{Lines, Places};
use crate::{File, files};
use lb_model::{
    Layer7VirtualServer,
    layer7::{ClientVerify, ProxyMode, TlsProfile},
};
use std::collections::BTreeMap;

const SUITES: &str = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
/// Mozilla's "intermediate", without those over finite fields: every client with TLS 1.2 that they reach has elliptic
/// curves.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/// The name by which a server learns of a client's certificate.
const CLIENT_SUBJECT: &str = "X-SSL-Client-Subject";

/// Behind `bind ADDRESS`. Tickets would be sealed with keys that stay for as long as a process; renegotiation HAProxy
/// refuses by itself.
pub(super) fn bind(vs: &Layer7VirtualServer, places: &Places) -> String {
    let Some(tls) = &vs.tls else { return String::new() };
    let file = |name: &str| files::path(&places.certificates, name);
    let mut words = format!(" ssl crt-list {}", file(&files::list(vs)));
    words.push_str(match tls.profile {
        TlsProfile::Modern => " ssl-min-ver TLSv1.3",
        TlsProfile::Compatible => " ssl-min-ver TLSv1.2 ciphers ",
    });
    if tls.profile == TlsProfile::Compatible {
        words.push_str(CIPHERS);
    }
    words.push_str(&format!(" ciphersuites {SUITES} curves X25519:P-256:P-384 no-tls-tickets prefer-client-ciphers"));
    if vs.mode == ProxyMode::Http {
        words.push_str(" alpn h2,http/1.1");
    }
    if let Some(client) = &tls.client {
        let verify = match client.verify {
            ClientVerify::Required => "required",
            ClientVerify::Optional => "optional",
        };
        words.push_str(&format!(" ca-file {} verify {verify}", file(&files::authority(&client.authority))));
    }
    words
}

/// Mode http: what servers are told of TLS, and what browsers are.
pub(super) fn headers(vs: &Layer7VirtualServer, at: &str, lines: &mut Lines) {
    let Some(tls) = &vs.tls else { return };
    let at = format!("{at}/tls");
    lines.put(&at, "http-request set-header X-Forwarded-Proto https");
    if tls.client.is_some() {
        let at = format!("{at}/client");
        lines.put(&at, format_args!("http-request del-header {CLIENT_SUBJECT}"));
        lines
            .put(&at, format_args!("http-request set-header {CLIENT_SUBJECT} %{{+Q}}[ssl_c_s_dn] if {{ ssl_c_used }}"));
    }
    if let Some(seconds) = tls.hsts {
        // On HAProxy's own answers as well.
        let header = format!("Strict-Transport-Security max-age={seconds}");
        lines.put(&format!("{at}/hsts"), format_args!("http-after-response set-header {header}"));
    }
}

/// Behind a server's `ssl`; `None`: it must not be spoken to.
pub(super) fn verify(vs: &Layer7VirtualServer, places: &Places, at_hand: &BTreeMap<String, File>) -> Option<String> {
    let Some(verification) = &vs.server_verification else { return Some("verify none".to_owned()) };
    let file = files::authority(&verification.authority);
    at_hand.get(&file)?;
    let mut words = format!("verify required ca-file {}", files::path(&places.certificates, &file));
    if let Some(name) = &verification.name {
        words.push_str(&format!(" sni str({name}) check-sni {name} verifyhost {name}"));
    }
    Some(words)
}
