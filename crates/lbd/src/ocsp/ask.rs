//! One question to a responder, on a connection of its own: http, as the answer is signed (RFC 6960, appendix A.1), with
//! its time and its size bounded.

use crate::acme::Failure;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use lb_certs::LONGEST_ANSWER;
use lb_model::layer7::CertificateFingerprint;
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};

/// For the connection, and for the answer.
const LIMIT: Duration = Duration::from_secs(15);

/// What is asked, and whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub fingerprint: CertificateFingerprint,
    /// An `http://` URL.
    pub responder: String,
    /// DER.
    pub question: Vec<u8>,
}

/// What came of it: DER, which nobody has looked at yet.
#[derive(Debug)]
pub struct Answered {
    pub fingerprint: CertificateFingerprint,
    pub outcome: Result<Vec<u8>, Failure>,
}

/// Until it ends, which it does within half a minute.
pub async fn run(job: Job) -> Answered {
    let outcome = match timeout(2 * LIMIT, ask(&job)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failure(format!("no answer within {} s", 2 * LIMIT.as_secs()))),
    };
    let outcome = outcome.map_err(|why| Failure { text: format!("{}: {}", job.responder, why.text), ..why });
    Answered { fingerprint: job.fingerprint, outcome }
}

fn failure(why: impl ToString) -> Failure {
    // On consoles and in logs: one line, and not endless.
    let one = |c: char| if c.is_control() { ' ' } else { c };
    Failure { text: why.to_string().chars().map(one).take(500).collect(), limited: false, asked: None }
}

async fn ask(job: &Job) -> Result<Vec<u8>, Failure> {
    let url: Uri = job.responder.parse().map_err(failure)?;
    let authority = url.authority().ok_or_else(|| failure("a URL without a host"))?.clone();
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(80);
    let request = Request::post(url.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, authority.as_str())
        .header(USER_AGENT, "Steelyard")
        .header(CONTENT_TYPE, "application/ocsp-request")
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(job.question.clone())))
        .map_err(failure)?;

    let connected = timeout(LIMIT, TcpStream::connect((host, port))).await;
    let stream =
        connected.map_err(|_| failure(format!("no connection within {} s", LIMIT.as_secs())))?.map_err(failure)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failure)?;
    // It ends with the answer, or when this is dropped with its time over: the sender is gone then.
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(failure)?;
    let status = answer.status();
    if !status.is_success() {
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let limited = status == StatusCode::TOO_MANY_REQUESTS;
        return Err(Failure { limited, asked: after, ..failure(format!("it answers {status}")) });
    }
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
    connection.abort();
    Ok(body.map_err(failure)?.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    /// What comes of a responder that says this to one question; and what it was asked.
    fn told(answer: &'static str) -> (Result<Vec<u8>, Failure>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let responder = format!("http://{}/ocsp?x", listener.local_addr().expect("an address"));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = vec![0; 1000];
            let mut length = 0;
            while !asked[..length].ends_with(b"question") {
                length += stream.read(&mut asked[length..]).expect("a question");
            }
            let _ = stream.write_all(answer.as_bytes());
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let fingerprint = "ab".repeat(32).parse().expect("a fingerprint");
        let job = Job { fingerprint, responder, question: b"question".to_vec() };
        let outcome = runtime.block_on(run(job)).outcome;
        (outcome, server.join().expect("it answered"))
    }

    #[test]
    fn a_question_is_posted_and_the_answer_bounded() {
        let (answer, asked) = told("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer");
        assert_eq!(answer.expect("an answer"), b"answer");
        assert!(asked.starts_with("POST /ocsp?x HTTP/1.1\r\n"), "{asked}");
        assert!(asked.to_lowercase().contains("content-type: application/ocsp-request\r\n"), "{asked}");
        let (busy, _) = told("HTTP/1.1 429 Slow\r\nRetry-After: 77\r\nContent-Length: 0\r\n\r\n");
        let busy = busy.expect_err("refused");
        assert!(busy.limited && busy.asked == Some(77) && busy.text.contains("/ocsp?x: it answers 429"), "{busy:?}");
        let (long, _) = told(Box::leak(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(10_001)).into_boxed_str()));
        assert!(long.expect_err("too long").text.contains("length limit"));
    }

    #[test]
    fn nobody_there_is_a_failure_with_the_responders_name() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let fingerprint = "ab".repeat(32).parse().expect("a fingerprint");
        // Port 9 of loopback: nobody listens.
        let job = Job { fingerprint, responder: "http://127.0.0.1:9/".into(), question: Vec::new() };
        let text = runtime.block_on(run(job)).outcome.expect_err("nobody").text;
        assert!(text.starts_with("http://127.0.0.1:9/: "), "{text}");
    }
}
