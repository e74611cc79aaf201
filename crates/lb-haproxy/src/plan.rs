//! From what should be and what is to what must be done.
//!
//! The ladder, least disturbance first:
//! 1. nothing, where the file and all that runs are as they should be;
//! 2. the runtime API, where only weights, requested states, the values of content rules, renewed certificates and what
//!    is stapled to them differ, or real servers come and go that the runtime API can make and take away: no connection
//!    notices. The files are written too, for the next start. A server that still has connections goes by a reload, for
//!    they would stand in its way;
//! 3. the file and a reload, where anything else differs: listening sockets are handed over, connections stay with the
//!    old process until they end;
//! 4. the end, where no layer 7 virtual server is left: new clients are refused at once, those who are connected are
//!    served to their end.
//!
//! Where an agent is asked, weights and states are the agent's: it is neither overruled nor taken for a difference. An
//! administrator's DRAIN and OFFLINE end the questions first. The weight that an agent's percentage is of, HAProxy reads
//! from the file only, so that a change of it is a reload.
//!
//! Level-triggered: it compares with what was observed, not with what was done, so that a server that somebody changed
//! by hand over the socket is put right as well. Tested beside the code.

#[cfg(doc)]
use crate::Statistics;
use crate::{Definition, File, List, Rendered, ServerKey, ServerSetting, files, render::lists};
use lb_model::RequestedState;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// HAProxy takes a command with its payload in one buffer (`tune.bufsize`, 16,384 bytes).
const LONGEST_RENEWAL: usize = 15_000;

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The shape that the running HAProxy was started or last reloaded with; `None`: none runs.
    pub shape: Option<String>,
    /// The text of the file, for the next start.
    pub text: Option<String>,
    pub servers: BTreeMap<ServerKey, ObservedServer>,
    /// Servers that have connections: empty as observed, as only the counters say so ([`Statistics::busy`]).
    pub busy: BTreeSet<ServerKey>,
    /// What tests compare with, by HAProxy's number of the list; a test may have two.
    pub lists: BTreeMap<u32, Vec<String>>,
    /// Digests of the files in the directory of certificates.
    pub files: BTreeMap<String, String>,
    /// SHA-1 of the certificates that run, by the name of their file.
    pub certificates: BTreeMap<String, String>,
    /// Connections that processes still serve which take no new clients: those of before a reload, and the last one
    /// before its end.
    pub old_connections: u32,
    /// Those of them that the next reload ends, as their process has outlived so many.
    pub last_connections: u32,
}

/// What the runtime API says of a server's administration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservedServer {
    pub weight: u16,
    pub state: RequestedState,
    /// HAProxy's `id`; of one that the runtime API can make, its [`Definition`]'s.
    pub number: u32,
    /// Of one whose agent is asked, `weight` is the one that the agent's percentage is of, and `state` online: what the
    /// agent has made of them is its own affair.
    pub agent: ObservedAgent,
    /// The weight of the text that it was made from: what an agent's percentage is of.
    pub initial_weight: u16,
}

/// Whether HAProxy asks a server's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ObservedAgent {
    /// It knows of none.
    #[default]
    None,
    /// It could.
    Off,
    On,
}

/// One step. Each is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Writes the file, so that a restart comes up with it; nothing that runs changes.
    Write {
        text: String,
    },
    /// Writes a file that the text names; what runs has read the one before.
    WriteFile {
        name: String,
        file: File,
    },
    /// New connections get this certificate from now on, and with it this OCSP response, or none.
    Renew {
        name: String,
        file: File,
        response: Option<File>,
    },
    /// The same with the certificate that runs.
    Staple {
        name: String,
        file: File,
        response: Option<File>,
    },
    /// Files that nothing names any more.
    RemoveFiles {
        names: Vec<String>,
    },
    /// Starts HAProxy or lets it take the file up: the listening sockets are handed over, old connections stay with the
    /// old process.
    Reload,
    SetWeight {
        server: ServerKey,
        weight: u16,
    },
    SetState {
        server: ServerKey,
        state: RequestedState,
    },
    /// A rule's test compares with these values from the next request on. Where HAProxy cannot after all, by a reload.
    SetList {
        number: u32,
        list: List,
    },
    /// Makes a server beside those that run. Where HAProxy cannot after all, as a reload.
    AddServer {
        server: ServerKey,
        definition: Definition,
        weight: u16,
        state: RequestedState,
    },
    /// Takes a server away that has no connections. Where it has some after all, by a reload.
    RemoveServer {
        server: ServerKey,
    },
    /// Ends it, after those who are connected: no layer 7 virtual server is left.
    Stop,
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.real_server, self.virtual_server)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Write { text } => {
                write!(f, "layer 7: write {} lines for HAProxy's next start", text.lines().count())
            }
            Action::WriteFile { name, .. } => write!(f, "layer 7: write {name}"),
            Action::Renew { name, .. } => {
                write!(f, "layer 7: renew certificate {}: no connection notices", name.trim_end_matches(".pem"))
            }
            Action::Staple { name, response, .. } => {
                let what = if response.is_some() { "an OCSP response" } else { "no OCSP response" };
                write!(
                    f,
                    "layer 7: staple {what} to certificate {}: no connection notices",
                    name.trim_end_matches(".pem")
                )
            }
            Action::RemoveFiles { names } => write!(f, "layer 7: remove {}", names.join(", ")),
            Action::Reload => f.write_str("layer 7: reload HAProxy: open connections stay with the old process"),
            Action::SetWeight { server, weight } => write!(f, "layer 7: set weight of {server} to {weight}"),
            Action::SetState { server, state } => write!(f, "layer 7: set {server} to {state}"),
            Action::SetList { list: List { virtual_server, rule, values }, .. } => {
                let (number, count) = (rule + 1, values.len());
                let values = if count == 1 { "1 value".to_owned() } else { format!("{count} values") };
                write!(f, "layer 7: give rule {number} of {virtual_server} its {values}: no connection notices")
            }
            Action::AddServer { server, .. } => write!(f, "layer 7: add {server}: no connection notices"),
            Action::RemoveServer { server } => write!(f, "layer 7: remove {server}, which has no connections"),
            Action::Stop => f.write_str("layer 7: stop HAProxy"),
        }
    }
}

/// What clients feel of a server's weight and state: a drained server and one of weight 0 are the same.
#[derive(PartialEq, Eq)]
enum Share {
    None,
    OldClients,
    Weight(u16),
}

fn share(weight: u16, state: RequestedState) -> Share {
    match (state, weight) {
        (RequestedState::Offline, _) => Share::None,
        (RequestedState::Drain, _) | (RequestedState::Online, 0) => Share::OldClients,
        (RequestedState::Online, weight) => Share::Weight(weight),
    }
}

/// Empty where all is as it should be. `wanted: None`: HAProxy shall not run.
pub fn plan(wanted: Option<&Rendered>, observed: &Observed) -> Vec<Action> {
    // A response of a certificate that stays goes when that is told.
    let stays = |name: &str| files::stapled_to(name).is_some_and(|of| wanted.is_some_and(|w| w.files.contains_key(of)));
    let unnamed = |name: &String| !wanted.is_some_and(|wanted| wanted.files.contains_key(name));
    let remove = |names: Vec<String>| (!names.is_empty()).then_some(Action::RemoveFiles { names });
    let unused = || remove(observed.files.keys().filter(|name| unnamed(name) && !stays(name)).cloned().collect());
    let Some(wanted) = wanted else {
        let nothing = observed.shape.is_none() && observed.text.is_none();
        let stop = if nothing { None } else { Some(Action::Stop) };
        return stop.into_iter().chain(unused()).collect();
    };
    let mut actions = Vec::new();
    let other = |name: &String, file: &File| observed.files.get(name) != Some(&file.digest);
    let write = |(name, file): (&String, &File)| Action::WriteFile { name: name.clone(), file: file.clone() };
    // What a response's file holds is what runs: nobody else says so. It is written before a reload, and else after what
    // runs was told.
    let (responses, files): (Vec<_>, Vec<_>) =
        wanted.files.iter().filter(|(name, file)| other(name, file)).partition(|(name, _)| files::is_response(name));
    actions.extend(files.into_iter().map(write));
    let stale = || remove(observed.files.keys().filter(|name| unnamed(name) && stays(name)).cloned().collect());
    let with_responses = || responses.iter().copied().map(write).chain(stale()).chain([Action::Reload]);
    if observed.text.as_ref() != Some(&wanted.text) {
        actions.push(Action::Write { text: wanted.text.clone() });
    }
    if needs_reload(wanted, observed) {
        // Who shall get no new clients is told to what runs: it may go on for hours, and a reload may fail.
        for (server, want) in &wanted.servers {
            if let Some(is) = observed.servers.get(server)
                && want.state != RequestedState::Online
                && share(want.weight, want.state) != share(is.weight, is.state)
            {
                actions.push(Action::SetState { server: server.clone(), state: want.state });
            }
        }
        // The new process reads weights and states from the file.
        actions.extend(with_responses());
        actions.extend(unused());
        return actions;
    }
    for (name, file) in &wanted.files {
        let Some(sha1) = &file.sha1 else { continue };
        let runs = observed.certificates.get(name);
        let same = runs == Some(sha1) && !other(name, file);
        let beside = files::response(name);
        let response = wanted.files.get(&beside);
        let stapled = observed.files.get(&beside) == response.map(|response| &response.digest);
        if same && stapled {
            continue;
        }
        if runs.is_none() || file.text.len() > LONGEST_RENEWAL {
            actions.extend(with_responses());
            return actions;
        }
        let (name, file, new) = (name.clone(), file.clone(), response.cloned());
        actions.push(match same {
            true => Action::Staple { name, file, response: new },
            false => Action::Renew { name, file, response: new },
        });
        match response {
            _ if stapled => {}
            Some(response) => actions.push(write((&beside, response))),
            None => actions.extend(remove(vec![beside])),
        }
    }
    let other_values = |(number, list): &(&u32, &List)| other_values(**number, list, observed);
    let set = |(number, list): (&u32, &List)| Action::SetList { number: *number, list: list.clone() };
    actions.extend(wanted.lists.iter().filter(other_values).map(set));
    actions.extend(gone(wanted, observed).map(|server| Action::RemoveServer { server: server.clone() }));
    for (server, want) in &wanted.servers {
        let Some(is) = observed.servers.get(server) else {
            let (server, definition) = (server.clone(), wanted.definition(server).cloned());
            // Of others it is known that they are there.
            let add = |definition| Action::AddServer { server, definition, weight: want.weight, state: want.state };
            actions.extend(definition.map(add));
            continue;
        };
        if share(want.weight, want.state) == share(is.weight, is.state) && !silent(want, is) {
            continue;
        }
        // The weight first: a server never comes back with another's share of the load.
        if want.state == RequestedState::Online && want.weight != is.weight {
            actions.push(Action::SetWeight { server: server.clone(), weight: want.weight });
        }
        if want.state != is.state || silent(want, is) {
            actions.push(Action::SetState { server: server.clone(), state: want.state });
        }
    }
    actions.extend(unused());
    actions
}

/// An agent that should be asked and is not.
fn silent(want: &ServerSetting, is: &ObservedServer) -> bool {
    want.agent && want.state == RequestedState::Online && is.agent != ObservedAgent::On
}

/// What of an agent only the file can say: that there is one, and the weight that its percentage is of.
fn other_agent(want: &ServerSetting, is: &ObservedServer) -> bool {
    let asked = want.agent && want.state == RequestedState::Online;
    asked && (is.agent == ObservedAgent::None || is.initial_weight != want.weight)
}

/// In whatever order, and on whichever of a test's two lines.
fn other_values(number: u32, wanted: &List, observed: &Observed) -> bool {
    let both = [number, lists::second(number)];
    let is: BTreeSet<&str> = both.iter().filter_map(|n| observed.lists.get(n)).flatten().map(String::as_str).collect();
    is != wanted.values.iter().map(String::as_str).collect()
}

fn needs_reload(wanted: &Rendered, observed: &Observed) -> bool {
    // HAProxy does not run what we believe it runs, or runs a server that was another one.
    let other = |(server, want): (&ServerKey, &ServerSetting)| {
        let (wanted, is) = (wanted.definition(server), observed.servers.get(server));
        if is.is_some_and(|is| other_agent(want, is)) {
            return true;
        }
        match (wanted, is) {
            (Some(wanted), Some(is)) => wanted.number != is.number,
            (wanted, is) => wanted.is_none() && is.is_none(),
        }
    };
    observed.shape.as_ref() != Some(&wanted.shape)
        || wanted.servers.iter().any(other)
        || wanted.lists.keys().any(|number| !observed.lists.contains_key(number))
        || gone(wanted, observed).any(|server| observed.busy.contains(server))
}

/// What nobody wants any more of servers that can be taken away.
fn gone<'a>(wanted: &Rendered, observed: &'a Observed) -> impl Iterator<Item = &'a ServerKey> {
    let unwanted = |server: &&ServerKey| {
        let all = wanted.runtime.get(&server.virtual_server);
        all.is_some_and(|all| !all.contains_key(&server.real_server))
    };
    observed.servers.keys().filter(unwanted)
}

#[cfg(test)]
mod tests;
