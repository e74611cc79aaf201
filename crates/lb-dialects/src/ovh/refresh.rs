//! What is edited and does not run yet, the refresh that makes it run, and what became of it.
//!
//! A refresh is done before it is answered. One that cannot run leaves a failed task, and everything pending.

use super::{Call, Done, Fault, Result, datetime, number, read, take_id};
use crate::{Change, Outcome, Response, commit::commit, render::differing};
use lb_model::{
    Config,
    dialects::ovh::{MOST_TASKS, Ovh, OvhTask},
};
use serde_json::{Value, json};

const ACTION: &str = "refreshIplb";

/// `[{"zone":"rbx","number":3}]`
pub fn pending(state: &Ovh) -> Value {
    match differing(&state.objects, &state.applied) {
        0 => json!([]),
        number => json!([{"zone": state.zone, "number": number}]),
    }
}

pub fn is_refresh(call: &Call<'_>) -> bool {
    call.request.path.trim_end_matches('/').ends_with("/refresh")
}

/// The state with a task that has ended.
fn ended(call: &Call<'_>, failed: bool) -> (Ovh, Value) {
    let mut state = call.state();
    let task = OvhTask { id: take_id(&mut state), created: call.now, failed };
    let shown = shown(&state, &task);
    state.tasks.push(task);
    let old = state.tasks.len().saturating_sub(MOST_TASKS);
    state.tasks.drain(..old);
    (state, shown)
}

pub fn refresh(call: &Call<'_>) -> Result<Done> {
    let mut body = read::body(&call.request.body)?;
    if let Some(zone) = body.text("zone", 16)?.flat() {
        call.zone(&zone)?;
    }
    body.end()?;
    let number = differing(&call.ovh().objects, &call.ovh().applied);
    let (mut state, shown) = ended(call, false);
    state.applied = state.objects.clone();
    Done::with(state, shown, format!("OVH refresh: {number} object(s) applied"))
}

/// A refresh that the configuration does not allow.
pub fn failure(call: &Call<'_>, why: &str) -> Option<Outcome> {
    let (state, shown) = ended(call, true);
    let mut dialects = call.config.dialects.clone();
    dialects.ovh = state;
    let config = commit(call.config, dialects).ok()?;
    let comment = format!("OVH refresh failed, nothing applied: {why}");
    let change = Change { config, comment, author: String::new(), otherwise: None };
    Some(Outcome { response: Response::json(200, shown), change: Some(change), certificate: None })
}

/// What is left of a refresh whose configuration is refused later; nothing where this is none.
pub fn failed(call: &Call<'_>, new: &Config) -> Option<Outcome> {
    let refreshed = is_refresh(call) && new.dialects.ovh.tasks != call.ovh().tasks;
    refreshed.then(|| failure(call, "the unit refused the configuration")).flatten()
}

fn shown(state: &Ovh, task: &OvhTask) -> Value {
    let time = datetime(task.created);
    json!({
        "id": task.id,
        "action": ACTION,
        "status": status(task),
        "progress": 100,
        "creationDate": time,
        "doneDate": time,
        "zones": [state.zone],
    })
}

fn status(task: &OvhTask) -> &'static str {
    if task.failed { "error" } else { "done" }
}

pub fn tasks(call: &Call<'_>, below: &[&str]) -> Result<Done> {
    let state = call.ovh();
    match below {
        [] => {
            let other = |task: &&OvhTask| {
                call.filtered("action", Some(ACTION.into())) || call.filtered("status", Some(status(task).into()))
            };
            Ok(Done::Look(state.tasks.iter().filter(|task| !other(task)).map(|task| task.id).collect()))
        }
        [id, ..] => {
            let wanted = number(id)?;
            let task = state.tasks.iter().find(|task| Some(task.id) == wanted);
            let task = task.ok_or_else(|| Fault::not_found(format!("Task {id} does not exist")))?;
            Ok(Done::Look(shown(state, task)))
        }
    }
}
