//! An lbd with a fake kernel, an lbadmin before it, and a browser without JavaScript.

use crate::pair::Pair;
use axum_server::Handle;
use lb_kernel::Fake;
use lb_model::Config;
use lbadmin::{App, Shared, args::Args, seat::Scheme, server};
use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Long enough for a loaded machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The password that the rig's user has after the first log-in.
pub const PASSWORD: &str = "correct horse battery";

pub struct Rig {
    pub app: Shared,
    pub kernel: Fake,
    pub address: SocketAddr,
    pub socket: PathBuf,
    pub dir: TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Rig {
    /// A factory unit, nobody logged in.
    pub fn start() -> Rig {
        Rig::over(Fake::new(&["eth0", "eth1"]))
    }

    /// The same with this kernel under it.
    pub fn over(kernel: Fake) -> Rig {
        Rig::with_lbd(kernel, |socket, _, _| socket)
    }

    /// A unit whose lbd answers as one of a pair.
    pub fn one_of_a_pair() -> (Rig, Pair) {
        let mut made = None;
        let rig = Rig::with_lbd(Fake::new(&["eth0", "eth1"]), |socket, dir, runtime| {
            let (pair, socket) = Pair::before(&socket, dir, runtime);
            made = Some(pair);
            socket
        });
        (rig, made.expect("a pair"))
    }

    /// `before` gives the socket that lbadmin uses in place of lbd's own.
    fn with_lbd(kernel: Fake, before: impl FnOnce(PathBuf, &Path, &tokio::runtime::Runtime) -> PathBuf) -> Rig {
        let dir = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let socket = before(start_lbd(dir.path(), &kernel), dir.path(), &runtime);
        let args = Args {
            state: dir.path().join("web"),
            socket: socket.clone(),
            updates: dir.path().join("updates.sock"),
            http: "127.0.0.1:0".parse().expect("an address"),
            https: "127.0.0.1:9443".parse().expect("an address"),
            unconfined: true,
        };
        let app = App::open(&args).expect("lbadmin opens");
        let listener = TcpListener::bind(args.http).expect("a port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("a socket");
        let router = server::router(&app).layer(axum::Extension(Scheme::Http));
        let shared = app.clone();
        runtime.spawn(async move {
            // Without the sampler, which would write into the history that tests have made up.
            tokio::spawn(lbadmin::live::run(shared));
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum_server::from_tcp(listener).expect("a listener").handle(Handle::new()).serve(service).await
        });
        let rig = Rig { app, kernel, address, socket, dir, _runtime: runtime };
        rig.wait("lbd", |rig| rig.lbd().summary().is_ok());
        rig
    }

    /// A unit that runs `config`, and a browser logged in as `loadbalancer`.
    pub fn with(config: &Config) -> (Rig, Browser) {
        let rig = Rig::start();
        rig.apply(config);
        let browser = rig.logged_in();
        (rig, browser)
    }

    /// What lbadmin keeps of lbd's state for a moment is old now.
    pub fn forget(&self) {
        self._runtime.block_on(self.app.lbd.forget_status());
    }

    pub fn apply(&self, config: &Config) {
        let request = lb_api::ApplyRequest { config: Some(config.clone()), author: "rig".into(), ..Default::default() };
        self.lbd().apply(&request).expect("the configuration is applied");
    }

    pub fn lbd(&self) -> lb_api::BlockingClient {
        lb_api::BlockingClient::new(&self.socket)
    }

    pub fn browser(&self) -> Browser {
        Browser::at(self.address)
    }

    /// The first log-in, with the change of password that it demands.
    pub fn logged_in(&self) -> Browser {
        let mut browser = self.browser();
        let page = browser.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", "loadbalancer")]);
        assert_eq!(page.status, 303, "{}", page.text);
        browser.get("/lbadmin/password");
        let page =
            browser.post("/lbadmin/password", &[("old", "loadbalancer"), ("new", PASSWORD), ("repeat", PASSWORD)]);
        assert_eq!(page.status, 303, "{}", page.text);
        browser
    }

    /// Another router over http, on a port of its own.
    pub fn serve(&self, router: axum::Router) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("a socket");
        self._runtime.spawn(async move {
            let service =
                router.layer(axum::Extension(Scheme::Http)).into_make_service_with_connect_info::<SocketAddr>();
            axum_server::from_tcp(listener).expect("a listener").serve(service).await
        });
        address
    }

    /// The same pages over https, on a port of their own.
    pub fn https(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("a socket");
        let acceptor = axum_server::tls_rustls::RustlsAcceptor::new(self.app.tls.config.clone());
        let router = server::router(&self.app).layer(axum::Extension(Scheme::Https));
        self._runtime.spawn(async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum_server::from_tcp(listener).expect("a listener").acceptor(acceptor).serve(service).await
        });
        address
    }

    pub fn wait(&self, what: &str, state: impl Fn(&Rig) -> bool) {
        let end = Instant::now() + LIMIT;
        while !state(self) {
            assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// An lbd with this kernel in this process. It lives as long as the process: it stops at a signal only.
pub fn start_lbd(dir: &Path, kernel: &Fake) -> PathBuf {
    let settings = lbd::Settings::below(dir);
    let (socket, fake) = (settings.socket.clone(), kernel.clone());
    std::thread::spawn(move || lbd::serve(settings, move || Ok(fake)));
    socket
}

/// Keeps its cookies, and the token of the last form it saw.
#[derive(Clone)]
pub struct Browser {
    pub address: SocketAddr,
    /// Its own address; all of 127.0.0.0/8 is this machine.
    pub from: IpAddr,
    pub cookies: Vec<(String, String)>,
    pub csrf: String,
    /// For each read of an answer.
    pub patience: Duration,
}

/// A connection from that address of this machine.
pub fn connect(from: impl Into<IpAddr>, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(from.into(), 0).into()).expect("an address of this machine");
    socket.connect(&to.into()).expect("lbadmin listens");
    socket.into()
}

#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v)
    }

    /// The value of the first `name="…" value="…"` of that name.
    pub fn field(&self, name: &str) -> Option<String> {
        let at = self.text.find(&format!("name=\"{name}\""))?;
        let rest = &self.text[at..];
        let rest = &rest[rest.find("value=\"")? + 7..];
        Some(rest[..rest.find('"')?].replace("&#38;", "&").replace("&#60;", "<").replace("&#34;", "\""))
    }

    #[track_caller]
    pub fn has(&self, text: &str) -> &Page {
        assert!(self.text.contains(text), "no {text:?} in:\n{}", self.text);
        self
    }

    #[track_caller]
    pub fn lacks(&self, text: &str) -> &Page {
        assert!(!self.text.contains(text), "{text:?} in:\n{}", self.text);
        self
    }
}

impl Browser {
    /// Nobody's yet, on this machine.
    pub fn at(address: SocketAddr) -> Browser {
        let from = [127, 0, 0, 1].into();
        Browser { address, from, cookies: Vec::new(), csrf: String::new(), patience: LIMIT }
    }

    pub fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, &[], None)
    }

    /// With the token of the last page, as a form has it.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut all = vec![("csrf", self.csrf.clone())];
        all.extend(fields.iter().map(|(n, v)| (*n, (*v).to_owned())));
        let body = serde_urlencoded::to_string(&all).expect("a form");
        let origin = format!("http://{}", self.address);
        self.send(
            "POST",
            path,
            &[("content-type", "application/x-www-form-urlencoded"), ("origin", &origin)],
            Some(body.as_bytes()),
        )
    }

    /// The page that a redirect leads to.
    pub fn follow(&mut self, page: &Page) -> Page {
        assert_eq!(page.status, 303, "{}", page.text);
        self.get(page.header("location"))
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Page {
        let mut stream = connect(self.from, self.address);
        stream.set_read_timeout(Some(self.patience)).expect("a socket");
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            head.push_str(&format!("cookie: {}\r\n", cookies.join("; ")));
        }
        if let Some(body) = body {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).expect("the head is sent");
        // A refusal may come before all of a large body is read.
        let _ = stream.write_all(body.unwrap_or_default());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let page = parse(&answer);
        for (_, value) in page.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("set-cookie")) {
            let (name, rest) = value.split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or_default();
            self.cookies.retain(|(n, _)| n != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        if let Some(csrf) = page.field("csrf") {
            self.csrf = csrf;
        }
        page
    }
}

fn parse(answer: &[u8]) -> Page {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer with a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).expect("a status");
    let headers: Vec<(String, String)> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())).collect();
    let chunked = headers.iter().any(|(n, v)| n.eq_ignore_ascii_case("transfer-encoding") && v == "chunked");
    let body = if chunked { unchunked(&answer[end + 4..]) } else { answer[end + 4..].to_vec() };
    Page { status, headers, text: String::from_utf8_lossy(&body).into_owned() }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&rest[..end]).trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < end + 2 + size {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

/// The guide's two-arm NAT configuration with two servers that are active unasked.
pub fn guide() -> Config {
    let document = r#"{"version":1,
      "node":{"hostname":"lbmaster","nameservers":["10.0.0.31"],
        "interfaces":[{"name":"eth0","addresses":["10.0.0.21/24"]},{"name":"eth1","addresses":["192.168.2.21/24"]}],
        "gateway":"10.0.0.31"},
      "globals":{"masquerade":true,"default_forwarding":"nat"},
      "virtual_servers":[{"label":"HTTP_Cluster","check":{"method":{"type":"on"}},
        "service":{"kind":"address","address":"10.0.0.21","ports":"80"},
        "real_servers":[{"label":"WebServer1","address":"192.168.2.50","forwarding":"nat"}]}]}"#;
    lb_model::migrate(document).expect("the guide's configuration")
}

/// The guide's configuration, and beside it a layer 7 virtual server with one server that is active unasked.
pub fn shop() -> Config {
    let mut config = guide();
    let vs = r#"{"label":"Shop","address":"10.0.0.21","ports":"8080","check":{"method":"on"},
        "persistence":{"type":"cookie","idle":1800},"response_headers":[{"operation":"remove","name":"Server"}],
        "real_servers":[{"label":"WebServer1","address":"192.168.2.50","port":80}]}"#;
    config.layer7.virtual_servers.push(serde_json::from_str(vs).expect("a layer 7 virtual server"));
    config
}

/// A browser of a new user with this role, who has logged in and changed the first password.
pub fn user(rig: &Rig, name: &str, role: lb_access::Role) -> Browser {
    let by = lb_access::Who {
        user: "loadbalancer".into(),
        role: lb_access::Role::Configuration,
        address: "127.0.0.1".parse().expect("an address"),
        via: lb_access::Via::Session,
    };
    let first = "only for the first time";
    rig.app.access.add_user(name, role, first, &by, lbadmin::app::now()).expect("a user");
    let mut browser = rig.browser();
    let page = browser.post("/lbadmin/login", &[("user", name), ("password", first)]);
    assert_eq!(page.status, 303, "{}", page.text);
    browser.get("/lbadmin/password");
    let page = browser.post("/lbadmin/password", &[("old", first), ("new", PASSWORD), ("repeat", PASSWORD)]);
    assert_eq!(page.status, 303, "{}", page.text);
    browser
}
