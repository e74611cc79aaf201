//! What OpenSSL writes is read, and what is wrong with an upload is said. Skipped where OpenSSL is not installed.

use lb_certs::{Authority, Chain, Entry, LARGEST, PrivateKey, Refusal, Subject, Upload, read, request, self_signed};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

const DAY: u64 = 86_400;

struct Lab(tempfile::TempDir);

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

impl Lab {
    /// A root, an intermediate `ca2`, and `leaf` for shop.example.com signed by it, each with a key of `kind`.
    fn new(kind: &str) -> Option<Lab> {
        if !Path::new("/usr/bin/openssl").exists() {
            println!("skipped: OpenSSL is not installed");
            return None;
        }
        let lab = Lab(tempfile::tempdir().unwrap());
        fs::write(lab.path("ca.cnf"), "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n")
            .unwrap();
        fs::write(
            lab.path("leaf.cnf"),
            "basicConstraints=CA:false\nsubjectAltName=DNS:shop.example.com,DNS:*.shop.example.com,IP:10.0.0.20\n",
        )
        .unwrap();
        lab.openssl(&format!(
            "req -x509 -newkey {kind} -nodes -keyout root.key -out root.pem -days 3650 -subj /CN=Root"
        ));
        lab.signed("ca2", kind, "root", "ca.cnf", "365", "-sha256");
        lab.signed("leaf", kind, "ca2", "leaf.cnf", "90", "-sha256");
        Some(lab)
    }

    fn signed(&self, name: &str, kind: &str, by: &str, extensions: &str, days: &str, digest: &str) {
        self.openssl(&format!("req -newkey {kind} -nodes -keyout {name}.key -out {name}.csr -subj /O=Lab/CN={name}"));
        self.sign(name, by, extensions, days, digest);
    }

    fn sign(&self, name: &str, by: &str, extensions: &str, days: &str, digest: &str) {
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -out {name}.pem -days {days} {digest} -extfile {extensions}"
        ));
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, words: &str) {
        let output = Command::new("openssl")
            .args(words.split(' '))
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Files, one after another.
    fn all(&self, names: &[&str]) -> Vec<u8> {
        names.iter().flat_map(|name| self.read(name)).collect()
    }
}

const P256: &str = "ec -pkeyopt ec_paramgen_curve:prime256v1";

fn chain(upload: Upload<'_>, kept: &[&PrivateKey], now: u64) -> Result<Chain, Refusal> {
    lb_certs::chain(read(upload)?, kept, now)
}

fn authority(upload: Upload<'_>, now: u64) -> Result<Authority, Refusal> {
    lb_certs::authority(read(upload)?, now)
}

fn file(file: &[u8]) -> Upload<'_> {
    Upload { file, key: None, passphrase: None }
}

fn refused(result: Result<impl std::fmt::Debug, Refusal>, field: &str, reason: &str) {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.field, field, "{refusal:?}");
    assert!(refusal.reason.contains(reason), "{refusal:?}");
    assert!(!refusal.hint.is_empty(), "{refusal:?}");
}

#[test]
fn pem_in_any_order_becomes_an_ordered_chain() {
    let Some(lab) = Lab::new(P256) else { return };
    for names in [
        &["leaf.key", "leaf.pem", "ca2.pem", "root.pem"],
        &["root.pem", "ca2.pem", "leaf.pem", "leaf.key"],
        &["ca2.pem", "leaf.key", "root.pem", "leaf.pem"],
    ] {
        let made = chain(file(&lab.all(names)), &[], now()).unwrap();
        assert_eq!(made.certificate().subject, "O=Lab, CN=leaf");
        let names: Vec<_> = made.certificate().names.iter().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(names, ["shop.example.com", "*.shop.example.com", "10.0.0.20"]);
        assert_eq!(made.issuers().iter().map(|i| i.subject.as_str()).collect::<Vec<_>>(), ["O=Lab, CN=ca2"], "no root");
        assert_eq!(made.warning(), None);
        let entry = Entry::Chain(made);
        let text = entry.to_pem();
        assert!(!text.contains("\n\n") && text.starts_with("-----BEGIN PRIVATE KEY"), "as HAProxy wants it");
        let again = Entry::from_pem(&text).unwrap();
        assert_eq!((again.to_pem(), again.fingerprint()), (text, entry.fingerprint()));
        assert!(!format!("{entry:?}").contains("PRIVATE KEY"), "no key in Debug");
    }
    // The key in a file of its own, and the intermediate missing.
    let (leaf, key) = (lab.read("leaf.pem"), lab.read("leaf.key"));
    let made = chain(Upload { key: Some(&key), ..file(&leaf) }, &[], now()).unwrap();
    assert!(made.warning().is_some_and(|text| text.contains("no intermediate") && text.contains("ca2")));
}

#[test]
fn keys_of_every_form() {
    for kind in ["rsa:2048", P256, "ec -pkeyopt ec_paramgen_curve:secp384r1"] {
        let Some(lab) = Lab::new(kind) else { return };
        // PKCS#1 or SEC1, then PKCS#8 encrypted.
        let old = if kind.starts_with("rsa") { "rsa -traditional" } else { "ec" };
        lab.openssl(&format!("{old} -in leaf.key -out old.key"));
        lab.openssl("pkcs8 -topk8 -in leaf.key -out secret.key -passout pass:sesame");
        chain(file(&lab.all(&["leaf.pem", "old.key"])), &[], now()).unwrap();
        let secret = lab.all(&["leaf.pem", "secret.key"]);
        chain(Upload { passphrase: Some("sesame"), ..file(&secret) }, &[], now()).unwrap();
        refused(
            chain(Upload { passphrase: Some("wrong"), ..file(&secret) }, &[], now()),
            "passphrase",
            "does not open",
        );
        refused(chain(file(&secret), &[], now()), "passphrase", "encrypted");
    }
}

#[test]
fn pkcs12_old_and_new() {
    let Some(lab) = Lab::new(P256) else { return };
    fs::write(lab.path("chain.pem"), lab.all(&["ca2.pem", "root.pem"])).unwrap();
    for how in ["", " -legacy", " -legacy -descert", " -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -macalg sha1"] {
        lab.openssl(&format!(
            "pkcs12 -export -in leaf.pem -inkey leaf.key -certfile chain.pem -out it.pfx -passout pass:sesame{how}"
        ));
        let pfx = lab.read("it.pfx");
        let made = chain(Upload { passphrase: Some("sesame"), ..file(&pfx) }, &[], now()).unwrap();
        assert_eq!((made.certificate().subject.as_str(), made.issuers().len()), ("O=Lab, CN=leaf", 1), "{how}");
        refused(chain(Upload { passphrase: Some("Sesame"), ..file(&pfx) }, &[], now()), "passphrase", "does not open");
        refused(chain(file(&pfx), &[], now()), "passphrase", "needs a passphrase");
        refused(chain(Upload { passphrase: Some("sesame"), ..file(&pfx[..pfx.len() / 2]) }, &[], now()), "file", "");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let Some(lab) = Lab::new(P256) else { return };
    let at = now();
    refused(chain(file(&lab.all(&["leaf.pem", "root.key"])), &[], at), "key", "does not belong");
    refused(chain(file(&lab.all(&["leaf.pem", "leaf.key", "root.key"])), &[], at), "key", "several");
    refused(chain(file(&lab.read("leaf.pem")), &[], at), "key", "no private key");
    refused(chain(file(&lab.read("leaf.key")), &[], at), "file", "no certificate");
    refused(chain(file(b"hello"), &[], at), "file", "neither");
    refused(chain(file(b""), &[], at), "file", "neither");
    refused(chain(file(&vec![b'x'; 10 << 20]), &[], at), "file", &LARGEST.to_string());
    let broken =
        String::from_utf8(lab.all(&["leaf.pem", "leaf.key"])).unwrap().replace("-----END CERT", "-----END BERT");
    refused(chain(file(broken.as_bytes()), &[], at), "file", "");
    let whole = lab.all(&["leaf.pem", "leaf.key", "ca2.pem"]);
    refused(chain(file(&whole), &[], at + 91 * DAY), "file", "O=Lab, CN=leaf: it has expired on");
    // The leaf outlives what signed it.
    lab.sign("leaf", "ca2", "leaf.cnf", "3650", "-sha256");
    refused(
        chain(file(&lab.all(&["leaf.pem", "leaf.key", "ca2.pem"])), &[], at + 366 * DAY),
        "file",
        "O=Lab, CN=ca2: it has expired",
    );
    lab.sign("leaf", "ca2", "leaf.cnf", "90", "-sha1");
    refused(chain(file(&lab.all(&["leaf.pem", "leaf.key"])), &[], at), "file", "SHA-1");
    lab.signed("weak", "rsa:1024", "ca2", "leaf.cnf", "90", "-sha256");
    refused(chain(file(&lab.all(&["weak.pem", "weak.key"])), &[], at), "key", "too weak");
    lab.signed("odd", "ed25519", "ca2", "leaf.cnf", "90", "-sha256");
    refused(chain(file(&lab.all(&["odd.pem", "odd.key"])), &[], at), "key", "Ed25519");
    // A chain of somebody else's is no part of it.
    let other = Lab::new(P256).unwrap();
    lab.sign("leaf", "ca2", "leaf.cnf", "90", "-sha256");
    let mixed = [lab.all(&["leaf.key", "leaf.pem"]), other.read("ca2.pem")].concat();
    assert!(chain(file(&mixed), &[], at).unwrap().issuers().is_empty(), "the same name, another key");
}

#[test]
fn authorities_come_without_keys() {
    let Some(lab) = Lab::new(P256) else { return };
    let made = Entry::Authority(authority(file(&lab.all(&["root.pem", "ca2.pem"])), now()).unwrap());
    assert_eq!(made.certificate().map(|c| c.subject.as_str()), Some("CN=Root"));
    assert_eq!(Entry::from_pem(&made.to_pem()).unwrap(), made);
    refused(authority(file(&lab.all(&["root.pem", "root.key"])), now()), "key", "there is a private key");
    refused(authority(file(&lab.read("leaf.pem")), now()), "file", "no authority");
}

#[test]
fn a_request_is_completed_by_its_certificate() {
    let Some(lab) = Lab::new(P256) else { return };
    let subject = Subject { organization: "Lab".into(), country: "DE".into(), ..Subject::default() };
    let asked = request(&["shop.example.com".into(), "10.0.0.20".into()], &subject).unwrap();
    assert_eq!(asked.subject(), "C=DE, O=Lab, CN=shop.example.com");
    let entry = Entry::Request(asked.clone());
    assert_eq!(Entry::from_pem(&entry.to_pem()).unwrap(), entry);
    fs::write(lab.path("shop.csr"), asked.pem()).unwrap();
    lab.openssl("req -in shop.csr -noout -verify");
    lab.sign("shop", "ca2", "leaf.cnf", "90", "-sha256");
    let signed = lab.all(&["shop.pem", "ca2.pem"]);
    refused(chain(file(&signed), &[], now()), "key", "none here fits");
    let other = request(&["x".into()], &Subject::default()).unwrap();
    let made = chain(file(&signed), &[other.key(), asked.key()], now()).unwrap();
    assert_eq!(made.key(), asked.key());
}

#[test]
fn one_signed_by_itself() {
    let made = self_signed(&["shop.example.com".into(), "10.0.0.20".into()], 90, now()).unwrap();
    let own = made.certificate();
    assert_eq!((own.key.as_str(), own.self_issued, own.not_after), ("EC P-256", true, own.not_before + 90 * DAY - 1));
    assert!(made.warning().is_some_and(|text| text.contains("signed by itself")));
    refused(self_signed(&[], 90, now()), "names", "no name");
    refused(self_signed(&["a b".into()], 90, now()), "names", "not a host name");
    refused(self_signed(&["a".into()], 0, now()), "days", "1 to");
    refused(request(&["a".into()], &Subject { country: "Germany".into(), ..Subject::default() }), "subject", "country");
}
