//! The appliance as a machine: what `run`, `demo` and `bench` have in common, and `cargo xtask run` itself.

use std::path::Path;

use anyhow::{Context, Result};
use testbed::console::Console;
use testbed::host;
use testbed::image::{self, Appliance, COMMAND_LINE};
use testbed::qemu::{Builder, Disk, Machine, Wire};

/// Memory of the appliance in MB.
const MEMORY: u32 = 256;
/// Factory password of root.
pub const PASSWORD: &str = "loadbalancer";

/// A machine that boots `appliance`; two cards are still to be added.
pub fn machine(appliance: &Appliance, disk: Disk) -> Builder {
    Builder::new("appliance")
        .memory(MEMORY)
        .kernel(&appliance.vmlinux, &appliance.initrd, COMMAND_LINE)
        .disk(disk)
        .serial("console")
}

/// Starts the appliance on the left ends of two wires; what it writes is forgotten. The console is connected at
/// once: what a machine prints while nobody listens is in the log only.
pub fn start(appliance: &Appliance, external: &Wire, internal: &Wire) -> Result<(Machine, Console)> {
    start_on(appliance, Disk::snapshot(&appliance.disk), external, internal)
}

/// [`start`] on another disk.
pub fn start_on(appliance: &Appliance, disk: Disk, external: &Wire, internal: &Wire) -> Result<(Machine, Console)> {
    let mut machine = machine(appliance, disk)
        .nic(external.left("52:54:00:10:00:21"))
        .nic(internal.left("52:54:00:20:00:21"))
        .screen()
        .start()?;
    let console = machine.console("console");
    machine.check_alive()?;
    Ok((machine, console?))
}

/// `cargo xtask run`: a person at the serial console. The cards are plugged into nothing.
pub fn run(disk: Option<&Path>) -> Result<()> {
    host::require_tools()?;
    let appliance = image::build()?;
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
    host::say("Booting. Log in as root, password loadbalancer; lbwizard sets the unit up. Ctrl-A X ends the machine.");
    let mut machine = machine(&appliance, disk)
        .nic(external.left("52:54:00:10:00:21"))
        .nic(internal.left("52:54:00:20:00:21"))
        .on_stdio()
        .start()?;
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
