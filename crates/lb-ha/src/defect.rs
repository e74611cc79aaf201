//! Seeded defects: what the simulator and the tests must be able to see. Without the feature `sim` none exists.

/// One thing done wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "nothing switches a defect on"))]
pub enum Defect {
    /// Takes over without telling the switches.
    SkipAnnounce,
    /// After a heal the winner does not announce again.
    SkipHealAnnounce,
    /// Compares ranks without the ownership epoch.
    IgnoreEpoch,
    /// Takes over under the epoch it has, instead of the next.
    EpochNotRaised,
    /// After a heal each believes that the other outranks it.
    BothStepDown,
    /// After a heal each believes that it outranks the other.
    NoneStepsDown,
    /// Calls the peer dead one keepalive early.
    DeadtimeEarly,
    /// Calls the peer dead two keepalives late.
    DeadtimeLate,
    /// Does not wait for the peer's longer dead time while settings change.
    OwnDeadtimeOnly,
    /// Calls the peer dead when path 0 alone is silent.
    OnePathCounts,
    /// Leaves the active state without removing the addresses.
    ForgetRelease,
    /// Does not remove a predecessor's addresses at the start.
    KeepLeftovers,
    /// Takes over although the floating IP still answers.
    NoLeaseWait,
    /// Does not renew the kernel's lease.
    ForgetRenew,
    /// After a freeze believes that it still has what the kernel dropped.
    IgnoreLapse,
    /// Takes its own freeze for the peer's death.
    NoStallGrace,
    /// Takes over although unfit.
    UnfitAcquires,
    /// Takes over without asking the witness.
    TakeWithoutWitness,
    /// Serves on although peer and witness are silent.
    KeepWithoutWitness,
    /// Acquires with a living peer without waiting for its grant.
    AcquireWithoutGrant,
    /// Believes a grant that waited in a socket while the daemon was frozen.
    TrustOldGrant,
    /// Grants while it holds the addresses itself.
    GrantWhileHolding,
    /// Of two claims neither gives way.
    NoClaimGivesWay,
    /// An active node does not make way for a deaf peer that takes over.
    IgnoreNotice,
    /// Takes over without saying so first.
    SkipNotice,
    /// Exits while it still holds.
    ExitHolding,
    /// Exits as soon as it has released, before the peer serves.
    ExitEarly,
    /// Processes a frame that it has processed before.
    AcceptReplay,
    /// Processes frames of the peer's earlier lives.
    AcceptOldBoot,
    /// Processes frames that do not echo this life's nonce.
    SkipChallenge,
}

#[cfg(feature = "sim")]
impl Defect {
    pub const ALL: &[Defect] = &[
        Defect::SkipAnnounce,
        Defect::SkipHealAnnounce,
        Defect::IgnoreEpoch,
        Defect::EpochNotRaised,
        Defect::BothStepDown,
        Defect::NoneStepsDown,
        Defect::DeadtimeEarly,
        Defect::DeadtimeLate,
        Defect::OwnDeadtimeOnly,
        Defect::OnePathCounts,
        Defect::ForgetRelease,
        Defect::KeepLeftovers,
        Defect::NoLeaseWait,
        Defect::ForgetRenew,
        Defect::IgnoreLapse,
        Defect::NoStallGrace,
        Defect::UnfitAcquires,
        Defect::TakeWithoutWitness,
        Defect::KeepWithoutWitness,
        Defect::AcquireWithoutGrant,
        Defect::TrustOldGrant,
        Defect::GrantWhileHolding,
        Defect::NoClaimGivesWay,
        Defect::IgnoreNotice,
        Defect::SkipNotice,
        Defect::ExitHolding,
        Defect::ExitEarly,
        Defect::AcceptReplay,
        Defect::AcceptOldBoot,
        Defect::SkipChallenge,
    ];
}
