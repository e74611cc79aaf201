//! The files that HAProxy's configuration names: keys with their chains, authorities, and lists of certificates.
//!
//! `LABEL.pem` is a certificate's, `LABEL.ca` an authority's, `LABEL.list` the list of a virtual server's certificates.
//! A renewed certificate keeps its file, so that the runtime API can put it in place. Keys stand in no `Debug`.

use crate::Places;
use lb_model::{Label, Layer7, Layer7VirtualServer, layer7::CertificateFingerprint};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fmt::Write as _,
    path::Path,
    sync::Arc,
};
use zeroize::Zeroizing;

/// What lies behind a certificate's fingerprint.
#[derive(Clone, PartialEq, Eq)]
pub struct Material {
    /// PEM: the key, if it is no authority's, and the chain from the server's own certificate on. No empty lines.
    pub pem: Arc<Zeroizing<String>>,
    /// SHA-1 of the first certificate: 40 digits in upper case.
    pub sha1: String,
}

/// Keys and chains at hand.
pub type Certificates = BTreeMap<CertificateFingerprint, Material>;

/// A file for HAProxy.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    pub text: Arc<Zeroizing<String>>,
    /// SHA-256 of the text (hex).
    pub digest: String,
    /// Of a certificate that can be renewed at run time.
    pub sha1: Option<String>,
}

/// A certificate that is named, and whose key or text is not at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub virtual_server: Label,
    pub certificate: Label,
    /// HAProxy does not listen for the virtual server.
    pub stops: bool,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Material({})", self.sha1)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({})", self.digest)
    }
}

impl File {
    fn new(text: Arc<Zeroizing<String>>, sha1: Option<String>) -> File {
        let digest = digest(text.as_bytes());
        File { text, digest, sha1 }
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

pub(crate) fn certificate(label: &Label) -> String {
    format!("{label}.pem")
}

pub(crate) fn authority(label: &Label) -> String {
    format!("{label}.ca")
}

pub(crate) fn list(vs: &Layer7VirtualServer) -> String {
    format!("{}.list", vs.label)
}

/// Hosts for which an ACME server is answered; no label has a `:`.
pub(crate) const HOSTS: &str = "acme:hosts";

pub(crate) fn path(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

/// All files that virtual servers need, and what is missing.
pub(crate) fn files(
    layer7: &Layer7,
    places: &Places,
    at_hand: &Certificates,
) -> (BTreeMap<String, File>, Vec<Missing>) {
    let mut files = BTreeMap::new();
    let mut missing = Vec::new();
    let find = |label: &Label| layer7.certificate(label.as_str()).and_then(|named| at_hand.get(&named.fingerprint));
    for vs in &layer7.virtual_servers {
        let lacks = |certificate: &Label, stops| {
            let (virtual_server, certificate) = (vs.label.clone(), certificate.clone());
            Missing { virtual_server, certificate, stops }
        };
        if let Some(verification) = &vs.server_verification {
            match find(&verification.authority) {
                Some(found) => {
                    files.insert(authority(&verification.authority), File::new(found.pem.clone(), None));
                }
                None => missing.push(lacks(&verification.authority, false)),
            }
        }
        let Some(tls) = &vs.tls else { continue };
        if let Some(client) = &tls.client {
            match find(&client.authority) {
                Some(found) => {
                    files.insert(authority(&client.authority), File::new(found.pem.clone(), None));
                }
                None => missing.push(lacks(&client.authority, true)),
            }
        }
        let mut lines = String::new();
        let none = tls.certificates.iter().all(|label| find(label).is_none());
        for label in &tls.certificates {
            let Some(found) = find(label) else {
                missing.push(lacks(label, none));
                continue;
            };
            let name = certificate(label);
            let _ = writeln!(lines, "{}", path(&places.certificates, &name));
            files.insert(name, File::new(found.pem.clone(), Some(found.sha1.clone())));
        }
        if !none {
            files.insert(list(vs), File::new(Arc::new(Zeroizing::new(lines)), None));
        }
    }
    let hosts: BTreeSet<&str> =
        layer7.obtained().flat_map(|certificate| &certificate.acme).map(|n| n.as_str()).collect();
    if places.acme.is_some() && !hosts.is_empty() {
        let text = hosts.into_iter().map(|host| format!("{host}\n")).collect::<String>();
        files.insert(HOSTS.to_owned(), File::new(Arc::new(Zeroizing::new(text)), None));
    }
    (files, missing)
}
