//! Certificates in files, and those that run: `show`, `set` and `commit ssl cert` (Management Guide, 9.3).

use super::{Haproxy, socket};
use crate::{File, ProxyError, files};
use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    time::Duration,
};

/// Questions in one command; HAProxy reads 16,384 bytes of it.
const AT_ONCE: usize = 40;
const ANSWER: Duration = Duration::from_secs(5);
/// Nobody else writes here, but a file that is not ours must not fill the memory.
const LONGEST: u64 = 4 << 20;

impl Haproxy {
    /// SHA-1 of what runs, by file name.
    pub(super) fn running_certificates(
        &self,
        files: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ProxyError> {
        let names: Vec<&String> = files.keys().filter(|name| name.ends_with(".pem")).collect();
        let mut running = BTreeMap::new();
        for names in names.chunks(AT_ONCE) {
            let path = |name: &String| files::path(&self.paths.certificates, name);
            let all: Vec<String> = names.iter().map(|name| format!("show ssl cert {}", path(name))).collect();
            let answer = self.worker(&all.join(";"))?;
            for name in names {
                running.extend(sha1_of(&answer, &path(name)).map(|sha1| ((*name).clone(), sha1)));
            }
        }
        Ok(running)
    }

    /// New connections get it; those that are open stay as they are. An OCSP response goes along in the same
    /// transaction: `set ssl ocsp-response` knows only certificates that had one when HAProxy last read them, and none
    /// that was renewed since; and a certificate that is set without one has none any more.
    pub(super) fn renew(&self, name: &str, file: &File, response: Option<&File>) -> Result<(), ProxyError> {
        let path = files::path(&self.paths.certificates, name);
        let set = format!("set ssl cert {path} <<\n{}\n", file.text.trim_end());
        let staple =
            response.map(|file| format!("set ssl cert {} <<\n{}\n", files::response(&path), file.text.as_str()));
        let ask = |command: &str| {
            socket::ask(&self.in_run("admin.sock"), command, ANSWER)
                .map_err(super::io(format!("renewing the certificate {name}")))
        };
        // No key reaches a message.
        let refused = |command: &str, answer: String| {
            // What a failed try leaves behind would stand in the next one's way.
            let _ = ask(&format!("abort ssl cert {path}"));
            Err(ProxyError::Refused { command: format!("{command} ssl cert {path}"), answer: answer.trim().to_owned() })
        };
        for set in std::iter::once(&set).chain(&staple) {
            let answer = ask(set)?;
            if !answer.contains("Transaction created") && !answer.contains("Transaction updated") {
                return refused("set", answer);
            }
        }
        let answer = ask(&format!("commit ssl cert {path}"))?;
        if !answer.contains("Success!") {
            return refused("commit", answer);
        }
        Ok(())
    }
}

/// From the section that begins with `Filename: PATH`.
fn sha1_of(answer: &str, path: &str) -> Option<String> {
    let mut lines = answer.lines().skip_while(|line| line.strip_prefix("Filename: ") != Some(path));
    lines.next()?;
    let own = lines.take_while(|line| !line.starts_with("Filename: "));
    own.filter_map(|line| line.strip_prefix("SHA1 FingerPrint: ")).map(|sha1| sha1.trim().to_owned()).next()
}

/// `text` as in [`File`].
pub(super) fn write(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let new = dir.join(format!("{name}.new"));
    let _ = fs::remove_file(&new);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?
        .write_all(&files::content(name, text))?;
    fs::rename(&new, dir.join(name))
}

/// For `haproxy -c`: lists name the files beside them.
pub(super) fn write_all(
    dir: &Path,
    all: &BTreeMap<String, File>,
    elsewhere: impl Fn(&str) -> String,
) -> io::Result<()> {
    for (name, file) in all {
        match name.ends_with(".list") {
            true => write(dir, name, &elsewhere(&file.text))?,
            false => write(dir, name, &file.text)?,
        }
    }
    Ok(())
}

/// A text with the files of `from` in `to`.
pub(super) fn moved(text: &str, from: &Path, to: &Path) -> String {
    text.replace(&format!("{}/", from.display()), &format!("{}/", to.display()))
}

pub(super) fn remove(dir: &Path, names: &[String]) -> io::Result<()> {
    for name in names {
        match fs::remove_file(dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Empty where there is no such directory.
pub(super) fn digests(dir: &Path) -> io::Result<BTreeMap<String, String>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut digests = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let about = entry.metadata()?;
        if !about.is_file() {
            continue;
        }
        let digest = match about.len() {
            0..=LONGEST => files::digest(&zeroize::Zeroizing::new(fs::read(entry.path())?)),
            _ => String::new(),
        };
        digests.insert(name, digest);
    }
    Ok(digests)
}
