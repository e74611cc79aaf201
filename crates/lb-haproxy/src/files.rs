//! The files that HAProxy's configuration names: keys with their chains, authorities, and lists of certificates.
//!
//! `LABEL.pem` is a certificate's, `LABEL.pem.ocsp` the answer that is stapled to it, `LABEL.ca` an authority's,
//! `LABEL.list` the list of a virtual server's certificates. A renewed certificate keeps its file, so that the runtime
//! API can put it in place. Keys stand in no `Debug`.

use crate::Places;
use base64::{Engine as _, engine::general_purpose::STANDARD};
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
    /// An answer of its OCSP responder (DER), which clients are shown where the document does not say otherwise. It
    /// must be good and count now, and the issuer must be in `pem`.
    pub ocsp: Option<Arc<Vec<u8>>>,
}

/// Keys and chains at hand.
pub type Certificates = BTreeMap<CertificateFingerprint, Material>;

/// A file for HAProxy.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Of a `.ocsp`: in base64, as the runtime API takes it.
    pub text: Arc<Zeroizing<String>>,
    /// SHA-256 of what the file holds (hex).
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

    fn response(der: &[u8]) -> File {
        File { text: Arc::new(Zeroizing::new(STANDARD.encode(der))), digest: digest(der), sha1: None }
    }
}

/// What a file of this name holds, by its [`File::text`].
pub(crate) fn content(name: &str, text: &str) -> Zeroizing<Vec<u8>> {
    let binary = is_response(name).then(|| STANDARD.decode(text).ok()).flatten();
    Zeroizing::new(binary.unwrap_or_else(|| text.as_bytes().to_vec()))
}

const RESPONSE: &str = ".ocsp";

/// The file beside the certificate of this name in which HAProxy looks for an OCSP response.
pub(crate) fn response(certificate: &str) -> String {
    format!("{certificate}{RESPONSE}")
}

/// The certificate that the response in the file of this name is stapled to.
pub(crate) fn stapled_to(name: &str) -> Option<&str> {
    name.strip_suffix(RESPONSE)
}

pub(crate) fn is_response(name: &str) -> bool {
    stapled_to(name).is_some()
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
    let stapling = |label: &Label| layer7.certificate(label.as_str()).is_some_and(|named| named.stapling);
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
            if let Some(der) = found.ocsp.as_ref().filter(|_| stapling(label)) {
                files.insert(response(&name), File::response(der));
            }
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
