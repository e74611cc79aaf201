//! The appliance as a machine: what `run`, `demo` and `bench` have in common, and `cargo xtask run` itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};
use testbed::console::Console;
use testbed::host;
use testbed::image::{self, Appliance, COMMAND_LINE, Hardware};
use testbed::limits::{self, wait_until};
use testbed::qemu::{Builder, Disk, Firmware, Machine, Nic, Wire};

/// Memory of the appliance in MB.
const MEMORY: u32 = 256;
/// Where lbadmin speaks http and https.
const HTTP: u16 = 9080;
const HTTPS: u16 = 9443;

/// A machine that boots `appliance`, without cards.
fn machine(appliance: &Appliance, disk: Disk) -> Builder {
    bare("appliance", appliance, disk)
}

/// The same under another name.
pub fn bare(name: &str, appliance: &Appliance, disk: Disk) -> Builder {
    Builder::new(name)
        .memory(MEMORY)
        .kernel(&appliance.vmlinux, &appliance.initrd, COMMAND_LINE)
        .disk(disk)
        .serial("console")
}

/// Starts the appliance on the left ends of two wires, with a way to its web interface; what it writes is forgotten.
pub fn start(appliance: &Appliance, external: &Wire, internal: &Wire, web: &Web) -> Result<(Machine, Console)> {
    boot(cabled(appliance, Disk::snapshot(&appliance.disk), external, internal).nic(web.nic()))
}

/// Starts it on another disk, and on the two wires alone.
pub fn start_on(appliance: &Appliance, disk: Disk, external: &Wire, internal: &Wire) -> Result<(Machine, Console)> {
    boot(cabled(appliance, disk, external, internal))
}

/// The same by firmware and boot loader, as on a machine of its own.
pub fn start_by(firmware: Firmware, disk: Disk, external: &Wire, internal: &Wire) -> Result<(Machine, Console)> {
    let machine = Builder::new("appliance").memory(MEMORY).firmware(firmware).disk(disk).serial("console");
    boot(plugged(machine, external, internal))
}

fn cabled(appliance: &Appliance, disk: Disk, external: &Wire, internal: &Wire) -> Builder {
    plugged(machine(appliance, disk), external, internal)
}

fn plugged(machine: Builder, external: &Wire, internal: &Wire) -> Builder {
    machine.nic(external.left("52:54:00:10:00:21")).nic(internal.left("52:54:00:20:00:21"))
}

/// The console is connected at once: what a machine prints while nobody listens is in the log only.
pub fn boot(machine: Builder) -> Result<(Machine, Console)> {
    let mut machine = machine.screen().start()?;
    let console = machine.console("console");
    machine.check_alive()?;
    Ok((machine, console?))
}

/// The way from this machine to the web interface: two ports of loopback, and a third card that the configuration does
/// not know.
pub struct Web {
    port: u16,
    secure: u16,
}

impl Web {
    /// The ports are the appliance's own if they are free here.
    pub fn new() -> Result<Web> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let free = |port| bind(port).or_else(|_| bind(0)).context("looking for a port");
        // Both are held until both are known.
        let (http, https) = (free(HTTP)?, free(HTTPS)?);
        Ok(Web { port: http.local_addr()?.port(), secure: https.local_addr()?.port() })
    }

    pub fn nic(&self) -> Nic {
        Nic::forwarded(&[(self.port, HTTP), (self.secure, HTTPS)], "52:54:00:30:00:21")
    }

    pub fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn https(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.secure).into()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/lbadmin/", self.port)
    }

    /// Gives the card its address, and waits for the log-in page.
    pub fn open(&self, shell: &mut Console) -> Result<()> {
        shell.ok("ip addr add 10.0.2.15/24 dev eth2; ip link set eth2 up")?;
        let page = format!("wget -q -O - http://127.0.0.1:{HTTP}/lbadmin/login | grep 'Unit <strong>'");
        wait_until("the log-in page", limits::BOOT, || Ok((shell.run(&page)?.status == 0).then_some(())))
    }
}

/// `cargo xtask run`: a person at the serial console. The cards are plugged into nothing.
pub fn run(disk: Option<&Path>) -> Result<()> {
    host::require_tools()?;
    let appliance = image::build(Hardware::Virtual)?;
    let disk = match disk {
        None => Disk::snapshot(&appliance.disk),
        Some(file) => {
            if !file.exists() {
                std::fs::copy(&appliance.disk, file).with_context(|| format!("making {}", file.display()))?;
            }
            Disk::raw(file)
        }
    };
    let cables = tempfolder()?;
    let (external, internal) = (Wire::new(&cables, "external"), Wire::new(&cables, "internal"));
    host::say(
        "Booting. Log in as root, password loadbalancer; you are asked for another one. lbwizard sets the unit up. Ctrl-A X ends the machine.",
    );
    let mut machine = cabled(&appliance, disk, &external, &internal).on_stdio().start()?;
    let end = machine.wait_forever();
    let _ = std::fs::remove_dir_all(&cables);
    end.map(drop)
}

/// A short-named folder for sockets; removed by whoever asked for it.
pub fn tempfolder() -> Result<std::path::PathBuf> {
    let folder = std::env::temp_dir().join(format!("sy-cables-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("making a folder for the cables")?;
    Ok(folder)
}
