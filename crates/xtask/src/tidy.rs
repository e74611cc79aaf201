//! `cargo xtask tidy`: the rules of the source tree that a compiler does not know (docs/architecture.md, invariants).
//!
//! Dependencies come from `cargo metadata`, the rest from the files git tracks. All offences are printed at once.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use testbed::host::{self, run_text};

/// Crates without I/O, clock, threads or async.
const PURE: &[&str] = &["lb-model", "lb-plan", "lb-check", "lb-ha", "lb-certs", "lb-dialects"];
/// What a pure crate may not depend on.
const IMPURE_CRATES: &[&str] = &["tokio", "nix", "sled", "axum"];
/// What a pure crate's sources may not say (outside tests).
const IMPURE_WORDS: &[&str] =
    &["std::fs", "std::net::Tcp", "std::net::Udp", "std::process", "std::thread", "Instant::now", "SystemTime::now"];
/// The hands on the kernel.
const NETLINK_USERS: &[&str] = &["lb-kernel", "ipvs-rs"];
/// What people touch: they see the product through lb-api only.
const FACES: &[&str] = &["lbwizard", "lbctl", "lbadmin", "lbrestore"];
/// What faces may not depend on.
const BACKSTAGE: &[&str] = &["lb-store", "lb-kernel", "lb-plan", "lb-pair", "lb-certs"];
/// Who speaks with the other unit of a pair.
const PAIR_USERS: &[&str] = &["lbd"];
/// Of ours, what lb-pair may know: it is below lbd.
const PAIR_KNOWS: &[&str] = &["lb-model", "lb-ha"];
/// Who drives HAProxy.
const PROXY_USERS: &[&str] = &["lbd"];
/// Who speaks the cloud dialects.
const DIALECT_USERS: &[&str] = &["lbadmin"];
/// Of ours, what lb-dialects may know.
const DIALECTS_KNOW: &[&str] = &["lb-api", "lb-model"];
/// Of ours, what lb-update may know: an update may be what mends the rest.
const UPDATE_KNOWS: &[&str] = &["lb-api", "lb-model"];
/// Files and folders at the top.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "buildroot-external",
    "clippy.toml",
    "crates",
    "docs",
    "image",
    "rootfs-overlay",
    "rust-toolchain.toml",
    "rustfmt.toml",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// None for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

/// Checks every rule and prints every offence.
pub fn tidy() -> Result<()> {
    let root = host::workspace();
    let text = run_text(host::cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("reading cargo metadata")?;
    let mut offences = Vec::new();
    for package in &metadata.packages {
        dependencies(package, &mut offences);
        sources(package, &mut offences)?;
    }
    top_level(&root, &mut offences)?;
    offences.extend(crate::buildroot::offences(&root)?);
    if offences.is_empty() {
        println!("tidy: {} crates, all rules hold", metadata.packages.len());
        return Ok(());
    }
    for offence in &offences {
        eprintln!("tidy: {offence}");
    }
    bail!("{} rule(s) broken", offences.len())
}

fn dependencies(package: &Package, offences: &mut Vec<String>) {
    let name = package.name.as_str();
    for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.is_none()) {
        let on = dependency.name.as_str();
        let netlink = on.starts_with("netlink-") || on == "rtnetlink" || on == "genetlink";
        let why = if on == "sled" && name != "lb-store" {
            "only lb-store opens sled"
        } else if netlink && !NETLINK_USERS.contains(&name) {
            "only lb-kernel and ipvs-rs speak netlink"
        } else if on == "lb-pair" && !PAIR_USERS.contains(&name) {
            "only lbd speaks with the other unit of a pair"
        } else if on == "lb-haproxy" && !PROXY_USERS.contains(&name) {
            "only lbd drives HAProxy"
        } else if ["lb-haproxy", "lb-certs"].contains(&name) && on.starts_with("lb") && on != "lb-model" {
            "it is below lbd, and knows lb-model only"
        } else if name == "lb-pair" && on.starts_with("lb") && !PAIR_KNOWS.contains(&on) {
            "it is below lbd, and knows lb-model and lb-ha only"
        } else if on == "lb-dialects" && !DIALECT_USERS.contains(&name) {
            "only lbadmin speaks the cloud dialects"
        } else if name == "lb-dialects" && on.starts_with("lb") && !DIALECTS_KNOW.contains(&on) {
            "it is beside the product, and knows lb-api and lb-model only"
        } else if name == "lb-update" && on.starts_with("lb") && !UPDATE_KNOWS.contains(&on) {
            "it must work when the rest does not, and knows lb-api and lb-model only"
        } else if PURE.contains(&name) && (IMPURE_CRATES.contains(&on) || netlink) {
            "it is a pure crate"
        } else if FACES.contains(&name) && BACKSTAGE.contains(&on) {
            "it sees the product through lb-api only"
        } else {
            continue;
        };
        offences.push(format!("{name} depends on {on}: {why}"));
    }
}

fn sources(package: &Package, offences: &mut Vec<String>) -> Result<()> {
    let folder = Path::new(&package.manifest_path).parent().context("a manifest has no folder")?;
    let roots = ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file));
    for file in roots.iter().filter(|file| file.exists()) {
        if !fs::read_to_string(file)?.starts_with("//!") {
            offences.push(format!("{} does not begin with what the crate is for", file.display()));
        }
    }
    if PURE.contains(&package.name.as_str()) {
        look_for_impurity(&folder.join("src"), offences)?;
    }
    Ok(())
}

fn look_for_impurity(folder: &Path, offences: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            look_for_impurity(&path, offences)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path)?;
            for (number, word) in impurities(&text) {
                offences.push(format!("{}:{number}: {word} in a pure crate", path.display()));
            }
        }
    }
    Ok(())
}

/// Line numbers and words, comments and everything after the first test module left out.
fn impurities(text: &str) -> Vec<(usize, &'static str)> {
    let code = text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    let code = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(index, line)| {
        IMPURE_WORDS.iter().filter(move |word| line.contains(**word)).map(move |word| (index + 1, *word))
    })
    .collect()
}

fn top_level(root: &Path, offences: &mut Vec<String>) -> Result<()> {
    let tracked =
        run_text(Command::new("git").args(["ls-tree", "--name-only", "HEAD"]).current_dir(root)).unwrap_or_default();
    for name in tracked.lines().filter(|name| !TOP.contains(name)) {
        offences.push(format!("{name} does not belong at the top of the tree"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, on: &str, kind: Option<&str>) -> Package {
        let dependency = Dependency { name: on.into(), kind: kind.map(Into::into) };
        Package { name: name.into(), manifest_path: String::new(), dependencies: vec![dependency] }
    }

    fn broken(name: &str, on: &str) -> bool {
        let mut offences = Vec::new();
        dependencies(&package(name, on, None), &mut offences);
        !offences.is_empty()
    }

    #[test]
    fn arrows_point_down() {
        assert!(broken("lbd", "sled") && !broken("lb-store", "sled"));
        assert!(broken("lbd", "rtnetlink") && !broken("lb-kernel", "netlink-packet-core"));
        assert!(broken("lb-plan", "tokio") && !broken("lb-plan", "lb-model"));
        assert!(broken("lbctl", "lb-plan") && !broken("lbctl", "lb-api"));
        assert!(broken("lbctl", "lb-pair") && broken("heartbeat", "lb-pair") && !broken("lbd", "lb-pair"));
        assert!(broken("lbadmin", "lb-certs") && broken("lb-certs", "lb-api") && !broken("lb-certs", "lb-model"));
        assert!(broken("lb-update", "lb-store") && !broken("lb-update", "lb-api"));
        assert!(broken("lb-pair", "lb-store") && broken("lb-pair", "lbd") && !broken("lb-pair", "lb-ha"));
        assert!(
            broken("lbctl", "lb-dialects") && broken("lb-dialects", "lb-access") && !broken("lbadmin", "lb-dialects")
        );
        let mut offences = Vec::new();
        dependencies(&package("lb-plan", "tokio", Some("dev")), &mut offences);
        assert!(offences.is_empty(), "tests may use anything");
    }

    #[test]
    fn impure_words_count_outside_comments_and_tests() {
        let text = "// std::fs\nuse std::fs;\n#[cfg(test)]\nuse std::thread;\n";
        assert_eq!(impurities(text), [(2, "std::fs")]);
    }
}
