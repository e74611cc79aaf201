//! What an authority's responder says of a certificate (OCSP, RFC 6960, in the narrow form of RFC 5019): the question,
//! and whether an answer is to be believed.
//!
//! A [`Chain`] asks where its certificate names a responder at an `http://` URL and its issuer is in the chain. An
//! [`Answer`] is about this certificate and nothing else, says until when it counts, and is signed by the issuer, or by
//! one to whom the issuer gave that right (`id-kp-OCSPSigning`). No clock: whether an answer still counts is asked with
//! a time. Tested in `tests/ocsp.rs` with what OpenSSL answers.

use crate::{Certificate, Chain};
use sha1::{Digest as _, Sha1};
use x509_parser::{
    asn1_rs::BitString,
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer as _,
    time::ASN1Time,
    verify::verify_signature,
    x509::AlgorithmIdentifier,
};

/// Bytes of an answer: in base64 it must fit into one command to HAProxy (`tune.bufsize`, 16,384 bytes).
pub const LONGEST_ANSWER: usize = 10_000;
/// Characters of a responder's URL.
const LONGEST_URL: usize = 1024;
/// Certificates that come with an answer, of which one may have signed it.
const MOST_SIGNERS: usize = 8;
/// Seconds by which clocks may differ. HAProxy lets go of an answer as long before its end
/// (`OCSP_MAX_RESPONSE_TIME_SKEW`).
const SKEW: u64 = 300;

/// SHA-1, by which certificates are named (RFC 5019, section 2.1.1). HAProxy compares the parameters (NULL) too.
const SHA1: &[u8] = &[0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00];
/// `id-pkix-ocsp-basic`
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// `id-ad-ocsp`
const RESPONDER: &str = "1.3.6.1.5.5.7.48.1";

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, around something.
const OUTER_0: u8 = 0xa0;

/// What is asked, and whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// An `http://` URL.
    pub responder: String,
    /// The request (DER).
    pub der: Vec<u8>,
}

/// An answer that is to be believed for as long as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    der: Vec<u8>,
    pub status: Status,
    /// Unix seconds.
    pub produced: u64,
    /// It counts from here (Unix seconds),
    pub this_update: u64,
    /// to here.
    pub next_update: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Good,
    /// Since then (Unix seconds), with the code of the reason (RFC 5280, section 5.3.1) where one is given.
    Revoked {
        since: u64,
        reason: Option<u8>,
    },
    /// The responder does not know the certificate.
    Unknown,
}

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    #[error("the answer has {0} bytes; at most {LONGEST_ANSWER} are taken")]
    TooLong(usize),
    #[error("the answer is no OCSP response")]
    Unreadable,
    #[error("the responder gives no answer: {0}")]
    Refused(&'static str),
    #[error("the answer is about another certificate, or about several")]
    Another,
    #[error("the answer does not say until when it counts")]
    Endless,
    #[error("the answer is signed by nobody to whom the issuer gave that right")]
    Unsigned,
}

impl Answer {
    /// DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// It counts now (Unix seconds), and for as long as HAProxy wants it to.
    pub fn counts(&self, now: u64) -> bool {
        let later = now.saturating_add(SKEW);
        self.this_update <= later && later < self.next_update
    }
}

impl Status {
    /// The reason of a revocation in words (RFC 5280, section 5.3.1).
    pub fn reason(self) -> Option<&'static str> {
        let Status::Revoked { reason: Some(code), .. } = self else { return None };
        Some(match code {
            1 => "its key is in other hands",
            2 => "the authority's key is in other hands",
            3 => "what it says of its owner has changed",
            4 => "another certificate took its place",
            5 => "it is not used any more",
            6 => "it is on hold",
            9 => "its owner lost the right to it",
            _ => return None,
        })
    }
}

impl Chain {
    /// Whom to ask what about the server's own certificate. `None`: it names no responder, or came without its issuer.
    pub fn ocsp(&self) -> Option<Question> {
        let responder = responder(self.certificate())?;
        // CertID in Request, in SEQUENCE OF, in TBSRequest, in OCSPRequest.
        let der = (0..4).fold(self.certificate_id()?, |inner, _| tlv(SEQUENCE, &inner));
        Some(Question { responder, der })
    }

    /// Reads an answer about the server's own certificate.
    pub fn ocsp_answer(&self, der: &[u8]) -> Result<Answer, Distrust> {
        if der.len() > LONGEST_ANSWER {
            return Err(Distrust::TooLong(der.len()));
        }
        let id = self.certificate_id().ok_or(Distrust::Another)?;
        let issuer = self.issuers().first().ok_or(Distrust::Unsigned)?;
        let mut basic = basic(der)?;
        let (data, algorithm, signature) = (basic.take(SEQUENCE)?, basic.take(SEQUENCE)?, basic.take(BIT_STRING)?);
        let mut signers = match basic.optional(OUTER_0) {
            Some(outer) => Walk(Walk(outer.inner).take(SEQUENCE)?.inner),
            None => Walk(&[]),
        };
        let answer = single(der, data.inner, &id)?;
        let signed = Signed { data: data.whole, algorithm: algorithm.whole, signature: signature.whole };
        let (_, issuer) = X509Certificate::from_der(&issuer.der).map_err(|_| Distrust::Unsigned)?;
        let mut by = signed.by(&issuer);
        for _ in 0..MOST_SIGNERS {
            let Some(signer) = signers.optional(SEQUENCE).filter(|_| !by) else { break };
            let Ok((_, signer)) = X509Certificate::from_der(signer.whole) else { continue };
            by = may_sign(&signer, &issuer, answer.produced) && signed.by(&signer);
        }
        if by { Ok(answer) } else { Err(Distrust::Unsigned) }
    }

    /// CertID (DER).
    fn certificate_id(&self) -> Option<Vec<u8>> {
        let issuer = self.issuers().first()?;
        let (_, own) = X509Certificate::from_der(&self.certificate().der).ok()?;
        let name = Sha1::digest(own.issuer().as_raw());
        let key = Sha1::digest(&issuer.public);
        let parts = [SHA1.to_vec(), tlv(OCTETS, &name), tlv(OCTETS, &key), tlv(INTEGER, own.raw_serial())];
        Some(tlv(SEQUENCE, &parts.concat()))
    }
}

/// The first that is spoken to over http; others there are hardly any.
fn responder(certificate: &Certificate) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(&certificate.der).ok()?;
    let places = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(places) => Some(places),
        _ => None,
    })?;
    let url = |url: &&str| {
        let host = url.strip_prefix("http://").unwrap_or_default();
        !host.is_empty() && url.len() <= LONGEST_URL && url.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let named = places.iter().filter(|place| place.access_method.to_id_string() == RESPONDER);
    let mut urls = named.filter_map(|place| match &place.access_location {
        GeneralName::URI(text) => Some(*text).filter(url),
        _ => None,
    });
    urls.next().map(str::to_owned)
}

/// BasicOCSPResponse of an OCSPResponse.
fn basic(der: &[u8]) -> Result<Walk<'_>, Distrust> {
    let mut all = Walk(der);
    let mut response = Walk(all.take(SEQUENCE)?.inner);
    all.end()?;
    match response.take(ENUMERATED)?.inner {
        [0] => {}
        [1] => return Err(Distrust::Refused("it could not read the question")),
        [2] => return Err(Distrust::Refused("it has an error of its own")),
        [3] => return Err(Distrust::Refused("try again later")),
        [5] => return Err(Distrust::Refused("it wants signed questions")),
        [6] => return Err(Distrust::Refused("it does not speak for this authority")),
        _ => return Err(Distrust::Unreadable),
    }
    let mut bytes = Walk(Walk(response.take(OUTER_0)?.inner).take(SEQUENCE)?.inner);
    if bytes.take(OBJECT)?.inner != BASIC {
        return Err(Distrust::Unreadable);
    }
    Ok(Walk(Walk(bytes.take(OCTETS)?.inner).take(SEQUENCE)?.inner))
}

/// The one SingleResponse of a ResponseData: HAProxy takes no more than one.
fn single(der: &[u8], data: &[u8], id: &[u8]) -> Result<Answer, Distrust> {
    let mut data = Walk(data);
    let _version = data.optional(OUTER_0);
    let _responder = data.next().ok_or(Distrust::Unreadable)?;
    let produced = seconds(&data.take(TIME)?)?;
    let mut all = Walk(data.take(SEQUENCE)?.inner);
    let mut one = Walk(all.take(SEQUENCE)?.inner);
    if all.end().is_err() || one.take(SEQUENCE)?.whole != id {
        return Err(Distrust::Another);
    }
    let status = one.next().ok_or(Distrust::Unreadable)?;
    let status = match status.tag {
        0x80 => Status::Good,
        0xa1 => {
            let mut revoked = Walk(status.inner);
            let since = seconds(&revoked.take(TIME)?)?;
            let reason = revoked.optional(OUTER_0).and_then(|outer| Walk(outer.inner).take(ENUMERATED).ok());
            Status::Revoked { since, reason: reason.and_then(|reason| reason.inner.first().copied()) }
        }
        0x82 => Status::Unknown,
        _ => return Err(Distrust::Unreadable),
    };
    let this_update = seconds(&one.take(TIME)?)?;
    let next_update = match one.optional(OUTER_0) {
        Some(outer) => seconds(&Walk(outer.inner).take(TIME)?)?,
        None => return Err(Distrust::Endless),
    };
    if next_update <= this_update {
        return Err(Distrust::Endless);
    }
    Ok(Answer { der: der.to_vec(), status, produced, this_update, next_update })
}

/// The issuer gave it that right, which counted when the answer was made (RFC 6960, section 4.2.2.2).
fn may_sign(signer: &X509Certificate<'_>, issuer: &X509Certificate<'_>, produced: u64) -> bool {
    let moment = i64::try_from(produced).unwrap_or(i64::MAX);
    let validity = signer.validity();
    let right = signer.extended_key_usage().is_ok_and(|usage| usage.is_some_and(|usage| usage.value.ocsp_signing));
    right
        && signer.issuer().as_raw() == issuer.subject().as_raw()
        && signer.verify_signature(Some(issuer.public_key())).is_ok()
        && (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&moment)
}

/// DER of each.
struct Signed<'a> {
    data: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl Signed<'_> {
    fn by(&self, signer: &X509Certificate<'_>) -> bool {
        let (Ok((_, algorithm)), Ok((_, signature))) =
            (AlgorithmIdentifier::from_der(self.algorithm), BitString::from_der(self.signature))
        else {
            return false;
        };
        verify_signature(signer.public_key(), &algorithm, &signature, self.data).is_ok()
    }
}

/// DER, one part after the other.
struct Walk<'a>(&'a [u8]);

struct Part<'a> {
    tag: u8,
    /// With tag and length.
    whole: &'a [u8],
    inner: &'a [u8],
}

impl<'a> Walk<'a> {
    fn next(&mut self) -> Option<Part<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 | 0x82 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (inner, after) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some(Part { tag, whole, inner })
    }

    fn take(&mut self, tag: u8) -> Result<Part<'a>, Distrust> {
        self.next().filter(|part| part.tag == tag).ok_or(Distrust::Unreadable)
    }

    fn optional(&mut self, tag: u8) -> Option<Part<'a>> {
        if self.0.first() == Some(&tag) { self.next() } else { None }
    }

    fn end(&self) -> Result<(), Distrust> {
        if self.0.is_empty() { Ok(()) } else { Err(Distrust::Unreadable) }
    }
}

/// GeneralizedTime.
fn seconds(part: &Part<'_>) -> Result<u64, Distrust> {
    let (_, time) = ASN1Time::from_der(part.whole).map_err(|_| Distrust::Unreadable)?;
    u64::try_from(time.timestamp()).map_err(|_| Distrust::Unreadable)
}

/// Of what is shorter than 65,536 bytes.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let [.., high, low] = length;
    let head: &[u8] = match content.len() {
        0..=0x7f => &[tag, low],
        0x80..=0xff => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, content].concat()
}
