//! The shelf: private keys with their chains, authorities, and requests that wait for their certificate.
//!
//! One file each below `/data/lb/certificates`, named by its fingerprint, readable for root alone, old or new after a
//! power cut. They are beside the store and not in it: should that be damaged, it stands again as its readable copy has
//! it, and keys are in no copy (decision 24). Nothing here leaves the unit but to the pair's other one, over the
//! connection on which both proved their keys. Beside a certificate lies what its OCSP responder last said of it, in
//! `FINGERPRINT.ocsp`, which each unit asks for itself. The engine alone changes it. Tested in
//! `tests/it/certificates.rs` and `tests/it/ocsp.rs`.

use lb_certs::{Answer, Entry, LONGEST_ANSWER, PrivateKey, Status};
use lb_haproxy::Material;
use lb_model::layer7::CertificateFingerprint;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// Entries; twice as many as a configuration can name.
pub const MOST: usize = 2000;
/// Bytes of a file.
const LONGEST: u64 = 4 << 20;

pub struct Certificates {
    dir: PathBuf,
    entries: BTreeMap<CertificateFingerprint, Entry>,
    /// What responders last said.
    answers: BTreeMap<CertificateFingerprint, Answer>,
    /// The same as HAProxy is given it.
    at_hand: lb_haproxy::Certificates,
}

impl Certificates {
    /// What lies in `dir`, and what must be said of it. A file that cannot be read stays where it is.
    pub fn open(dir: &Path) -> (Certificates, Vec<String>) {
        let mut shelf = Certificates {
            dir: dir.to_owned(),
            entries: BTreeMap::new(),
            answers: BTreeMap::new(),
            at_hand: BTreeMap::new(),
        };
        let mut alarms = Vec::new();
        let mut alarm = |path: &Path, why: String| {
            alarms.push(format!(
                "{} cannot be used: {why}. hint: upload that certificate with its key again",
                path.display()
            ));
        };
        let files = match fs::read_dir(dir) {
            Ok(files) => files,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return (shelf, alarms),
            Err(e) => {
                alarm(dir, e.to_string());
                return (shelf, alarms);
            }
        };
        for file in files.flatten() {
            let path = file.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let Ok(fingerprint) = name.parse::<CertificateFingerprint>() else { continue };
            if path.extension().is_none_or(|extension| extension != "pem") {
                continue;
            }
            match read(&path).map_err(|e| e.to_string()).and_then(|text| Entry::from_pem(&text).map_err(|e| e.reason)) {
                Ok(entry) if entry.fingerprint() == fingerprint => shelf.keep(entry),
                Ok(_) => alarm(&path, "it holds another certificate than its name says".to_owned()),
                Err(why) => alarm(&path, why),
            }
        }
        // What cannot be believed is asked for again.
        for (fingerprint, entry) in &shelf.entries {
            let Entry::Chain(chain) = entry else { continue };
            let der = bounded(&shelf.response(fingerprint), LONGEST_ANSWER as u64);
            if let Some(answer) = der.ok().and_then(|der| chain.ocsp_answer(&der).ok()) {
                shelf.answers.insert(fingerprint.clone(), answer);
            }
        }
        (shelf, alarms)
    }

    fn keep(&mut self, entry: Entry) {
        let fingerprint = entry.fingerprint();
        if let Some(certificate) = entry.certificate() {
            // The same certificate may come with another chain, in which its issuer is missing.
            let issued =
                |answer: &Answer| matches!(&entry, Entry::Chain(chain) if chain.ocsp_answer(answer.der()).is_ok());
            let believed = self.answers.get(&fingerprint).is_some_and(issued);
            let before = self.at_hand.get(&fingerprint).filter(|_| believed);
            let ocsp = before.and_then(|before| before.ocsp.clone());
            let material = Material { pem: Arc::new(entry.to_pem()), sha1: certificate.sha1(), ocsp };
            self.at_hand.insert(fingerprint.clone(), material);
            if !believed {
                self.answers.remove(&fingerprint);
            }
        }
        self.entries.insert(fingerprint, entry);
    }

    /// On the disk when this returns. A request whose key the entry has is answered, and goes.
    pub fn put(&mut self, entry: Entry) -> io::Result<CertificateFingerprint> {
        let fingerprint = entry.fingerprint();
        if self.entries.len() >= MOST && !self.entries.contains_key(&fingerprint) {
            let why = format!("there are {MOST} certificates on this unit already");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        self.write(&self.file(&fingerprint), entry.to_pem().as_bytes())?;
        let answered = |other: &&CertificateFingerprint| matches!(&self.entries[*other], Entry::Request(request) if Some(request.key()) == entry.key());
        let answered: Vec<_> = match entry {
            Entry::Chain(_) => self.entries.keys().filter(answered).cloned().collect(),
            Entry::Authority(_) | Entry::Request(_) => Vec::new(),
        };
        self.keep(entry);
        for request in answered {
            self.remove(&request)?;
        }
        Ok(fingerprint)
    }

    /// Whether it was there.
    pub fn remove(&mut self, fingerprint: &CertificateFingerprint) -> io::Result<bool> {
        if !self.entries.contains_key(fingerprint) {
            return Ok(false);
        }
        fs::remove_file(self.file(fingerprint))?;
        let _ = fs::remove_file(self.response(fingerprint));
        File::open(&self.dir)?.sync_all()?;
        self.answers.remove(fingerprint);
        self.entries.remove(fingerprint);
        self.at_hand.remove(fingerprint);
        Ok(true)
    }

    pub fn get(&self, fingerprint: &CertificateFingerprint) -> Option<&Entry> {
        self.entries.get(fingerprint)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&CertificateFingerprint, &Entry)> {
        self.entries.iter()
    }

    pub fn keys(&self) -> Vec<&PrivateKey> {
        self.entries.values().filter_map(Entry::key).collect()
    }

    /// What the responder last said of it.
    pub fn answer(&self, fingerprint: &CertificateFingerprint) -> Option<&Answer> {
        self.answers.get(fingerprint)
    }

    /// On the disk when this returns; and if it cannot be written, until the next start.
    pub fn put_answer(&mut self, fingerprint: &CertificateFingerprint, answer: Answer) -> io::Result<()> {
        let same = self.answers.get(fingerprint) == Some(&answer);
        let der = answer.der().to_vec();
        self.answers.insert(fingerprint.clone(), answer);
        if same { Ok(()) } else { self.write(&self.response(fingerprint), &der) }
    }

    /// Gives HAProxy what counts now (Unix seconds) and speaks well of its certificate; whether that is another than
    /// before.
    pub fn staple(&mut self, now: u64) -> bool {
        let mut changed = false;
        for (fingerprint, material) in &mut self.at_hand {
            let good = |answer: &&Answer| answer.status == Status::Good && answer.counts(now);
            let der = self.answers.get(fingerprint).filter(good).map(Answer::der);
            if material.ocsp.as_deref().map(Vec::as_slice) != der {
                material.ocsp = der.map(|der| Arc::new(der.to_vec()));
                changed = true;
            }
        }
        changed
    }

    /// Whether clients are shown an answer with it, where it is shown.
    pub fn is_stapled(&self, fingerprint: &CertificateFingerprint) -> bool {
        self.at_hand.get(fingerprint).is_some_and(|material| material.ocsp.is_some())
    }

    /// For HAProxy.
    pub fn at_hand(&self) -> &lb_haproxy::Certificates {
        &self.at_hand
    }

    fn file(&self, fingerprint: &CertificateFingerprint) -> PathBuf {
        self.dir.join(format!("{fingerprint}.pem"))
    }

    fn response(&self, fingerprint: &CertificateFingerprint) -> PathBuf {
        self.dir.join(format!("{fingerprint}.ocsp"))
    }

    fn write(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        if !self.dir.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
            if let Some(parent) = self.dir.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        let new = file.with_extension("new");
        let _ = fs::remove_file(&new);
        let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        open.write_all(content)?;
        open.sync_all()?;
        fs::rename(&new, file)?;
        File::open(&self.dir)?.sync_all()
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let length = File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)? as u64;
    if length > LONGEST {
        return Err(io::Error::other(format!("it has more than {LONGEST} bytes")));
    }
    Ok(text)
}

fn bounded(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(longest + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
