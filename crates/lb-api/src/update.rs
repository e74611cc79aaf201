//! Updates as the web interface asks for them: not lbd's words, but those on [`UPDATE_SOCKET`], one line of JSON each way
//! and connection. The other end is `lbupdate serve`, root's, which does a closed list of things (decision 38).

use serde::{Deserialize, Serialize};

/// Where `lbupdate serve` listens. Mode 0600, the web interface's user.
pub const UPDATE_SOCKET: &str = "/run/lbupdate.sock";
/// The uploaded bundle, in the state directory of the web interface; `lbupdate serve` is told where that is.
pub const BUNDLE_NAME: &str = "update.lbu";
/// No line of either side is longer, bytes.
pub const UPDATE_LINE: u64 = 64 << 10;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateOrder {
    pub act: UpdateAct,
    /// Who wants it, for the record: letters, digits and `.:_-` of it count.
    pub by: String,
    /// With [`UpdateAct::Install`]: an older version is meant.
    #[serde(default)]
    pub downgrade: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateAct {
    /// Answered by [`UpdateAnswer::Unit`].
    Status,
    /// Whether the head of the uploaded bundle is signed and fits: [`UpdateAnswer::Bundle`].
    Check,
    /// Begins to install it; how far it is stands in the status.
    Install,
    /// The system in the other slot is the next start's.
    Back,
    /// Restarts the unit.
    Restart,
    /// Factory settings, and restarts the unit.
    Restore,
    /// Takes the alarm away that an update did not stay.
    Acknowledge,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateAnswer {
    Unit(Box<UpdateView>),
    Bundle(BundleView),
    /// It is done, or under way.
    Done,
    Refused(UpdateRefused),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UpdateRefused {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Both slots, and what became of the last update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UpdateView {
    pub running: SlotView,
    pub other: SlotView,
    /// The largest system that the other slot takes, bytes.
    pub room: u64,
    /// The running system is an update that has yet to show that it works.
    pub probation: bool,
    /// Since the factory settings.
    pub last: Option<LastUpdate>,
    /// An installation is under way.
    pub work: Option<UpdateWork>,
    /// Why the last bundle that the web interface wanted installed was not.
    pub failed: Option<UpdateRefused>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SlotView {
    /// `A` or `B`
    pub slot: String,
    /// `null`: there is no system in it.
    pub version: Option<String>,
    /// The boot loader may start it.
    pub startable: bool,
    /// The next start is from it.
    pub next: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LastUpdate {
    pub version: String,
    /// What ran when it was installed.
    pub from: String,
    pub slot: String,
    pub by: String,
    /// When it was installed, seconds since 1970 (UTC).
    pub time: u64,
    pub stage: UpdateStage,
    /// Why it did not stay, or is not installed.
    #[serde(default)]
    pub reason: Option<String>,
    /// Somebody has read that it did not stay.
    pub acknowledged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UpdateStage {
    /// Its slot is being written.
    Writing,
    /// It runs after a restart, or runs and has yet to show that it works.
    Installed,
    Works,
    /// It did not stay.
    Returned,
    /// It was not written whole.
    Interrupted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UpdateWork {
    pub step: UpdateStep,
    /// Bytes of this step done, and of how many.
    pub done: u64,
    pub of: u64,
}

impl UpdateWork {
    /// 0..=100, of this step.
    pub fn percent(&self) -> u64 {
        (self.done.min(self.of) * 100).checked_div(self.of).unwrap_or(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UpdateStep {
    /// Signature and hash of the bundle.
    Checking,
    /// The slot.
    Writing,
    /// The slot, from the disk.
    Reading,
}

/// A bundle whose head is signed and that may be installed here; its contents are checked when it is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BundleView {
    pub version: String,
    /// Name of the key that signed it.
    pub key: String,
    /// Of the file, bytes.
    pub size: u64,
    /// Older than what runs: it is installed only if `downgrade` says that this is meant.
    pub older: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_a_closed_list() {
        let read = |text: &str| serde_json::from_str::<UpdateOrder>(text);
        let order = UpdateOrder { act: UpdateAct::Install, by: "anna:10.0.0.5".into(), downgrade: true };
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(text, r#"{"act":"install","by":"anna:10.0.0.5","downgrade":true}"#);
        assert_eq!(read(&text).unwrap(), order);
        assert!(read(r#"{"act":"run","by":"anna"}"#).is_err());
        assert!(read(r#"{"act":"install","by":"anna","file":"/etc/shadow"}"#).is_err());
    }

    #[test]
    fn a_share_is_between_nothing_and_all() {
        let work = |done, of| UpdateWork { step: UpdateStep::Writing, done, of }.percent();
        assert_eq!([work(0, 0), work(0, 7), work(6, 7), work(7, 7), work(9, 7)], [0, 0, 85, 100, 100]);
    }
}
