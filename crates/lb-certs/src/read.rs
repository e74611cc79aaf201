//! What is in an upload: keys and certificates, whatever they are wrapped in.

use crate::{Certificate, LARGEST, MOST, PrivateKey, Refusal, Upload};
use p12_keystore::{Pkcs12Archive, error::Error as Pkcs12Error};
use pkcs8::{EncryptedPrivateKeyInfoRef, der::Decode as _};

/// In the order in which they stand.
#[derive(Debug)]
pub struct Found {
    pub(crate) keys: Vec<PrivateKey>,
    pub(crate) certificates: Vec<Certificate>,
}

/// Opens what somebody uploads: work for a thread that may take its time, as passphrases are slow on purpose.
pub fn read(upload: Upload<'_>) -> Result<Found, Refusal> {
    let mut found = Found { keys: Vec::new(), certificates: Vec::new() };
    for (field, bytes) in [("file", Some(upload.file)), ("key", upload.key)] {
        let Some(bytes) = bytes else { continue };
        if bytes.len() > LARGEST {
            let reason = format!("has {} bytes; at most {LARGEST} are taken", bytes.len());
            let hint = "a certificate with its chain and key has some thousands: is this another file?";
            return Err(Refusal::new(field, reason, hint));
        }
        if is_pem(bytes) {
            pem(field, bytes, upload.passphrase, &mut found)?;
        } else {
            pkcs12(field, bytes, upload.passphrase, &mut found)?;
        }
    }
    if found.certificates.len() > MOST {
        let reason = format!("has {} certificates; at most {MOST} are taken", found.certificates.len());
        return Err(Refusal::new("file", reason, "upload one certificate with its chain"));
    }
    let mut seen = Vec::new();
    found.certificates.retain(|certificate| {
        let new = !seen.contains(&certificate.fingerprint);
        seen.push(certificate.fingerprint.clone());
        new
    });
    Ok(found)
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

fn pem(field: &'static str, bytes: &[u8], passphrase: Option<&str>, found: &mut Found) -> Result<(), Refusal> {
    let sections = pem::parse_many(bytes).map_err(|e| {
        let hint = "copy whole sections, from -----BEGIN to -----END with both lines";
        Refusal::new(field, format!("is damaged PEM: {e}"), hint)
    })?;
    for section in &sections {
        let (tag, der) = (section.tag(), section.contents());
        if section.headers().get("Proc-Type").is_some_and(|kind| kind.contains("ENCRYPTED")) {
            let hint = "write it anew with openssl pkcs8 -topk8 -in FILE, which asks for the passphrase";
            return Err(Refusal::new("key", "the private key is encrypted in OpenSSL's old way", hint));
        }
        match tag {
            "CERTIFICATE" | "X509 CERTIFICATE" => found.certificates.push(Certificate::parse(der)?),
            "ENCRYPTED PRIVATE KEY" => found.keys.push(encrypted(der, passphrase)?),
            _ => found.keys.extend(PrivateKey::from_pem(tag, der).transpose()?),
        }
    }
    Ok(())
}

fn encrypted(der: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, Refusal> {
    let needed = || Refusal::new("passphrase", "the private key is encrypted", "enter its passphrase");
    let passphrase = passphrase.ok_or_else(needed)?;
    let unreadable =
        |_| Refusal::new("key", "the encrypted private key cannot be read", "write it anew with openssl pkcs8");
    let key = EncryptedPrivateKeyInfoRef::from_der(der).map_err(unreadable)?;
    let wrong = |_| {
        let reason = "the passphrase does not open the private key";
        Refusal::new("passphrase", reason, "enter the passphrase with which the file was written")
    };
    PrivateKey::from_pkcs8(key.decrypt(passphrase).map_err(wrong)?.as_bytes())
}

fn pkcs12(field: &'static str, bytes: &[u8], passphrase: Option<&str>, found: &mut Found) -> Result<(), Refusal> {
    // A sequence, with which DER of all of them begins.
    if bytes.first() != Some(&0x30) {
        let hint = "upload PEM (it begins with -----BEGIN) or PKCS#12 (.pfx, .p12)";
        return Err(Refusal::new(field, "is neither PEM nor PKCS#12", hint));
    }
    if Certificate::parse(bytes).is_ok() {
        found.certificates.push(Certificate::parse(bytes)?);
        return Ok(());
    }
    let archive = Pkcs12Archive::from_pkcs12(bytes, passphrase.unwrap_or_default()).map_err(|error| match error {
        Pkcs12Error::MacError(_) | Pkcs12Error::UnpadError | Pkcs12Error::Pkcs5Error(_) => match passphrase {
            None => Refusal::new("passphrase", "the PKCS#12 file needs a passphrase", "enter its passphrase"),
            Some(_) => {
                let hint = "enter the passphrase with which the file was written";
                Refusal::new("passphrase", "the passphrase does not open the PKCS#12 file", hint)
            }
        },
        error => {
            let hint = "export it anew as PKCS#12 with AES-256, or upload PEM";
            Refusal::new(field, format!("cannot be read as PKCS#12: {error}"), hint)
        }
    })?;
    for bag in &archive.keys {
        found.keys.push(PrivateKey::from_pkcs8(bag.key.as_der())?);
    }
    for bag in &archive.certs {
        found.certificates.push(Certificate::parse(bag.cert.as_der())?);
    }
    Ok(())
}
