//! TLS that ends at the appliance, in the guide's one arm: who is shown which certificate, clients that stay, and a
//! renewal under load.

use super::{
    kept::{PATIENCE, Server, Visitor},
    sticky::{CLIENTS, Story},
    wait,
};
use anyhow::{Context, Result, ensure};
use lb_api::{AddCertificate, BlockingClient, Secret};
use lb_model::layer7::Certificate;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use serde_json::json;
use std::{
    io::BufReader,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

const SHOP: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 21), 443));
/// What its certificates are for: the first one, and the second.
const HOSTS: [&str; 2] = ["shop.example.com", "blog.example.com"];
/// Threads that ask during a renewal.
const ASKING: usize = 3;

/// Who signs the certificates here.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Result<Authority> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Lab");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key)?.der().clone();
        Ok(Authority { issuer: Issuer::new(params, key), der })
    }

    /// A certificate as clients see it, and PEM with its key.
    pub fn sign(&self, host: &str) -> Result<(CertificateDer<'static>, String)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, host);
        let made = params.signed_by(&key, &self.issuer)?;
        Ok((made.der().clone(), format!("{}{}", key.serialize_pem(), made.pem())))
    }

    /// Clients that trust it, and shake hands anew each time.
    pub fn clients(&self) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config =
            builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// A connection as a client of that host, from the calling thread's namespace; the certificate that it is shown.
pub(crate) fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    host: &'static str,
) -> Result<(BufReader<Secured>, CertificateDer<'static>)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut connection = ClientConnection::new(config.clone(), ServerName::try_from(host)?)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).context("shaking hands")?;
    }
    let shown = connection.peer_certificates().and_then(|chain| chain.first()).context("no certificate")?.clone();
    Ok((BufReader::new(StreamOwned::new(connection, stream)), shown.into_owned()))
}

/// The certificate goes over the API to the unit's shelf; how the configuration names it.
pub(crate) fn upload(client: &BlockingClient, label: &str, pem: String) -> Result<Certificate> {
    let request = AddCertificate { pem: Some(Secret::new(pem)), author: "case".into(), ..AddCertificate::default() };
    let view = client.add_certificate(&request)?;
    view.named(label.parse()?).with_context(|| format!("no certificate: {view:?}"))
}

/// A shop with both certificates, and its clients.
struct Shop {
    story: Story,
    authority: Authority,
    shown: Vec<CertificateDer<'static>>,
    clients: Arc<ClientConfig>,
}

impl Shop {
    fn open() -> Result<Shop> {
        let (authority, mut story) = (Authority::new()?, Story::begin(Server::start)?);
        let clients = authority.clients()?;
        let (mut certificates, mut shown) = (Vec::new(), Vec::new());
        for (host, label) in HOSTS.iter().zip(["shop", "blog"]) {
            let (der, pem) = authority.sign(host)?;
            certificates.push(upload(&story.appliance.client, label, pem)?);
            shown.push(der);
        }
        let of_visitors = clients.clone();
        story.ask = Arc::new(move |visitor: &mut Visitor, requests| {
            visitor.ask_over(&mut connect(SHOP, &of_visitors, HOSTS[0])?.0, requests)
        });
        let fields = json!({"ports":"443","persistence":{"type":"cookie"},"tls":{"certificates":["shop","blog"]}});
        story.apply(fields, certificates)?;
        Ok(Shop { story, authority, shown, clients })
    }

    /// What a client of that host is shown.
    fn shown_to(&self, host: &'static str) -> Result<CertificateDer<'static>> {
        let clients = self.clients.clone();
        self.story.lab.client.inside(move || Ok(connect(SHOP, &clients, host)?.1))
    }
}

pub fn cookie() -> Result<()> {
    let mut shop = Shop::open()?;
    for (host, wanted) in HOSTS.iter().zip(&shop.shown) {
        ensure!(shop.shown_to(host)? == *wanted, "{host} is shown another's certificate");
    }
    ensure!(shop.shown_to("other.example.com").is_err(), "a certificate for a host that it is not for");
    shop.story.tell(vec![Visitor::default(); CLIENTS], |n| n)
}

pub fn renewal() -> Result<()> {
    let shop = Shop::open()?;
    let processes = shop.story.supervisor.processes()?;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut threads = Vec::new();
    for n in 0..=ASKING {
        let (clients, stop, done) = (shop.clients.clone(), stop.clone(), done.clone());
        // The last one has been connected all the time.
        threads.push(shop.story.lab.client.thread(move || -> Result<()> {
            let mut kept = connect(SHOP, &clients, HOSTS[0])?.0;
            while !stop.load(Ordering::SeqCst) {
                match n {
                    ASKING => Visitor::default().ask_over(&mut kept, 1)?,
                    _ => Visitor::default().ask_over(&mut connect(SHOP, &clients, HOSTS[n % 2])?.0, 1)?,
                };
                done.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        })?);
    }
    let more = |what: &str| {
        let before = done.load(Ordering::SeqCst);
        let see = || {
            ensure!(!threads.iter().any(|thread| thread.is_finished()), "a request failed");
            Ok(done.load(Ordering::SeqCst))
        };
        wait(what, see, |n| *n > before + 20).map(drop)
    };
    let renewals = || -> Result<()> {
        more("requests")?;
        for round in 0..3 {
            let (new, pem) = shop.authority.sign(HOSTS[0])?;
            let certificate = upload(&shop.story.appliance.client, "shop", pem)?;
            let mut config = shop.story.appliance.client.running()?.config;
            config.layer7.certificates[0] = certificate;
            let plan = shop.story.appliance.apply(&config)?.plan;
            ensure!(plan.iter().any(|line| line.contains("renew certificate shop")), "{plan:?}");
            ensure!(!plan.iter().any(|line| line.contains("reload")), "{plan:?}");
            shop.story.settled()?;
            ensure!(shop.shown_to(HOSTS[0])? == new, "renewal {round} is not shown");
            ensure!(shop.shown_to(HOSTS[1])? == shop.shown[1], "the other host's certificate has changed");
            more("requests after a renewal")?;
        }
        Ok(())
    };
    let result = renewals();
    stop.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    result?;
    ensure!(shop.story.supervisor.processes()? == processes, "a renewal took a reload");
    Ok(())
}
