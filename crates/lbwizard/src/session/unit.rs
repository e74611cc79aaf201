//! The unit that is set up, as far as the wizard speaks with it.

use lb_api::{
    Applied, ApplyRequest, BlockingClient, ClientError, ConfirmRequest, HaView, PairingRequest, PairingStep,
    PairingView, PlanRequest, PlanView, RollbackRequest, Running,
};
use lb_model::Config;
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, SystemTime},
};

/// lbd, or a test's stand-in.
pub trait Unit {
    fn running(&self) -> Result<Running, ClientError>;
    fn plan(&self, config: &Config) -> Result<PlanView, ClientError>;
    fn apply(&self, request: &ApplyRequest) -> Result<Applied, ClientError>;
    /// Keeps what was applied with a time to confirm it in.
    fn confirm(&self, revision: u64, author: &str) -> Result<(), ClientError>;
    fn rollback(&self, revision: u64, author: &str) -> Result<(), ClientError>;
    fn pairing(&self) -> Result<PairingView, ClientError>;
    fn pair(&self, step: PairingStep, author: &str) -> Result<PairingView, ClientError>;
    fn ha(&self) -> Result<HaView, ClientError>;
    /// The same unit, for the thread that handles signals.
    fn again(&self) -> Box<dyn Unit + Send>;
    /// Between two looks at something that takes a while.
    fn wait(&self);
    /// Seconds since 1970.
    fn now(&self) -> u64;
    /// 1..=254; pairs that share a network need different ones, so it is drawn by lot.
    fn draw_sync_id(&self) -> u8;
}

impl Unit for BlockingClient {
    fn running(&self) -> Result<Running, ClientError> {
        BlockingClient::running(self)
    }

    fn plan(&self, config: &Config) -> Result<PlanView, ClientError> {
        BlockingClient::plan(self, &PlanRequest { config: Some(config.clone()) })
    }

    fn apply(&self, request: &ApplyRequest) -> Result<Applied, ClientError> {
        BlockingClient::apply(self, request)
    }

    fn confirm(&self, revision: u64, author: &str) -> Result<(), ClientError> {
        let request = ConfirmRequest { revision: Some(revision), author: author.to_owned() };
        BlockingClient::confirm(self, &request).map(|_| ())
    }

    fn rollback(&self, revision: u64, author: &str) -> Result<(), ClientError> {
        let comment = "setup wizard: left before the end".to_owned();
        let request = RollbackRequest { revision, author: author.to_owned(), comment, ..RollbackRequest::default() };
        BlockingClient::rollback(self, &request).map(|_| ())
    }

    fn pairing(&self) -> Result<PairingView, ClientError> {
        BlockingClient::pairing(self)
    }

    fn pair(&self, step: PairingStep, author: &str) -> Result<PairingView, ClientError> {
        BlockingClient::pair(self, &PairingRequest { author: author.to_owned(), step })
    }

    fn ha(&self) -> Result<HaView, ClientError> {
        BlockingClient::ha(self)
    }

    fn again(&self) -> Box<dyn Unit + Send> {
        Box::new(self.clone())
    }

    fn wait(&self) {
        std::thread::sleep(Duration::from_millis(500));
    }

    fn now(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
    }

    fn draw_sync_id(&self) -> u8 {
        // Seeded by the system; a lot, not a secret.
        (RandomState::new().build_hasher().finish() % 254) as u8 + 1
    }
}
