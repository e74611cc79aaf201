//! A HAProxy in memory, for tests of what drives one.

use crate::{Action, Observed, Proxy, ProxyError, Rendered, Statistics};
use lb_model::Problem;
use std::sync::{Arc, Mutex};

/// Shared with the test; clones are the same HAProxy.
#[derive(Debug, Clone, Default)]
pub struct Fake(pub Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub struct State {
    pub observed: Observed,
    pub statistics: Statistics,
    /// What the next checks complain of.
    pub complaints: Vec<Problem>,
    /// What was executed, in order.
    pub done: Vec<Action>,
    /// Everything fails while set.
    pub down: bool,
}

impl Proxy for Fake {
    fn check(&mut self, wanted: &Rendered) -> Result<Vec<Problem>, ProxyError> {
        todo!("{wanted:?}")
    }

    fn observe(&mut self) -> Result<Observed, ProxyError> {
        todo!()
    }

    fn execute(&mut self, action: &Action) -> Result<(), ProxyError> {
        todo!("{action:?}")
    }

    fn statistics(&mut self) -> Result<Statistics, ProxyError> {
        todo!()
    }
}
