//! More than a hundred changes of every kind to a layer 7 virtual server, while wrk asks as fast as it can and websockets are open.

use super::{
    kept::{PATIENCE, Server},
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
    net::{SocketAddr, TcpStream},
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
const CLIENTS: &str = "10";
/// Between two questions on a websocket.
const PAUSE: Duration = Duration::from_millis(200);

/// What is changed, in this order. Whether it takes a reload is for the plan to say.
const KINDS: [Kind; 22] = [
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
    Kind::Values(r#"["/private","/secret"]"#),
    Kind::Values(r#"["/secret"]"#),
    Kind::Pop("rules"),
    Kind::Set("timeouts/server", "50"),
    Kind::Set("timeouts/server", "null"),
    Kind::Set("real_servers/0/max_connections", "500"),
    Kind::Set("real_servers/0/max_connections", "0"),
    Kind::Set("check/interval", "7"),
];

/// Of the virtual server's JSON; `Values` of its only rule; `State` of its third real server, on which no websocket is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Set(&'static str, &'static str),
    Push(&'static str, &'static str),
    Pop(&'static str),
    Values(&'static str),
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
        Kind::Values(values) => server["rules"][0]["test"]["values"] = serde_json::from_str(values)?,
        Kind::State(_) => bail!("a state is no edit"),
    }
    Ok(serde_json::from_value(document)?)
}

pub fn hundred_changes() -> Result<()> {
    let lab = Lab::one_arm()?;
    let places =
        [(&lab.rs1, 8001, "One"), (&lab.rs2, 8002, "Two"), (&lab.rs2, 8003, "Three"), (&lab.rs1, 8004, "Four")];
    let _servers =
        places.map(|(ns, port, name)| Server::start(ns, port, name)).into_iter().collect::<Result<Vec<_>>>()?;
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
    let mut sockets = Websockets::open(&lab.client)?;
    config.layer7.virtual_servers[0].real_servers[2].weight = 1;
    appliance.apply(&config)?;
    settled()?;

    // Its machine is another one: it takes what the appliance leaves of the guest's one processor, or a check of the
    // configuration, which has three seconds, waits for twenty clients.
    let mut wrk = lab.client.command("nice");
    wrk.args([
        "-n",
        "15",
        "wrk",
        "-t",
        "1",
        "-c",
        CLIENTS,
        "-d",
        "3600s",
        "--timeout",
        "20s",
        &format!("http://{SHOP}/"),
    ]);
    let wrk = wrk.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting wrk")?;
    let begin = Instant::now();
    let (mut changes, mut reloads, mut ended, mut slowest) = (0, 0, 0, Duration::ZERO);
    for round in 0..ROUNDS {
        for kind in KINDS {
            let (before, order) = (supervisor.processes()?, Instant::now());
            let (reload, ends) = if let Kind::State(state) = kind {
                let (virtual_server, real_server) = ("Shop".parse()?, "Three".parse()?);
                let request = StateRequest { virtual_server, real_server, state, author: "case".into() };
                appliance.client.set_state(&request)?;
                (false, 0)
            } else {
                let wanted = changed(&appliance.client.running()?.config, kind, round)?;
                let plan = appliance.client.plan(&PlanRequest { config: Some(wanted.clone()) })?;
                let said = plan.actions.iter().find(|line| line.contains("reload HAProxy"));
                appliance.apply(&wanted).with_context(|| format!("{kind:?}"))?;
                (said.is_some(), said.map_or(Ok(0), |line| ends(line))?)
            };
            settled()?;
            slowest = slowest.max(order.elapsed());
            let reloaded = !supervisor.processes()?.is_subset(&before);
            ensure!(!(reload && matches!(kind, Kind::Values(_))), "values of a rule took a reload");
            ensure!(reloaded == reload, "{kind:?}: the plan said a reload: {reload}, there was one: {reloaded}");
            (changes, reloads) = (changes + 1, reloads + usize::from(reload));
            if ends > 0 {
                ensure!(ends == WEBSOCKETS, "the plan said that {ends} connections end");
                sockets.all_end()?;
                ended += ends;
                sockets = Websockets::open(&lab.client)?;
            }
            sockets.all_answer().with_context(|| format!("after {kind:?}"))?;
        }
        println!("  {changes} changes after {:.0?}", begin.elapsed());
    }
    wait("a minute of load", || Ok(begin.elapsed()), |time| *time >= LOAD)?;
    let said = interrupted(wrk)?;
    println!("  {changes} changes, {reloads} of them reloads, the slowest live after {slowest:?}");
    said.lines().for_each(|line| println!("  {line}"));
    let answered = sockets.close()?;
    println!("  {WEBSOCKETS} websockets, {ended} ended as the plan said, no other; {answered} questions answered");
    ensure!(ended <= WEBSOCKETS, "a process ends once in fifty reloads");
    for bad in ["Socket errors", "Non-2xx"] {
        ensure!(!said.contains(bad), "requests failed, see above");
    }
    ensure!(said.contains("requests in"), "wrk said nothing");
    Ok(())
}

/// How many connections end with a reload, as its line in the plan says.
fn ends(line: &str) -> Result<usize> {
    let Some((before, _)) = line.split_once(" of them end now") else { return Ok(0) };
    before.rsplit(' ').next().context("a number")?.parse().with_context(|| line.to_owned())
}

/// It says what it has counted when it is interrupted.
fn interrupted(wrk: Child) -> Result<String> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(wrk.id())?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT)?;
    Ok(String::from_utf8_lossy(&wrk.wait_with_output()?.stdout).into_owned())
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
        for n in 0..WEBSOCKETS {
            // Not on the server whose state is changed.
            let home = ["One", "Two"][n % 2];
            let (stop, lost, count) = (stop.clone(), lost.clone(), Arc::new(AtomicU64::new(0)));
            answered.push(count.clone());
            threads.push(client.thread(move || {
                let end = ask(home, &stop, &count);
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

    /// All of them, as the plan said.
    fn all_end(self) -> Result<()> {
        wait("the end of the websockets", || Ok(self.lost()), |lost| *lost == WEBSOCKETS as u64)?;
        for thread in self.threads {
            let end = thread.join().map_err(|_| anyhow::anyhow!("a websocket's thread panicked"))?;
            ensure!(end.is_err(), "a websocket did not end");
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

fn ask(home: &str, stop: &AtomicBool, count: &AtomicU64) -> Result<()> {
    let address: SocketAddr = SHOP.parse()?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let upgrade = format!(
        "GET /live HTTP/1.1\r\nHost: shop\r\nCookie: SERVERID={home}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    reader.get_mut().write_all(upgrade.as_bytes())?;
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
