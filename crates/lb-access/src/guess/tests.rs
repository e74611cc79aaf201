use proptest::prelude::*;

use super::*;

fn attempt(user: &str, address: &str) -> Attempt {
    Attempt::new(user, address.parse().unwrap(), false)
}

/// Waits as told and fails again; what it was told each time.
fn delays(guard: &mut Guard, attempt: &Attempt, failures: usize) -> Vec<u64> {
    let mut now = 1_000_000;
    (0..failures)
        .map(|_| {
            let waited = guard.wait(attempt, now);
            if waited > 0 {
                assert_eq!(guard.admit(attempt, now), Err(waited));
                assert_eq!(guard.admit(attempt, now + waited - 1), Err(1));
            }
            now += waited;
            assert_eq!(guard.admit(attempt, now), Ok(()));
            waited
        })
        .collect()
}

#[test]
fn five_failures_are_free_then_delays_double_up_to_a_quarter_of_an_hour() {
    let seen = delays(&mut Guard::default(), &attempt("admin", "198.51.100.7"), 15);
    assert_eq!(seen, [0, 0, 0, 0, 0, 5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
}

#[test]
fn a_source_is_forgiven_one_failure_each_half_hour() {
    let mut guard = Guard::default();
    let stranger = attempt("admin", "198.51.100.7");
    for _ in 0..5 {
        guard.admit(&stranger, 0).unwrap();
    }
    assert_eq!(guard.admit(&stranger, 0), Err(5));
    guard.admit(&stranger, FORGIVEN * 2).unwrap();
    guard.admit(&stranger, FORGIVEN * 2).unwrap();
    assert_eq!(guard.admit(&stranger, FORGIVEN * 2), Err(5));
}

#[test]
fn a_stranger_elsewhere_does_not_lock_the_administrator_out() {
    let mut guard = Guard::default();
    for host in 0..100 {
        for _ in 0..5 {
            let _ = guard.admit(&attempt("admin", &format!("198.51.100.{host}")), 0);
        }
    }
    assert!(guard.locked_until("admin") > 0);
    // From a network never seen: at most the soft delay of the account.
    assert!(guard.wait(&attempt("admin", "10.0.0.5"), 0) <= EVERYWHERE.longest);
    // From where the administrator always comes from: none, even inside the stranger's own network.
    assert_eq!(guard.wait(&Attempt::new("admin", "198.51.100.200".parse().unwrap(), true), 0), 0);
}

#[test]
fn one_stranger_in_the_same_network_does_not_lock_its_account_bucket() {
    let mut guard = Guard::default();
    let stranger = attempt("admin", "10.0.0.66");
    delays(&mut guard, &stranger, 8);
    assert_eq!(guard.wait(&attempt("admin", "10.0.0.5"), 1_000_000), 0);
}

#[test]
fn ipv6_counts_by_64_and_mapped_addresses_as_ipv4() {
    let mut guard = Guard::default();
    for host in 1..=5 {
        guard.admit(&attempt("admin", &format!("2001:db8::{host}")), 0).unwrap();
    }
    assert_eq!(guard.admit(&attempt("admin", "2001:db8::ffff"), 0), Err(5));
    assert_eq!(guard.admit(&attempt("admin", "2001:db8:0:1::1"), 0), Ok(()));
    assert_eq!(Source::of("::ffff:10.0.0.5".parse().unwrap()), Source::of("10.0.0.5".parse().unwrap()));
}

#[test]
fn right_ones_in_between_do_not_buy_guesses() {
    let mut guard = Guard::default();
    let (own, victim) = (attempt("own", "198.51.100.7"), attempt("admin", "198.51.100.7"));
    for _ in 0..5 {
        guard.admit(&victim, 0).unwrap();
        if guard.admit(&own, 0).is_ok() {
            guard.succeeded(&own);
        }
    }
    assert_eq!(guard.admit(&victim, 0), Err(5));
}

#[test]
fn a_right_one_gives_its_charge_back() {
    let mut guard = Guard::default();
    let own = attempt("own", "10.0.0.5");
    for _ in 0..1000 {
        guard.admit(&own, 0).unwrap();
        guard.give_back(&own);
    }
}

#[test]
fn who_mistyped_and_got_in_has_all_tries_again() {
    let mut guard = Guard::default();
    let own = attempt("own", "10.0.0.5");
    for _ in 0..100 {
        for _ in 0..4 {
            guard.admit(&own, 0).unwrap();
        }
        guard.admit(&own, 0).unwrap();
        guard.succeeded(&own);
    }
}

#[test]
fn unlocking_lets_the_account_try_again_from_where_it_failed() {
    let mut guard = Guard::default();
    let user = attempt("ops", "10.0.0.5");
    delays(&mut guard, &user, 12);
    let other = attempt("ops", "203.0.113.9");
    delays(&mut guard, &Attempt { account: account("else"), ..other }, 6);
    assert!(guard.wait(&user, 1_000_000) > 0);
    guard.unlock("ops");
    assert_eq!(guard.wait(&user, 1_000_000), 0);
    assert_eq!(guard.locked_until("ops"), 0);
    assert!(guard.wait(&other, 1_000_000) > 0, "other sources stay as they are");
}

#[test]
fn millions_of_addresses_fit_into_bounded_tables() {
    let mut guard = Guard::default();
    let locked = attempt("admin", "203.0.113.9");
    delays(&mut guard, &locked, 10);
    for i in 0..200_000_u32 {
        let address = Ipv4Addr::from(0x0b00_0000 + i * 7);
        let _ = guard.admit(&Attempt::new(&format!("u{i}"), address.into(), false), 1_000_000);
    }
    assert!(guard.entries() <= 3 * TABLE, "{}", guard.entries());
    assert!(guard.wait(&locked, 1_000_000) > 0, "who is held back longest is forgotten last");
}

proptest! {
    /// Whatever somebody does, from one source 5 guesses get through at once, 9 while the delays grow, and then one
    /// every quarter of an hour; each one that is forgiven lets two through sooner.
    #[test]
    fn no_pattern_beats_the_rate(steps in prop::collection::vec(0u64..2000, 1..300)) {
        let mut guard = Guard::default();
        let (mut now, mut through) = (1_000_000, 0u64);
        for step in &steps {
            now += step;
            if guard.admit(&attempt("admin", "198.51.100.7"), now).is_ok() {
                through += 1;
            }
        }
        let quarters = (now - 1_000_000) / LONGEST;
        prop_assert!(through <= 5 + 9 + 2 * quarters, "{through} in {quarters} quarters");
    }
}
