//! The VM cases: what must hold with the real kernel, its IPVS, and packets.
//!
//! They run inside one guest, as root, in network namespaces that stand for a client, the appliance
//! and real servers. lbd is the real one, in the appliance's namespace, spoken to over its socket.
//! Every case builds its own topology and takes it down again. States are waited for with
//! [`wait`], never slept for.

pub mod net;
pub mod topology;
pub mod web;

mod clock;
mod data_path;
mod health;
mod ipvsadm;
pub(crate) mod kept;
pub(crate) mod layer7;
mod lockdown;
mod random;
mod restart;
mod seamless;
mod sticky;
mod sync;
mod takeover;
pub(crate) mod tls;
mod views;

use anyhow::Result;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::{Duration, Instant},
};

/// How long a state may take to come, on a machine that is loaded and emulated.
const LIMIT: Duration = Duration::from_secs(90);

type Case = (&'static str, fn() -> Result<()>);

/// The cases as two guests run them at once; measured to take about the same time.
const HALVES: [&[Case]; 2] = [
    &[
        ("two_arm_nat_is_balanced_and_masqueraded", data_path::nat),
        ("one_arm_dr_is_balanced", data_path::dr),
        ("tun_is_balanced_by_ipip_gre_and_gue", data_path::tun),
        ("ipv6_is_balanced", data_path::ipv6),
        ("udp_is_balanced", data_path::udp),
        ("several_ports_are_one_virtual_server", data_path::ports),
        ("persistence_keeps_a_network_on_its_server", data_path::persistence),
        ("a_removed_persistent_entry_binds_nobody", data_path::removed_persistence),
        ("a_stopped_server_loses_its_clients_and_gets_them_back", health::stop_and_start),
        ("all_down_means_the_fallback_page", health::fallback),
        ("a_failed_negotiate_check_says_why", health::negotiate),
        ("offline_and_drain_move_clients", health::offline),
        ("a_real_servers_agent_says_how_much_of_the_load_it_gets", health::agent),
        ("killing_lbd_under_load_fails_no_request", restart::kill_under_load),
        ("what_is_done_by_hand_is_repaired_or_reported", restart::by_hand),
        ("layer7_a_client_with_a_cookie_stays_on_its_server", sticky::cookie),
        ("layer7_a_client_with_the_applications_cookie_stays_on_its_server", sticky::application_cookie),
        ("layer7_a_network_stays_on_its_server", sticky::networks),
        ("layer7_tls_ends_here_and_a_client_with_a_cookie_stays_on_its_server", tls::cookie),
        ("layer7_tls_a_certificate_is_renewed_under_load_without_a_reload", tls::renewal),
        ("layer7_and_layer4_share_an_address_under_load", sticky::side_by_side),
        ("layer7_changes_under_load_fail_no_request", layer7::changes),
        ("layer7_what_haproxy_refuses_is_said_at_its_field", layer7::refused),
        ("layer7_a_real_server_sees_the_clients_own_address", layer7::transparent),
        ("connections_are_shown_with_their_states", views::connections),
        ("ipv6_connections_are_shown", views::connections_ipv6),
        ("thirty_thousand_connections_are_paged", views::many_connections),
        ("the_network_is_shown_as_the_kernel_has_it", views::network),
        ("the_lock_down_leaves_out_strangers_and_nobody_else", lockdown::management_networks),
        ("the_kernels_own_selftest_topology_passes_with_our_ipvsadm", ipvsadm::selftest),
        ("our_ipvsadm_does_what_the_c_tool_does", ipvsadm::matrix),
    ],
    &[
        ("sync_a_download_survives_a_move_to_a_late_joiner", sync::download),
        ("sync_a_download_over_ipv6_survives_the_move", sync::download_ipv6),
        ("sync_a_connection_that_comes_before_its_entry_is_not_refused", sync::late),
        ("sync_a_reused_port_is_not_dropped_after_a_move", sync::passed_through),
        ("sync_a_reused_port_is_not_refused_by_its_older_server", sync::older_server),
        ("sync_a_client_stays_on_its_server", sync::persistence),
        ("sync_marked_connections_find_their_server", sync::marks),
        ("sync_a_reused_port_is_its_newer_connection", sync::reused_port),
        ("sync_twenty_five_thousand_entries_arrive", sync::many),
        ("sync_daemons_follow_the_pair", sync::reconciled),
        ("sync_a_removed_entry_binds_on_neither_unit", sync::removed),
        ("sync_messages_are_as_the_kernel_writes_them", sync::as_the_kernel),
        ("layer7_killing_lbd_fails_no_request_and_haproxy_comes_back", layer7::kills),
        ("fake_and_real_kernel_end_equal", random::fake_and_real),
        ("a_clock_at_1970_and_at_2100_is_put_right_by_a_time_server", clock::right),
    ],
];

/// What takes minutes: each by itself, the first in a guest whose clock counts instructions, as it needs more processor
/// than an emulated one has.
const LONG: &[Case] = &[
    ("ten_thousand_requests_and_planned_take_overs", takeover::loses_nothing),
    ("a_hundred_changes_under_load_fail_no_request", seamless::hundred_changes),
];

/// Runs the cases of the halves whose name contains one of the words given; all, if none is; with `--part 1` or `2` of
/// one half, with `--part long` of those that take minutes.
pub fn run(words: &[String]) -> ExitCode {
    let (parts, wanted): (&[&[Case]], _) = match words {
        [option, part, wanted @ ..] if option == "--part" => match part.as_str() {
            "1" => (&HALVES[..1], wanted),
            "2" => (&HALVES[1..], wanted),
            "long" => (&[LONG], wanted),
            _ => {
                println!("--part {part}: there are 1, 2 and long");
                return ExitCode::FAILURE;
            }
        },
        wanted => (&HALVES, wanted),
    };
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in parts.iter().copied().flatten() {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|_| Err(anyhow::anyhow!("panicked")));
        net::clean_up();
        let seconds = started.elapsed().as_secs_f32();
        match result {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok ({seconds:.1} s)");
            }
            Err(error) => {
                failed += 1;
                println!("test {name} ... FAILED ({seconds:.1} s)\n  {error:?}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Waits until `state` is so. On the way out it says what was seen last.
pub fn wait<T: std::fmt::Debug>(
    what: &str,
    mut see: impl FnMut() -> Result<T>,
    state: impl Fn(&T) -> bool,
) -> Result<T> {
    let end = Instant::now() + LIMIT;
    loop {
        let seen = see();
        match seen {
            Ok(seen) if state(&seen) => return Ok(seen),
            seen if Instant::now() > end => anyhow::bail!("{what}: not within {LIMIT:?}; last seen: {seen:?}"),
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}
