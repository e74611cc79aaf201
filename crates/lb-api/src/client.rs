//! The calls, one method a route, for async programs and for command lines.

use crate::{
    AcmeView, AddCertificate, Applied, ApplyRequest, ByRequest, CandidateView, CertificateView, ClearEntriesRequest,
    ClientError, ConfirmRequest, ConfirmView, ConnectionQuery, ConnectionsView, DiscardRequest, Done,
    ForgetEntryRequest, ForgetRequest, HaView, Layer7Statistics, LogName, LogQuery, LogView, MaintenanceRequest,
    NetworkView, OrderCertificate, PairingRequest, PairingView, PersistenceQuery, PersistenceView, PlanRequest,
    PlanView, PutCandidate, ReconcileView, RequestCertificate, ResolveRequest, RevisionView, RollbackRequest, Running,
    SelfSigned, ServiceView, StateRequest, Status, Summary, SystemView, TakeoverRequest, Transport, UnitRequest, route,
};
use hyper::Method;
use std::path::Path;

/// Speaks to one lbd. Every call opens a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
}

/// The same for programs without a runtime.
#[derive(Debug, Clone)]
pub struct BlockingClient {
    client: Client,
}

impl Client {
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Client::over(Transport::unix(socket))
    }

    pub fn over(transport: Transport) -> Self {
        Client { transport }
    }
}

impl BlockingClient {
    pub fn new(socket: impl AsRef<Path>) -> Self {
        BlockingClient { client: Client::new(socket) }
    }

    pub fn over(transport: Transport) -> Self {
        BlockingClient { client: Client::over(transport) }
    }
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty = $method:ident $path:expr $(, $body:expr)?;)+) => {
        impl Client {
            $($(#[$doc])* pub async fn $name(&self $(, $arg: $type)*) -> Result<$answer, ClientError> {
                self.transport.call(Method::$method, &$path, calls!(@body $($body)?)).await
            })+
        }

        impl BlockingClient {
            $($(#[$doc])* pub fn $name(&self $(, $arg: $type)*) -> Result<$answer, ClientError> {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(self.client.$name($($arg),*))
            })+
        }
    };
    (@body) => { None::<&()> };
    (@body $body:expr) => { Some($body) };
}

calls! {
    summary() -> Summary = GET route::SUMMARY;
    running() -> Running = GET route::RUNNING;
    factory() -> lb_model::Config = GET route::FACTORY;
    candidate() -> CandidateView = GET route::CANDIDATE;
    put_candidate(body: &PutCandidate) -> CandidateView = PUT route::CANDIDATE, body;
    /// Gives up all pending changes.
    discard(body: &DiscardRequest) -> CandidateView = DELETE route::CANDIDATE, body;
    plan(body: &PlanRequest) -> PlanView = POST route::PLAN, body;
    apply(body: &ApplyRequest) -> Applied = POST route::APPLY, body;
    confirm(body: &ConfirmRequest) -> ConfirmView = POST route::CONFIRM, body;
    history(limit: usize) -> Vec<RevisionView> = GET format!("{}?limit={limit}", route::HISTORY);
    revision(number: u64) -> Running = GET route::revision(number);
    rollback(body: &RollbackRequest) -> Applied = POST route::ROLLBACK, body;
    status() -> Status = GET route::STATUS;
    set_state(body: &StateRequest) -> Applied = POST route::STATE, body;
    certificates() -> Vec<CertificateView> = GET route::CERTIFICATES;
    add_certificate(body: &AddCertificate) -> CertificateView = POST route::CERTIFICATES, body;
    self_signed(body: &SelfSigned) -> CertificateView = POST route::SELF_SIGNED, body;
    request_certificate(body: &RequestCertificate) -> CertificateView = POST route::REQUEST_CERTIFICATE, body;
    acme() -> Vec<AcmeView> = GET route::ACME;
    order_certificate(body: &OrderCertificate) -> Done = POST route::ORDER_CERTIFICATE, body;
    remove_certificate(fingerprint: &lb_model::layer7::CertificateFingerprint, body: &ByRequest) -> Done = DELETE route::certificate(fingerprint), body;
    ha() -> HaView = GET route::HA;
    takeover(body: &TakeoverRequest) -> Done = POST route::TAKEOVER, body;
    standby(body: &ByRequest) -> Done = POST route::STANDBY, body;
    maintenance(body: &MaintenanceRequest) -> Done = POST route::MAINTENANCE, body;
    pairing() -> PairingView = GET route::PAIRING;
    /// Begins, or gives up; [`Client::pairing`] says how far it is.
    pair(body: &PairingRequest) -> PairingView = POST route::PAIRING, body;
    unpair(body: &ByRequest) -> Done = POST route::UNPAIR, body;
    resolve(body: &ResolveRequest) -> Done = POST route::RESOLVE, body;
    reconcile() -> ReconcileView = POST route::RECONCILE;
    connections(query: &ConnectionQuery) -> ConnectionsView = GET route::with_query(route::CONNECTIONS, query);
    forget(body: &ForgetRequest) -> Done = POST route::FORGET, body;
    layer7_statistics() -> Layer7Statistics = GET route::LAYER7_STATISTICS;
    persistence(query: &PersistenceQuery) -> PersistenceView = GET route::with_query(route::PERSISTENCE, query);
    forget_entry(body: &ForgetEntryRequest) -> Done = POST route::FORGET_ENTRY, body;
    clear_entries(body: &ClearEntriesRequest) -> Done = POST route::CLEAR_ENTRIES, body;
    network() -> NetworkView = GET route::NETWORK;
    system() -> SystemView = GET route::SYSTEM;
    log(name: LogName, query: &LogQuery) -> LogView = GET route::with_query(&route::log(name), query);
    services() -> Vec<ServiceView> = GET route::SERVICES;
    restart_service(name: &str, body: &ByRequest) -> Done = POST route::restart_service(name), body;
    unit(body: &UnitRequest) -> Done = POST route::UNIT, body;
}
