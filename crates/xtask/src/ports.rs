//! What of the booted appliance can be reached from outside is what the guide's table of ports says, and no more: all
//! 65,535 ports of TCP and of UDP are asked by the lab's client. Two strangers are let in for the scan, so that it shows
//! what it would find. Who listens is asked of the appliance too. SSH with the factory password is for private networks.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::console::{Console, FACTORY_PASSWORD, ROOT_PASSWORD};
use testbed::host::{self, step};
use testbed::lab::Lab;
use testbed::limits::{self, wait_until};

/// The page of the guide with the table, which is the list.
const PAGE: &str = "docs/guide/15-reference.md";
const TABLE: &str = "## Ports of the unit";
/// A scan of one protocol through two emulated machines.
const SCAN: Duration = Duration::from_secs(90);

/// Nobody documents these: a listener of TCP, and a socket of the kernel's own.
const STRANGERS: [&str; 2] = ["31337/tcp", "31338/udp"];
const LET_IN: &str = "(nc -l -p 31337 </dev/null >/dev/null 2>&1 & echo $! >/tmp/stranger) && modprobe fou && \
                      ip fou add port 31338 ipproto 4";
const TURN_OUT: &str = "kill $(cat /tmp/stranger); ip fou del port 31338";

/// How often the kernel may say that nobody has a UDP port: once a second would make a scan of 18 hours
/// (Documentation/networking/ip-sysctl.rst).
const REFUSALS: [(&str, &str); 3] = [
    ("net.ipv4.icmp_ratelimit", "0"),
    ("net.ipv4.icmp_msgs_per_sec", "1000000"),
    ("net.ipv4.icmp_msgs_burst", "10000"),
];

/// Of a public network (RFC 5737), on the appliance and on the client.
const PUBLIC: [&str; 2] = ["198.51.100.1", "198.51.100.2"];

/// `unit` is an address of the appliance, and `services` are open there beside what every unit has: `80/tcp`.
pub fn scanned(lab: &mut Lab, shell: &mut Console, unit: &str, services: &[&str]) -> Result<()> {
    let page = std::fs::read_to_string(host::workspace().join(PAGE)).context("reading the guide")?;
    let mut expected = documented(&page)?;
    expected.extend(services.iter().copied().map(str::to_owned));
    step("who listens is in the guide's table of ports", || listeners(shell, &expected))?;
    step("131,070 ports asked from outside: the guide's are open, and no other", || {
        let found = with_strangers(lab, shell, unit)?;
        let seen: BTreeSet<String> = found.iter().filter(|port| !STRANGERS.contains(&port.as_str())).cloned().collect();
        ensure!(found.len() == seen.len() + STRANGERS.len(), "the scan does not see {STRANGERS:?}: {found:?}");
        ensure!(seen == expected, "{unit} answers at {seen:?}; {PAGE} and what is configured say {expected:?}");
        Ok(())
    })
}

/// Of a single unit: the rows of the table that no pair is needed for.
fn documented(page: &str) -> Result<BTreeSet<String>> {
    let table = page.split_once(TABLE).with_context(|| format!("{PAGE} has no {TABLE:?}"))?.1;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")).filter(|row| !row.contains("in a pair"));
    let ports: BTreeSet<String> =
        rows.filter_map(|row| row.split(' ').next()).filter(|port| port.contains('/')).map(str::to_owned).collect();
    ensure!(!ports.is_empty(), "{PAGE}: {TABLE:?} has no ports");
    Ok(ports)
}

/// From inside: what listens anywhere but on loopback.
fn listeners(shell: &mut Console, expected: &BTreeSet<String>) -> Result<()> {
    let said = shell.ok("ss -Hltun")?;
    let found = elsewhere(&said);
    ensure!(!found.is_empty(), "nobody listens: {said:?}");
    let strangers: Vec<&String> = found.difference(expected).collect();
    ensure!(strangers.is_empty(), "{strangers:?} are not in {PAGE}:\n{said}");
    Ok(())
}

/// The ports of a list of `ss -Hltun` that are not on loopback alone.
fn elsewhere(list: &str) -> BTreeSet<String> {
    let ports = list.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, _, _, _, local, ..] = words[..] else { return None };
        let (address, port) = local.rsplit_once(':')?;
        let here = address.starts_with("127.") || address == "[::1]" || address.ends_with("%lo");
        (!here).then(|| format!("{port}/{kind}"))
    });
    ports.collect()
}

fn with_strangers(lab: &mut Lab, shell: &mut Console, unit: &str) -> Result<BTreeSet<String>> {
    let mut before = Vec::new();
    for (name, many) in REFUSALS {
        before.push((name, shell.ok(&format!("sysctl -n {name}"))?.trim().to_owned()));
        shell.ok(&format!("sysctl -w {name}={many}"))?;
    }
    shell.ok(LET_IN)?;
    let mut found = BTreeSet::new();
    for kind in ["tcp", "udp"] {
        let scan = format!("/sbin/ip netns exec client lab ports --of {unit} --kind {kind}");
        let said = lab.shell.ok_within(&scan, SCAN)?;
        found.extend(said.lines().map(str::trim).filter(|line| line.contains('/')).map(str::to_owned));
    }
    shell.ok(TURN_OUT)?;
    for (name, value) in before {
        shell.ok(&format!("sysctl -w {name}={value}"))?;
    }
    Ok(found)
}

/// From a public network nobody gets to the log-in of SSH at `unit` until root has a password of its own; from a private
/// one nothing is done for the factory's but to replace it.
pub fn ssh(lab: &mut Lab, shell: &mut Console, unit: &str) -> Result<()> {
    let shadow =
        std::fs::read_to_string(host::workspace().join("rootfs-overlay/etc/shadow")).context("reading shadow")?;
    let factory = shadow.lines().next().context("nobody in the overlay's shadow")?;
    shell.ok(&format!("sed -i '1s|.*|{factory}|' /data/etc/shadow && sv restart dropbear"))?;
    wait_until("the rule for SSH", limits::CONVERGE, || {
        Ok((shell.run("nft list table inet steelyard_ssh >/dev/null 2>&1")?.status == 0).then_some(()))
    })?;
    let [here, there] = PUBLIC;
    shell.ok(&format!("ip address add {here}/24 dev eth0"))?;
    lab.on("client", &format!("/sbin/ip address add {there}/24 dev eth0"))?;
    wait_until("SSH to answer a private network", limits::CONVERGE, || Ok(reaches(lab, unit, 22)?.then_some(())))?;
    wait_until("the public network", limits::CONVERGE, || Ok(reaches(lab, here, 9080)?.then_some(())))?;
    ensure!(!reaches(lab, here, 22)?, "SSH answers a public network, and the password is the factory's");
    let refused = logged_in(lab, unit, FACTORY_PASSWORD, "lbctl status", "")?;
    ensure!(
        refused.contains("root has the factory's password"),
        "a command with the factory's password says {refused}"
    );
    let renewed = logged_in(lab, unit, FACTORY_PASSWORD, "passwd", &format!("{ROOT_PASSWORD}\\n").repeat(2))?;
    ensure!(renewed.contains("root has the new password."), "passwd over SSH says {renewed}");
    wait_until("SSH to answer everybody", limits::CONVERGE, || Ok(reaches(lab, here, 22)?.then_some(())))?;
    let old = logged_in(lab, here, FACTORY_PASSWORD, "echo in", "")?;
    let new = logged_in(lab, here, ROOT_PASSWORD, "echo in", "")?;
    let gets_in = |said: &str| said.lines().any(|line| line.trim() == "in");
    ensure!(!gets_in(&old) && gets_in(&new), "SSH says {old} to the factory's password, {new} to the new one");
    lab.on("client", &format!("/sbin/ip address del {there}/24 dev eth0"))?;
    shell.ok(&format!("ip address del {here}/24 dev eth0")).map(drop)
}

/// What `command` says over SSH, with `input` as printf writes it; whatever becomes of it.
fn logged_in(lab: &mut Lab, unit: &str, password: &str, command: &str, input: &str) -> Result<String> {
    let ssh = format!("env DROPBEAR_PASSWORD='{password}' dbclient -y -y root@{unit} '{command}'");
    let line = format!("printf '{input}' | /sbin/ip netns exec client timeout 60 {ssh} 2>&1");
    Ok(lab.shell.run_within(&line, limits::BOOT)?.text)
}

fn reaches(lab: &mut Lab, address: &str, port: u16) -> Result<bool> {
    let connect = format!("timeout 5 bash -c '</dev/tcp/{address}/{port}'");
    Ok(lab.shell.run(&format!("/sbin/ip netns exec client {connect}"))?.status == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_a_table_of_ports() -> Result<()> {
        let ports = documented(&std::fs::read_to_string(host::workspace().join(PAGE))?)?;
        assert_eq!(ports.into_iter().collect::<Vec<_>>(), ["22/tcp", "9080/tcp", "9081/tcp", "9443/tcp"]);
        Ok(())
    }

    #[test]
    fn who_listens_on_loopback_alone_is_not_outside() {
        let list = "udp   UNCONN 0 0 127.0.0.1:323 0.0.0.0:*\ntcp LISTEN 0 5 0.0.0.0:22 0.0.0.0:*\n\
                    tcp LISTEN 0 5 [::1]:9082 [::]:*\ntcp LISTEN 0 5 [::]:9080 [::]:*\nudp UNCONN 0 0 *:68 *:*\n";
        assert_eq!(elsewhere(list).into_iter().collect::<Vec<_>>(), ["22/tcp", "68/udp", "9080/tcp"]);
    }
}
