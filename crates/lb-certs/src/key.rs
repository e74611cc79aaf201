//! A private key: of a kind that clients and HAProxy take, and shown to nobody.

use crate::Refusal;
use pem::Pem;
use rustls::{SignatureAlgorithm, crypto::ring::sign::any_supported_type};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use std::fmt;
use x509_parser::{prelude::FromDer as _, x509::SubjectPublicKeyInfo};
use zeroize::Zeroizing;

pub(crate) const KINDS: &str = "use RSA of 2048 to 4096 bits, or an elliptic curve: P-256 (prime256v1) or P-384";

/// How the DER is wrapped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
}

impl Form {
    fn tag(self) -> &'static str {
        match self {
            Form::Pkcs8 => "PRIVATE KEY",
            Form::Pkcs1 => "RSA PRIVATE KEY",
            Form::Sec1 => "EC PRIVATE KEY",
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    form: Form,
    der: Zeroizing<Vec<u8>>,
    /// The public half, as certificates and requests hold it.
    public: Vec<u8>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl PrivateKey {
    /// From a section of PEM; `None`: it holds no key.
    pub(crate) fn from_pem(tag: &str, der: &[u8]) -> Option<Result<PrivateKey, Refusal>> {
        let form = [Form::Pkcs8, Form::Pkcs1, Form::Sec1].into_iter().find(|form| form.tag() == tag)?;
        Some(PrivateKey::new(form, der))
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<PrivateKey, Refusal> {
        PrivateKey::new(Form::Pkcs8, der)
    }

    fn new(form: Form, der: &[u8]) -> Result<PrivateKey, Refusal> {
        let copy = der.to_vec();
        let key = match form {
            Form::Pkcs8 => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(copy)),
            Form::Pkcs1 => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(copy)),
            Form::Sec1 => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(copy)),
        };
        // ring takes no RSA below 2048 bits, and checks that both halves of a key belong together.
        let unsupported =
            |_| Refusal::new("key", "the private key is too weak, damaged, or of a kind not taken", KINDS);
        let signer = any_supported_type(&key).map_err(unsupported)?;
        if signer.algorithm() == SignatureAlgorithm::ED25519 {
            return Err(Refusal::new("key", "the private key is of Ed25519, which browsers do not take", KINDS));
        }
        let info =
            signer.public_key().ok_or_else(|| Refusal::new("key", "the private key has no public half", KINDS))?;
        let (_, info) = SubjectPublicKeyInfo::from_der(info.as_ref())
            .map_err(|_| Refusal::new("key", "the private key's public half cannot be read", KINDS))?;
        let public = info.subject_public_key.data.to_vec();
        Ok(PrivateKey { form, der: Zeroizing::new(der.to_vec()), public })
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The DER, where it is PKCS#8.
    pub(crate) fn pkcs8(&self) -> Option<&[u8]> {
        (self.form == Form::Pkcs8).then_some(self.der.as_slice())
    }

    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        // The encoder's own copy of the DER is not wiped; it lives for this call.
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Zeroizing::new(pem::encode_config(&Pem::new(self.form.tag(), self.der.to_vec()), config))
    }
}
