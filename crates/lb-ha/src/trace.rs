//! What happened to a node, written down, and played again.
//!
//! A node is a function of its start and its events, so a trace recorded on an appliance gives the same outputs
//! here. One JSON document a line: first the start, then the events. No line holds a secret: keys stay in the
//! codec, and nonces of a past start open nothing.

use crate::node::{Event, Node, Output, Start};
use crate::time::Time;
use lb_model::Problem;
use serde::{Deserialize, Serialize};

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Start(Start),
    Event { at: Time, event: Event },
}

/// What a node wanted, and when.
pub type Wanted = Vec<(Time, Output)>;

/// Plays a trace. Events before the first start are skipped: a recorder that turns its files over may begin
/// with them. A further start is a daemon that was started anew.
pub fn replay(lines: impl IntoIterator<Item = Line>) -> Result<Wanted, Vec<Problem>> {
    let (mut node, mut wanted, mut out) = (None::<Node>, Vec::new(), Vec::new());
    for line in lines {
        let at = match line {
            Line::Start(start) => {
                let at = start.at;
                node = Some(Node::start(start, &mut out)?);
                at
            }
            Line::Event { at, event } => {
                if let Some(node) = &mut node {
                    node.handle(event, at, &mut out);
                }
                at
            }
        };
        wanted.extend(out.drain(..).map(|output| (at, output)));
    }
    Ok(wanted)
}
