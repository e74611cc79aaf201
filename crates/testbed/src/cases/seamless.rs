//! A hundred changes of every kind to a layer 7 virtual server, while wrk asks as fast as it can and websockets are open.

use super::{
    layer7::Supervisor,
    net::Netns,
    topology::{Appliance, Lab, guide},
    wait,
};
use anyhow::{Context, Result, bail, ensure};
use lb_api::{PlanRequest, StateRequest};
use lb_model::{Config, ForwardingMethod, RequestedState};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const SHOP: &str = "10.0.0.21:8080";
/// Every kind of change so often.
const ROUNDS: usize = 5;
const LOAD: Duration = Duration::from_secs(60);
const WEBSOCKETS: usize = 10;
/// Clients' connections that wrk keeps.
const CLIENTS: &str = "20";
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two questions on a websocket.
const PAUSE: Duration = Duration::from_millis(200);

/// What is changed, in this order. Whether it takes a reload is for the plan to say.
const KINDS: [Kind; 20] = [
    Kind::Set("real_servers/1/weight", "5"),
    Kind::Set("real_servers/1/weight", "1"),
    Kind::State(RequestedState::Drain),
    Kind::State(RequestedState::Offline),
    Kind::State(RequestedState::Online),
    Kind::Set("balance", r#""leastconn""#),
    Kind::Set("balance", r#""roundrobin""#),
    Kind::Push("real_servers", r#"{"label":"Four","address":"10.0.0.50","port":8004}"#),
    Kind::Pop("real_servers"),
    Kind::Set("compression", "true"),
    Kind::Set("compression", "false"),
    Kind::Push("response_headers", r#"{"operation":"set","name":"X-Round","value":"more"}"#),
    Kind::Pop("response_headers"),
    Kind::Push("rules", r#"{"test":{"on":"path-begins","values":["/private"]},"then":{"do":"refuse"}}"#),
    Kind::Pop("rules"),
    Kind::Set("timeouts/server", "50"),
    Kind::Set("timeouts/server", "null"),
    Kind::Set("real_servers/0/max_connections", "500"),
    Kind::Set("real_servers/0/max_connections", "0"),
    Kind::Set("check/interval", "7"),
];

/// Of the virtual server's JSON; `State` of its third real server, on which no websocket is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Set(&'static str, &'static str),
    Push(&'static str, &'static str),
    Pop(&'static str),
    State(RequestedState),
}

fn changed(config: &Config, kind: Kind, round: usize) -> Result<Config> {
    let mut document = serde_json::to_value(config)?;
    let server = document.pointer_mut("/layer7/virtual_servers/0").context("a virtual server")?;
    let list = |server: &mut Value, name: &str| {
        let list = server.as_object_mut()?.entry(name).or_insert_with(|| json!([]));
        list.as_array_mut().map(std::mem::take)
    };
    match kind {
        // The last of each round is another one each time.
        Kind::Set("check/interval", _) => server["check"]["interval"] = json!(7 + round),
        Kind::Set(name, value) => {
            let (last, path) = name.rsplit_once('/').map_or((name, ""), |(path, last)| (last, path));
            let mut place = server;
            for part in path.split('/').filter(|part| !part.is_empty()) {
                place = match part.parse::<usize>() {
                    Ok(index) => &mut place[index],
                    Err(_) => &mut place[part],
                };
            }
            place[last] = serde_json::from_str(value)?;
        }
        Kind::Push(name, value) => {
            let mut items = list(server, name).context("a list")?;
            items.push(serde_json::from_str(value)?);
            server[name] = Value::Array(items);
        }
        Kind::Pop(name) => {
            let mut items = list(server, name).context("a list")?;
            items.pop();
            server[name] = Value::Array(items);
        }
        Kind::State(_) => bail!("a state is no edit"),
    }
    Ok(serde_json::from_value(document)?)
}

pub fn hundred_changes() -> Result<()> {
    let lab = Lab::one_arm()?;
    for (ns, port, name) in
        [(&lab.rs1, 8001, "One"), (&lab.rs2, 8002, "Two"), (&lab.rs2, 8003, "Three"), (&lab.rs1, 8004, "Four")]
    {
        serve(ns, port, name)?;
    }
    let appliance = Appliance::start(&lab.lb)?;
    let supervisor = Supervisor::start(&lab.lb, &appliance)?;
    let mut config = guide(ForwardingMethod::Dr, ["10.0.0.50", "10.0.0.51"]);
    config.virtual_servers.clear();
    config.layer7 =
        serde_json::from_value(json!({"virtual_servers":[{"label":"Shop","address":"10.0.0.21","ports":"8080",
        "persistence":{"type":"cookie"}, "real_servers":[
            {"label":"One","address":"10.0.0.50","port":8001},{"label":"Two","address":"10.0.0.51","port":8002},
            {"label":"Three","address":"10.0.0.51","port":8003,"weight":0}]}]}))?;
    appliance.apply(&config)?;
    let settled =
        || wait("HAProxy does as it was told", || Ok(appliance.client.status()?), |status| status.converged).map(drop);
    settled()?;
    appliance.wait_for(&["active", "active", "non-active"])?;
    let sockets = Websockets::open(&lab.client)?;
    config.layer7.virtual_servers[0].real_servers[2].weight = 1;
    appliance.apply(&config)?;
    settled()?;

    let mut wrk = lab.client.command("wrk");
    wrk.args(["-t", "1", "-c", CLIENTS, "-d", "3600s", "--timeout", "20s", &format!("http://{SHOP}/")]);
    let wrk = wrk.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting wrk")?;
    let begin = Instant::now();
    let (mut changes, mut reloads, mut slowest) = (0, 0, Duration::ZERO);
    for round in 0..ROUNDS {
        for kind in KINDS {
            let (before, order) = (supervisor.processes()?, Instant::now());
            let reload = if let Kind::State(state) = kind {
                let (virtual_server, real_server) = ("Shop".parse()?, "Three".parse()?);
                let request = StateRequest { virtual_server, real_server, state, author: "case".into() };
                appliance.client.set_state(&request)?;
                false
            } else {
                let wanted = changed(&appliance.client.running()?.config, kind, round)?;
                let plan = appliance.client.plan(&PlanRequest { config: Some(wanted.clone()) })?;
                let said = plan.actions.iter().any(|line| line.contains("reload HAProxy"));
                appliance.apply(&wanted).with_context(|| format!("{kind:?}"))?;
                said
            };
            settled()?;
            slowest = slowest.max(order.elapsed());
            let reloaded = !supervisor.processes()?.is_subset(&before);
            ensure!(reloaded == reload, "{kind:?}: the plan said a reload: {reload}, there was one: {reloaded}");
            (changes, reloads) = (changes + 1, reloads + usize::from(reload));
            if !reload {
                ensure!(sockets.lost() == 0, "a change at run time dropped a websocket: {kind:?}");
            }
            sockets.all_answer().with_context(|| format!("after {kind:?}"))?;
        }
    }
    wait("a minute of load", || Ok(begin.elapsed()), |time| *time >= LOAD)?;
    let said = interrupted(wrk)?;
    println!("  {changes} changes, {reloads} of them reloads, the slowest live after {slowest:?}");
    said.lines().for_each(|line| println!("  {line}"));
    let answered = sockets.close()?;
    println!("  {WEBSOCKETS} websockets, none lost, {answered} questions answered");
    for bad in ["Socket errors", "Non-2xx"] {
        ensure!(!said.contains(bad), "requests failed, see above");
    }
    ensure!(said.contains("requests in"), "wrk said nothing");
    Ok(())
}

/// It says what it has counted when it is interrupted.
fn interrupted(wrk: Child) -> Result<String> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(wrk.id())?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT)?;
    Ok(String::from_utf8_lossy(&wrk.wait_with_output()?.stdout).into_owned())
}

/// Answers with a name on connections that are kept, and what is sent on a websocket with the same.
fn serve(ns: &Netns, port: u16, name: &'static str) -> Result<()> {
    let listener = ns.inside(move || Ok(TcpListener::bind(("0.0.0.0", port))?))?;
    // It ends with the guest's program.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that leaves is its own affair.
            std::thread::spawn(move || answer(stream, name));
        }
    });
    Ok(())
}

fn answer(stream: TcpStream, name: &str) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut websocket = false;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            websocket |= line.to_ascii_lowercase().starts_with("upgrade: websocket");
            if line.trim().is_empty() {
                break;
            }
        }
        if websocket {
            reader.get_mut().write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )?;
            let mut byte = [0];
            while reader.read(&mut byte)? > 0 {
                reader.get_mut().write_all(&byte)?;
            }
            return Ok(());
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        reader.get_mut().write_all(head.as_bytes())?;
    }
}

struct Websockets {
    stop: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    answered: Vec<Arc<AtomicU64>>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Websockets {
    fn open(client: &Netns) -> Result<Websockets> {
        let (stop, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (mut answered, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..WEBSOCKETS {
            let (stop, lost, count) = (stop.clone(), lost.clone(), Arc::new(AtomicU64::new(0)));
            answered.push(count.clone());
            threads.push(client.thread(move || {
                let end = ask(&stop, &count);
                lost.fetch_add(u64::from(end.is_err()), Ordering::SeqCst);
                end
            })?);
        }
        let sockets = Websockets { stop, lost, answered, threads };
        sockets.all_answer()?;
        Ok(sockets)
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }

    /// Each has answered once more from now on.
    fn all_answer(&self) -> Result<()> {
        for count in &self.answered {
            let before = count.load(Ordering::SeqCst);
            let see = || match self.lost() {
                0 => Ok(count.load(Ordering::SeqCst)),
                lost => bail!("{lost} websockets are lost"),
            };
            wait("an answer on a websocket", see, |now| *now > before)?;
        }
        Ok(())
    }

    fn close(self) -> Result<u64> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow::anyhow!("a websocket's thread panicked"))??;
        }
        Ok(self.answered.iter().map(|count| count.load(Ordering::SeqCst)).sum())
    }
}

fn ask(stop: &AtomicBool, count: &AtomicU64) -> Result<()> {
    let address: SocketAddr = SHOP.parse()?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    reader.get_mut().write_all(
        b"GET /live HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(reader.read_line(&mut head)? > 0, "no answer to the upgrade: {head:?}");
    }
    ensure!(head.starts_with("HTTP/1.1 101"), "{head:?}");
    while !stop.load(Ordering::SeqCst) {
        reader.get_mut().write_all(b"?")?;
        let mut byte = [0];
        reader.read_exact(&mut byte).context("a websocket")?;
        count.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
