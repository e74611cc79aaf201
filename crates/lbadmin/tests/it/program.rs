//! lbadmin as a process of its own, with its limits and its confinement: what it takes in memory and files can be seen.

use crate::rig::{Browser, LIMIT, PASSWORD, start_lbd};
use lb_kernel::Fake;
use lb_model::Config;
use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub struct Program {
    pub http: SocketAddr,
    pub https: SocketAddr,
    child: Child,
    dir: TempDir,
}

impl Program {
    /// lbd runs `config`, and lbadmin answers.
    pub fn start(config: &Config) -> Program {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = start_lbd(dir.path(), &Fake::new(&["eth0", "eth1"]));
        let lbd = lb_api::BlockingClient::new(&socket);
        until("lbd", || lbd.summary().is_ok());
        let request = lb_api::ApplyRequest { config: Some(config.clone()), author: "rig".into(), ..Default::default() };
        lbd.apply(&request).expect("the configuration is applied");
        let (http, https) = (free_port(), free_port());
        let log = fs::File::create(dir.path().join("lbadmin.log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_lbadmin"))
            .arg("--state")
            .arg(dir.path().join("web"))
            .arg("--socket")
            .arg(&socket)
            .args(["--http", &http.to_string(), "--https", &https.to_string()])
            // As in rootfs-overlay/etc/sv/lbadmin/run.
            .env("MALLOC_MMAP_THRESHOLD_", "1048576")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("lbadmin starts");
        let mut program = Program { http, https, child, dir };
        until("lbadmin", || {
            let ended = program.child.try_wait().expect("its status");
            assert_eq!(ended, None, "lbadmin has ended: {}", program.log());
            TcpStream::connect(http).is_ok()
        });
        program
    }

    pub fn browser(&self) -> Browser {
        Browser::at(self.http)
    }

    /// The first log-in, with the change of password that it demands.
    pub fn logged_in(&self) -> Browser {
        let mut browser = self.browser();
        browser.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", "loadbalancer")]);
        browser.get("/lbadmin/password");
        let new = [("old", "loadbalancer"), ("new", PASSWORD), ("repeat", PASSWORD)];
        let page = browser.post("/lbadmin/password", &new);
        assert_eq!(page.status, 303, "{}", page.text);
        browser
    }

    /// A line of `/proc/PID/status`: kilobytes of `VmRSS` or `VmHWM`, or `Threads`.
    pub fn proc(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("lbadmin lives");
        let line = status.lines().find(|line| line.starts_with(&format!("{name}:"))).expect("a line");
        line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
    }

    /// File descriptors that are open.
    pub fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("lbadmin lives").count()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("lbadmin.log")).expect("the log")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody in this program gets a second time, and that the kernel gives to no client: below those of its
/// own choice (ip_local_port_range).
fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 64) as u16 * 300;
    (0..1000)
        .map(|_| SocketAddr::from(([127, 0, 0, 1], first + NEXT.fetch_add(1, Ordering::SeqCst))))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port")
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
