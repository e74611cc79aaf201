//! Load of the machine.

use super::{Served, answer};
use axum::{extract::State, response::Response};
use lb_api::{InterfaceCounters, SystemView};
use lb_kernel::{CardCounters, Machine};
use std::time::UNIX_EPOCH;

pub async fn show(State(served): State<Served>) -> Response {
    answer::aside(move || {
        let machine = Machine::read(&served.places.state).map_err(|error| answer::internal(&error))?;
        Ok(view(machine, UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs())))
    })
    .await
}

fn view(machine: Machine, time: u64) -> SystemView {
    let Machine {
        uptime,
        kernel,
        cpus,
        load,
        cpu_busy,
        cpu_total,
        memory_total,
        memory_available,
        disk_total,
        disk_free,
        cards,
    } = machine;
    let interfaces = cards.into_iter().map(interface).collect();
    SystemView {
        time,
        uptime,
        kernel,
        cpus,
        load,
        cpu_busy,
        cpu_total,
        memory_total,
        memory_available,
        disk_total,
        disk_free,
        interfaces,
    }
}

fn interface(card: CardCounters) -> InterfaceCounters {
    let CardCounters { name, bytes_in, bytes_out, packets_in, packets_out, errors, dropped } = card;
    InterfaceCounters { name, bytes_in, bytes_out, packets_in, packets_out, errors, dropped }
}
