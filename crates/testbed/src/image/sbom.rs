//! The list of what ships (CycloneDX 1.5): Debian's packages that a file of the image comes from, the kernel, the boot
//! loader, and the crates that our programs are linked of. A file that nobody answers for stops the build.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::PROGRAMS;
use crate::host::{self, run_text};

/// In the image, below `usr/share/steelyard/`; a copy lies beside the disk image.
pub(super) const NAME: &str = "sbom.cdx.json";

/// A Debian package, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub name: String,
    pub version: String,
}

impl Package {
    /// Of an archive.
    pub(super) fn of(archive: &Path) -> Result<Package> {
        let mut ask = host::tool("dpkg-deb");
        ask.args(["--showformat=${Package} ${Version}", "--show"]).arg(archive);
        let text = run_text(&mut ask)?;
        let (name, version) = text.trim().split_once(' ').context("an archive has no name and version")?;
        Ok(Package { name: name.to_owned(), version: version.to_owned() })
    }

    /// Of what is installed on the build machine.
    fn installed(name: &str) -> Result<Package> {
        let version = run_text(Command::new("dpkg-query").args(["-W", "-f", "${Version}", name]))?;
        Ok(Package { name: name.to_owned(), version })
    }

    fn component(&self) -> Value {
        json!({
            "type": "library",
            "name": self.name,
            "version": self.version,
            "purl": format!("pkg:deb/debian/{}@{}?arch=amd64&distro=bookworm", self.name, escaped(&self.version)),
        })
    }
}

/// A version as a package URL wants it: percent-encoded (RFC 3986) where Debian's and Cargo's need it.
fn escaped(version: &str) -> String {
    version.replace('+', "%2B").replace(':', "%3A")
}

/// Which package brought a file: path as in a merged-usr system, without a leading slash.
#[derive(Default)]
pub(super) struct Origins(BTreeMap<String, Package>);

impl Origins {
    /// Reads the lists of the archives in `folder`.
    pub(super) fn of_archives(folder: &Path) -> Result<Origins> {
        let mut origins = BTreeMap::new();
        for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let archive = entry?.path();
            if archive.extension().is_none_or(|ending| ending != "deb") {
                continue;
            }
            let package = Package::of(&archive)?;
            let files = host::pipe(
                host::tool("dpkg-deb").arg("--fsys-tarfile").arg(&archive),
                Command::new("tar").args(["-t", "--quoting-style=literal"]),
            )?;
            for path in String::from_utf8_lossy(&files).lines().filter(|path| !path.ends_with('/')) {
                origins.insert(merged(path), package.clone());
            }
        }
        Ok(Origins(origins))
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let line = |(path, package): (&String, &Package)| format!("{} {} {path}\n", package.name, package.version);
        fs::write(file, self.0.iter().map(line).collect::<String>())
            .with_context(|| format!("writing {}", file.display()))
    }

    pub(super) fn read(file: &Path) -> Result<Origins> {
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let entry = |line: &str| {
            let mut words = line.splitn(3, ' ').map(str::to_owned);
            let (name, version, path) = (words.next()?, words.next()?, words.next()?);
            Some((path, Package { name, version }))
        };
        Ok(Origins(text.lines().filter_map(entry).collect()))
    }
}

/// A path of an archive as it is where /bin, /sbin and /lib are links into /usr.
fn merged(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let moved = ["bin/", "sbin/", "lib/", "lib64/"].iter().any(|folder| path.starts_with(folder));
    if moved { format!("usr/{path}") } else { path.to_owned() }
}

/// The list for the tree `root`, made of `origins`' files, `kernel`'s, and those of ours below `ours`.
pub(super) fn list(
    root: &Path,
    origins: &Origins,
    kernel: &Package,
    ours: &[&Path],
    made: &[(&str, &str)],
) -> Result<String> {
    let mut packages = BTreeSet::from([kernel.clone()]);
    for boot_loader in ["grub-common", "grub-efi-amd64-bin", "grub-pc-bin"] {
        packages.insert(Package::installed(boot_loader)?);
    }
    let by_name: BTreeMap<&str, &Package> =
        origins.0.values().map(|package| (package.name.as_str(), package)).collect();
    let mut unknown = Vec::new();
    for path in files(root)? {
        if PROGRAMS.iter().any(|(_, _, place)| path == *place) {
            continue;
        }
        if let Some(package) = origins.0.get(&path) {
            packages.insert(package.clone());
        } else if let Some((_, package)) = made.iter().find(|(place, _)| path == *place) {
            let package = by_name.get(package).with_context(|| format!("no package {package} is there"))?;
            packages.insert((*package).clone());
        } else if !is_ours(&path, ours) && !path.starts_with("usr/lib/modules/") && !path.starts_with("boot/") {
            unknown.push(path);
        }
    }
    ensure!(
        unknown.is_empty(),
        "files of the image that no package, no program and no folder of ours brings: {unknown:?}"
    );
    let mut components: Vec<Value> = packages.iter().map(Package::component).collect();
    components.extend(crates()?);
    let version = env!("CARGO_PKG_VERSION");
    let list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "operating-system", "name": "Steelyard", "version": version, "bom-ref": "steelyard",
        } },
        "components": components,
    });
    Ok(format!("{list:#}\n"))
}

fn is_ours(path: &str, ours: &[&Path]) -> bool {
    path.starts_with("usr/share/steelyard/")
        || path == "usr/share/bash-completion/completions/lbctl"
        || ours.iter().any(|folder| folder.join(path).exists())
}

/// Regular files below `root`, as paths relative to it.
fn files(root: &Path) -> Result<Vec<String>> {
    let found = run_text(Command::new("find").arg(root).args(["-type", "f", "-printf", "%P\\n"]))?;
    Ok(found.lines().map(str::to_owned).collect())
}

/// What our programs are linked of, each once. Macros and build scripts do not ship.
fn crates() -> Result<Vec<Value>> {
    let mut tree = host::cargo();
    tree.args(["tree", "--offline", "--target", "x86_64-unknown-linux-gnu", "-e", "normal,no-proc-macro"]);
    tree.args(["--prefix", "none", "-f", "{p}|{l}"]);
    for (package, ..) in PROGRAMS {
        tree.args(["-p", package]);
    }
    let text = run_text(&mut tree)?;
    Ok(text.lines().filter_map(line).collect::<BTreeSet<_>>().into_iter().map(Crate::component).collect())
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    licence: String,
    own: bool,
}

impl Crate {
    fn component(self) -> Value {
        let mut component = json!({
            "type": if PROGRAMS.iter().any(|(package, ..)| *package == self.name) { "application" } else { "library" },
            "name": self.name,
            "version": self.version,
        });
        if !self.licence.is_empty() {
            // Cargo takes the old "MIT/Apache-2.0"; SPDX has only OR.
            component["licenses"] = json!([{ "expression": self.licence.replace('/', " OR ") }]);
        }
        if !self.own {
            component["purl"] = json!(format!("pkg:cargo/{}@{}", self.name, escaped(&self.version)));
        }
        component
    }
}

/// `name v1.2.3 (/its/folder)|LICENCE (*)`, the folder for our own, the star when it stood before.
fn line(line: &str) -> Option<Crate> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let name = words.next()?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    let own = words.next().is_some_and(|folder| folder.starts_with("(/"));
    Some(Crate { name, version, licence: licence.trim_end_matches("(*)").trim().to_owned(), own })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_cargo_names_a_crate_once() {
        let first = line("ring v0.17.14|Apache-2.0 AND ISC").unwrap();
        assert_eq!(line("ring v0.17.14|Apache-2.0 AND ISC (*)"), Some(first));
        let own = line("lbd v0.1.0 (/src/crates/lbd)|MIT OR Apache-2.0").unwrap();
        assert!(own.own && own.version == "0.1.0");
        assert_eq!(line(""), None);
    }

    #[test]
    fn paths_are_those_of_a_merged_system() {
        assert_eq!(merged("./lib/x86_64-linux-gnu/libc.so.6"), "usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(merged("./usr/lib/os-release"), "usr/lib/os-release");
        assert_eq!(merged("./etc/services"), "etc/services");
    }

    #[test]
    fn a_package_url_escapes_debians_versions() {
        assert_eq!(escaped("1:2.6.12-1+deb12u4"), "1%3A2.6.12-1%2Bdeb12u4");
    }
}
