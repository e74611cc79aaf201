//! The verdicts as they are kept over a restart, so that servers that were fit serve at once.

use crate::Verdict;
use lb_model::Label;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The last verdict on one real server of one virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastState {
    pub vs: Label,
    pub rs: Label,
    pub verdict: Verdict,
}

/// Last states to look up; those not listed are [`Verdict::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known(HashMap<Label, HashMap<Label, Verdict>>);

impl Known {
    pub fn get(&self, vs: &Label, rs: &Label) -> Verdict {
        self.0.get(vs).and_then(|m| m.get(rs)).copied().unwrap_or_default()
    }
}

impl FromIterator<LastState> for Known {
    fn from_iter<I: IntoIterator<Item = LastState>>(states: I) -> Self {
        let mut known = Known::default();
        for LastState { vs, rs, verdict } in states {
            known.0.entry(vs).or_default().insert(rs, verdict);
        }
        known
    }
}
