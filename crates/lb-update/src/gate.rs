//! The health gate: what must work before an update may stay. Pure; who looks is `unit::look`.

use serde::{Deserialize, Serialize};

/// What is asked for, in the order in which a start gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// lbd answers.
    Lbd,
    /// The store is open and its configuration runs: no failsafe.
    Store,
    /// The kernel and HAProxy have all of the configuration.
    Converged,
    /// The web interface answers.
    Web,
    /// Of a pair: heartbeat answers and finds this unit fit to serve.
    Heartbeat,
}

/// What was seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Or why it does not answer.
    pub lbd: Result<Lbd, String>,
    /// Or why it does not.
    pub web: Result<(), String>,
}

/// lbd's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lbd {
    pub failsafe: Option<String>,
    pub converged: bool,
    /// `None`: a single unit. Else why it cannot serve; empty: it can.
    pub unfit: Option<Vec<String>>,
}

/// What does not work, and how that shows.
pub fn lacking(seen: &Seen) -> Vec<(Part, String)> {
    let mut lacking = Vec::new();
    match &seen.lbd {
        Err(why) => lacking.push((Part::Lbd, format!("lbd does not answer ({why})"))),
        Ok(lbd) => {
            if let Some(failsafe) = &lbd.failsafe {
                lacking.push((Part::Store, failsafe.clone()));
            }
            if !lbd.converged {
                lacking.push((Part::Converged, "the configuration is not in force".into()));
            }
            if let Some(why) = lbd.unfit.as_ref().filter(|why| !why.is_empty()) {
                lacking.push((Part::Heartbeat, format!("heartbeat finds this unit unfit ({})", why.join("; "))));
            }
        }
    }
    if let Err(why) = &seen.web {
        lacking.push((Part::Web, format!("the web interface does not answer ({why})")));
    }
    lacking
}

/// What of that counts: not what was so before the update.
pub fn against(lacking: Vec<(Part, String)>, excused: &[Part]) -> Option<String> {
    let left: Vec<String> =
        lacking.into_iter().filter(|(part, _)| !excused.contains(part)).map(|(_, text)| text).collect();
    (!left.is_empty()).then(|| left.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Lbd {
        Lbd { failsafe: None, converged: true, unfit: None }
    }

    fn parts(lbd: Result<Lbd, String>, web: Result<(), String>) -> Vec<Part> {
        lacking(&Seen { lbd, web }).into_iter().map(|(part, _)| part).collect()
    }

    #[test]
    fn each_part_is_asked_for() {
        assert_eq!(parts(Ok(good()), Ok(())), []);
        assert_eq!(parts(Ok(Lbd { unfit: Some(Vec::new()), ..good() }), Ok(())), []);
        assert_eq!(parts(Err("no socket".into()), Ok(())), [Part::Lbd]);
        assert_eq!(parts(Ok(Lbd { failsafe: Some("FAILSAFE: x".into()), ..good() }), Ok(())), [Part::Store]);
        assert_eq!(parts(Ok(Lbd { converged: false, ..good() }), Ok(())), [Part::Converged]);
        assert_eq!(parts(Ok(good()), Err("refused".into())), [Part::Web]);
        assert_eq!(
            parts(Ok(Lbd { unfit: Some(vec!["eth0 has no link".into()]), ..good() }), Ok(())),
            [Part::Heartbeat]
        );
    }

    #[test]
    fn what_was_so_before_is_not_held_against_it() {
        let seen = || {
            let unfit = Some(vec!["eth0 has no link".into()]);
            lacking(&Seen { lbd: Ok(Lbd { unfit, converged: false, ..good() }), web: Ok(()) })
        };
        assert_eq!(
            against(seen(), &[]).as_deref(),
            Some("the configuration is not in force; heartbeat finds this unit unfit (eth0 has no link)")
        );
        assert_eq!(against(seen(), &[Part::Heartbeat]).as_deref(), Some("the configuration is not in force"));
        assert_eq!(against(seen(), &[Part::Heartbeat, Part::Converged]), None);
    }
}
