//! Certificates that the unit obtains and renews by itself: from whom, for whom, and under which terms (ACME, RFC 8555).
//!
//! Owns what an administrator says of it. The account's key is no part of the document, nor when a certificate was last
//! renewed: which one runs is said by its [`Certificate`], and lbd says it.

use crate::{Label, Layer7, NameError, layer7::Certificate, names::string_name};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

string_name! {
    /// The directory of an ACME server: an `https://` URL, up to 255 printable ASCII characters without spaces.
    AcmeDirectory, check_directory
}

string_name! {
    /// An e-mail address that the ACME server may write to: up to 254 printable ASCII characters.
    AcmeContact, check_contact
}

impl AcmeDirectory {
    pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
    /// Let's Encrypt's server for tries: its certificates are trusted by nobody, and its limits are high.
    pub const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";
}

impl Default for AcmeDirectory {
    fn default() -> Self {
        AcmeDirectory(AcmeDirectory::LETS_ENCRYPT.to_owned())
    }
}

fn check_directory(s: &str) -> Result<(), String> {
    let shown = || s.chars().take(80).collect::<String>().escape_debug().to_string();
    let rest = s.strip_prefix("https://").unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || s.len() > 255 || !s.bytes().all(|b| b.is_ascii_graphic()) || host.contains('@') {
        let example = AcmeDirectory::LETS_ENCRYPT;
        return Err(format!(
            "\"{}\" is not the directory of an ACME server: https://…, for example {example}",
            shown()
        ));
    }
    Ok(())
}

fn check_contact(s: &str) -> Result<(), String> {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=^_`{|}~.".contains(&b))
    };
    match s.split_once('@') {
        Some((who, host)) if s.len() <= 254 && plain(who) && plain(host) => Ok(()),
        _ => {
            let shown: String = s.chars().take(80).collect();
            Err(format!("\"{}\" is not an e-mail address, for example admin@example.com", shown.escape_debug()))
        }
    }
}

/// The ACME server, and what it is told of the unit's owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// Left out: Let's Encrypt.
    #[serde(default)]
    pub directory: AcmeDirectory,
    /// Whom the server may write to, for example before a certificate ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<AcmeContact>,
    /// The server's terms of service, which its directory names, are agreed to. Nothing is ordered without.
    #[serde(default)]
    pub terms_agreed: bool,
    /// The label of the authority that signed the server's own certificate, for a private one; left out: the public
    /// authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Label>,
}

impl Acme {
    /// The port to which the server comes to see that a name leads here (RFC 8555, section 8.3).
    pub const PORT: u16 = 80;
}

impl Layer7 {
    /// Those that the unit obtains by itself.
    pub fn obtained(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().filter(|certificate| certificate.is_obtained())
    }

    /// Takes over from what runs which certificates were obtained: what somebody edited a while ago, or an older
    /// revision, says who is to be named, and not which one is the newest.
    pub fn keep_obtained(&mut self, running: &Layer7) {
        for certificate in self.certificates.iter_mut().filter(|certificate| certificate.is_obtained()) {
            let is = running.certificate(certificate.label.as_str());
            if let Some(is) = is.filter(|is| is.acme == certificate.acme) {
                *certificate = certificate.at(is.fingerprint.clone(), is.names.clone(), is.not_after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_an_https_url() {
        for good in [AcmeDirectory::LETS_ENCRYPT, AcmeDirectory::LETS_ENCRYPT_STAGING, "https://10.0.0.5:9000/acme"] {
            assert!(good.parse::<AcmeDirectory>().is_ok(), "{good}");
        }
        let long = format!("https://{}", "a".repeat(255));
        for bad in ["", "http://ca/dir", "https://", "https:///x", "https://a b", "https://u:p@ca/", long.as_str()] {
            assert!(bad.parse::<AcmeDirectory>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_contact_is_one_mailbox() {
        assert!("admin@example.com".parse::<AcmeContact>().is_ok());
        for bad in ["", "admin", "@example.com", "a@", "a@b@c", "a b@c", "a@c,b@d", "a@c?cc=x"] {
            assert!(bad.parse::<AcmeContact>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_older_text_gets_the_newest_certificate() {
        let one = |acme: &[&str], fingerprint: &str| Certificate {
            acme: acme.iter().map(|name| name.parse().expect("a name")).collect(),
            ..Certificate::awaited("shop".parse().expect("a label"), Vec::new()).at(
                fingerprint.repeat(32).parse().expect("a fingerprint"),
                Vec::new(),
                7,
            )
        };
        let layer7 = |certificate| Layer7 { certificates: vec![certificate], ..Layer7::default() };
        let running = layer7(one(&["a.example"], "bb"));
        let mut old = layer7(one(&["a.example"], "aa"));
        old.keep_obtained(&running);
        assert_eq!(old, running);
        // Another's names, and one that was uploaded, stay as they are.
        for other in [one(&["b.example"], "aa"), one(&[], "aa")] {
            let mut text = layer7(other.clone());
            text.keep_obtained(&running);
            assert_eq!(text, layer7(other));
        }
    }
}
