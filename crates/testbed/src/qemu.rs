//! Runs machines under QEMU (TCG, `-M q35`: microvm hangs on a loaded host) and takes them away again.
//!
//! A [`Machine`] owns its QEMU process: dropping it kills the process, the kernel kills it when the thread that
//! started it dies (`setpriv --pdeathsig`: **start machines from a thread that outlives them**), and an outer time
//! limit kills it when everything else hangs. No process is ever looked up by name or number.
//!
//! Sockets live in a short temporary folder (a Unix socket's path has at most 107 bytes); console logs are written by
//! QEMU itself into the log folder and stay.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::console::Console;
use crate::host;
use crate::limits::{self, scaled, wait_until};

/// How time passes inside a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Real time, with this many virtual CPUs, one host thread each.
    Wall(u8),
    /// One instruction is one nanosecond and idle time is skipped: figures do not depend on the host's load.
    Virtual,
}

/// What starts a machine that has no kernel of its own: see [`Builder::firmware`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, QEMU's own.
    Bios,
    /// OVMF, Debian's.
    Uefi,
}

const OVMF: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"];

/// What a disk is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk, as virtual machines have it.
    Virtio,
    /// AHCI, the board's own ports.
    Sata,
    /// NVMe.
    Nvme,
    /// A stick on USB 3.
    Usb,
}

/// A disk of a machine.
#[derive(Debug, Clone)]
pub struct Disk {
    source: String,
    snapshot: bool,
    readonly: bool,
    bus: Bus,
}

impl Disk {
    /// A raw file that the machine may write.
    pub fn raw(file: &Path) -> Disk {
        Disk {
            source: format!("driver=raw,file.driver=file,file.filename={}", file.display()),
            snapshot: false,
            readonly: false,
            bus: Bus::Virtio,
        }
    }

    /// A raw file that the machine may write, but what it writes is forgotten.
    pub fn snapshot(file: &Path) -> Disk {
        Disk { source: format!("file={},format=raw", file.display()), snapshot: true, ..Disk::raw(file) }
    }

    /// A raw file that the machine may only read.
    pub fn readonly(file: &Path) -> Disk {
        Disk { readonly: true, ..Disk::raw(file) }
    }

    /// A network block device on a Unix socket: the power-cut rig. Flushes and FUA arrive there.
    pub fn nbd(socket: &Path) -> Disk {
        Disk {
            source: format!("driver=raw,file.driver=nbd,file.server.type=unix,file.server.path={}", socket.display()),
            snapshot: false,
            readonly: false,
            bus: Bus::Virtio,
        }
    }

    /// The same on another bus.
    pub fn on(self, bus: Bus) -> Disk {
        Disk { bus, ..self }
    }

    fn arguments(&self, index: usize) -> Vec<String> {
        let flag = |on: bool, text: &str| if on { text.to_string() } else { String::new() };
        let drive = format!(
            "if=none,id=d{index},{}{}{}",
            self.source,
            flag(self.snapshot, ",snapshot=on"),
            flag(self.readonly, ",readonly=on")
        );
        let mut arguments = vec!["-drive".into(), drive];
        // Firmware tries them in the order they were added. 0 is a kernel's that QEMU itself loads.
        let drive = format!("drive=d{index},bootindex={}", index + 1);
        let mut device = |text: String| arguments.extend(["-device".into(), text]);
        match self.bus {
            Bus::Virtio => device(format!("virtio-blk-pci,{drive}")),
            // q35's own six ports: ide.0 to ide.5.
            Bus::Sata => device(format!("ide-hd,bus=ide.{index},{drive}")),
            Bus::Nvme => device(format!("nvme,serial=d{index},{drive}")),
            Bus::Usb => {
                device(format!("qemu-xhci,id=usb{index}"));
                device(format!("usb-storage,bus=usb{index}.0,{drive}"));
            }
        }
        arguments
    }
}

/// A network card; cards get the names eth0, eth1, … in the order they are added.
#[derive(Debug, Clone)]
pub struct Nic {
    netdev: String,
    mac: String,
    model: &'static str,
}

impl Nic {
    /// A card that this machine reaches: of each pair of ports the first, on loopback, is the second of 10.0.2.15, which
    /// the machine must give it. Nothing gets out by it.
    pub fn forwarded(ports: &[(u16, u16)], mac: &str) -> Nic {
        let mut netdev = "user,restrict=on,net=10.0.2.0/24".to_string();
        for (here, there) in ports {
            netdev.push_str(&format!(",hostfwd=tcp:127.0.0.1:{here}-10.0.2.15:{there}"));
        }
        Nic { netdev, mac: mac.to_string(), model: "virtio-net-pci" }
    }

    /// A card on a hub with the others of its kind alone.
    pub fn unplugged(mac: &str) -> Nic {
        Nic { netdev: "hubport,hubid=0".to_string(), ..Nic::forwarded(&[], mac) }
    }

    /// The same as another model: QEMU's name for it.
    pub fn model(self, model: &'static str) -> Nic {
        Nic { model, ..self }
    }
}

/// A cable between two machines: datagrams on two Unix sockets. Either machine may start first or be restarted.
#[derive(Debug)]
pub struct Wire {
    folder: PathBuf,
    name: String,
}

impl Wire {
    /// A cable whose sockets live in `folder`.
    pub fn new(folder: &Path, name: &str) -> Wire {
        deepen_queues();
        Wire { folder: folder.to_path_buf(), name: name.to_string() }
    }

    /// The card at one end. `mac` must be unique on the network.
    pub fn left(&self, mac: &str) -> Nic {
        self.end("l", "r", mac)
    }

    /// The card at the other end.
    pub fn right(&self, mac: &str) -> Nic {
        self.end("r", "l", mac)
    }

    fn end(&self, here: &str, there: &str, mac: &str) -> Nic {
        let socket = |side: &str| self.folder.join(format!("{}.{side}", self.name)).display().to_string();
        let netdev =
            format!("dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}", socket(here), socket(there));
        Nic { netdev, mac: mac.to_string(), model: "virtio-net-pci" }
    }
}

/// Lets a Unix socket of this host hold as many datagrams as its sender has room for (some 90). With Linux's usual ten,
/// a QEMU that finds the other end's queue full asks again at once and without end, as the socket counts as writable: it
/// takes a whole processor, and a guest's card was seen to get nothing out for seconds. Without root it stays as it is.
fn deepen_queues() {
    const QUEUE: &str = "/proc/sys/net/unix/max_dgram_qlen";
    const DEEP: u32 = 512;
    let length = std::fs::read_to_string(QUEUE).ok().and_then(|text| text.trim().parse::<u32>().ok());
    if length.is_some_and(|length| length < DEEP) {
        let _ = std::fs::write(QUEUE, DEEP.to_string());
    }
}

/// What a machine is made of; [`Builder::start`] runs it.
#[derive(Debug)]
pub struct Builder {
    name: String,
    memory: u32,
    clock: Clock,
    kernel: Option<(PathBuf, PathBuf, String)>,
    disks: Vec<Disk>,
    nics: Vec<Nic>,
    serials: Vec<String>,
    cable: Option<PathBuf>,
    on_stdio: bool,
    screen: bool,
    firmware: Firmware,
    reboots: bool,
    limit: Option<Duration>,
    logs: PathBuf,
}

/// A running QEMU.
pub struct Machine {
    name: String,
    child: Child,
    sockets: TempDir,
    logs: PathBuf,
    ended: Option<ExitStatus>,
}

impl Builder {
    /// A machine of 256 MB with one virtual CPU on real time. `name` becomes part of file names.
    pub fn new(name: &str) -> Builder {
        Builder {
            name: name.to_string(),
            memory: 256,
            clock: Clock::Wall(1),
            kernel: None,
            disks: Vec::new(),
            nics: Vec::new(),
            serials: Vec::new(),
            cable: None,
            on_stdio: false,
            screen: false,
            firmware: Firmware::Bios,
            reboots: false,
            limit: None,
            logs: host::target().join("vm"),
        }
    }

    /// Memory in MB.
    pub fn memory(mut self, megabytes: u32) -> Builder {
        self.memory = megabytes;
        self
    }

    /// How time passes.
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = clock;
        self
    }

    /// Boots this kernel directly: an ELF `vmlinux` (PVH, no decompression) or a `vmlinuz`.
    pub fn kernel(mut self, kernel: &Path, initrd: &Path, command_line: &str) -> Builder {
        self.kernel = Some((kernel.to_path_buf(), initrd.to_path_buf(), command_line.to_string()));
        self
    }

    /// Boots its first disk by this firmware, where no kernel is given.
    pub fn firmware(mut self, firmware: Firmware) -> Builder {
        self.firmware = firmware;
        self
    }

    /// A restart starts it anew; unless told, QEMU ends with it.
    pub fn reboots(mut self) -> Builder {
        self.reboots = true;
        self
    }

    /// Adds a disk: /dev/vda, /dev/vdb, … in this order.
    pub fn disk(mut self, disk: Disk) -> Builder {
        self.disks.push(disk);
        self
    }

    /// Adds a network card.
    pub fn nic(mut self, nic: Nic) -> Builder {
        self.nics.push(nic);
        self
    }

    /// Adds a serial port (ttyS0, ttyS1, … in this order) whose log is `LOGS/MACHINE-NAME.log`.
    pub fn serial(mut self, name: &str) -> Builder {
        self.serials.push(name.to_string());
        self
    }

    /// Makes the next serial port one end of a [`crate::null_modem::NullModem`], on this socket; nothing is logged.
    pub fn cable(mut self, socket: &Path) -> Builder {
        self.cable = Some(socket.to_path_buf());
        self
    }

    /// Puts the first serial port on this process's standard input and output. Ctrl-A X ends QEMU.
    pub fn on_stdio(mut self) -> Builder {
        self.on_stdio = true;
        self
    }

    /// Gives the machine a VGA card, for [`Machine::monitor`]'s `screendump`.
    pub fn screen(mut self) -> Builder {
        self.screen = true;
        self
    }

    /// Kills the machine after this time whatever happens; scaled as all limits.
    pub fn limit(mut self, limit: Duration) -> Builder {
        self.limit = Some(limit);
        self
    }

    /// Where the console logs go; `target/vm` unless told.
    pub fn logs(mut self, folder: &Path) -> Builder {
        self.logs = folder.to_path_buf();
        self
    }

    /// Starts QEMU.
    pub fn start(self) -> Result<Machine> {
        std::fs::create_dir_all(&self.logs).with_context(|| format!("making {}", self.logs.display()))?;
        let sockets = tempfile::Builder::new().prefix("sy-").tempdir().context("making a folder for sockets")?;
        let errors = self.logs.join(format!("{}-qemu.log", self.name));
        let mut command = self.command(sockets.path());
        if !self.on_stdio {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(std::fs::File::create(&errors).with_context(|| format!("making {}", errors.display()))?);
        }
        let child = command.spawn().with_context(|| format!("starting QEMU for {}", self.name))?;
        Ok(Machine { name: self.name, child, sockets, logs: self.logs, ended: None })
    }

    fn command(&self, sockets: &Path) -> Command {
        let mut command = host::tool("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(limit) = self.limit {
            // Killed itself, `timeout` would leave QEMU alone: the inner setpriv sees to that.
            command.args(["timeout", "--foreground", "-s", "KILL"]).arg(scaled(limit).as_secs().max(1).to_string());
            command.args(["setpriv", "--pdeathsig", "KILL", "--"]);
        }
        command.arg(host::find_program("qemu-system-x86_64").unwrap_or_else(|| "qemu-system-x86_64".into()));
        command.args(["-M", "q35", "-nodefaults", "-display", "none", "-m"]).arg(self.memory.to_string());
        if !self.reboots {
            command.arg("-no-reboot");
        }
        if self.firmware == Firmware::Uefi {
            let [code, variables] = OVMF;
            command.arg("-drive").arg(format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"));
            // What it remembers is forgotten with the machine.
            command.arg("-drive").arg(format!("if=pflash,format=raw,unit=1,snapshot=on,file={variables}"));
        }
        // rdrand: the kernel's random numbers are ready at once. sse4.2: crc32c of ext4 by one instruction.
        command.args(["-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand"]);
        match self.clock {
            Clock::Wall(cpus) => command.args(["-accel", "tcg,thread=multi", "-smp"]).arg(cpus.to_string()),
            Clock::Virtual => command.args([
                "-accel",
                "tcg,thread=single",
                "-icount",
                "shift=0,sleep=off",
                "-smp",
                "1",
                "-rtc",
                "clock=vm",
            ]),
        };
        if let Some((kernel, initrd, line)) = &self.kernel {
            command.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd).arg("-append").arg(line);
        }
        if self.screen {
            command.args(["-vga", "std"]);
        }
        command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]);
        for (index, disk) in self.disks.iter().enumerate() {
            command.args(disk.arguments(index));
        }
        for (index, nic) in self.nics.iter().enumerate() {
            command.arg("-netdev").arg(format!("{},id=n{index}", nic.netdev));
            command.arg("-device").arg(format!("{},netdev=n{index},mac={},romfile=", nic.model, nic.mac));
        }
        for (index, serial) in self.serials.iter().enumerate() {
            let log = self.logs.join(format!("{}-{serial}.log", self.name));
            let backend = match (index, self.on_stdio) {
                (0, true) => "stdio,mux=on,signal=off".to_string(),
                _ => format!("socket,path={},server=on,wait=off", sockets.join(serial).display()),
            };
            command.arg("-chardev").arg(format!("{backend},id=c{index},logfile={},logappend=off", log.display()));
            command.arg("-serial").arg(format!("chardev:c{index}"));
        }
        if let Some(socket) = &self.cable {
            command.arg("-chardev").arg(format!("socket,path={},server=on,wait=off,id=cable", socket.display()));
            command.args(["-serial", "chardev:cable"]);
        }
        if self.on_stdio {
            command.args(["-mon", "chardev=c0,mode=readline"]);
        } else {
            command.arg("-monitor").arg(format!("unix:{},server=on,wait=off", sockets.join("monitor").display()));
        }
        command
    }
}

impl Machine {
    /// Connects to the serial port added under `name`. One connection at a time.
    pub fn console(&self, name: &str) -> Result<Console> {
        Console::connect(&self.socket(name))
    }

    /// The socket of a serial port.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.sockets.path().join(name)
    }

    /// The log of a serial port.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{}-{name}.log", self.name))
    }

    /// Says one line to QEMU's monitor (`set_link n0 off`, `screendump FILE`, `system_powerdown`) and returns its answer.
    pub fn monitor(&self, line: &str) -> Result<String> {
        let path = self.socket("monitor");
        let mut stream = wait_until("QEMU's monitor", limits::APPEAR, || Ok(UnixStream::connect(&path).ok()))?;
        stream.set_read_timeout(Some(scaled(limits::COMMAND))).context("setting the monitor's time limit")?;
        read_to_prompt(&mut stream)?;
        writeln!(stream, "{line}").context("writing to QEMU's monitor")?;
        read_to_prompt(&mut stream)
    }

    /// Whether QEMU still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().context("asking after QEMU")?;
        }
        Ok(self.ended.is_none())
    }

    /// Waits until QEMU ends by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = format!("{} to end", self.name);
        wait_until(&name, limit, || {
            self.is_running()?;
            Ok(self.ended)
        })
    }

    /// Waits without a limit, for a machine a person uses.
    pub fn wait_forever(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("waiting for QEMU")
    }

    /// Pulls the plug: nothing in the machine has a chance to write.
    pub fn kill(&mut self) {
        // The process is not reaped before `wait`, so its number cannot belong to somebody else.
        let _ = self.child.kill();
        self.ended = self.child.wait().ok();
    }

    /// Fails with QEMU's own words when it has ended already.
    pub fn check_alive(&mut self) -> Result<()> {
        if self.is_running()? {
            return Ok(());
        }
        let said = std::fs::read_to_string(self.logs.join(format!("{}-qemu.log", self.name))).unwrap_or_default();
        bail!("QEMU for {} has ended: {said}", self.name)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
        }
    }
}

fn read_to_prompt(stream: &mut UnixStream) -> Result<String> {
    let mut text = Vec::new();
    let mut buffer = [0_u8; 1024];
    while !text.ends_with(b"(qemu) ") {
        let count = stream.read(&mut buffer).context("reading QEMU's monitor")?;
        if count == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..count]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
