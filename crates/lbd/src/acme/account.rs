//! The unit's account with ACME servers, and what failed, in files of their own: `/data/lb/acme`.
//!
//! `account.pem` is the key, for root alone, and never leaves the unit: in a pair each unit has its own. It is made when
//! it is first needed. `failures.json` keeps a restart from asking a server too often.

use super::when::Failures;
use lb_certs::AccountKey;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

const KEY: &str = "account.pem";
const FAILURES: &str = "failures.json";
/// Bytes of a file.
const LONGEST: u64 = 4 << 20;

pub struct Account {
    dir: PathBuf,
    key: Option<AccountKey>,
    /// By label.
    failures: BTreeMap<String, Failures>,
}

impl Account {
    /// What lies in `dir`. What cannot be read there counts as absent: another key makes another account.
    pub fn open(dir: &Path) -> Account {
        let text = |name| read(&dir.join(name)).ok().flatten();
        let failures = text(FAILURES).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let key = text(KEY).and_then(|text| AccountKey::from_pem(&text).ok());
        Account { dir: dir.to_owned(), key, failures }
    }

    /// The key, made where there is none.
    pub fn key(&mut self) -> io::Result<&AccountKey> {
        let key = match self.key.take() {
            Some(key) => key,
            None => {
                let made = AccountKey::make().map_err(|refusal| io::Error::other(refusal.reason))?;
                self.write(KEY, &made.to_pem())?;
                made
            }
        };
        Ok(self.key.insert(key))
    }

    pub fn failures(&self, label: &str) -> Failures {
        self.failures.get(label).cloned().unwrap_or_default()
    }

    /// `None`: all is well again. That it cannot be written is no reason to do otherwise until the next start.
    pub fn remember(&mut self, label: &str, failures: Option<Failures>) -> io::Result<()> {
        let before = match failures {
            Some(failures) => self.failures.insert(label.to_owned(), failures),
            None => self.failures.remove(label),
        };
        if before.is_none() && !self.failures.contains_key(label) {
            return Ok(());
        }
        self.save()
    }

    /// Forgets whatever is not one of `labels`.
    pub fn retain(&mut self, labels: impl Fn(&str) -> bool) -> io::Result<()> {
        let before = self.failures.len();
        self.failures.retain(|label, _| labels(label));
        if self.failures.len() == before { Ok(()) } else { self.save() }
    }

    fn save(&self) -> io::Result<()> {
        let text = serde_json::to_string(&self.failures).map_err(io::Error::other)?;
        self.write(FAILURES, &text)
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        if !self.dir.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
            if let Some(parent) = self.dir.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        let new = self.dir.join(format!("{name}.new"));
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.dir.join(name))?;
        File::open(&self.dir)?.sync_all()
    }
}

/// `None`: no such file.
fn read(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_and_what_failed_survive_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let here = dir.path().join("acme");
        let mut account = Account::open(&here);
        assert!(!here.exists(), "nothing is made before it is needed");
        let thumbprint = account.key().expect("made").thumbprint();
        let failed = Failures::default().and("no such host".into(), false, None, 7);
        account.remember("shop", Some(failed.clone())).expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&here), mode(&here.join(KEY)), mode(&here.join(FAILURES))), (0o700, 0o600, 0o600));

        let mut again = Account::open(&here);
        assert_eq!(again.key().expect("read").thumbprint(), thumbprint);
        assert_eq!(again.failures("shop"), failed);
        again.retain(|label| label != "shop").expect("written");
        assert_eq!(Account::open(&here).failures("shop"), Failures::default());
        fs::write(here.join(KEY), "damaged").expect("written");
        assert_ne!(Account::open(&here).key().expect("made anew").thumbprint(), thumbprint);
    }
}
