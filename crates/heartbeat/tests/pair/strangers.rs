//! Frames of strangers: random bytes, true frames played again, true frames with a bit changed or cut short.
//!
//! Refused, counted, and nothing else: no role changes, no memory grows. `STRANGERS` says how many; docs/testing.md has
//! the figures of a million.

use crate::rig::in_pair;
use std::time::Instant;

#[test]
fn what_strangers_send_moves_nothing() {
    in_pair("strangers", |pair| {
        let count = std::env::var("STRANGERS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
        pair.start_both();
        let active = pair.active();
        // What is allocated once is allocated now.
        pair.forge(active, 4096);
        pair.until("all is read", |pair| pair.unread(active) == 0);
        let (before, memory, began) = (pair.status(active), pair.memory(active).1, Instant::now());
        let sent = pair.forge(active, count);
        pair.until("all is read", |pair| pair.unread(active) == 0);
        let after = pair.status(active);
        let (refused, old) = (after.refused - before.refused, after.old - before.old);
        let dropped = pair.dropped(active);
        println!(
            "strangers: {sent} sent in {:.1?}: {refused} refused, {old} played back, {dropped} more than the socket held; \
             resident {memory} kB before, {} kB after",
            began.elapsed(),
            pair.memory(active).1
        );
        // Every datagram is one of the three; noise may be longer or shorter than any frame.
        assert!(refused + old + dropped >= sent, "{sent} sent");
        assert!(refused > sent / 4 && old > sent / 8, "most of them were looked at");
        assert!(pair.memory(active).1 <= memory + 64, "no memory grows");
        assert_eq!((pair.active(), pair.moves()), (active, 0));
        assert!(pair.status(1 - active).state == "standby");
    });
}
