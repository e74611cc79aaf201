//! What can be told of `buildroot-external/` without Buildroot: that it ships what the quick image ships, that what it
//! names is there, and that the shared scripts call nothing it does not bring. Texts in, offences out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testbed::image;

use super::scripts;

/// Programs of `image/quick/binaries`, by the symbol of Buildroot that brings each.
const PROGRAMS: &[(&str, &str)] = &[
    ("/bin/busybox", "BR2_PACKAGE_BUSYBOX"),
    ("/bin/bash", "BR2_PACKAGE_BASH"),
    ("/usr/bin/runsv", BUSYBOX),
    ("/usr/bin/runsvdir", BUSYBOX),
    ("/usr/bin/sv", BUSYBOX),
    ("/usr/bin/svlogd", BUSYBOX),
    ("/usr/bin/chpst", BUSYBOX),
    ("/bin/kmod", "BR2_PACKAGE_KMOD_TOOLS"),
    ("/sbin/ip", "BR2_PACKAGE_IPROUTE2"),
    ("/sbin/bridge", "BR2_PACKAGE_IPROUTE2"),
    ("/bin/ss", "BR2_PACKAGE_IPROUTE2"),
    ("/sbin/tc", "BR2_PACKAGE_IPROUTE2"),
    ("/usr/sbin/nft", "BR2_PACKAGE_NFTABLES"),
    ("/usr/sbin/chronyd", "BR2_PACKAGE_CHRONY"),
    ("/usr/sbin/conntrack", "BR2_PACKAGE_CONNTRACK_TOOLS"),
    ("/usr/sbin/haproxy", "BR2_PACKAGE_HAPROXY"),
    ("/sbin/ethtool", "BR2_PACKAGE_ETHTOOL"),
    ("/sbin/e2fsck", "BR2_PACKAGE_E2FSPROGS"),
    ("/sbin/mke2fs", "BR2_PACKAGE_E2FSPROGS"),
    ("/sbin/resize2fs", "BR2_PACKAGE_E2FSPROGS_RESIZE2FS"),
    ("/sbin/tune2fs", "BR2_PACKAGE_E2FSPROGS"),
    ("/sbin/sfdisk", "BR2_PACKAGE_UTIL_LINUX_BINARIES"),
    ("/usr/bin/partx", "BR2_PACKAGE_UTIL_LINUX_PARTX"),
    ("/usr/bin/flock", "BR2_PACKAGE_UTIL_LINUX_BINARIES"),
    ("/usr/sbin/dropbear", "BR2_PACKAGE_DROPBEAR"),
    ("/usr/bin/dropbearkey", "BR2_PACKAGE_DROPBEAR"),
    ("/usr/bin/links", "BR2_PACKAGE_LINKS"),
    ("/usr/bin/arping", "BR2_PACKAGE_IPUTILS_ARPING"),
    ("/usr/bin/tcpdump", "BR2_PACKAGE_TCPDUMP"),
];

/// In the table above: an applet that `busybox.fragment` turns on.
const BUSYBOX: &str = "busybox.fragment";

/// Further symbols without which something of the quick image lacks: HAProxy's libraries, terminals, authorities.
const LIBRARIES: &[&str] = &[
    "BR2_PACKAGE_OPENSSL",
    "BR2_PACKAGE_PCRE2",
    "BR2_PACKAGE_ZLIB",
    "BR2_PACKAGE_NCURSES",
    "BR2_PACKAGE_CA_CERTIFICATES",
    "BR2_PACKAGE_STEELYARD",
    "BR2_TARGET_ROOTFS_TAR",
];

/// Applets that the shared scripts call and Buildroot's own configuration of busybox has ([`applets_off`] checks).
const APPLETS: &[&str] = &[
    "awk",
    "cat",
    "chmod",
    "chown",
    "chroot",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "dirname",
    "find",
    "fold",
    "getty",
    "grep",
    "head",
    "hexdump",
    "hostname",
    "ln",
    "mkdir",
    "mount",
    "mv",
    "passwd",
    "readlink",
    "reboot",
    "rm",
    "sed",
    "setsid",
    "sleep",
    "sort",
    "stty",
    "switch_root",
    "sync",
    "sysctl",
    "syslogd",
    "tail",
    "tee",
    "tr",
    "tty",
    "umount",
    "usleep",
    "wc",
    "wget",
    "xargs",
];

/// Modules of `rootfs-overlay/etc/modules` whose symbol is not their name.
const MODULES: &[(&str, &str)] = &[
    ("nft_chain_nat", "NFT_NAT"),
    ("ipip", "NET_IPIP"),
    ("ip_gre", "NET_IPGRE"),
    ("fou", "NET_FOU"),
    ("8021q", "VLAN_8021Q"),
];

/// What check-package and Buildroot's kconfig take for a description (Buildroot, docs/manual/customize-outside-br.adoc).
const DESCRIPTION: usize = 40;
/// Columns of a users table (Buildroot, docs/manual/makeusers-syntax.adoc).
const USER_COLUMNS: usize = 9;
/// How the defconfig names this folder.
const EXTERNAL: &str = "$(BR2_EXTERNAL_STEELYARD_PATH)/";

/// Symbols that must be on in the resolved configuration.
pub fn symbols_of_programs() -> Vec<&'static str> {
    let of_programs = PROGRAMS.iter().map(|(_, symbol)| *symbol).filter(|symbol| *symbol != BUSYBOX);
    let all: BTreeSet<&str> = of_programs.chain(LIBRARIES.iter().copied()).collect();
    all.into_iter().collect()
}

/// Every offence of the tree below `root`, the workspace.
pub fn offences(root: &Path) -> Result<Vec<String>> {
    let external = root.join("buildroot-external");
    let text = |path: &str| {
        let file = root.join(path);
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    };
    let defconfig = text("buildroot-external/configs/lb_x86_64_defconfig")?;
    let fragment = text("buildroot-external/board/lb/busybox.fragment")?;
    let recipe = text("buildroot-external/package/steelyard/steelyard.mk")?;
    let mut all = description(&text("buildroot-external/external.desc")?);
    all.extend(config(&defconfig, &|path| external.join(path).exists()));
    all.extend(kernel_hash(&defconfig, &text("buildroot-external/patches/linux/linux.hash")?));
    all.extend(packages(&external, &text("buildroot-external/Config.in")?)?);
    all.extend(own_programs(&recipe, &text("Cargo.toml")?));
    all.extend(quick_programs(&text("image/quick/binaries")?, &fragment));
    all.extend(users(
        &text("buildroot-external/board/lb/users.txt")?,
        &text("rootfs-overlay/etc/passwd")?,
        &text("rootfs-overlay/etc/group")?,
    ));
    let mut kernel = String::new();
    for name in ["base", "net", "virt", "rack"] {
        kernel += &text(&format!("buildroot-external/board/lb/linux/{name}.fragment"))?;
    }
    all.extend(modules(&text("rootfs-overlay/etc/modules")?, &kernel));
    all.extend(calls(root, &fragment)?);
    for folder in ["bin", "sbin", "lib", "lib64"] {
        if root.join("rootfs-overlay").join(folder).exists() {
            all.push(format!("rootfs-overlay/{folder}: Buildroot wants it below usr, as /{folder} is a link"));
        }
    }
    Ok(all)
}

fn description(text: &str) -> Vec<String> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim();
    let (name, words) = (value("name:"), value("desc:"));
    let mut found = Vec::new();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        found.push(format!("external.desc: name {name:?} is not letters, digits and _"));
    }
    if words.is_empty() || words.len() > DESCRIPTION {
        found.push(format!("external.desc: desc must have 1 to {DESCRIPTION} characters"));
    }
    found
}

fn config(defconfig: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for line in defconfig.lines() {
        let symbol = line.trim_start_matches("# ").split(['=', ' ']).next().unwrap_or_default();
        if !seen.insert(symbol) {
            found.push(format!("defconfig: {symbol} stands there twice"));
        }
        for path in line.split(EXTERNAL).skip(1) {
            let path = path.split([' ', '"']).next().unwrap_or_default();
            if !exists(path) {
                found.push(format!("defconfig: {symbol} names {path}, which is not there"));
            }
        }
    }
    for needed in ["BR2_DOWNLOAD_FORCE_CHECK_HASHES=y", "BR2_REPRODUCIBLE=y", "BR2_ROOTFS_MERGED_USR=y"] {
        if !defconfig.lines().any(|line| line == needed) {
            found.push(format!("defconfig: {needed} lacks"));
        }
    }
    found
}

fn kernel_hash(defconfig: &str, hashes: &str) -> Vec<String> {
    let key = "BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE=";
    let version = defconfig.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim_matches('"');
    let archive = format!("linux-{version}.tar.xz");
    let known = hashes.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], ["sha256", sum, file]
            if file == archive && sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit()))
    });
    if known { Vec::new() } else { vec![format!("patches/linux/linux.hash: no sha256 of {archive}")] }
}

fn packages(external: &Path, sourced: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let folder = external.join("package");
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !sourced.contains(&format!("package/{name}/Config.in")) {
            found.push(format!("Config.in does not source package/{name}/Config.in"));
        }
        let recipe = fs::read_to_string(path.join(format!("{name}.mk"))).unwrap_or_default();
        if recipe.is_empty() {
            found.push(format!("package/{name}/{name}.mk is not there"));
        }
        let local = recipe.lines().any(|line| line.ends_with("_SITE_METHOD = local"));
        if !local && !path.join(format!("{name}.hash")).exists() {
            found.push(format!("package/{name} is downloaded and has no {name}.hash"));
        }
    }
    Ok(found)
}

/// The recipe's list of programs and its version, against the quick image's and the workspace's.
fn own_programs(recipe: &str, manifest: &str) -> Vec<String> {
    let pairs = recipe.lines().skip_while(|line| !line.starts_with("STEELYARD_PROGRAMS = ")).skip(1);
    let pairs = pairs.take_while(|line| line.contains(':'));
    let ours: BTreeSet<String> = pairs.map(|line| line.trim_end_matches('\\').trim().to_string()).collect();
    let quick: BTreeSet<String> =
        image::PROGRAMS.iter().map(|(_, program, place)| format!("{program}:{place}")).collect();
    let mut found = Vec::new();
    for lacking in quick.difference(&ours) {
        found.push(format!("steelyard.mk: {lacking} is in the quick image only; add it to STEELYARD_PROGRAMS"));
    }
    for more in ours.difference(&quick) {
        found.push(format!("steelyard.mk: {more} is not in the quick image (testbed::image::PROGRAMS)"));
    }
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap_or_default();
    let wanted = format!("STEELYARD_VERSION = {}", version.trim_matches('"'));
    if !recipe.lines().any(|line| line == wanted) {
        found.push(format!("steelyard.mk: the workspace wants {wanted}"));
    }
    found
}

/// Every program of the quick image has a package or an applet here.
fn quick_programs(binaries: &str, fragment: &str) -> Vec<String> {
    let mut found = Vec::new();
    let table: BTreeMap<&str, &str> = PROGRAMS.iter().copied().collect();
    let listed: BTreeSet<&str> = binaries.lines().filter(|line| line.starts_with('/')).collect();
    for path in listed.iter().filter(|path| !path.starts_with("/lib/")) {
        match table.get(path) {
            None => found.push(format!(
                "image/quick/binaries: {path} has no package in the release image\n  \
                 hint: add the package to the defconfig, and the program to PROGRAMS in xtask/src/buildroot/tree.rs"
            )),
            Some(&BUSYBOX) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                if !applets_of(fragment).contains(name) {
                    found.push(format!("busybox.fragment: {name} is off, and the quick image has it"));
                }
            }
            Some(_) => {}
        }
    }
    found
        .extend(table.keys().filter(|path| !listed.contains(*path)).map(|path| format!("the quick image lost {path}")));
    found
}

fn users(table: &str, passwd: &str, group: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut named = BTreeSet::new();
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.splitn(USER_COLUMNS, '\t').collect();
        let [user, uid, primary, gid, _, home, shell, groups, comment] = words[..] else {
            found.push(format!("users.txt: {} columns, not {USER_COLUMNS}: {line}", words.len()));
            continue;
        };
        let has = |text: &str, wanted: &str| text.lines().any(|have| have == wanted);
        let members =
            |of: &str| group.lines().find_map(|line| Some(line.strip_prefix(of)?.rsplit_once(':')?.1.to_string()));
        if !group.lines().any(|line| line.starts_with(&format!("{primary}:x:{gid}:"))) {
            found.push(format!("users.txt: rootfs-overlay/etc/group has no {primary} with the number {gid}"));
        }
        if user == "-" {
            continue;
        }
        named.insert(user);
        if !has(passwd, &format!("{user}:x:{uid}:{gid}:{comment}:{home}:{shell}")) {
            found.push(format!("users.txt: {user} is another in rootfs-overlay/etc/passwd"));
        }
        for of in groups.split(',').filter(|of| *of != "-") {
            if !members(&format!("{of}:")).is_some_and(|all| all.split(',').any(|member| member == user)) {
                found.push(format!("users.txt: {user} is not in {of} in rootfs-overlay/etc/group"));
            }
        }
    }
    let ours = passwd.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(':').collect();
        let number: u32 = words.get(2)?.parse().ok()?;
        // Below are those that every system has.
        (100..65534).contains(&number).then_some(words[0])
    });
    found.extend(ours.filter(|user| !named.contains(user)).map(|user| format!("users.txt: {user} lacks")));
    found
}

fn modules(list: &str, kernel: &str) -> Vec<String> {
    let names = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let symbol = |name: &str| {
        let special = MODULES.iter().find(|(module, _)| *module == name).map(|(_, symbol)| (*symbol).to_string());
        special.unwrap_or_else(|| name.to_uppercase())
    };
    let on =
        |symbol: &str| ["y", "m"].iter().any(|how| kernel.lines().any(|line| line == format!("CONFIG_{symbol}={how}")));
    names.filter(|name| !on(&symbol(name))).map(|name| format!("etc/modules: no fragment asks for {name}")).collect()
}

/// Every program that the shared scripts and inittab call is brought by somebody.
fn calls(root: &Path, fragment: &str) -> Result<Vec<String>> {
    let overlay = root.join("rootfs-overlay");
    let mut files = vec![root.join("image/initramfs/init")];
    files_below(&overlay, &mut files)?;
    let mut brought: BTreeSet<String> = APPLETS.iter().map(|name| (*name).to_string()).collect();
    brought.extend(applets_of(fragment));
    let paths = PROGRAMS.iter().map(|(path, _)| *path).chain(image::PROGRAMS.iter().map(|(_, _, place)| *place));
    brought.extend(paths.map(|path| path.rsplit('/').next().unwrap_or(path).to_string()));
    brought.extend(["modprobe".to_string(), "init".to_string()]);
    let mut found = Vec::new();
    let mut texts = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        if shown.ends_with("etc/inittab") {
            let programs =
                text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.splitn(4, ':').nth(3));
            let programs = programs.filter_map(|line| line.split_whitespace().next()).map(str::to_string);
            texts.push((shown, programs.collect()));
        } else if text.starts_with("#!/bin/sh") || shown.ends_with("etc/profile") || shown.contains("profile.d/") {
            brought.insert(file.file_name().unwrap_or_default().to_string_lossy().into_owned());
            texts.push((shown, scripts::programs(&text)));
        }
    }
    for (shown, programs) in texts {
        for program in programs {
            let name = program.rsplit('/').next().unwrap_or(&program);
            if !brought.contains(name) {
                found.push(format!(
                    "{shown} calls {program}, which the release image has not\n  \
                     hint: turn its applet on in busybox.fragment, or add its package; see xtask/src/buildroot/tree.rs"
                ));
            }
        }
    }
    Ok(found)
}

fn files_below(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files_below(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn applets_of(fragment: &str) -> BTreeSet<String> {
    let on = fragment.lines().filter_map(|line| line.strip_prefix("CONFIG_")?.strip_suffix("=y"));
    on.map(str::to_lowercase).collect()
}

/// Applets that the scripts count on and Buildroot's own configuration of busybox has off.
pub fn applets_off(config: &str) -> Vec<String> {
    let off = |name: &&&str| !config.lines().any(|line| line == format!("{}=y", symbol_of_applet(name)));
    APPLETS.iter().filter(off).map(|name| format!("Buildroot has {name} off: add it to busybox.fragment")).collect()
}

fn symbol_of_applet(name: &str) -> String {
    // The only one that another project's symbol was in the way of.
    if name == "sysctl" { "CONFIG_BB_SYSCTL".into() } else { format!("CONFIG_{}", name.to_uppercase()) }
}

/// Is the compiler of this Buildroot old for the workspace? `recipe` is its rust-bin.mk.
pub fn rust_too_old(manifest: &str, recipe: &str) -> Vec<String> {
    let number = |text: &str| {
        let mut parts = text.trim_matches('"').split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    let value = |text: &str, key: &str| text.lines().find_map(|line| line.strip_prefix(key).map(str::to_string));
    let wanted = value(manifest, "rust-version = ").unwrap_or_default();
    let there = value(recipe, "RUST_BIN_VERSION = ").unwrap_or_default();
    if number(&there) >= number(&wanted) {
        Vec::new()
    } else {
        vec![format!("Buildroot has Rust {there:?}, the workspace wants {wanted}")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_this_workspace_is_whole() -> Result<()> {
        assert_eq!(offences(&testbed::host::workspace())?, [""; 0]);
        Ok(())
    }

    #[test]
    fn names_paths_and_hashes() {
        assert_eq!(description("name: A_1\ndesc: words\n"), [""; 0]);
        assert_eq!(description("name: A-1\ndesc: \n").len(), 2);
        let whole = "BR2_DOWNLOAD_FORCE_CHECK_HASHES=y\nBR2_REPRODUCIBLE=y\nBR2_ROOTFS_MERGED_USR=y\n";
        assert_eq!(config(whole, &|_| true), [""; 0]);
        let broken = format!("{whole}# BR2_REPRODUCIBLE is not set\nBR2_X=\"{EXTERNAL}a {EXTERNAL}b\"\n");
        let found = config(&broken, &|path| path == "a");
        assert!(found.len() == 2 && found[0].contains("twice") && found[1].contains("names b"), "{found:?}");
        assert_eq!(config("", &|_| true).len(), 3);
        let version = "BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE=\"6.1\"";
        let sum = "a".repeat(64);
        assert_eq!(kernel_hash(version, &format!("sha256  {sum}  linux-6.1.tar.xz")), [""; 0]);
        assert_eq!(kernel_hash(version, &format!("sha256  {sum}  linux-6.2.tar.xz")).len(), 1);
        assert_eq!(kernel_hash(version, "sha256  aa  linux-6.1.tar.xz").len(), 1);
    }

    #[test]
    fn both_images_have_the_same_programs() {
        let list: String =
            image::PROGRAMS.iter().map(|(_, program, place)| format!("\t{program}:{place} \\\n")).collect();
        let recipe = format!("STEELYARD_VERSION = 1.0.0\nSTEELYARD_PROGRAMS = \\\n{list}\n");
        assert_eq!(own_programs(&recipe, "version = \"1.0.0\""), [""; 0]);
        assert_eq!(own_programs(&recipe.replace("lbd:usr", "lbx:usr"), "version = \"1.0.0\"").len(), 2);
        assert_eq!(own_programs(&recipe, "version = \"1.0.1\"").len(), 1);
        let all: String = PROGRAMS.iter().map(|(path, _)| format!("{path}\n")).collect();
        let on = "CONFIG_RUNSV=y\nCONFIG_RUNSVDIR=y\nCONFIG_SV=y\nCONFIG_SVLOGD=y\nCONFIG_CHPST=y\n";
        assert_eq!(quick_programs(&all, on), [""; 0]);
        assert_eq!(quick_programs(&format!("{all}/usr/bin/new\n"), on).len(), 1);
        assert_eq!(quick_programs(&all, &on.replace("CONFIG_SV=y", "# CONFIG_SV is not set")).len(), 1);
        assert_eq!(quick_programs(&all.replace("/bin/bash\n", ""), on).len(), 1);
    }

    #[test]
    fn users_are_those_of_the_overlay() {
        let table = "a\t101\ta\t101\t*\t/\t/bin/false\tg\tsome one\n";
        let (passwd, group) = ("a:x:101:101:some one:/:/bin/false\n", "a:x:101:\ng:x:100:a\n");
        assert_eq!(users(table, passwd, group), [""; 0]);
        assert_eq!(users("a\t101\n", passwd, group).len(), 2);
        assert_eq!(users(&table.replace("101\ta", "102\ta"), passwd, group).len(), 1);
        assert_eq!(users(table, passwd, "a:x:101:\ng:x:100:\n").len(), 1);
        assert_eq!(users("", passwd, group).len(), 1);
    }

    #[test]
    fn modules_have_a_symbol_in_the_kernel() {
        assert_eq!(modules("# words\nip_vs\n8021q\n", "CONFIG_IP_VS=y\nCONFIG_VLAN_8021Q=m\n"), [""; 0]);
        assert_eq!(modules("ip_vs_rr\n", "CONFIG_IP_VS=y\n# CONFIG_IP_VS_RR is not set\n").len(), 1);
    }

    #[test]
    fn applets_and_compiler_of_a_buildroot() {
        let all: String = APPLETS.iter().map(|name| format!("{}=y\n", symbol_of_applet(name))).collect();
        assert_eq!(applets_off(&all), [""; 0]);
        assert_eq!(applets_off(&all.replace("CONFIG_TR=y", "# CONFIG_TR is not set")).len(), 1);
        assert_eq!(rust_too_old("rust-version = \"1.88\"", "RUST_BIN_VERSION = 1.88.0"), [""; 0]);
        assert_eq!(rust_too_old("rust-version = \"1.88\"", "RUST_BIN_VERSION = 1.82.0").len(), 1);
        assert_eq!(rust_too_old("rust-version = \"1.88\"", "").len(), 1);
    }
}
