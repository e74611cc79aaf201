//! One order, from the account to the chain (RFC 8555, section 7).
//!
//! The account is asked for by its key every time: a server makes one where it knows none, and otherwise says which it
//! is. The certificate's key is made here, and is gone with an order that fails.

use super::https::Https;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, Key, NewOrder, Order, OrderStatus, Problem,
    RetryPolicy,
};
use lb_certs::{AccountKey, Chain, Subject, Upload};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{
    sync::PoisonError,
    time::{Duration, SystemTime},
};

/// A server that validates or signs is waited for as long.
const PATIENCE: Duration = Duration::from_secs(120);
/// Characters of what a server says.
const LONGEST: usize = 1000;

/// Whom the server's own certificate must be from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    Public,
    /// DER.
    These(Vec<Vec<u8>>),
}

/// What is ordered.
#[derive(Debug, Clone)]
pub struct Job {
    pub label: String,
    pub directory: String,
    /// An e-mail address.
    pub contact: Option<String>,
    pub names: Vec<String>,
    pub account: AccountKey,
    pub roots: Roots,
}

/// What came of it.
#[derive(Debug)]
pub struct Obtained {
    pub label: String,
    pub names: Vec<String>,
    pub outcome: Result<Box<Chain>, Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In the server's words, where it said any.
    pub text: String,
    /// It was asked too often.
    pub limited: bool,
    /// Seconds for which it wants to be left alone.
    pub asked: Option<u64>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Api(problem) => problem.into(),
            other => Failure::new(other.to_string()),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        let kind = problem.r#type.as_deref().unwrap_or_default();
        let word = kind.rsplit(':').next().unwrap_or_default();
        let subproblems = problem.subproblems.iter().filter_map(|sub| sub.detail.clone());
        let texts: Vec<String> = problem.detail.clone().into_iter().chain(subproblems).collect();
        let text = match (texts.is_empty(), word) {
            (true, "") => "the ACME server refused without a reason".to_owned(),
            (true, word) => word.to_owned(),
            (false, "") => texts.join("; "),
            (false, word) => format!("{} ({word})", texts.join("; ")),
        };
        Failure { limited: word == "rateLimited" || problem.status == Some(429), ..Failure::new(text) }
    }
}

impl Failure {
    fn new(text: impl AsRef<str>) -> Failure {
        // On consoles and in logs: one line, and not endless.
        let one = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.as_ref().chars().map(one).take(LONGEST).collect();
        Failure { text, limited: false, asked: None }
    }
}

/// Until it ends, which it does within minutes.
pub async fn run(job: Job) -> Obtained {
    let outcome = obtain(&job).await.map(Box::new);
    let Job { label, names, .. } = job;
    Obtained { label, names, outcome }
}

async fn obtain(job: &Job) -> Result<Chain, Failure> {
    let https = Https::new(&job.roots).map_err(Failure::new)?;
    let alone = https.alone.clone();
    let done = with(job, https).await;
    done.map_err(|failure| Failure { asked: *alone.lock().unwrap_or_else(PoisonError::into_inner), ..failure })
}

async fn with(job: &Job, https: Https) -> Result<Chain, Failure> {
    let key = || PrivatePkcs8KeyDer::from(job.account.pkcs8().to_vec());
    let pair = (Key::from_pkcs8_der(key())?, PrivateKeyDer::Pkcs8(key()));
    let builder = Account::builder_with_http(Box::new(https));
    let (account, _) = builder.create_from_key(pair, job.directory.clone()).await?;
    if let Some(contact) = &job.contact {
        account.update_contacts(&[&format!("mailto:{contact}")]).await?;
    }
    let names: Vec<Identifier> = job.names.iter().map(|name| Identifier::Dns(name.clone())).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    prove(&mut order).await?;
    let request = lb_certs::request(&job.names, &Subject::default()).map_err(|refusal| Failure::new(refusal.reason))?;
    order.finalize_csr(request.der()).await?;
    let text = order.poll_certificate(&RetryPolicy::default().timeout(PATIENCE)).await?;
    chain(&text, &request, &job.names)
}

/// Every host leads here.
async fn prove(order: &mut Order) -> Result<(), Failure> {
    let mut all = order.authorizations();
    while let Some(one) = all.next().await {
        let mut one = one?;
        match one.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            other => return Err(Failure::new(format!("{}: the authorization is {other:?}", one.identifier()))),
        }
        let host = one.identifier().to_string();
        let no_challenge = || Failure::new(format!("{host}: the ACME server offers no proof over http (HTTP-01)"));
        one.challenge(ChallengeType::Http01).ok_or_else(no_challenge)?.set_ready().await?;
    }
    let policy = RetryPolicy::default().timeout(PATIENCE);
    let said = match order.poll_ready(&policy).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => return Ok(()),
        Ok(other) => Failure::new(format!("the order is {other:?}")),
        Err(error) => error.into(),
    };
    // What was wrong with a host says more than what became of the order.
    Err(refused(order).await.unwrap_or(said))
}

async fn refused(order: &mut Order) -> Option<Failure> {
    let mut all = order.authorizations();
    while let Some(one) = all.next().await {
        let mut one = one.ok()?;
        let host = one.identifier().to_string();
        let state = one.refresh().await.ok()?;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.clone()) {
            let failure = Failure::from(problem);
            return Some(Failure { text: format!("{host}: {}", failure.text), ..failure });
        }
    }
    None
}

/// What the server gave must be for these hosts and this key, and what clients take.
fn chain(text: &str, request: &lb_certs::Request, names: &[String]) -> Result<Chain, Failure> {
    let refused = |refusal: lb_certs::Refusal| Failure::new(format!("what the ACME server gave: {}", refusal.reason));
    let found = lb_certs::read(Upload { file: text.as_bytes(), key: None, passphrase: None }).map_err(refused)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let chain = lb_certs::chain(found, &[request.key()], now).map_err(refused)?;
    if !is_for(&chain, names) {
        return Err(Failure::new("what the ACME server gave is for other hosts"));
    }
    Ok(chain)
}

/// Exactly for these hosts.
pub fn is_for(chain: &Chain, names: &[String]) -> bool {
    let mut has: Vec<String> = chain.certificate().names.iter().map(|name| name.as_str().to_lowercase()).collect();
    let mut wants = names.to_vec();
    has.sort();
    has.dedup();
    wants.sort();
    wants.dedup();
    has == wants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_the_servers_own_words() {
        let problem = |text: &str| serde_json::from_str::<Problem>(text).expect("a problem");
        let failure = Failure::from(problem(
            r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many\ncertificates","status":429}"#,
        ));
        assert_eq!(failure.text, "too many certificates (rateLimited)");
        assert!(failure.limited);
        let none = Failure::from(problem("{}"));
        assert_eq!(none.text, "the ACME server refused without a reason");
        assert!(!none.limited);
        let long = Failure::new("x".repeat(5000));
        assert_eq!(long.text.len(), LONGEST);
    }
}
