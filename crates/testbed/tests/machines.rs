//! The machines themselves: a guest job's way in and out, and the appliance as a person meets it at the console.
//! They boot QEMU: `cargo test -p testbed --test machines -- --ignored --test-threads 1`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::console::{Console, FACTORY_PASSWORD, LoggedIn, ROOT_PASSWORD};
use testbed::guest::Job;
use testbed::image::{self, COMMAND_LINE};
use testbed::limits::{self, wait_until};
use testbed::qemu::{Builder, Clock, Disk, Machine, Wire};

/// A job that programs IPVS with Debian's C tool, leaves a file and ends with a code of its own.
const PROGRAM_IPVS: &str = "
ipvsadm -A -t 10.0.0.21:80 -s mh
ipvsadm -a -t 10.0.0.21:80 -r 192.168.2.50:80 -m
ipvsadm -Sn | tee /out/saved
ip netns add somewhere && ip -n somewhere link set lo up
exit 7";

fn guest_job(clock: Clock) -> Result<()> {
    let mut job = Job::new("selfcheck", PROGRAM_IPVS);
    job.clock = clock;
    job.with_programs = false;
    job.limit = Duration::from_secs(120);
    let done = job.run()?;
    ensure!(done.code == 7, "code {} instead of 7:\n{}", done.code, done.output);
    let saved = std::fs::read_to_string(done.results.join("saved"))?;
    assert_eq!(saved, "-A -t 10.0.0.21:80 -s mh\n-a -t 10.0.0.21:80 -r 192.168.2.50:80 -m -w 1\n");
    Ok(())
}

#[test]
#[ignore = "boots QEMU"]
fn a_job_programs_ipvs_and_its_code_and_files_come_out() -> Result<()> {
    guest_job(Clock::Wall(1))
}

#[test]
#[ignore = "boots QEMU"]
fn the_same_with_the_virtual_clock() -> Result<()> {
    guest_job(Clock::Virtual)
}

/// The appliance on a disk of its own, with two cables that go nowhere.
fn appliance(name: &str, disk: &std::path::Path, cables: &std::path::Path) -> Result<(Machine, Console)> {
    let built = image::build(image::Hardware::Virtual)?;
    if !disk.exists() {
        std::fs::copy(&built.disk, disk)?;
    }
    let (external, internal) = (Wire::new(cables, "x"), Wire::new(cables, "i"));
    let machine = Builder::new(name)
        .kernel(&built.vmlinux, &built.initrd, COMMAND_LINE)
        .disk(Disk::raw(disk))
        .nic(external.left("52:54:00:10:00:21"))
        .nic(internal.left("52:54:00:20:00:21"))
        .serial("console")
        .screen()
        .limit(Duration::from_secs(300))
        .start()?;
    let console = machine.console("console")?;
    Ok((machine, console))
}

/// At the question for a new password: twice this one, and it is refused for that reason.
fn refused(shell: &mut Console, one: &str, other: &str, why: &str) -> Result<()> {
    shell.send_line(one)?;
    shell.expect("The same again: ", limits::COMMAND)?;
    shell.send_line(other)?;
    shell.expect(&format!("Not this one: {why}."), limits::COMMAND)?;
    shell.expect("New password: ", limits::COMMAND).map(drop)
}

#[test]
#[ignore = "boots QEMU"]
fn the_first_log_in_leads_to_a_new_password_which_outlives_a_power_cut() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("sy-").tempdir()?;
    let disk = folder.path().join("disk.img");
    let (mut machine, mut shell) = appliance("first-boot", &disk, folder.path())?;
    ensure!(shell.try_login("root", FACTORY_PASSWORD, limits::BOOT)? == LoggedIn::Asked, "a shell for the factory's");
    refused(&mut shell, "", "", "it has fewer than 8 characters")?;
    refused(&mut shell, "1234567", "1234567", "it has fewer than 8 characters")?;
    refused(&mut shell, ROOT_PASSWORD, "steel Yard 78", "the two are not the same")?;
    refused(&mut shell, FACTORY_PASSWORD, FACTORY_PASSWORD, "it is the factory's")?;
    // Ctrl-C, and Ctrl-D in the midst of it: the session is over, nothing is changed.
    for end in ["\u{3}", "secret 1\r\u{4}"] {
        shell.send(end)?;
        let again = shell.try_login("root", FACTORY_PASSWORD, limits::COMMAND)?;
        ensure!(again == LoggedIn::Asked, "after {end:?}: {again:?}");
    }
    ensure!(!shell.transcript().contains("secret"), "what is typed is shown");
    shell.send_line(ROOT_PASSWORD)?;
    shell.expect("The same again: ", limits::COMMAND)?;
    shell.send_line(ROOT_PASSWORD)?;
    shell.expect_match(r"root has the new password\.\n(?s:.*)[#$] $", limits::COMMAND)?;
    shell.quiet_shell()?;
    // A log-in shell of bash: it has read /etc/profile.
    ensure!(shell.ok("echo $SHELL $PAGER")?.trim() == "/bin/bash less", "it is no log-in shell");
    shell.ok("grep -q '^root:[$]6[$]' /data/etc/shadow && cp /etc/hostname /data/witness; sync")?;
    machine.kill();

    let (mut machine, mut shell) = appliance("second-boot", &disk, folder.path())?;
    ensure!(shell.try_login("root", FACTORY_PASSWORD, limits::BOOT)? == LoggedIn::No, "the factory's is taken again");
    ensure!(shell.try_login("root", ROOT_PASSWORD, limits::COMMAND)? == LoggedIn::Shell, "the new one is forgotten");
    shell.quiet_shell()?;
    shell.ok("test -s /data/witness")?;
    machine.kill();
    Ok(())
}

#[test]
#[ignore = "boots QEMU"]
fn a_fresh_appliance_has_what_an_administrator_needs() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("sy-").tempdir()?;
    let (mut machine, mut shell) = appliance("fresh", &folder.path().join("disk.img"), folder.path())?;
    shell.login_root(limits::BOOT)?;
    // Every scheduler, tunnels and firewall as modules that load.
    shell.ok("modprobe -a ip_vs_mh ip_vs_ovf ipip ip_gre fou nft_masq nft_chain_nat dummy 8021q bonding softdog")?;
    ensure!(shell.ok("ipvsadm -Ln")?.contains("size=262144"), "conn_tab_bits=18 is not in force");
    for tool in [
        "ip -br addr",
        "ss -ltn",
        "nft list ruleset",
        "conntrack -C",
        "ethtool eth0",
        "arping -V",
        "tcpdump --version",
        "lbctl --help",
        "lbwizard --help",
        "links -version",
    ] {
        shell.ok(tool).with_context(|| format!("{tool} does not work"))?;
    }
    // Services: supervised, logging, and back after they were killed.
    for service in ["lbd", "haproxy", "lbadmin", "fallback", "dropbear", "syslog", "time"] {
        let up = format!("sv status /etc/service/{service} | grep -q '^run:.*run: log'");
        wait_until(service, limits::CONVERGE, || Ok((shell.run(&up)?.status == 0).then_some(())))?;
    }
    // The page for clients when nobody else is left: for every path, on both families.
    shell.ok("ip addr add fd00::1/128 dev lo")?;
    for url in ["http://127.0.0.1:9081/", "http://127.0.0.1:9081/no/such/page"] {
        let page = shell.run(&format!(
            "echo -e 'GET {} HTTP/1.0\\r\\n\\r' | nc {} 9081",
            url.trim_start_matches("http://127.0.0.1:9081"),
            "127.0.0.1"
        ))?;
        ensure!(page.text.contains("temporarily unavailable"), "{url}: {}", page.text);
    }
    shell.ok("ps -o user,args | grep '[h]ttpd' | grep -q ^nobody")?;
    wait_until("lbd to answer", limits::CONVERGE, || Ok((shell.run("lbctl status")?.status == 0).then_some(())))?;
    // A page of one's own takes its place at once, and gives it back.
    let page = "echo -e 'GET /no/such/page HTTP/1.0\\r\\n\\r' | nc 127.0.0.1 9081";
    shell.ok("lbctl config set fallback_page '<h1>Back at noon</h1>' --apply")?;
    ensure!(shell.run(page)?.text.contains("Back at noon"), "the configured page is not served");
    shell.ok("lbctl config unset fallback_page --apply")?;
    ensure!(shell.run(page)?.text.contains("temporarily unavailable"), "the shipped page is not served again");
    // The factory address, from lbd; and the root is volatile while /data is not.
    wait_until("192.168.2.21/24 at eth0", limits::CONVERGE, || {
        Ok(shell.ok("ip -br addr show eth0")?.contains("192.168.2.21/24").then_some(()))
    })?;
    shell.ok("mount | grep -q ' on / type overlay' && mount | grep -q ' on /data type ext4'")?;
    ensure!(shell.ok("cat /proc/sys/net/ipv4/conf/all/promote_secondaries")?.trim() == "1");
    // And a clean way down.
    shell.send_line("poweroff")?;
    machine.wait(limits::POWER_OFF)?;
    Ok(())
}

#[test]
#[ignore = "boots QEMU"]
fn the_web_interface_is_up_with_the_login_prompt_and_has_no_rights() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("sy-").tempdir()?;
    let (mut machine, mut shell) = appliance("web", &folder.path().join("disk.img"), folder.path())?;
    shell.login_root(limits::BOOT)?;
    let asks = "wget -q -O - http://127.0.0.1:9080/lbadmin/login";
    // It may be up before lbd, and says so then.
    wait_until("the log-in page with the unit's name", limits::CONVERGE, || {
        let answer = shell.run(asks)?;
        Ok((answer.status == 0 && answer.text.contains("Unit <strong>lbmaster</strong>")).then_some(()))
    })?;
    ensure!(shell.ok("ss -ltn")?.contains(":9443"), "nobody listens for https");

    // Neither root nor on the way back to it: no capabilities, none to be gained, the file system out of reach.
    let status = shell.ok("cat /proc/$(pidof lbadmin)/status")?;
    for line in [
        "Uid:\t101\t101\t101\t101",
        "Gid:\t100\t100\t100\t100",
        "Groups:\t100",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        ensure!(status.lines().any(|shown| shown.trim_end() == line.trim_end()), "no {line:?} in:\n{status}");
    }
    // A log-in page that lbadmin rendered after start tells nothing about Landlock; its own word after the restriction does.
    shell.ok("grep -h 'confined to /data/web' /data/log/lbadmin/current")?;
    let limits = shell.ok("cat /proc/$(pidof lbadmin)/limits")?;
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line[name.len()..].split_whitespace().next().unwrap_or_default().to_string()
    };
    assert_eq!((limit("Max open files").as_str(), limit("Max data size").as_str()), ("4096", "402653184"));
    assert_eq!(shell.ok("cat /proc/$(pidof lbadmin)/oom_score_adj")?.trim(), "500");
    assert_eq!(
        shell.ok("stat -c '%a %U %G' /data/web /run/lbd.sock")?.trim().replace('\n', "; "),
        "700 lbadmin lbadmin; 660 root lb"
    );
    machine.kill();
    Ok(())
}
