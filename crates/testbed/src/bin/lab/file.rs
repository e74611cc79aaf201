//! A file that takes its time: every byte is known at both ends, so a download that goes on over a take-over can be
//! compared byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Bytes of a piece, and between two pieces.
const PIECE: usize = 8192;
const PAUSE: Duration = Duration::from_millis(20);
/// No byte for so long: the connection is lost.
const SILENCE: Duration = Duration::from_secs(60);

fn pieces(seconds: u32) -> u32 {
    seconds * 1000 / 20
}

/// The `number`th piece.
fn piece(number: u32) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9) | 1;
    let mut bytes = vec![0; PIECE];
    for byte in &mut bytes {
        // xorshift32
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *byte = state.to_le_bytes()[0];
    }
    bytes
}

/// `GET /file/SECONDS`
pub fn asked_for(request: &str) -> Option<u32> {
    request.strip_prefix("GET /file/")?.split_whitespace().next()?.parse().ok()
}

pub fn serve(mut to: &TcpStream, seconds: u32) -> std::io::Result<()> {
    to.set_write_timeout(Some(SILENCE))?;
    write!(to, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", pieces(seconds) as usize * PIECE)?;
    for number in 0..pieces(seconds) {
        to.write_all(&piece(number))?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Fetches it and says how long the longest pause was.
pub fn download(from: SocketAddr, seconds: u32) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&from, Duration::from_secs(10)).context("connect")?;
    stream.set_read_timeout(Some(SILENCE)).context("time limit")?;
    write!(stream, "GET /file/{seconds} HTTP/1.0\r\n\r\n").context("send")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).context("the answer's head")?;
        head.push(byte[0]);
    }
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    let mut bytes = vec![0; PIECE];
    for number in 0..pieces(seconds) {
        stream.read_exact(&mut bytes).with_context(|| format!("piece {number} of {}", pieces(seconds)))?;
        ensure!(bytes == piece(number), "piece {number} is not what was sent");
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    ensure!(stream.read(&mut bytes).context("the end")? == 0, "more came than was sent");
    let total = pieces(seconds) as usize * PIECE;
    Ok(format!("{total} bytes, every one as sent; longest pause {} ms", longest.as_millis()))
}
