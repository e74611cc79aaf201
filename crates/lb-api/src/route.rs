//! The routes, one constant each, so that server and clients cannot differ.

/// GET: [`crate::Running`]
pub const RUNNING: &str = "/v1/config/running";
/// GET: [`crate::CandidateView`]; PUT [`crate::PutCandidate`]; DELETE [`crate::DiscardRequest`].
pub const CANDIDATE: &str = "/v1/config/candidate";
/// GET: factory settings of the running version, a [`lb_model::Config`].
pub const FACTORY: &str = "/v1/config/factory";
/// POST [`crate::PlanRequest`]: [`crate::PlanView`]. Changes nothing.
pub const PLAN: &str = "/v1/plan";
/// POST [`crate::ApplyRequest`]: [`crate::Applied`]
pub const APPLY: &str = "/v1/apply";
/// POST [`crate::ConfirmRequest`]: [`crate::ConfirmView`]. Keeps a revision that waits for its confirmation.
pub const CONFIRM: &str = "/v1/confirm";
/// GET `?limit=N`: `Vec<`[`crate::RevisionView`]`>`, newest first.
pub const HISTORY: &str = "/v1/history";
/// GET `/v1/history/{number}`: [`crate::Running`]
pub const REVISION: &str = "/v1/history/{number}";
/// POST [`crate::RollbackRequest`]: [`crate::Applied`]
pub const ROLLBACK: &str = "/v1/rollback";
/// GET: [`crate::Status`]
pub const STATUS: &str = "/v1/status";
/// POST [`crate::StateRequest`]: [`crate::Applied`]. Takes a real server online or offline, or drains it, at once.
pub const STATE: &str = "/v1/real-servers/state";
/// POST, empty body: [`crate::ReconcileView`]. Compares with the kernel now.
pub const RECONCILE: &str = "/v1/reconcile";

/// GET: [`crate::Summary`]. Cheap at any size.
pub const SUMMARY: &str = "/v1/summary";
/// GET with [`crate::ConnectionQuery`] as query: [`crate::ConnectionsView`]
pub const CONNECTIONS: &str = "/v1/connections";
/// POST [`crate::ForgetRequest`]: [`crate::Done`]. Removes a persistent entry.
pub const FORGET: &str = "/v1/connections/forget";
/// GET: [`crate::Layer7Statistics`]
pub const LAYER7_STATISTICS: &str = "/v1/layer-7/statistics";
/// GET with [`crate::PersistenceQuery`] as query: [`crate::PersistenceView`]
pub const PERSISTENCE: &str = "/v1/layer-7/persistence";
/// POST [`crate::ForgetEntryRequest`]: [`crate::Done`]
pub const FORGET_ENTRY: &str = "/v1/layer-7/persistence/forget";
/// POST [`crate::ClearEntriesRequest`]: [`crate::Done`]. Removes all entries of a virtual server.
pub const CLEAR_ENTRIES: &str = "/v1/layer-7/persistence/clear";
/// GET: [`crate::NetworkView`]
pub const NETWORK: &str = "/v1/network";
/// GET: [`crate::SystemView`]
pub const SYSTEM: &str = "/v1/system";
/// GET with [`crate::LogQuery`] as query: [`crate::LogView`]; `{name}` is a [`crate::LogName`].
pub const LOG: &str = "/v1/logs/{name}";
/// GET: `Vec<`[`crate::ServiceView`]`>`
pub const SERVICES: &str = "/v1/services";
/// POST [`crate::ByRequest`]: [`crate::Done`]
pub const RESTART_SERVICE: &str = "/v1/services/{name}/restart";
/// POST [`crate::UnitRequest`]: [`crate::Done`]. Halts or restarts the unit.
pub const UNIT: &str = "/v1/unit";

/// GET: `Vec<`[`crate::CertificateView`]`>`; POST [`crate::AddCertificate`]: [`crate::CertificateView`]
pub const CERTIFICATES: &str = "/v1/certificates";
/// POST [`crate::SelfSigned`]: [`crate::CertificateView`]
pub const SELF_SIGNED: &str = "/v1/certificates/self-signed";
/// POST [`crate::RequestCertificate`]: [`crate::CertificateView`]
pub const REQUEST_CERTIFICATE: &str = "/v1/certificates/request";
/// GET: `Vec<`[`crate::AcmeView`]`>`: the certificates that the unit obtains by itself.
pub const ACME: &str = "/v1/certificates/acme";
/// POST [`crate::OrderCertificate`]: [`crate::Done`]. Orders one now.
pub const ORDER_CERTIFICATE: &str = "/v1/certificates/acme/order";
/// DELETE [`crate::ByRequest`]: [`crate::Done`]; `{fingerprint}` is 64 hexadecimal digits.
pub const CERTIFICATE: &str = "/v1/certificates/{fingerprint}";

/// GET: [`crate::HaView`]
pub const HA: &str = "/v1/ha";
/// POST [`crate::TakeoverRequest`]: [`crate::Done`] when this unit serves.
pub const TAKEOVER: &str = "/v1/ha/takeover";
/// POST [`crate::ByRequest`]: [`crate::Done`] when the other unit serves.
pub const STANDBY: &str = "/v1/ha/standby";
/// POST [`crate::MaintenanceRequest`]: [`crate::Done`]
pub const MAINTENANCE: &str = "/v1/ha/maintenance";
/// GET: [`crate::PairingView`]; POST [`crate::PairingRequest`]: [`crate::PairingView`], at once.
pub const PAIRING: &str = "/v1/ha/pairing";
/// POST [`crate::ByRequest`]: [`crate::Done`]. Forgets the other unit; this one goes on alone.
pub const UNPAIR: &str = "/v1/ha/unpair";
/// POST [`crate::ResolveRequest`]: [`crate::Done`]
pub const RESOLVE: &str = "/v1/ha/resolve";

/// `/v1/history/{number}` with its number.
pub fn revision(number: u64) -> String {
    REVISION.replace("{number}", &number.to_string())
}

/// `/v1/logs/{name}` with its name.
pub fn log(name: crate::LogName) -> String {
    let name = match name {
        crate::LogName::LoadBalancer => "load-balancer",
        crate::LogName::Ldirectord => "ldirectord",
        crate::LogName::Layer7 => "layer-7",
        crate::LogName::Heartbeat => "heartbeat",
        crate::LogName::System => "system",
    };
    LOG.replace("{name}", name)
}

/// `/v1/services/{name}/restart` with its name, which may be what somebody typed.
pub fn restart_service(name: &str) -> String {
    let safe: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    RESTART_SERVICE.replace("{name}", &safe)
}

/// `/v1/certificates/{fingerprint}` with its fingerprint.
pub fn certificate(fingerprint: &lb_model::layer7::CertificateFingerprint) -> String {
    CERTIFICATE.replace("{fingerprint}", fingerprint.as_str())
}

/// `path` with the parts of `query` that are set.
pub(crate) fn with_query(path: &str, query: &impl serde::Serialize) -> String {
    match serde_urlencoded::to_string(query) {
        Ok(text) if !text.is_empty() => format!("{path}?{text}"),
        _ => path.to_owned(),
    }
}
