//! Who this unit is towards its peer: a key and a certificate that it signs itself, made at first use.
//!
//! `identity.pem` in the pair's directory holds both, so that no crash can part them; it is readable for root only. The
//! certificate never ends (RFC 5280, section 4.1.2.5): it is pinned as a whole, and units may not know the time. One
//! that is damaged is not replaced unasked, because the peer knows the old one: [`Identity::renew`] is for pairing.

use crate::{card::Certificate, durable};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{fmt, io, path::Path};
use zeroize::Zeroizing;

pub const FILE: &str = "identity.pem";
/// Ours has about a kilobyte.
const LARGEST: u64 = 16 << 10;

/// This unit's key and certificate.
pub struct Identity {
    certificate: Certificate,
    /// PKCS #8.
    key: Zeroizing<Vec<u8>>,
}

/// SHA-256 of a certificate, for people to compare: `AB:CD:…`, as browsers show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the identity of this unit, {FILE}, cannot be read or written")]
    Io(#[from] io::Error),
    #[error("the identity of this unit, {FILE}, is damaged: {0}. hint: pair the units again")]
    Damaged(String),
    #[error("making a key and a certificate")]
    Make(#[from] rcgen::Error),
}

impl Identity {
    /// Reads this unit's identity, or makes it when there is none.
    pub fn open(dir: &Path) -> Result<Identity, IdentityError> {
        match durable::read(dir, FILE, LARGEST) {
            Ok(Some(text)) => Identity::parse(&Zeroizing::new(text)),
            Ok(None) => Identity::renew(dir),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(IdentityError::Damaged(e.to_string())),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes a new identity in the place of any old one. A peer that has pinned the old one refuses this unit then.
    pub fn renew(dir: &Path) -> Result<Identity, IdentityError> {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        let mut subject = rcgen::DistinguishedName::new();
        subject.push(rcgen::DnType::OrganizationName, "Steelyard");
        subject.push(rcgen::DnType::CommonName, "unit of a pair");
        params.distinguished_name = subject;
        params.extended_key_usages =
            vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        let certificate = params.self_signed(&key)?;
        let text = Zeroizing::new(format!("{}{}", certificate.pem(), *Zeroizing::new(key.serialize_pem())));
        durable::write(dir, FILE, text.as_bytes())?;
        Identity::parse(&text)
    }

    fn parse(text: &str) -> Result<Identity, IdentityError> {
        let damaged = |what: &str| IdentityError::Damaged(what.to_owned());
        let der = CertificateDer::from_pem_slice(text.as_bytes()).map_err(|_| damaged("no certificate in it"))?;
        let certificate = Certificate::new(der.as_ref()).map_err(|e| damaged(&e.to_string()))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| damaged("no key in it"))?;
        let key = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        let identity = Identity { certificate, key };
        // Refuses a key that is not the certificate's.
        identity.certified_key().map_err(|e| damaged(&e.to_string()))?;
        Ok(identity)
    }

    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    pub(crate) fn certified_key(&self) -> Result<rustls::sign::CertifiedKey, rustls::Error> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.to_vec()));
        rustls::sign::CertifiedKey::from_der(
            vec![self.certificate.der()],
            key,
            &rustls::crypto::ring::default_provider(),
        )
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity {{ {} }}", self.fingerprint())
    }
}

impl Fingerprint {
    pub fn of(certificate: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            let colon = if n == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn an_identity_is_made_once_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("pair");
        let made = Identity::open(&place).unwrap();
        let again = Identity::open(&place).unwrap();
        assert_eq!(made.fingerprint(), again.fingerprint());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&place), mode(&place.join(FILE))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "nothing temporary stays");
        assert_ne!(made.fingerprint(), Identity::renew(&place).unwrap().fingerprint());
        let text = made.fingerprint().to_string();
        assert_eq!((text.len(), text.matches(':').count()), (95, 31));
    }

    #[test]
    fn a_damaged_identity_is_said_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        Identity::open(dir.path()).unwrap();
        let file = dir.path().join(FILE);
        let good = fs::read_to_string(&file).unwrap();
        let other = tempfile::tempdir().unwrap();
        Identity::open(other.path()).unwrap();
        let theirs = fs::read_to_string(other.path().join(FILE)).unwrap();
        let cut = good.find("-----BEGIN PRIVATE").unwrap();
        let their_cut = theirs.find("-----BEGIN PRIVATE").unwrap();
        let mixed = format!("{}{}", &good[..cut], &theirs[their_cut..]);
        for bad in ["", &good[..cut], &good[cut..], &good.replace("MI", "IM"), &mixed, &"x".repeat(20_000)] {
            fs::write(&file, bad).unwrap();
            assert!(matches!(Identity::open(dir.path()), Err(IdentityError::Damaged(_))), "{bad}");
            assert_eq!(fs::read_to_string(&file).unwrap(), bad);
        }
    }

    #[test]
    fn a_left_over_of_a_crash_does_not_hinder() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("identity.pem.new"), "half").unwrap();
        Identity::open(dir.path()).unwrap();
        assert!(!dir.path().join("identity.pem.new").exists());
    }

    #[test]
    fn debug_shows_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::open(dir.path()).unwrap();
        assert_eq!(format!("{identity:?}"), format!("Identity {{ {} }}", identity.fingerprint()));
    }
}
