//! The host name, `/etc/hosts`, `/etc/resolv.conf`, chronyd's servers, the fallback page and sysctls.
//!
//! Files are replaced by rename, so that no reader sees half of one, and only when they differ. They are
//! made anew at every start (`/etc` is in memory), so nothing here waits for a disk.

use crate::{Cause, Paths};
use lb_model::{Hostname, TimeServer};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

pub(super) struct Files {
    paths: Paths,
}

impl Files {
    pub(super) fn new(paths: Paths) -> Self {
        Files { paths }
    }

    /// The kernel's host name where `/etc/hostname` and `/etc/hosts` agree with it; empty where they do not, so that
    /// a plan puts all three right.
    pub(super) fn hostname(&self, desired: &Hostname) -> Result<String, Cause> {
        let kernel = nix::unistd::gethostname()?.to_string_lossy().into_owned();
        if kernel != desired.as_str() {
            return Ok(kernel);
        }
        let agree = read(&self.paths.etc.join("hostname"))?.as_deref().map(str::trim) == Some(desired.as_str())
            && read(&self.paths.etc.join("hosts"))?.as_deref() == Some(hosts(desired).as_str());
        Ok(if agree { kernel } else { String::new() })
    }

    pub(super) fn set_hostname(&self, name: &Hostname) -> Result<(), Cause> {
        nix::unistd::sethostname(name.as_str())?;
        write(&self.paths.etc.join("hostname"), &format!("{name}\n"))?;
        write(&self.paths.etc.join("hosts"), &hosts(name))
    }

    pub(super) fn nameservers(&self) -> Result<Vec<IpAddr>, Cause> {
        let text = read(&self.paths.etc.join("resolv.conf"))?.unwrap_or_default();
        let server = |line: &str| line.strip_prefix("nameserver").and_then(|s| s.trim().parse().ok());
        Ok(text.lines().filter_map(server).collect())
    }

    pub(super) fn set_nameservers(&self, servers: &[IpAddr]) -> Result<(), Cause> {
        let lines: String = servers.iter().map(|s| format!("nameserver {s}\n")).collect();
        write(&self.paths.etc.join("resolv.conf"), &format!("{WRITTEN_BY}{lines}"))
    }

    pub(super) fn time_servers(&self) -> Result<Option<Vec<TimeServer>>, Cause> {
        let Some(text) = read(&self.time_list())? else { return Ok(Some(Vec::new())) };
        let Some(lines) = text.strip_prefix(WRITTEN_BY) else { return Ok(None) };
        let server = |line: &str| line.strip_prefix("server ")?.strip_suffix(" iburst")?.parse().ok();
        Ok(lines.lines().map(server).collect())
    }

    /// chronyd is told by being stopped: its supervisor starts it again, with the new servers, which it then asks four
    /// times in a row; without any, it waits. Where nobody supervises one there is nobody to be told.
    pub(super) fn set_time_servers(&self, servers: &[TimeServer]) -> Result<(), Cause> {
        let list = self.time_list();
        if let Some(dir) = list.parent() {
            fs::create_dir_all(dir).map_err(|source| failed(dir, source))?;
        }
        if servers.is_empty() {
            match fs::remove_file(&list) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(&list, source)),
                _ => {}
            }
        } else {
            let lines: String = servers.iter().map(|s| format!("server {s} iburst\n")).collect();
            write(&list, &format!("{WRITTEN_BY}{lines}"))?;
        }
        let control = self.paths.etc.join("service/time/supervise/control");
        // Without a reader, runsv, opening fails at once instead of waiting for one.
        let told = fs::OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(&control);
        match told.and_then(|mut fifo| fifo.write_all(b"t")) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(|source| failed(&control, source)),
        }
    }

    /// As `sourcedir` of chrony.conf(5) wants it named.
    fn time_list(&self) -> PathBuf {
        self.paths.run.join("time/servers.sources")
    }

    /// What the `fallback` service serves; `None` for the shipped page, unless that very page is configured, and before
    /// anything is served.
    pub(super) fn fallback_page(&self, desired: Option<&str>) -> Result<Option<String>, Cause> {
        let Some(served) = read(&self.served_page())? else { return Ok(None) };
        let shipped = desired != Some(&served) && read(&self.paths.shipped_page)?.as_ref() == Some(&served);
        Ok((!shipped).then_some(served))
    }

    pub(super) fn set_fallback_page(&self, page: Option<&str>) -> Result<(), Cause> {
        let served = self.served_page();
        if let Some(dir) = served.parent() {
            fs::create_dir_all(dir).map_err(|source| failed(dir, source))?;
        }
        match page.map_or_else(|| read(&self.paths.shipped_page), |page| Ok(Some(page.to_owned())))? {
            Some(page) => write(&served, &page),
            // Nothing was shipped: a page of former times must not stay.
            None => match fs::remove_file(&served) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(&served, source)),
                _ => Ok(()),
            },
        }
    }

    /// In memory, and made anew at every start, as the other files.
    fn served_page(&self) -> PathBuf {
        self.paths.run.join("fallback/index.html")
    }

    /// The values of those of `names` that the kernel has.
    pub(super) fn sysctls<'a>(
        &self,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<BTreeMap<String, String>, Cause> {
        let mut values = BTreeMap::new();
        for name in names {
            let Some(path) = self.sysctl(name) else { continue };
            if let Some(text) = read(&path)? {
                // Several numbers are separated by tabs.
                values.insert(name.clone(), text.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        Ok(values)
    }

    pub(super) fn set_sysctl(&self, name: &str, value: &str) -> Result<(), Cause> {
        let Some(path) = self.sysctl(name) else {
            return Err(Cause::Refused(format!("\"{name}\" is not the name of a sysctl")));
        };
        fs::write(&path, format!("{value}\n")).map_err(|source| failed(&path, source))
    }

    /// sysctl(8): dots separate, and a slash stands for a dot within a part (a VLAN's name).
    fn sysctl(&self, name: &str) -> Option<PathBuf> {
        let mut path = self.paths.proc_sys.clone();
        for part in name.split('.') {
            let part = part.replace('/', ".");
            if part.is_empty() || part == "." || part == ".." {
                return None;
            }
            path.push(part);
        }
        Some(path)
    }
}

const WRITTEN_BY: &str = "# Written by lbd from the configuration; changes by hand are undone.\n";

fn hosts(name: &Hostname) -> String {
    let short =
        name.as_str().split('.').next().filter(|s| *s != name.as_str()).map(|s| format!(" {s}")).unwrap_or_default();
    format!("{WRITTEN_BY}127.0.0.1 localhost\n127.0.1.1 {name}{short}\n::1 localhost ip6-localhost ip6-loopback\n")
}

fn failed(path: &Path, source: io::Error) -> Cause {
    Cause::File { path: path.display().to_string(), source }
}

/// `None` when there is no such file. Bytes that are not text make it differ from anything of ours.
fn read(path: &Path) -> Result<Option<String>, Cause> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(path, source)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Cause> {
    if read(path)?.as_deref() == Some(text) {
        return Ok(());
    }
    replace(path, text).map_err(|source| failed(path, source))
}

/// Puts `text` in the place of the file at `path` in one step.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests;
