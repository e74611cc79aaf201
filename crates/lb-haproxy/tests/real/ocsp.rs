//! OCSP stapling by a real HAProxy: what it takes at run time, and what it reads at a start.

use crate::harness::{Live, eventually, free_port, installed, servers, shop};
use lb_haproxy::{Material, Proxy as _};
use lb_model::layer7::CertificateFingerprint;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

/// An authority with a responder, and certificates of shop.example.com by it: `one` and `two`.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Lab {
        let lab = Lab(tempfile::tempdir().unwrap());
        fs::write(lab.path("leaf.cnf"), "basicConstraints=CA:false\nsubjectAltName=DNS:shop.example.com\n").unwrap();
        let key = "ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        lab.openssl(&format!("req -x509 -newkey {key} -keyout ca.key -out ca.pem -days 90 -subj /CN=Authority"));
        let mut index = String::new();
        for (name, serial) in [("one", 0x1001), ("two", 0x1002)] {
            lab.openssl(&format!("req -newkey {key} -keyout {name}.key -out {name}.csr -subj /CN=shop.example.com"));
            lab.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial {serial} -out {name}.pem -days 30 -extfile leaf.cnf"
            ));
            index += &format!("V\t351231235959Z\t\t{serial:X}\tunknown\t/CN={name}\n");
        }
        fs::write(lab.path("index"), index).unwrap();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, words: &str) -> Vec<u8> {
        let mut command = Command::new("openssl");
        let output = command.args(words.split(' ')).current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// With an answer that counts for so many minutes.
    fn material(&self, name: &str, minutes: Option<u32>) -> Material {
        use sha1::Digest as _;
        let text = |name: &str| fs::read_to_string(self.path(name)).unwrap();
        let pem = text(&format!("{name}.key")) + &text(&format!("{name}.pem")) + &text("ca.pem");
        let der = self.openssl(&format!("x509 -in {name}.pem -outform DER"));
        let sha1 = sha1::Sha1::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
        let answer = |minutes| {
            self.openssl(&format!("ocsp -issuer ca.pem -cert {name}.pem -no_nonce -reqout question"));
            self.openssl(&format!(
                "ocsp -index index -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin question -respout answer -nmin {minutes}"
            ));
            Arc::new(fs::read(self.path("answer")).unwrap())
        };
        Material { pem: Arc::new(pem.into()), sha1, ocsp: minutes.map(answer) }
    }
}

/// The serial of the certificate that a client is shown an answer about, and for how many minutes that counts.
fn stapled(port: u16) -> Option<(String, u32)> {
    let script = format!("openssl s_client -connect 127.0.0.1:{port} -servername shop.example.com -status </dev/null");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |name: &str| Some(text.split_once(name)?.1.lines().next()?.trim().to_owned());
    if !text.contains("OCSP Response Status: successful") {
        return None;
    }
    assert_eq!(field("Cert Status:")?, "good");
    let minute = |name| {
        let time = field(name)?;
        let mut clock =
            time.split(' ').find(|word| word.contains(':'))?.split(':').map(|part| part.parse::<u32>().ok());
        Some(clock.next()?? * 60 + clock.next()??)
    };
    let minutes = (minute("Next Update:")? + 1440 - minute("This Update:")?) % 1440;
    Some((field("Serial Number:")?, minutes))
}

#[test]
fn an_answer_is_shown_renewed_and_taken_away_while_haproxy_runs() {
    if !installed() || !Path::new("/usr/bin/openssl").exists() {
        return;
    }
    let (lab, port, servers) = (Lab::new(), free_port(), servers(1));
    let fingerprint: CertificateFingerprint = format!("{:064x}", 1).parse().unwrap();
    let layer7 = json!({
        "certificates": [{"label": "shop", "fingerprint": fingerprint, "not_after": 1_900_000_000}],
        "virtual_servers": [shop(port, &servers, json!({"tls": {"certificates": ["shop"]}}))],
    });
    // It starts without one.
    let mut live = Live::start_with(layer7, [(fingerprint.clone(), lab.material("one", None))].into());
    let worker = live.worker();
    assert_eq!(stapled(port), None);
    let staple = "layer 7: staple an OCSP response to certificate shop: no connection notices";
    for minutes in [60, 90] {
        live.at_hand.insert(fingerprint.clone(), lab.material("one", Some(minutes)));
        assert_eq!(live.apply(), [staple, "layer 7: write shop.pem.ocsp"]);
        assert_eq!(stapled(port), Some(("1001".into(), minutes)));
    }
    // Renewed without one: what is shown is never about the certificate of before. And with one.
    let renew = "layer 7: renew certificate shop: no connection notices";
    live.at_hand.insert(fingerprint.clone(), lab.material("two", None));
    assert_eq!(live.apply(), ["layer 7: write shop.pem", renew, "layer 7: remove shop.pem.ocsp"]);
    assert_eq!(stapled(port), None);
    live.at_hand.insert(fingerprint.clone(), lab.material("one", Some(120)));
    assert_eq!(live.apply(), ["layer 7: write shop.pem", renew, "layer 7: write shop.pem.ocsp"]);
    assert_eq!(stapled(port), Some(("1001".into(), 120)));
    // Taken away, and given again.
    live.at_hand.insert(fingerprint.clone(), lab.material("one", None));
    let none = "layer 7: staple no OCSP response to certificate shop: no connection notices";
    assert_eq!(live.apply(), [none, "layer 7: remove shop.pem.ocsp"]);
    assert_eq!(stapled(port), None);
    live.at_hand.insert(fingerprint.clone(), lab.material("one", Some(150)));
    live.apply();
    assert_eq!(stapled(port), Some(("1001".into(), 150)));
    assert_eq!(live.worker(), worker, "no reload");

    // A reload reads it from its file, and so does a start after a crash.
    live.edit("/virtual_servers/0/max_connections", json!(1000));
    live.apply();
    assert_ne!(live.worker(), worker);
    assert_eq!(stapled(port), Some(("1001".into(), 150)));
    live.kill();
    eventually("it is gone", || live.haproxy.observe().unwrap().shape.is_none().then_some(()));
    live.spawn();
    eventually("it is back", || live.haproxy.observe().ok()?.shape);
    assert_eq!(stapled(port), Some(("1001".into(), 150)));
    // With the reload it goes, where it is not wanted any more.
    live.at_hand.insert(fingerprint.clone(), lab.material("two", None));
    live.edit("/virtual_servers/0/max_connections", json!(2000));
    live.apply();
    assert_eq!(stapled(port), None);
}
