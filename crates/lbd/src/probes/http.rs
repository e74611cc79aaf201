//! One GET over HTTP/1.1, with or without TLS, on a connection of its own.
//!
//! Redirects are not followed: they are a status like any other. The answer must be complete, or
//! [`BODY_LIMIT`] bytes of it must be there, within the limit, also where only the status is expected:
//! a server that stops half-way would stop for clients as well.

use super::{Failed, Limit, connect, tls};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use lb_check::{
    Outcome, Target,
    reply::{BODY_LIMIT, Expected},
};
use lb_model::Negotiate;
use std::{error::Error, net::IpAddr, pin::pin};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout_at,
};

type Query = Request<Empty<Bytes>>;

pub async fn ask(target: Target, negotiate: &Negotiate, expected: &Expected, limit: Limit) -> Result<Outcome, Failed> {
    let query = query(target, negotiate, 80)?;
    let stream = connect(target, limit).await?;
    exchange(stream, query, expected, limit).await
}

pub async fn ask_tls(
    target: Target,
    negotiate: &Negotiate,
    expected: &Expected,
    limit: Limit,
) -> Result<Outcome, Failed> {
    let query = query(target, negotiate, 443)?;
    let stream = connect(target, limit).await?;
    // A virtual host may carry a port (RFC 9110, section 7.2); a server name may not (RFC 6066, section 3).
    let name = negotiate.virtual_host.as_deref().map(|host| host.split(':').next().unwrap_or(host));
    let stream = tls::handshake(stream, target, name, limit).await?;
    exchange(stream, query, expected, limit).await
}

fn query(target: Target, negotiate: &Negotiate, usual_port: u16) -> Result<Query, Failed> {
    let path: Uri =
        negotiate.request.parse().map_err(|e| Failed(format!("request {} is not a path: {e}", negotiate.request)))?;
    let host = host(target, negotiate.virtual_host.as_deref(), usual_port);
    let host = HeaderValue::try_from(host).map_err(|_| Failed("the virtual host is not a host name".into()))?;
    Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, "Steelyard")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|e| Failed(e.to_string()))
}

/// RFC 9110, section 7.2: the scheme's usual port is left out.
pub fn host(target: Target, virtual_host: Option<&str>, usual_port: u16) -> String {
    match (virtual_host, target.address) {
        (Some(host), _) => host.to_owned(),
        (None, IpAddr::V4(a)) if target.port == usual_port => a.to_string(),
        (None, IpAddr::V6(a)) if target.port == usual_port => format!("[{a}]"),
        (None, _) => target.to_string(),
    }
}

async fn exchange<S>(stream: S, query: Query, expected: &Expected, limit: Limit) -> Result<Outcome, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(BODY_LIMIT).handshake(TokioIo::new(stream)).await.map_err(reason)?;
    let answer = async move {
        let answer = limit.hold("connected, but no answer", send(&mut sender, query)).await?;
        match expected.head(answer.status().as_u16()) {
            Some(Outcome::Unfit(why)) => Ok(Outcome::Unfit(why)),
            Some(Outcome::Fit) | None => {
                let body = limit.hold("answer not complete", read(answer.into_body())).await?;
                Ok(expected.body(&body))
            }
        }
    };
    // Driven here and not in a task, so that nothing outlives the probe.
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    let mut open = true;
    let found = loop {
        tokio::select! {
            biased;
            found = &mut answer => break found,
            _ = &mut connection, if open => open = false,
        }
    };
    // With the answer gone it ends by itself, with TLS's and TCP's ordinary close.
    if open {
        let _ = timeout_at(limit.at, connection).await;
    }
    found
}

async fn send(
    sender: &mut http1::SendRequest<Empty<Bytes>>,
    query: Query,
) -> Result<hyper::Response<Incoming>, Failed> {
    sender.send_request(query).await.map_err(reason)
}

/// The body, or its first [`BODY_LIMIT`] bytes and what came in the same piece.
async fn read(mut body: Incoming) -> Result<Vec<u8>, Failed> {
    let mut seen = Vec::new();
    while seen.len() < BODY_LIMIT {
        let Some(frame) = body.frame().await else { break };
        if let Some(data) = frame.map_err(reason)?.data_ref() {
            seen.extend_from_slice(data);
        }
    }
    Ok(seen)
}

fn reason(e: hyper::Error) -> Failed {
    if e.is_parse() {
        return Failed("the answer is not HTTP".into());
    }
    let io = e.source().and_then(|s| s.downcast_ref::<std::io::Error>());
    let cut = io.is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof);
    if cut || e.is_incomplete_message() || e.is_canceled() || e.is_closed() {
        return Failed("connection closed before the answer was complete".into());
    }
    let io = io.map(|io| match io.raw_os_error() {
        Some(code) => Failed::from(std::io::Error::from_raw_os_error(code)),
        None => Failed::from(std::io::Error::new(io.kind(), io.to_string())),
    });
    io.unwrap_or_else(|| Failed(e.to_string()))
}
