//! Power cuts: a disk with a volatile write cache under a QEMU guest, cut at random moments.
//!
//! ```text
//!   guest: ext4 on /dev/vda, prints "open N clean" and "ack N"      (what runs is up to the caller)
//!     | virtio-blk, NBD over a Unix socket
//!   [nbd]  READ, WRITE, FLUSH, FUA
//!     |
//!   [disk] writes wait in the cache until a FLUSH; the cut keeps all, none or a random half of them
//! ```
//! [`driver::run`] boots, waits for the guest to open its store, kills QEMU after a random time,
//! cuts the cache, boots again, and holds the guest to what it acknowledged: the number it opens
//! with is the last acknowledged one or the next. Killing a process tests nothing of this: the
//! kernel's page cache survives it. Killing QEMU alone neither: the host's page cache does.
//!
//! [`store`] is the case of lb-store alone, [`product`] that of lbd; [`boot`] is their guest. The disk and the protocol
//! have unit tests; the cases run by `cargo test -p testbed powercut -- --ignored --nocapture`, `CUTS=60 SEED=7`.

pub mod boot;
pub mod disk;
pub mod driver;
pub mod initramfs;
pub mod nbd;
pub mod product;
pub mod store;

pub use disk::{Disk, Mode};
pub use driver::{Plan, Summary, run};
pub use nbd::Server;

#[cfg(test)]
mod tests;

/// xorshift64: small, and the same on every machine, so that a seed printed is a run repeated.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        // Spread small seeds; zero would stay zero for ever.
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 0..n; n > 0.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }
}
