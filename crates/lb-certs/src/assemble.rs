//! From what was found in an upload to an entry: which certificate the key belongs to, and the way up from there.

use crate::{Authority, Chain, PrivateKey, Refusal, read::Found};

/// The key and chain in an upload. `kept` are keys that lie here already: a certificate that comes without its own, as
/// the answer to a request does, takes the one that fits. `now` in Unix seconds.
pub fn chain(found: Found, kept: &[&PrivateKey], now: u64) -> Result<Chain, Refusal> {
    let Found { keys, certificates } = found;
    if certificates.is_empty() {
        let hint = "upload the certificate together with its key";
        return Err(Refusal::new("file", "there is no certificate in it", hint));
    }
    if keys.len() > 1 && keys.iter().any(|key| key.public() != keys[0].public()) {
        return Err(Refusal::new("key", "there are several private keys", "upload one certificate with its own key"));
    }
    let leaf = |key: &PrivateKey| certificates.iter().position(|certificate| certificate.public == key.public());
    let (key, first) = match keys.first() {
        Some(key) => match leaf(key) {
            Some(first) => (key.clone(), first),
            None => {
                let subject = &certificates[0].subject;
                let reason = format!("the private key does not belong to the certificate of {subject}");
                let hint = "upload the key with which this certificate was asked for";
                return Err(Refusal::new("key", reason, hint));
            }
        },
        None => match kept.iter().find_map(|key| Some((PrivateKey::clone(key), leaf(key)?))) {
            Some(fits) => fits,
            None => {
                let hint = "upload it together with its key; an authority's certificate is added as one (--authority)";
                return Err(Refusal::new("key", "there is no private key in it, and none here fits", hint));
            }
        },
    };
    // No certificate ends a way twice.
    let mut rest = certificates;
    let mut chain = vec![rest.remove(first)];
    let mut anchored = chain[0].self_issued;
    while let Some(last) = chain.last().filter(|last| !last.self_issued) {
        let Some(next) = rest.iter().position(|other| last.signed_by(other)) else { break };
        let issuer = rest.remove(next);
        if issuer.self_issued {
            // Clients have the root, or believe nothing; it is not sent.
            anchored = true;
            break;
        }
        chain.push(issuer);
    }
    for certificate in &chain {
        certificate.refuse_expired(now)?;
        certificate.refuse_weak()?;
    }
    if let Some(issuer) = chain.iter().skip(1).find(|certificate| !certificate.authority) {
        let reason = format!("{} signed another certificate, but is no authority", issuer.subject);
        return Err(Refusal::new("file", reason, "upload the chain that the authority gave"));
    }
    Ok(Chain { key, certificates: chain, anchored })
}

/// The certificates of an authority in an upload.
pub fn authority(found: Found, now: u64) -> Result<Authority, Refusal> {
    if !found.keys.is_empty() {
        let hint = "upload its certificate alone: an authority's key must not leave the authority";
        return Err(Refusal::new("key", "there is a private key in it", hint));
    }
    if found.certificates.is_empty() {
        return Err(Refusal::new("file", "there is no certificate in it", "upload the authority's certificate as PEM"));
    }
    for certificate in &found.certificates {
        if !certificate.authority {
            let reason = format!("{} is no authority's certificate", certificate.subject);
            return Err(Refusal::new("file", reason, "upload the certificate that signed the others"));
        }
        certificate.refuse_expired(now)?;
        certificate.refuse_weak()?;
    }
    Ok(Authority { certificates: found.certificates })
}
