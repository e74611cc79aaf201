//! One connection, whose other end the test itself holds.

use super::rig::{Memory, QUICK, ids, run, until};
use crate::peer::{Shared, Status, Times, session};
use lb_api::ReplicationState;
use lb_model::NodeId;
use lb_pair::wire::{self, Hello, Message, PROTOCOL, Push};
use lb_pair::{Id, SharedVersion};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    sync::{mpsc, watch},
    task::JoinHandle,
};

struct Rig {
    peer: DuplexStream,
    shelf: Arc<Memory>,
    status: watch::Receiver<Status>,
    ended: JoinHandle<String>,
    _orders: mpsc::Sender<session::Order>,
}

fn rig(times: Times) -> Rig {
    let (peer, stream) = duplex(1 << 20);
    let shelf = Memory::new("lbslave", [127, 0, 0, 1].into());
    let (status, seen) = watch::channel(Status::default());
    let shared = Shared { shelf: shelf.clone(), times, status, refused_said: Default::default() };
    let (orders, mut taken) = mpsc::channel(4);
    let ended = tokio::spawn(async move { session::run(&shared, NodeId::Two, stream, &mut taken).await });
    Rig { peer, shelf, status: seen, ended, _orders: orders }
}

fn hello(history: Vec<Id>) -> Hello {
    Hello {
        protocol: PROTOCOL,
        version: "0.1.0".into(),
        hostname: "lbmaster".parse().unwrap(),
        unit: NodeId::One,
        history,
        web: None,
        active: true,
    }
}

fn push(id: u8, ground: Option<Id>) -> Message {
    Message::Push(Push {
        version: SharedVersion { number: u64::from(id), id: Id([id; 32]) },
        ground,
        author: "admin".into(),
        comment: String::new(),
        at: 0,
        certificates: Vec::new(),
        document: RawValue::from_string(format!("{{\"n\":{id}}}")).unwrap(),
    })
}

impl Rig {
    async fn say(&mut self, message: Message) {
        wire::write(&mut self.peer, &message).await.unwrap();
    }

    /// What it says next, signs of life left out.
    async fn hears(&mut self) -> Message {
        loop {
            match wire::read(&mut self.peer).await.unwrap().unwrap() {
                Message::Alive(_) => {}
                message => return message,
            }
        }
    }
}

#[test]
fn a_unit_that_takes_itself_for_the_same_is_an_error() {
    run(async {
        let mut rig = rig(QUICK);
        rig.say(Message::Hello(Hello { unit: NodeId::Two, ..hello(vec![]) })).await;
        let why = rig.ended.await.unwrap();
        assert!(why.contains("both units take themselves for unit two"), "{why}");
    });
}

#[test]
fn another_protocol_is_named_with_a_hint() {
    run(async {
        let mut rig = rig(QUICK);
        wire::write_frame(&mut rig.peer, br#"{"hello":{"protocol":9,"more":[1]}}"#).await.unwrap();
        let why = rig.ended.await.unwrap();
        assert!(why.contains("version 9 of the pair's protocol") && why.contains("hint: install the same"), "{why}");
    });
}

#[test]
fn whoever_says_nothing_or_nonsense_is_hung_up_on() {
    run(async {
        let times = Times { hello: Duration::from_millis(50), ..QUICK };
        assert_eq!(rig(times).ended.await.unwrap(), "the peer said nothing");
        let mut silent = rig(Times { silence: Duration::from_millis(100), ..QUICK });
        silent.say(Message::Hello(hello(vec![]))).await;
        assert_eq!(silent.ended.await.unwrap(), "nothing was heard of the peer for 100ms");
        let mut nonsense = rig(QUICK);
        nonsense.say(Message::Hello(hello(vec![]))).await;
        wire::write_frame(&mut nonsense.peer, b"{\"bye\":{}}").await.unwrap();
        let why = nonsense.ended.await.unwrap();
        assert!(why.starts_with("the peer sends what is no message"), "{why}");
        let mut huge = rig(QUICK);
        huge.say(Message::Hello(hello(vec![]))).await;
        huge.peer.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        let why = huge.ended.await.unwrap();
        assert!(why.contains("at most 67108864 are taken"), "{why}");
        let mut twice = rig(QUICK);
        twice.say(Message::Hello(hello(vec![]))).await;
        twice.say(Message::Hello(hello(vec![]))).await;
        assert_eq!(twice.ended.await.unwrap(), "the peer said hello twice");
    });
}

#[test]
fn bytes_count_as_life_before_they_make_a_message() {
    run(async {
        let times = Times { silence: Duration::from_millis(1000), ..QUICK };
        let mut rig = rig(times);
        rig.say(Message::Hello(hello(vec![]))).await;
        assert!(matches!(rig.hears().await, Message::Hello(_)));
        // A message that takes longer than the silence that is allowed.
        let bytes = serde_json::to_vec(&push(1, None)).unwrap();
        rig.peer.write_all(&(bytes.len() as u32).to_be_bytes()).await.unwrap();
        let began = std::time::Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        for byte in &bytes {
            pause.tick().await;
            rig.peer.write_all(&[*byte]).await.unwrap();
        }
        assert!(began.elapsed() > times.silence * 2);
        assert!(matches!(rig.hears().await, Message::Pushed { .. }));
    });
}

/// The ground is what makes a push safe, so it is looked at twice: here, and by the engine.
#[test]
fn a_push_for_another_ground_is_stale() {
    run(async {
        let mut rig = rig(QUICK);
        let mine = rig.shelf.apply("{}");
        let theirs = Id([9; 32]);
        rig.say(Message::Hello(hello(vec![mine.id, theirs]))).await;
        assert!(matches!(rig.hears().await, Message::Hello(_)));
        rig.say(push(10, Some(theirs))).await;
        match rig.hears().await {
            Message::Stale { newest, .. } => {
                assert_eq!((newest, rig.shelf.state.lock().unwrap().asked), (Some(mine.id), 0))
            }
            other => panic!("{other:?}"),
        }
        rig.say(push(10, Some(mine.id))).await;
        assert!(matches!(rig.hears().await, Message::Pushed { .. }));
        assert_eq!(rig.shelf.document().as_deref(), Some("{\"n\":10}"));
        // Once more: it has it already.
        rig.say(push(10, Some(Id([10; 32])))).await;
        assert!(matches!(rig.hears().await, Message::Pushed { .. }));
        assert_eq!(rig.shelf.state.lock().unwrap().committed.len(), 1);
    });
}

#[test]
fn the_unit_that_serves_is_not_overwritten_by_another_history() {
    run(async {
        let mut rig = rig(QUICK);
        let mine = rig.shelf.apply("{}");
        rig.shelf.change(|state| state.current.active = true);
        rig.say(Message::Hello(hello(ids("xy")))).await;
        assert!(matches!(rig.hears().await, Message::Hello(_)));
        let mut status = rig.status.clone();
        status
            .wait_for(|s| s.replication.as_ref().is_some_and(|r| r.state == ReplicationState::Diverged))
            .await
            .unwrap();
        rig.say(push(b'z', Some(mine.id))).await;
        match rig.hears().await {
            Message::Refused { problems, .. } => {
                assert!(problems[0].reason.contains("this one serves"), "{problems:?}")
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.shelf.document().as_deref(), Some("{}"));
    });
}

#[test]
fn a_peer_that_contradicts_itself_is_hung_up_on() {
    run(async {
        let mut rig = rig(QUICK);
        rig.shelf.apply("{}");
        rig.say(Message::Hello(hello(vec![]))).await;
        assert!(matches!(rig.hears().await, Message::Hello(_)));
        let Message::Push(Push { version, ground, .. }) = rig.hears().await else { panic!() };
        rig.say(Message::Stale { version, newest: ground }).await;
        assert_eq!(rig.ended.await.unwrap(), "the peer contradicts itself");
    });
}

#[test]
fn an_answer_that_does_not_come_ends_the_connection() {
    run(async {
        let mut rig = rig(Times { answer: Duration::from_millis(200), ..QUICK });
        rig.shelf.apply("{}");
        rig.say(Message::Hello(hello(vec![]))).await;
        assert!(matches!(rig.hears().await, Message::Hello(_)));
        assert!(matches!(rig.hears().await, Message::Push(_)));
        assert_eq!(rig.ended.await.unwrap(), "the peer did not answer to a configuration");
    });
}

#[test]
fn a_reason_of_the_peer_is_cut_and_cleaned() {
    run(async {
        let mut rig = rig(QUICK);
        rig.say(Message::Hello(hello(vec![]))).await;
        rig.say(Message::Bye { reason: format!("a\u{1b}[2Jb\n{}", "x".repeat(5000)) }).await;
        let why = rig.ended.await.unwrap();
        assert!(why.starts_with("the peer hung up: a[2Jbxxx") && why.len() < 1100, "{why}");
    });
}

#[test]
fn a_hello_shows_who_it_is() {
    run(async {
        let mut rig = rig(QUICK);
        rig.say(Message::Hello(hello(vec![]))).await;
        let seen = until("seen", || rig.status.borrow().seen.clone()).await;
        assert_eq!((seen.hostname.as_str(), seen.active, seen.web), ("lbmaster", true, None));
        drop(rig.peer);
        let why = rig.ended.await.unwrap();
        assert!(why.contains("hung up") || why.contains("writing"), "{why}");
    });
}
