//! The same configuration on both units, whatever happens to the connection.

use super::rig::{both_show, connected, in_sync, pair, problem, run, until};
use lb_api::{Keep, ReplicationState};
use lb_pair::wire::{Bytes, Table};
use std::net::SocketAddr;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[test]
fn what_is_applied_on_one_runs_on_both() {
    run(async {
        let (a, b) = pair().await;
        a.shelf.apply("{\"n\":1}");
        in_sync(&a, &b, "{\"n\":1}").await;
        let revision = b.shelf.state.lock().unwrap().revisions[0].clone();
        assert_eq!((revision.author.as_str(), revision.comment.as_str()), ("admin", "makes it {\"n\":1}"));
        assert_eq!((revision.version.number, revision.at), (1, 1_700_000_000));
        a.shelf.apply("{\"n\":2}");
        in_sync(&a, &b, "{\"n\":2}").await;
        // The roles move, and the other way is as good.
        a.shelf.change(|state| state.current.active = false);
        b.shelf.change(|state| state.current.active = true);
        until("the change of roles is known", || a.handle().status().peer_edits().then_some(())).await;
        b.shelf.apply("{\"n\":3}");
        in_sync(&a, &b, "{\"n\":3}").await;
        assert!(a.status().replication.unwrap().last.is_some());
    });
}

#[test]
fn a_large_configuration_goes_over() {
    run(async {
        let (a, b) = pair().await;
        let large = format!("{{\"text\":\"{}\"}}", "x".repeat(2 << 20));
        a.shelf.apply(&large);
        in_sync(&a, &b, &large).await;
    });
}

#[test]
fn a_unit_that_was_away_catches_up() {
    run(async {
        let (a, mut b) = pair().await;
        a.shelf.apply("{\"n\":1}");
        in_sync(&a, &b, "{\"n\":1}").await;
        b.stop();
        let said = a.shows(ReplicationState::Unreachable).await;
        assert!(said.contains(&b.address().to_string()), "{said}");
        for n in 2..=4 {
            a.shelf.apply(&format!("{{\"n\":{n}}}"));
        }
        b.boot();
        in_sync(&a, &b, "{\"n\":4}").await;
        // It got the newest, not what was between.
        assert_eq!(b.shelf.state.lock().unwrap().committed, ["{\"n\":1}", "{\"n\":4}"]);
        // And the other way round: the master is away while the slave serves.
        let mut a = a;
        a.stop();
        b.shows(ReplicationState::Unreachable).await;
        b.shelf.change(|state| state.current.active = true);
        a.shelf.change(|state| state.current.active = false);
        b.shelf.apply("{\"n\":5}");
        a.boot();
        in_sync(&a, &b, "{\"n\":5}").await;
    });
}

#[test]
fn what_the_peer_cannot_run_is_shown_on_both_until_it_can() {
    run(async {
        let (a, b) = pair().await;
        a.shelf.apply("{\"n\":1}");
        in_sync(&a, &b, "{\"n\":1}").await;
        let wrong = problem("/virtual_servers/0/interface", "there is no such interface", Some("add the card"));
        b.shelf.change(|state| state.refuses = vec![wrong]);
        a.shelf.apply("{\"n\":2}");
        let (on_a, on_b) = both_show(&a, &b, ReplicationState::Refused).await;
        assert_eq!(
            on_a,
            "lbslave cannot run version 2 of the configuration: /virtual_servers/0/interface: there is no such \
             interface. hint: add the card"
        );
        assert!(on_b.starts_with("this unit cannot run version 2 of the configuration: "), "{on_b}");
        assert_eq!(b.shelf.document().as_deref(), Some("{\"n\":1}"));
        // Mended on the slave: it asks for it by itself.
        b.shelf.change(|state| state.refuses.clear());
        in_sync(&a, &b, "{\"n\":2}").await;
        // Mended on the master.
        b.shelf.change(|state| state.refuses = vec![problem("/a", "no", None)]);
        a.shelf.apply("{\"n\":3}");
        both_show(&a, &b, ReplicationState::Refused).await;
        b.shelf.state.lock().unwrap().refuses.clear();
        a.shelf.apply("{\"n\":4}");
        in_sync(&a, &b, "{\"n\":4}").await;
    });
}

/// Both are changed while they do not reach each other.
async fn diverged() -> (super::rig::Unit, super::rig::Unit) {
    let (a, mut b) = pair().await;
    a.shelf.apply("{\"n\":1}");
    in_sync(&a, &b, "{\"n\":1}").await;
    b.stop();
    a.shows(ReplicationState::Unreachable).await;
    a.shelf.apply("{\"a\":2}");
    b.shelf.apply("{\"b\":2}");
    b.shelf.apply("{\"b\":3}");
    b.boot();
    let (on_a, on_b) = both_show(&a, &b, ReplicationState::Diverged).await;
    assert!(on_a.contains("choose here which configuration to keep"), "{on_a}");
    assert!(on_b.contains("choose on lbmaster, which serves, which"), "{on_b}");
    (a, b)
}

#[test]
fn two_histories_stay_apart_until_somebody_chooses_mine() {
    run(async {
        let (a, b) = diverged().await;
        let documents = || (a.shelf.document().unwrap(), b.shelf.document().unwrap());
        assert_eq!(documents(), ("{\"a\":2}".into(), "{\"b\":3}".into()));
        let refused = b.handle().resolve(Keep::Mine).await.unwrap_err();
        assert_eq!((refused.reason.as_str(), refused.hint.as_str()), ("the other unit serves", "choose there"));
        assert_eq!(documents(), ("{\"a\":2}".into(), "{\"b\":3}".into()));
        a.handle().resolve(Keep::Mine).await.unwrap();
        in_sync(&a, &b, "{\"a\":2}").await;
        let nothing = a.handle().resolve(Keep::Mine).await.unwrap_err();
        assert_eq!(nothing.reason, "there is nothing to choose");
        a.shelf.apply("{\"a\":3}");
        in_sync(&a, &b, "{\"a\":3}").await;
    });
}

#[test]
fn or_theirs() {
    run(async {
        let (mut a, b) = diverged().await;
        a.handle().resolve(Keep::Theirs).await.unwrap();
        in_sync(&a, &b, "{\"b\":3}").await;
        a.shelf.apply("{\"a\":4}");
        in_sync(&a, &b, "{\"a\":4}").await;
        // Also after a restart they have one history.
        a.stop();
        b.shows(ReplicationState::Unreachable).await;
        a.boot();
        in_sync(&a, &b, "{\"a\":4}").await;
    });
}

#[test]
fn a_restart_of_either_is_mended_by_a_new_connection() {
    run(async {
        let (mut a, mut b) = pair().await;
        a.shelf.apply("{\"n\":1}");
        in_sync(&a, &b, "{\"n\":1}").await;
        for n in 2..5 {
            b.stop();
            a.shows(ReplicationState::Unreachable).await;
            b.boot();
            connected(&a, &b).await;
            a.stop();
            b.shows(ReplicationState::Unreachable).await;
            a.boot();
            let document = format!("{{\"n\":{n}}}");
            a.shelf.apply(&document);
            in_sync(&a, &b, &document).await;
        }
        let refused = {
            b.stop();
            a.shows(ReplicationState::Unreachable).await;
            a.handle().resolve(Keep::Mine).await.unwrap_err()
        };
        assert_eq!(refused.reason, "the peer cannot be reached");
    });
}

/// Passes bytes on. When the number is raised, connections that are open stay so and nothing moves on them any more, as
/// when a cable is pulled; later ones pass.
async fn freezing_line(listen: SocketAddr, to: SocketAddr) -> Arc<AtomicU64> {
    let freezes = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind(listen).await.unwrap();
    let line = freezes.clone();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let Ok(far) = TcpStream::connect(to).await else { continue };
            let opened = line.load(Ordering::SeqCst);
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            for (mut read, mut write) in [(near_read, far_write), (far_read, near_write)] {
                let line = line.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(length @ 1..) = read.read(&mut buffer).await {
                        if line.load(Ordering::SeqCst) > opened {
                            std::future::pending::<()>().await;
                        }
                        if write.write_all(&buffer[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    freezes
}

#[test]
fn a_connection_on_which_nothing_moves_is_given_up() {
    run(async {
        let (mut a, mut b) = pair().await;
        a.shelf.apply("{\"n\":1}");
        in_sync(&a, &b, "{\"n\":1}").await;
        // The slave does not notice by itself in this test: a new call takes the dead connection's place.
        b.stop();
        a.shows(ReplicationState::Unreachable).await;
        b.settings.times.silence = std::time::Duration::from_secs(600);
        b.boot();
        connected(&a, &b).await;
        // From now on the master reaches the slave through a line that can freeze.
        let mut middle = b.settings.listen;
        let std::net::IpAddr::V4(address) = middle.ip() else { panic!() };
        let [one, two, three, _] = address.octets();
        middle.set_ip([one, two, three, 3].into());
        let freezes = freezing_line(middle, b.settings.listen).await;
        a.stop();
        b.shows(ReplicationState::Unreachable).await;
        a.shelf.change(|state| state.current.peer_addresses = vec![middle.ip()]);
        // Only the silence may end it.
        a.settings.times.answer = std::time::Duration::from_secs(600);
        a.boot();
        in_sync(&a, &b, "{\"n\":1}").await;
        freezes.fetch_add(1, Ordering::SeqCst);
        a.shelf.apply("{\"n\":2}");
        in_sync(&a, &b, "{\"n\":2}").await;
    });
}

#[test]
fn words_about_the_tables_go_both_ways() {
    run(async {
        let (a, b) = pair().await;
        let key = [1, 2];
        let digest = Table::AskDigest { key };
        let held = Table::Held { key, bytes: Bytes(vec![7; 1 << 20]) };
        a.handle().table(digest.clone());
        b.handle().table(held.clone());
        until("b heard", || (b.shelf.state.lock().unwrap().heard == [digest.clone()]).then_some(())).await;
        until("a heard", || (a.shelf.state.lock().unwrap().heard == [held.clone()]).then_some(())).await;
    });
}
