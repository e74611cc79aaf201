//! A third machine cannot read or change anything, and does not disturb.

use super::rig::{Unit, in_sync, pair, run, until};
use lb_api::ReplicationState;
use lb_pair::{Identity, tls, wire};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A machine that was never paired, and knows both certificates: they are no secrets.
struct Stranger {
    identity: Identity,
    _dir: tempfile::TempDir,
}

fn stranger() -> Stranger {
    let dir = tempfile::tempdir().unwrap();
    Stranger { identity: Identity::open(dir.path()).unwrap(), _dir: dir }
}

fn certificate(of: &Unit) -> lb_pair::Certificate {
    Identity::open(&of.settings.dir).unwrap().certificate().clone()
}

#[test]
fn whoever_is_not_the_peer_hears_nothing() {
    run(async {
        let (a, b) = pair().await;
        a.shelf.apply("{\"n\":1}");
        in_sync(&a, &b, "{\"n\":1}").await;
        let before = b.shelf.newest_version();
        let stranger = stranger();
        let client = tls::client(&stranger.identity, &certificate(&b)).unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        for n in 0..20 {
            let stream = TcpStream::connect(b.settings.listen).await.unwrap();
            // In TLS 1.3 the caller is done before the other side has looked at its certificate.
            let mut stream = connector.connect(tls::name(), stream).await.unwrap();
            let _ = wire::write_frame(&mut stream, br#"{"ask":{"ground":null}}"#).await;
            let heard = wire::read_frame(&mut stream, wire::LARGEST).await;
            assert!(!matches!(heard, Ok(Some(_))), "call {n}");
        }
        for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"", &[0x16, 3, 1, 0xff, 0xff, 1], b"SP\x01\x01"] {
            let mut stream = TcpStream::connect(b.settings.listen).await.unwrap();
            stream.write_all(noise).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(answer.len() < 64, "an alert at most");
        }
        until("they are counted", || (b.status().refused >= 24).then_some(())).await;
        // The pair goes on as if nothing were.
        assert_eq!(b.shelf.newest_version(), before);
        a.shelf.apply("{\"n\":2}");
        in_sync(&a, &b, "{\"n\":2}").await;
        assert_eq!(a.status().refused, 0);
    });
}

#[test]
fn a_stranger_at_the_peers_address_gets_nothing() {
    run(async {
        let (a, mut b) = pair().await;
        a.shelf.apply("{\"n\":1}");
        in_sync(&a, &b, "{\"n\":1}").await;
        b.stop();
        a.shows(ReplicationState::Unreachable).await;
        let stranger = stranger();
        let server = tls::server(&stranger.identity, &certificate(&a)).unwrap();
        let freed = async {
            loop {
                // Until the slave has let go of the port.
                match TcpListener::bind(b.settings.listen).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        let listener = tokio::time::timeout(Duration::from_secs(60), freed).await.expect("within a minute");
        let acceptor = TlsAcceptor::from(Arc::new(server));
        for _ in 0..3 {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(stream).await.is_err(), "the master hangs up before it says anything");
        }
        let said = until("the master says so", || {
            a.status().replication.filter(|view| view.detail.contains("is not the unit that this one was paired with"))
        });
        assert_eq!(said.await.state, ReplicationState::Unreachable);
        drop(listener);
        b.boot();
        a.shelf.apply("{\"n\":2}");
        in_sync(&a, &b, "{\"n\":2}").await;
    });
}

#[test]
fn a_peer_that_forgot_this_unit_says_so_by_refusing_it() {
    run(async {
        let (a, b) = pair().await;
        // It was reinstalled, and paired with somebody else.
        b.handle().unpair().await.unwrap();
        let other = stranger();
        let server = tls::server(&other.identity, other.identity.certificate()).unwrap();
        let listener = TcpListener::bind(b.settings.listen).await.unwrap();
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(server));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let _ = acceptor.accept(stream).await;
            }
        });
        until("the master says so", || {
            a.status().replication.filter(|view| view.detail.contains("hint: pair the units again"))
        })
        .await;
    });
}
