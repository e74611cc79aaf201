//! What OpenSSL's responder answers, believed or not. Skipped where OpenSSL is not installed.

use lb_certs::{Answer, Chain, Distrust, LONGEST_ANSWER, Status, Upload};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const P256: &str = "ec -pkeyopt ec_paramgen_curve:prime256v1";
const RSA: &str = "rsa:2048";
const URL: &str = "http://ocsp.example.com:8080/a?b=c";

struct Lab(tempfile::TempDir);

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

impl Lab {
    /// `root`, `ca` by it, and by that `shop` and `blog`, which name a responder, `signer`, which may answer, `late`,
    /// which might have until a while ago, and `server`, which may not.
    fn new(kind: &str) -> Option<Lab> {
        if !Path::new("/usr/bin/openssl").exists() {
            println!("skipped: OpenSSL is not installed");
            return None;
        }
        let lab = Lab(tempfile::tempdir().unwrap());
        let write = |name: &str, text: &str| fs::write(lab.path(name), text).unwrap();
        write("ca.cnf", "basicConstraints=critical,CA:true\n");
        write("leaf.cnf", &format!("basicConstraints=CA:false\nauthorityInfoAccess=OCSP;URI:{URL}\n"));
        write("signer.cnf", "basicConstraints=CA:false\nextendedKeyUsage=OCSPSigning\n");
        write("server.cnf", "basicConstraints=CA:false\nextendedKeyUsage=serverAuth\n");
        lab.openssl(&format!("req -x509 -newkey {kind} -nodes -keyout root.key -out root.pem -days 90 -subj /CN=Root"));
        lab.signed("ca", kind, "root", "ca.cnf", 2);
        for name in ["shop", "blog"] {
            lab.signed(name, kind, "ca", "leaf.cnf", 0x1000 + name.len() as u32 + u32::from(name == "shop"));
        }
        for (name, extensions) in [("signer", "signer.cnf"), ("server", "server.cnf")] {
            lab.signed(name, kind, "ca", extensions, 4);
        }
        // As another authority of the same name would.
        lab.openssl(&format!("req -x509 -newkey {kind} -nodes -keyout ca2.key -out ca2.pem -days 90 -subj /CN=ca"));
        lab.signed("stranger", kind, "ca2", "signer.cnf", 5);
        Some(lab)
    }

    fn signed(&self, name: &str, kind: &str, by: &str, extensions: &str, serial: u32) {
        self.openssl(&format!("req -newkey {kind} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -set_serial {serial} -out {name}.pem -days 30 -sha256 -extfile {extensions}"
        ));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        let output = command.args(words.split(' ')).current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn chain(&self, names: &[&str]) -> Chain {
        let all: Vec<u8> = names.iter().flat_map(|name| fs::read(self.path(name)).unwrap()).collect();
        let found = lb_certs::read(Upload { file: &all, key: None, passphrase: None }).unwrap();
        lb_certs::chain(found, &[], now()).unwrap()
    }

    fn shop(&self) -> Chain {
        self.chain(&["shop.key", "shop.pem", "ca.pem"])
    }

    /// What the responder says to our own question, by its index of certificates.
    fn answered(&self, chain: &Chain, state: &str, signer: &str, more: &str) -> Vec<u8> {
        let question = chain.ocsp().unwrap();
        fs::write(self.path("question"), &question.der).unwrap();
        let serial = |name: &str| format!("{:X}", 0x1000 + name.len() as u32 + u32::from(name == "shop"));
        let line = |state: &str, name: &str| format!("{state}\t{}\tunknown\t/CN={name}\n", serial(name));
        let index = match state {
            "unknown" => String::new(),
            state => line(state, "shop"),
        };
        fs::write(self.path("index"), index).unwrap();
        self.openssl(&format!(
            "ocsp -index index -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key -reqin question -respout answer {more}"
        ));
        fs::read(self.path("answer")).unwrap()
    }

    fn read(&self, der: &[u8]) -> Result<Answer, Distrust> {
        self.shop().ocsp_answer(der)
    }
}

const VALID: &str = "V\t351231235959Z\t";
const REVOKED: &str = "R\t351231235959Z\t261101000000Z,keyCompromise";

#[test]
fn an_issuers_answer_is_believed_for_as_long_as_it_counts() {
    for kind in [P256, RSA] {
        let Some(lab) = Lab::new(kind) else { return };
        let chain = lab.shop();
        assert_eq!(chain.ocsp().unwrap().responder, URL);
        let answer = lab.read(&lab.answered(&chain, VALID, "ca", "-nmin 60")).unwrap();
        assert_eq!((answer.status, answer.next_update - answer.this_update), (Status::Good, 3600), "{kind}");
        assert!(answer.this_update.abs_diff(now()) < 60 && answer.produced.abs_diff(now()) < 60, "{answer:?}");
        let counts = |moment: u64| answer.counts(moment);
        assert!(counts(answer.this_update) && counts(answer.this_update + 3299) && counts(answer.this_update - 300));
        assert!(!counts(answer.this_update + 3300) && !counts(answer.this_update - 301));
    }
}

#[test]
fn what_was_revoked_and_what_is_unknown_is_told_apart() {
    let Some(lab) = Lab::new(P256) else { return };
    let revoked = lab.read(&lab.answered(&lab.shop(), REVOKED, "ca", "-nmin 60")).unwrap().status;
    // 2026-11-01
    assert_eq!(revoked, Status::Revoked { since: 1_793_491_200, reason: Some(1) });
    assert_eq!(revoked.reason(), Some("its key is in other hands"));
    assert_eq!(lab.read(&lab.answered(&lab.shop(), "unknown", "ca", "-nmin 60")).unwrap().status, Status::Unknown);
}

#[test]
fn only_the_issuer_and_whom_it_gave_the_right_may_answer() {
    let Some(lab) = Lab::new(P256) else { return };
    let by = |signer: &str, more: &str| lab.read(&lab.answered(&lab.shop(), VALID, signer, more)).map(|a| a.status);
    assert_eq!(by("signer", "-nmin 60"), Ok(Status::Good));
    assert_eq!(by("signer", "-nmin 60 -resp_no_certs"), Err(Distrust::Unsigned), "nobody knows who signed it");
    for wrong in ["server", "shop", "root", "stranger", "ca2"] {
        assert_eq!(by(wrong, "-nmin 60"), Err(Distrust::Unsigned), "{wrong}");
    }
}

#[test]
fn an_answer_must_be_about_this_certificate_and_have_an_end() {
    let Some(lab) = Lab::new(P256) else { return };
    let good = lab.answered(&lab.shop(), VALID, "ca", "-nmin 60 -resp_no_certs");
    let believed = lab.read(&good).unwrap();
    let blog = lab.chain(&["blog.key", "blog.pem", "ca.pem"]);
    assert_eq!(blog.ocsp_answer(&good), Err(Distrust::Another));
    assert_eq!(lab.read(&lab.answered(&lab.shop(), VALID, "ca", "-resp_key_id")), Err(Distrust::Endless));

    // Whatever is changed, it is believed no more or says the same, and nothing panics.
    for at in 0..good.len() {
        let mut other = good.clone();
        other[at] ^= 0x01;
        if let Ok(other) = lab.read(&other) {
            let says = |answer: &Answer| (answer.status, answer.this_update, answer.next_update);
            assert_eq!(says(&other), says(&believed), "byte {at}");
        }
        assert!(lab.read(&good[..at]).is_err(), "cut at {at}");
    }
    let behind = [good.as_slice(), &[0]].concat();
    assert_eq!(lab.read(&behind), Err(Distrust::Unreadable));
    assert_eq!(lab.read(&[0x30, 0x03, 0x0a, 0x01, 0x03]), Err(Distrust::Refused("try again later")));
    assert_eq!(lab.read(&vec![0; LONGEST_ANSWER + 1]), Err(Distrust::TooLong(LONGEST_ANSWER + 1)));
}

#[test]
fn who_names_no_responder_or_came_without_its_issuer_is_not_asked_about() {
    let Some(lab) = Lab::new(P256) else { return };
    assert_eq!(lab.chain(&["shop.key", "shop.pem"]).ocsp(), None);
    assert_eq!(lab.chain(&["server.key", "server.pem", "ca.pem"]).ocsp(), None);
}
