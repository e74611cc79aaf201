//! A running HAProxy, real servers that say their names, and clients.

use lb_haproxy::{Action, Certificates, Haproxy, Observed, Paths, Places, Proxy as _, Rendered, plan, render_in};
use lb_model::Config;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    io::{BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const BINARY: &str = "/usr/sbin/haproxy";
pub const LIMIT: Duration = Duration::from_secs(20);

/// Whether the test can run; says so where it cannot.
pub fn installed() -> bool {
    let installed = Path::new(BINARY).exists();
    if !installed {
        println!("skipped: HAProxy is not installed");
    }
    installed
}

/// A port that nobody in this program gets a second time, and that the kernel gives to no client: below those of its
/// own choice (ip_local_port_range). Else one that a test has left would soon be another test's.
pub fn free_port() -> u16 {
    reserved().local_addr().unwrap().port()
}

fn reserved() -> TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 64) as u16 * 300;
    (0..1000)
        .find_map(|_| TcpListener::bind(("127.0.0.1", first + NEXT.fetch_add(1, Ordering::SeqCst))).ok())
        .expect("a free port")
}

/// Looks again until it is so.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub struct Live {
    pub haproxy: Haproxy,
    pub paths: Paths,
    places: Places,
    pub at_hand: Certificates,
    config: Value,
    master: Option<Child>,
    _dir: tempfile::TempDir,
}

impl Live {
    /// Brings one up with `layer7`, whose virtual servers listen on 127.0.0.1.
    pub fn start(layer7: Value) -> Live {
        Live::with(layer7, Certificates::default(), free_port(), json!({}))
    }

    /// The same with keys and chains.
    pub fn start_with(layer7: Value, at_hand: Certificates) -> Live {
        Live::with(layer7, at_hand, free_port(), json!({}))
    }

    /// One of a pair, `one` on 127.0.77.1 and `two` on 127.0.77.2, whose tables travel by the port `peers`.
    pub fn unit(unit: &str, peers: u16, layer7: Value) -> Live {
        let paths = json!([{"udp": {"one": "127.0.77.1", "two": "127.0.77.2"}}]);
        let node = json!({"hostname": "lbmaster", "unit": unit, "interfaces": [{"name": "lo", "addresses": []}]});
        Live::with(layer7, Certificates::default(), peers, json!({"node": node, "heartbeat": {"paths": paths}}))
    }

    fn with(layer7: Value, at_hand: Certificates, peers: u16, more: Value) -> Live {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        fs::create_dir(&run).unwrap();
        let certificates = dir.path().join("certs");
        let file = dir.path().join("haproxy.cfg");
        let paths = Paths { binary: BINARY.into(), file, run: run.clone(), certificates: certificates.clone() };
        let root = fs::metadata("/proc/self").map(|proc| std::os::unix::fs::MetadataExt::uid(&proc)).unwrap() == 0;
        let peers = SocketAddr::from((Ipv4Addr::LOCALHOST, peers));
        let places = Places { run, user: root.then(|| "haproxy".to_owned()), certificates, peers, acme: None };
        let mut config = json!({
            "version": 1,
            "node": {"hostname": "lbmaster", "interfaces": [{"name": "eth0", "addresses": ["10.0.0.21/24"]}]},
            "layer7": layer7,
        });
        for (field, value) in more.as_object().unwrap() {
            config[field] = value.clone();
        }
        let haproxy = Haproxy::new(paths.clone());
        let mut live = Live { haproxy, paths, places, at_hand, config, master: None, _dir: dir };
        let wanted = live.wanted();
        assert_eq!(live.haproxy.check(&wanted).unwrap(), []);
        for (name, file) in wanted.files {
            live.haproxy.execute(&Action::WriteFile { name, file }).unwrap();
        }
        live.haproxy.execute(&Action::Write { text: wanted.text }).unwrap();
        live.spawn();
        live.haproxy.execute(&Action::Reload).unwrap();
        live.settled();
        live
    }

    /// As the service does.
    pub fn spawn(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.paths.run.join("log")).unwrap();
        let master = Command::new(BINARY)
            .args(["-W", "-db", "-S", &format!("{}/master.sock,mode,600", self.paths.run.display()), "-f"])
            .arg(&self.paths.file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.master = Some(master);
    }

    /// All its processes have ended then, so that the next one has their addresses to itself.
    pub fn kill(&mut self) {
        let Some(mut master) = self.master.take() else { return };
        let workers = children(master.id());
        // A worker ends when its master does not hold their pipe any more.
        master.kill().unwrap();
        master.wait().unwrap();
        eventually("the workers have ended", || workers.iter().all(|pid| !is_haproxy(*pid)).then_some(()));
    }

    /// Waits until it ended by itself.
    pub fn ended(&mut self) {
        let master = self.master.as_mut().unwrap();
        eventually("HAProxy has ended", || master.try_wait().unwrap());
        self.master = None;
    }

    pub fn config(&self) -> Config {
        serde_json::from_value(self.config.clone()).unwrap()
    }

    pub fn wanted(&self) -> Rendered {
        render_in(&self.config(), &self.places, &self.at_hand).unwrap()
    }

    pub fn edit(&mut self, pointer: &str, value: Value) {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        self.config.pointer_mut(&format!("/layer7{parent}")).unwrap()[field] = value;
    }

    /// Carries out what the configuration asks for; the actions in words.
    pub fn apply(&mut self) -> Vec<String> {
        let wanted = self.wanted();
        let actions = plan(Some(&wanted), &self.observed());
        for action in &actions {
            self.haproxy.execute(action).unwrap();
        }
        self.settled();
        actions.iter().filter(|action| !matches!(action, Action::Write { .. })).map(ToString::to_string).collect()
    }

    /// With who is connected.
    pub fn observed(&mut self) -> Observed {
        let busy = self.haproxy.statistics().unwrap().busy();
        Observed { busy, ..self.haproxy.observe().unwrap() }
    }

    pub fn settled(&mut self) {
        let wanted = self.wanted();
        assert_eq!(plan(Some(&wanted), &self.haproxy.observe().unwrap()), []);
    }

    pub fn ask(&self, command: &str) -> String {
        let mut socket = std::os::unix::net::UnixStream::connect(self.paths.run.join("admin.sock")).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        writeln!(socket, "{command}").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The worker's process.
    pub fn worker(&self) -> String {
        self.ask("show info").lines().find(|line| line.starts_with("Pid: ")).unwrap().to_owned()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.paths.run.join("log")).unwrap_or_default();
            println!("{}\n{log}", fs::read_to_string(&self.paths.file).unwrap_or_default());
        }
        // Nothing in here may panic: a test that fails does so already.
        if let Some(mut master) = self.master.take() {
            let _ = self.haproxy.execute(&Action::Stop);
            let _ = master.kill();
            let _ = master.wait();
        }
    }
}

/// The numbers of a process's children.
fn children(of: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| stat(*pid).is_some_and(|(_, _, parent)| parent == of)).collect()
}

/// Whether that process lives, and is not another one of the same number.
fn is_haproxy(pid: u32) -> bool {
    stat(pid).is_some_and(|(name, state, _)| name == "haproxy" && !["Z", "X"].contains(&state.as_str()))
}

/// Name, state and parent in `/proc/PID/stat` (proc(5)).
fn stat(pid: u32) -> Option<(String, String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((name.to_owned(), words.next()?.to_owned(), words.next()?.parse().ok()?))
}

/// A real server: answers each request with its name and the request's head, until it is dropped.
pub struct Server {
    pub port: u16,
    stop: Arc<AtomicBool>,
    /// What it says: a status and headers.
    pub answer: Arc<Mutex<String>>,
    talk: Arc<Mutex<Talk>>,
    listener: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Talk {
    /// Stands at the end of each body.
    says: String,
    /// The head of the last request.
    asked: String,
}

impl Server {
    pub fn say(&self, text: &str) {
        text.clone_into(&mut self.talk.lock().unwrap().says);
    }

    pub fn asked(&self) -> String {
        self.talk.lock().unwrap().asked.clone()
    }

    pub fn start(name: &str) -> Server {
        let listener = reserved();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(Mutex::new("200 OK\r\n".to_owned()));
        let talk = Arc::new(Mutex::new(Talk::default()));
        let (name, stopped, says, talks) = (name.to_owned(), stop.clone(), answer.clone(), talk.clone());
        let listener = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (name, says, stopped, talks) = (name.clone(), says.clone(), stopped.clone(), talks.clone());
                thread::spawn(move || serve(stream.unwrap(), &name, &says, &talks, &stopped));
            }
        });
        Server { port, stop, answer, talk, listener: Some(listener) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.listener.take().map(thread::JoinHandle::join);
    }
}

fn serve(stream: TcpStream, name: &str, says: &Mutex<String>, talk: &Mutex<Talk>, stop: &AtomicBool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let Some(head) = head(&mut reader) else { return };
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let said = {
            let mut talk = talk.lock().unwrap();
            talk.asked.clone_from(&head);
            talk.says.clone()
        };
        let body = format!("{name}\n{head}{said}");
        let says = says.lock().unwrap().clone();
        let answer = format!("HTTP/1.1 {says}Content-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Up to the empty line; `None` at the end.
fn head(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        match reader.read_line(&mut head) {
            Ok(n) if n > 0 => {}
            _ => return None,
        }
        if head.ends_with("\r\n\r\n") {
            return Some(head);
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The server's name.
    pub fn by(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// A header of the request as the server got it.
    pub fn asked(&self, name: &str) -> Option<&str> {
        header(&self.body, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// A connection that stays.
pub struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(port: u16, from: Ipv4Addr) -> std::io::Result<Connection> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddrV4::new(from, 0).into())?;
        socket.connect(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Connection { reader: BufReader::new(stream.try_clone()?), stream })
    }

    pub fn get(&mut self, path: &str, headers: &str) -> Option<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{headers}\r\n");
        self.stream.write_all(request.as_bytes()).ok()?;
        self.answer()
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    pub fn answer(&mut self) -> Option<Answer> {
        let head = head(&mut self.reader)?;
        let length = header(&head, "Content-Length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// One request on a connection of its own.
pub fn get(port: u16, path: &str, headers: &str) -> Answer {
    get_from(Ipv4Addr::LOCALHOST, port, path, headers)
}

pub fn get_from(from: Ipv4Addr, port: u16, path: &str, headers: &str) -> Answer {
    let headers = format!("Connection: close\r\n{headers}");
    Connection::open(port, from).unwrap().get(path, &headers).expect("an answer")
}

/// A client that keeps its cookies.
#[derive(Default)]
pub struct Client {
    cookies: HashMap<String, String>,
}

impl Client {
    pub fn get(&mut self, port: u16) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = match cookies.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", cookies.join("; ")),
        };
        let answer = get(port, "/", &cookies);
        if let Some((name, value)) = answer.header("Set-Cookie").and_then(|set| set.split(';').next()?.split_once('='))
        {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }
}

/// A virtual server of the servers, named Web1, Web2 and so on.
pub fn shop(port: u16, servers: &[Server], more: Value) -> Value {
    let real_servers: Vec<Value> = (1..)
        .zip(servers)
        .map(|(i, server)| json!({"label": format!("Web{i}"), "address": "127.0.0.1", "port": server.port}))
        .collect();
    let mut shop = json!({
        "label": "Shop", "address": "127.0.0.1", "ports": port.to_string(),
        "check": {"interval": 1, "timeout": 1}, "fallback": null, "real_servers": real_servers,
    });
    for (field, value) in more.as_object().unwrap() {
        shop[field] = value.clone();
    }
    shop
}

/// Web1, Web2 and so on.
pub fn servers(count: usize) -> Vec<Server> {
    (1..=count).map(|i| Server::start(&format!("Web{i}"))).collect()
}
