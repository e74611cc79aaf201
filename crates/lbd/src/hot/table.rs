//! The connection table of this unit, as far as the other one is concerned: in the kernel, or none.

use lb_kernel::{
    KernelError,
    transfer::{self, Digest, DigestKey, End, Held, OtherTable, Progress, Report, Transfer},
};
use std::ops::ControlFlow;

/// Why a transfer came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error("the connection to the other unit ended")]
    HungUp,
    #[error("the other unit has not said for {0} s what it has")]
    Silent(u64),
    #[error("what the other unit says of its table cannot be read")]
    Form,
}

/// The other unit, asked over the pair's channel.
pub type Other = dyn OtherTable<Error = Failure>;
/// Is told how far a transfer is, and may end it.
pub type Told<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// A connection table that can go to another unit. Every call blocks, for seconds where there are many entries.
pub trait ConnectionTable: Send + Sync + 'static {
    /// See [`transfer::send_table`].
    fn send(&self, transfer: &Transfer, other: &mut Other, told: &mut Told<'_>) -> Result<Report, Failure>;
    fn digest(&self, key: DigestKey) -> Result<Digest, Failure>;
    fn held(&self, key: DigestKey, buckets: &[u16]) -> Result<Held, Failure>;
}

/// The kernel's, of the network namespace in which lbd runs.
#[derive(Debug)]
pub struct KernelTable;

impl ConnectionTable for KernelTable {
    fn send(&self, transfer: &Transfer, other: &mut Other, told: &mut Told<'_>) -> Result<Report, Failure> {
        transfer::send_table(transfer, other, told)
    }

    fn digest(&self, key: DigestKey) -> Result<Digest, Failure> {
        Ok(transfer::table_digest(key)?)
    }

    fn held(&self, key: DigestKey, buckets: &[u16]) -> Result<Held, Failure> {
        Ok(transfer::table_held(key, buckets)?)
    }
}

/// A fake kernel's: nobody is connected through it. The other unit is asked all the same.
#[derive(Debug)]
pub struct NoTable;

impl ConnectionTable for NoTable {
    fn send(&self, transfer: &Transfer, other: &mut Other, _: &mut Told<'_>) -> Result<Report, Failure> {
        other.digest(transfer.key)?;
        let lost = Vec::new();
        Ok(Report { end: End::Hot, entries: 0, messages: 0, local: 0, unsaid: 0, unverified: 0, lost })
    }

    fn digest(&self, _: DigestKey) -> Result<Digest, Failure> {
        Ok(Digest::default())
    }

    fn held(&self, _: DigestKey, _: &[u16]) -> Result<Held, Failure> {
        Ok(Held::default())
    }
}
