//! An agent's answer: a line over a TCP connection.

use super::{Failed, Limit, connect};
use lb_check::{ANSWER_LIMIT, AgentSpec};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

/// Asks an agent; why it could not be asked, in words for an administrator.
pub async fn ask(spec: &AgentSpec) -> Result<Vec<u8>, String> {
    let limit = Limit { at: Instant::now() + spec.timeout, within: spec.timeout };
    let asked = async {
        let mut stream = connect(spec.target, limit).await?;
        if !spec.send.is_empty() {
            limit.hold("no answer", stream.write_all(spec.send.as_bytes())).await?;
        }
        limit.hold("no answer", line(&mut stream)).await
    };
    asked.await.map_err(|Failed(why)| why)
}

/// Up to the first line's end, or all that is sent.
async fn line(stream: &mut TcpStream) -> Result<Vec<u8>, Failed> {
    let mut answer = Vec::with_capacity(64);
    let mut rest = stream.take(ANSWER_LIMIT as u64);
    while !answer.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        if rest.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    if answer.is_empty() { Err(Failed("closed without an answer".into())) } else { Ok(answer) }
}
