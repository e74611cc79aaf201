//! `show servers state` (Management Guide 9.3): what it says of us, and what of it goes over a reload.

use super::text::{self, TextServer};
use crate::{ObservedAgent, ObservedServer, ServerKey};
use lb_model::RequestedState;
use std::collections::{BTreeMap, HashMap};

/// The file's version and the columns that we use, by their place.
const HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
    bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr \
    srv_agent_port\n";
const BACKEND: usize = 1;
const NUMBER: usize = 2;
const SERVER: usize = 3;
const ADDRESS: usize = 4;
const ADMIN: usize = 6;
const WEIGHT: usize = 7;
const TEXT_WEIGHT: usize = 8;
const AGENT: usize = 14;
const PORT: usize = 18;
const CHECK_PORT: usize = 21;
const AGENT_PORT: usize = 24;
const COLUMNS: usize = 25;

/// Forced, inherited, and of an address that is not known.
const MAINTENANCE: u32 = 0x01 | 0x02 | 0x20;
const DRAIN: u32 = 0x08 | 0x10;
/// What an agent's `maint` and `drain` do: forced, as over the runtime API.
const BY_AGENT: u32 = 0x01 | 0x08;

/// Of a check or an agent (`CHK_ST_CONFIGURED`, `CHK_ST_ENABLED`).
const CONFIGURED: u32 = 0x02;
const ENABLED: u32 = 0x04;

fn agent(row: &[&str]) -> ObservedAgent {
    match row[AGENT].parse::<u32>().unwrap_or(0) {
        agent if agent & CONFIGURED == 0 => ObservedAgent::None,
        agent if agent & ENABLED == 0 => ObservedAgent::Off,
        _ => ObservedAgent::On,
    }
}

fn rows(answer: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = answer.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect::<Vec<_>>());
    rows.filter(|row| row.len() >= COLUMNS)
}

fn key(row: &[&str]) -> Option<ServerKey> {
    Some(ServerKey { virtual_server: row[BACKEND].parse().ok()?, real_server: row[SERVER].parse().ok()? })
}

pub(super) fn observed(answer: &str) -> BTreeMap<ServerKey, ObservedServer> {
    let server = |row: Vec<&str>| {
        let admin: u32 = row[ADMIN].parse().ok()?;
        let state = match admin {
            admin if admin & MAINTENANCE != 0 => RequestedState::Offline,
            admin if admin & DRAIN != 0 => RequestedState::Drain,
            _ => RequestedState::Online,
        };
        let (weight, number) = (row[WEIGHT].parse().ok()?, row[NUMBER].parse().ok()?);
        let initial = row[TEXT_WEIGHT].parse().ok()?;
        let agent = agent(&row);
        let (weight, state, initial_weight) = match agent {
            ObservedAgent::On => (initial, RequestedState::Online, initial),
            ObservedAgent::Off => (weight, state, initial),
            ObservedAgent::None => (weight, state, weight),
        };
        Some((key(&row)?, ObservedServer { weight, state, number, agent, initial_weight }))
    };
    rows(answer).filter_map(server).collect()
}

/// The answer to `show servers conn`: `Shop/Web1 3/77 10.0.0.31 80 - 5000 1 0 0 0 0 -1 3 …`, connections used and kept
/// for later requests.
pub(super) fn connections(answer: &str) -> impl Iterator<Item = (ServerKey, u32, u32)> {
    answer.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (virtual_server, real_server) = words.next()?.split_once('/')?;
        let key = ServerKey { virtual_server: virtual_server.parse().ok()?, real_server: real_server.parse().ok()? };
        let used = words.nth(5)?.parse().ok()?;
        Some((key, used, words.nth(5)?.parse().ok()?))
    })
}

/// The file of states for the process that will read `text`: who is fit, and nothing else.
///
/// Weights and requested states are the text's, so both weights are written alike (HAProxy then takes the text's), and
/// the administrative state as none. Left out are servers that are not known as fit or not (they were out on request),
/// that have another place now (HAProxy would keep the old port), and that are not asked any more (one that was down
/// would stay down).
///
/// Where an agent was asked and still is, what it has said goes along: its weight, as long as the text's is the same, and
/// its `drain` and `maint`. An agent whose questions had ended is asked again where the text says so.
pub(super) fn over_a_reload(answer: &str, text: &str) -> String {
    let keep: HashMap<ServerKey, TextServer<'_>> = text::servers(text)
        .filter(|server| server.checked || server.agent)
        .map(|server| (server.key.clone(), server))
        .collect();
    let mut file = nothing().to_owned();
    for mut row in rows(answer) {
        let Some(server) = key(&row).and_then(|key| keep.get(&key)) else { continue };
        let said = server.agent && agent(&row) == ObservedAgent::On;
        let same_place = {
            let (place, address, port) = (server.place, row[ADDRESS], row[PORT]);
            let with_port = [format!("{address}:{port}"), format!("[{address}]:{port}")].iter().any(|is| is == place);
            with_port || (port == "0" && [format!("[{address}]"), address.to_owned()].iter().any(|is| is == place))
        };
        let admin: u32 = row[ADMIN].parse().unwrap_or(MAINTENANCE);
        let known = said || (server.checked && admin & MAINTENANCE == 0);
        if same_place && known {
            let by_agent = (admin & BY_AGENT).to_string();
            if said {
                row[ADMIN] = &by_agent;
            } else {
                row[ADMIN] = "0";
                row[WEIGHT] = row[TEXT_WEIGHT];
            }
            row[AGENT] = "0";
            // Else HAProxy goes on asking where it asked before, whatever the text says.
            (row[CHECK_PORT], row[AGENT_PORT]) = ("0", "0");
            file.push_str(&row.join(" "));
            file.push('\n');
        }
    }
    file
}

/// The file of states of a start that knows nothing of before.
pub(super) fn nothing() -> &'static str {
    HEADER
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "1\n# be_id be_name\n\
        3 A 1 Up 10.0.0.1 2 8 0 5 1 6 3 4 6 0 0 0 - 80 - 0 0 - - 0\n\
        3 A 2 Down fd00::2 0 0 3 5 7 8 2 0 6 0 0 0 - 80 - 0 0 - - 0\n\
        3 A 3 Out 10.0.0.3 0 5 7 7 9 1 0 0 14 0 0 0 - 80 - 0 0 - - 0\n\
        3 A 4 Moved 10.0.0.4 0 0 7 7 9 1 0 0 14 0 0 0 - 80 - 0 0 - - 0\n\
        3 A 5 Asked 10.0.0.5 0 0 7 7 9 1 0 0 14 0 0 0 - 80 - 0 0 - - 0\n\
        3 A 6 :fallback 127.0.0.1 2 0 1 1 9 1 0 0 14 0 0 0 - 9081 - 0 0 - - 0\n\
        3 A 7 Any 10.0.0.7 0 0 7 7 9 1 0 0 14 0 0 0 - 0 - 0 0 - - 0\n";

    #[test]
    fn what_is_seen() {
        let seen: Vec<String> = observed(ANSWER)
            .into_iter()
            .map(|(key, server)| format!("{} {} {}", key.real_server, server.weight, server.state))
            .collect();
        let wanted =
            ["Any 7 ONLINE", "Asked 7 ONLINE", "Down 3 ONLINE", "Moved 7 ONLINE", "Out 7 OFFLINE", "Up 0 DRAIN"];
        assert_eq!(seen, wanted);
    }

    /// Of W1 the agent was asked, of W2 not any more.
    const AGENTS: &str = "1\n# be_id be_name\n\
        3 A 1 W1 10.0.0.1 0 1 20 100 1 6 3 0 14 23 0 0 - 80 - 0 8080 - - 3333\n\
        3 A 2 W2 10.0.0.2 2 8 30 100 1 6 3 4 6 18 0 0 - 80 - 0 0 - - 0\n";

    #[test]
    fn what_an_agent_made_of_a_server_is_its_own_affair() {
        let seen: Vec<String> = observed(AGENTS)
            .into_iter()
            .map(|(key, s)| {
                format!("{} {} {} {:?} of {}", key.real_server, s.weight, s.state, s.agent, s.initial_weight)
            })
            .collect();
        assert_eq!(seen, ["W1 100 ONLINE On of 100", "W2 30 DRAIN Off of 100"]);
    }

    #[test]
    fn what_an_agent_said_goes_over_a_reload() {
        let over = |text: &str| over_a_reload(AGENTS, text).strip_prefix(HEADER).unwrap().to_owned();
        let asked = "backend A from http\n  server W1 10.0.0.1:80 check weight 100 agent-check\n  \
            server W2 10.0.0.2:80 check weight 100 agent-check\n";
        assert_eq!(
            over(asked),
            "3 A 1 W1 10.0.0.1 0 1 20 100 1 6 3 0 14 0 0 0 - 80 - 0 0 - - 0\n\
             3 A 2 W2 10.0.0.2 2 0 100 100 1 6 3 4 6 0 0 0 - 80 - 0 0 - - 0\n"
        );
        assert_eq!(
            over(&asked.replace(" agent-check", "")),
            "3 A 2 W2 10.0.0.2 2 0 100 100 1 6 3 4 6 0 0 0 - 80 - 0 0 - - 0\n",
            "without agents: as it is fit, and W1 was not asked in its maintenance"
        );
        // One that only the agent was asked of.
        assert_eq!(over(&asked.replace(" check", "")).lines().count(), 1);
    }

    /// As 2.6.12 answers.
    #[test]
    fn who_has_connections() {
        let answer = "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb \
            idle_lim idle_cur idle_per_thr[2]\n\
            A/W1 3/77 127.0.0.1 28372 - 5000 0 1 1 0 0 -1 3 0 3\nA/W2 3/99 127.0.0.1 28372 - 0 2 0 0 0 0 0 0\n\
            A/:fallback 3/1 127.0.0.1 1 - 0 4 0 0 0 0 0 0\n";
        let seen: Vec<String> =
            connections(answer).map(|(key, used, kept)| format!("{} {used} {kept}", key.real_server)).collect();
        assert_eq!(seen, ["W1 0 3", "W2 2 0"]);
    }

    #[test]
    fn only_fitness_goes_over_a_reload() {
        let text = "backend A from http\n  server Up 10.0.0.1:80 check weight 5\n  server Down [fd00::2]:80 check weight 9\n  \
            server Out 10.0.0.3:80 check weight 7\n  server Moved 10.0.0.4:81 check weight 7\n  \
            server Asked 10.0.0.5:80 weight 7\n  server Any 10.0.0.7 check weight 7\n";
        let kept = over_a_reload(ANSWER, text);
        assert_eq!(
            kept.strip_prefix(HEADER).unwrap(),
            "3 A 1 Up 10.0.0.1 2 0 5 5 1 6 3 4 6 0 0 0 - 80 - 0 0 - - 0\n\
             3 A 2 Down fd00::2 0 0 5 5 7 8 2 0 6 0 0 0 - 80 - 0 0 - - 0\n\
             3 A 7 Any 10.0.0.7 0 0 7 7 9 1 0 0 14 0 0 0 - 0 - 0 0 - - 0\n"
        );
    }
}
