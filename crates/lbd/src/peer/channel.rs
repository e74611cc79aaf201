//! Keeps one connection to the peer: unit one calls, on every address in turn; unit two answers.
//!
//! Both show their certificates and take exactly the other's ([`lb_pair::tls`]). A new connection takes the place of the
//! one before: the caller knows first when one is dead. Who does not prove itself within [`Times::hello`] is dropped, a
//! few at a time.

use super::{Settings, Shared, Times, session, session::Order, shelf::Shelf};
use lb_model::NodeId;
use lb_pair::{Identity, Peer, tls};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Callers that prove themselves at the same time; the next are dropped.
const MOST_CALLERS: usize = 8;

/// Runs until it is dropped.
pub async fn run<S: Shelf>(
    shared: Arc<Shared<S>>,
    settings: Arc<Settings>,
    identity: Identity,
    peer: Peer,
    mut orders: mpsc::Receiver<Order>,
) {
    shared.unreachable("not connected yet".into());
    match peer.unit {
        NodeId::One => call(&shared, &settings, &identity, &peer, &mut orders).await,
        NodeId::Two => answer(&shared, &settings, &identity, &peer, &mut orders).await,
    }
}

async fn call<S: Shelf>(
    shared: &Shared<S>,
    settings: &Settings,
    identity: &Identity,
    peer: &Peer,
    orders: &mut mpsc::Receiver<Order>,
) {
    let config = match tls::client(identity, &peer.card.certificate) {
        Ok(config) => Arc::new(config),
        Err(why) => return shared.unreachable(format!("this unit's identity cannot be used: {why}")),
    };
    let mut pause = shared.times.retry;
    loop {
        let Some(addresses) = addresses(shared, peer).await else { return };
        let mut failed = Vec::new();
        for address in addresses {
            let address = SocketAddr::new(address, settings.port);
            match connect(&config, address, shared.times).await {
                Ok(stream) => {
                    tracing::info!("peer: connected to {address}");
                    pause = shared.times.retry;
                    let why = session::run(shared, peer.unit, stream, orders).await;
                    tracing::warn!("peer: the connection to {address} ended: {why}");
                    failed = vec![format!("{address}: {why}")];
                    break;
                }
                Err(why) => failed.push(format!("{address}: {why}")),
            }
        }
        let why = if failed.is_empty() { "no address of it is known".to_owned() } else { failed.join("; ") };
        shared.unreachable(why);
        idle(orders, sleep(pause)).await;
        pause = (pause * 2).min(shared.times.longest_retry);
    }
}

/// First those of the configuration, then those that the peer had when the pair was made.
async fn addresses<S: Shelf>(shared: &Shared<S>, peer: &Peer) -> Option<Vec<IpAddr>> {
    let mut addresses = shared.shelf.current().await?.peer_addresses;
    for address in peer.card.addresses.iter().map(|address| address.network.addr()) {
        // A link-local address says nothing without its link.
        let anywhere = !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if anywhere && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Some(addresses)
}

async fn connect(
    config: &Arc<rustls::ClientConfig>,
    address: SocketAddr,
    times: Times,
) -> Result<TlsStream<TcpStream>, String> {
    let stream = match timeout(times.connect, TcpStream::connect(address)).await {
        Err(_) => return Err("no answer".into()),
        Ok(stream) => stream.map_err(|e| e.to_string())?,
    };
    let _ = stream.set_nodelay(true);
    let connecting = TlsConnector::from(config.clone()).connect(tls::name(), stream);
    match timeout(times.hello, connecting).await {
        Err(_) => Err("it does not prove itself".into()),
        Ok(Ok(stream)) => Ok(stream.into()),
        Ok(Err(why)) => Err(refusal(&why)),
    }
}

/// What a failed handshake means to people.
fn refusal(why: &io::Error) -> String {
    let inner = why.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "what answers there is not the unit that this one was paired with. hint: pair the units again".into()
        }
        Some(rustls::Error::AlertReceived(_)) => {
            "it refuses this unit. hint: it was paired with another one or its pair was ended; pair the units again"
                .into()
        }
        _ => why.to_string(),
    }
}

async fn answer<S: Shelf>(
    shared: &Arc<Shared<S>>,
    settings: &Settings,
    identity: &Identity,
    peer: &Peer,
    orders: &mut mpsc::Receiver<Order>,
) {
    let config = match tls::server(identity, &peer.card.certificate) {
        Ok(config) => Arc::new(config),
        Err(why) => return shared.unreachable(format!("this unit's identity cannot be used: {why}")),
    };
    let (proven, connections) = mpsc::channel(1);
    // In this very task: when it is gone, the port is free.
    tokio::select! {
        () = accept(shared.clone(), settings.listen, config, proven) => {}
        () = serve(shared, peer, connections, orders) => {}
    }
}

async fn serve<S: Shelf>(
    shared: &Shared<S>,
    peer: &Peer,
    mut connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    orders: &mut mpsc::Receiver<Order>,
) {
    let mut next = None;
    loop {
        let (stream, address) = match next.take() {
            Some(connection) => connection,
            None => match idle(orders, connections.recv()).await {
                Some(connection) => connection,
                None => return,
            },
        };
        tracing::info!("peer: connected from {address}");
        tokio::select! {
            why = session::run(shared, peer.unit, stream, orders) => {
                tracing::warn!("peer: the connection from {address} ended: {why}");
                shared.unreachable(format!("{address}: {why}"));
            }
            newer = connections.recv() => {
                tracing::info!("peer: it has called again");
                next = newer;
            }
        }
    }
}

async fn accept<S: Shelf>(
    shared: Arc<Shared<S>>,
    listen: SocketAddr,
    config: Arc<rustls::ServerConfig>,
    proven: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let slots = Arc::new(Semaphore::new(MOST_CALLERS));
    let mut callers = JoinSet::new();
    loop {
        let listener = match TcpListener::bind(listen).await {
            Ok(listener) => listener,
            Err(why) => {
                shared.unreachable(format!("this unit cannot listen on TCP port {}: {why}", listen.port()));
                sleep(shared.times.longest_retry).await;
                continue;
            }
        };
        loop {
            while callers.try_join_next().is_some() {}
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(why) => {
                    tracing::warn!("peer: accepting a connection: {why}");
                    sleep(shared.times.retry).await;
                    break;
                }
            };
            let Ok(slot) = slots.clone().try_acquire_owned() else {
                shared.refused_caller(address, "too many at once");
                continue;
            };
            let (shared, proven, acceptor) = (shared.clone(), proven.clone(), TlsAcceptor::from(config.clone()));
            callers.spawn(async move {
                let _ = stream.set_nodelay(true);
                match timeout(shared.times.hello, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        drop(slot);
                        let _ = proven.send((stream.into(), address)).await;
                    }
                    Ok(Err(why)) => shared.refused_caller(address, &why.to_string()),
                    Err(_) => shared.refused_caller(address, "it did not prove itself in time"),
                }
            });
        }
    }
}

/// Waits for something while there is no connection: orders are answered with what they come to then.
async fn idle<T>(orders: &mut mpsc::Receiver<Order>, something: impl Future<Output = T>) -> T {
    tokio::pin!(something);
    let mut open = true;
    loop {
        tokio::select! {
            done = &mut something => return done,
            order = orders.recv(), if open => match order {
                // Dropping the answer says that there is no connection.
                Some(Order::Resolve(..) | Order::Table(_)) => {}
                Some(Order::Bye(_, answer)) => {
                    let _ = answer.send(());
                }
                None => open = false,
            },
        }
    }
}
