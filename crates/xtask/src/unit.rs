//! A load balancer on this machine for suites and measurements of the web interface: lbd with a kernel in memory and,
//! where it is asked for, the real HAProxy, lbadmin before it on loopback ports, and a client that speaks just enough
//! HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, Socket, Type};
use testbed::host;
use testbed::limits::{self, scaled, wait_until};

use crate::door;

/// The password of `loadbalancer` after the first log-in.
pub const PASSWORD: &str = "a yard of steel";

const HAPROXY: &str = "/usr/sbin/haproxy";

/// The daemons; they end with it.
pub struct Unit {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub lbadmin: Child,
    others: Vec<Child>,
    bins: PathBuf,
    folder: tempfile::TempDir,
}

impl Unit {
    /// Starts them with the programs in `bins`; lbd runs `config`, or the factory settings. Layer 7 is in memory.
    pub fn start(bins: &Path, config: Option<&str>) -> Result<Unit> {
        Unit::started(bins, config, false)
    }

    /// The same with this machine's HAProxy, which listens on whatever address of it a virtual server has.
    pub fn with_haproxy(bins: &Path, config: Option<&str>) -> Result<Unit> {
        Unit::started(bins, config, true)
    }

    fn started(bins: &Path, config: Option<&str>, proxied: bool) -> Result<Unit> {
        let folder = tempfile::Builder::new().prefix("sy-unit-").tempdir().context("making a folder for the unit")?;
        let at = |name: &str| folder.path().join(name);
        for name in ["run", "etc", "log"] {
            fs::create_dir(at(name))?;
        }
        let mut lbd = Command::new(bins.join("lbd"));
        if proxied {
            lbd.args(["--haproxy", HAPROXY, "--haproxy-run"]).arg(at("haproxy"));
        }
        let lbd = spawn(
            lbd.args(["--fake-kernel", "--fake-traffic", "--reconcile-every", "1"])
                .arg("--state")
                .arg(at("store"))
                .arg("--run")
                .arg(at("run"))
                .arg("--etc")
                .arg(at("etc"))
                .arg("--log")
                .arg(at("log"))
                .arg("--socket")
                .arg(at("lbd.sock")),
            &at("lbd.log"),
        )?;
        let (http, https) = (free_port()?, free_port()?);
        door::open(&at("updates.sock"))?;
        // As in rootfs-overlay/etc/sv/lbadmin/run.
        let lbadmin = spawn(
            Command::new(bins.join("lbadmin"))
                .env("MALLOC_MMAP_THRESHOLD_", "1048576")
                .arg("--state")
                .arg(at("web"))
                .arg("--socket")
                .arg(at("lbd.sock"))
                .arg("--updates")
                .arg(at("updates.sock"))
                .args(["--http", &http.to_string(), "--https", &https.to_string()]),
            &at("lbadmin.log"),
        )?;
        let others = match proxied {
            true => vec![lbd, haproxy(folder.path())?],
            false => vec![lbd],
        };
        let unit = Unit { http, https, lbadmin, others, bins: bins.to_path_buf(), folder };
        wait_until("lbd to answer", limits::APPEAR, || Ok(unit.lbctl(&["status"]).ok()))?;
        if let Some(config) = config {
            let file = unit.folder.path().join("config.json");
            fs::write(&file, config).context("writing the configuration")?;
            unit.lbctl(&["apply", "-f", &file.to_string_lossy()])?;
        }
        wait_until("lbadmin to answer", limits::APPEAR, || Ok(TcpStream::connect(http).ok()))?;
        Ok(unit)
    }

    /// What lbctl prints.
    pub fn lbctl(&self, arguments: &[&str]) -> Result<String> {
        let socket = self.folder.path().join("lbd.sock");
        host::run_text(Command::new(self.bins.join("lbctl")).arg("--socket").arg(socket).args(arguments))
    }

    /// Megabytes of lbadmin, by a name of proc_pid_status(5): `VmRSS` now, `VmHWM` at most.
    pub fn memory(&self, name: &str) -> Result<u64> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.lbadmin.id())).context("asking after lbadmin")?;
        let line = status.lines().find(|line| line.starts_with(name)).context("a status without memory")?;
        let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).context("no number")?;
        Ok(kilobytes >> 10)
    }

    /// Somebody who has logged in for the first time.
    pub fn logged_in(&self) -> Result<Client> {
        let mut client = Client::new(self.http);
        client.first_log_in()?;
        Ok(client)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        for child in self.others.iter_mut().chain([&mut self.lbadmin]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// As in rootfs-overlay/etc/sv/haproxy/run.
fn haproxy(folder: &Path) -> Result<Child> {
    let (run, file) = (folder.join("haproxy"), folder.join("run/haproxy.cfg"));
    fs::create_dir_all(run.join("empty")).context("making HAProxy's folder")?;
    let script = "until [ -s \"$2\" ]; do sleep 0.1; done; exec \"$0\" -W -db -S \"$1/master.sock,mode,600\" -f \"$2\"";
    let mut command = Command::new("sh");
    spawn(command.args(["-c", script, HAPROXY]).arg(&run).arg(&file), &folder.join("haproxy.log"))
}

fn spawn(command: &mut Command, log: &Path) -> Result<Child> {
    let log = fs::File::create(log).with_context(|| format!("making {}", log.display()))?;
    let line = format!("starting {}", command.get_program().to_string_lossy());
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context(line)
}

/// A port that nobody has just now.
fn free_port() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).context("looking for a free port")
}

/// Asks over plain HTTP/1.1, one connection for each question.
#[derive(Clone)]
pub struct Client {
    pub to: SocketAddr,
    cookie: String,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// The value of the first input of that name.
    pub fn value(&self, name: &str) -> Option<String> {
        self.after(&format!("name=\"{name}\" value=\""))
    }

    /// What follows `mark` up to the next quotation mark, with `&` where the page has `&#38;` or `&amp;`.
    pub fn after(&self, mark: &str) -> Option<String> {
        let rest = &self.body[self.body.find(mark)? + mark.len()..];
        Some(rest[..rest.find('"')?].replace("&#38;", "&").replace("&amp;", "&"))
    }
}

impl Client {
    /// Nobody yet.
    pub fn new(to: SocketAddr) -> Client {
        Client { to, cookie: String::new() }
    }

    /// Is `loadbalancer` from now on, with [`PASSWORD`] in place of the factory's.
    pub fn first_log_in(&mut self) -> Result<()> {
        self.log_in("loadbalancer")?;
        let form = self.get("/lbadmin/password")?;
        let csrf = form.value("csrf").context("no form for a new password")?;
        let new = [("csrf", csrf.as_str()), ("old", "loadbalancer"), ("new", PASSWORD), ("repeat", PASSWORD)];
        ensure!(self.post("/lbadmin/password", &new)?.status == 303, "the password is not changed");
        Ok(())
    }

    /// Is `loadbalancer` from now on.
    pub fn log_in(&mut self, password: &str) -> Result<()> {
        let answer = self.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", password)])?;
        ensure!(answer.status == 303, "the log-in is answered with {}", answer.status);
        Ok(())
    }

    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"), "")
    }

    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let origin = self.to;
        let head = format!(
            "POST {path} HTTP/1.1\r\norigin: http://{origin}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        );
        self.ask(&head, &body.join("&"))
    }

    /// A form with a file in it.
    pub fn upload(&mut self, path: &str, csrf: &str, file: &Path) -> Result<Answer> {
        let mut from = fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
        let part = "--part\r\ncontent-disposition: form-data; name=";
        let before = format!("{part}\"csrf\"\r\n\r\n{csrf}\r\n{part}\"file\"; filename=\"x.lbu\"\r\n\r\n");
        let after = "\r\n--part--\r\n";
        let length = before.len() as u64 + from.metadata()?.len() + after.len() as u64;
        let (to, cookie) = (self.to, &self.cookie);
        let head = format!(
            "POST {path} HTTP/1.1\r\norigin: http://{to}\r\nhost: {to}\r\nconnection: close\r\ncookie: {cookie}\r\n\
             content-type: multipart/form-data; boundary=part\r\ncontent-length: {length}\r\n\r\n{before}"
        );
        let mut stream = TcpStream::connect(self.to).context("connecting to lbadmin")?;
        stream.set_read_timeout(Some(scaled(Duration::from_secs(300))))?;
        stream.write_all(head.as_bytes()).context("beginning an upload")?;
        std::io::copy(&mut from, &mut stream).context("uploading")?;
        stream.write_all(after.as_bytes()).context("ending an upload")?;
        self.answer(stream, path)
    }

    /// Begins a question whose answer does not end: server-sent events. `from` is one of this machine's addresses.
    pub fn listen(&self, from: IpAddr, path: &str) -> Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect(&self.to.into()).context("connecting to lbadmin")?;
        let mut stream = TcpStream::from(socket);
        let (to, cookie) = (self.to, &self.cookie);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {to}\r\ncookie: {cookie}\r\n\r\n").context("asking for events")?;
        Ok(stream)
    }

    /// `first` is method and path; a body is JSON. What is put overwrites whatever is there.
    pub fn api(&mut self, token: &str, first: &str, body: &str) -> Result<Answer> {
        let whatever = if first.starts_with("PUT ") { "if-match: *\r\n" } else { "" };
        let head = format!(
            "{first} HTTP/1.1\r\nauthorization: Bearer {token}\r\n{whatever}content-type: application/json\r\n"
        );
        self.ask(&head, body)
    }

    fn ask(&mut self, first: &str, body: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.to).context("connecting to lbadmin")?;
        stream.set_read_timeout(Some(scaled(Duration::from_secs(30))))?;
        let (to, cookie, length) = (self.to, &self.cookie, body.len());
        let more = format!("host: {to}\r\nconnection: close\r\ncookie: {cookie}\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(format!("{first}{more}{body}").as_bytes()).context("asking lbadmin")?;
        self.answer(stream, first.trim())
    }

    fn answer(&mut self, mut stream: TcpStream, to: &str) -> Result<Answer> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).context("reading lbadmin's answer")?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").context("an answer without a head")?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("an answer without a status")?;
        if status >= 500 {
            bail!("{to}: {status}\n{body}");
        }
        let answer = Answer { status, head: head.to_string(), body: body.to_string() };
        for line in answer.head.lines() {
            if let Some(cookie) =
                line.to_lowercase().strip_prefix("set-cookie: ").map(|_| &line["set-cookie: ".len()..])
            {
                self.cookie = cookie.split(';').next().unwrap_or_default().to_string();
            }
        }
        Ok(answer)
    }
}

/// As a form sends it.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => out.push(byte.into()),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
