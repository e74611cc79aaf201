//! Servers that answer with their name. A thread per connection: the lab never has more than some hundreds.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::file;
use anyhow::{Context, Result};

/// A client that says nothing for this long is dropped.
const IDLE: Duration = Duration::from_secs(30);

/// Answers every request on `port` (IPv4 and IPv6) with `name`, a newline and `size` bytes.
pub fn http(name: &str, port: u16, size: usize) -> Result<()> {
    let listener = TcpListener::bind(("::", port)).with_context(|| format!("listening on port {port}"))?;
    let body = format!("{name}\n{}", "x".repeat(size));
    let name: Arc<str> = name.into();
    let body: Arc<str> = body.into();
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let (name, body) = (Arc::clone(&name), Arc::clone(&body));
        let served = thread::Builder::new().stack_size(128 << 10).spawn(move || {
            // A client that went away is no event here.
            let _ = serve(&stream, &name, &body);
        });
        drop(served);
    }
    Ok(())
}

/// Answers requests of one connection until the client closes it or asks to (HTTP/1.0).
fn serve(stream: &TcpStream, name: &str, body: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        if let Some(seconds) = file::asked_for(&first) {
            return file::serve(stream, seconds);
        }
        let mut close = !first.contains("HTTP/1.1");
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            close |= line.to_ascii_lowercase().starts_with("connection: close");
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: {name}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n",
            body.len()
        );
        let connection = if close { "Connection: close\r\n\r\n" } else { "\r\n" };
        let body = if first.starts_with("HEAD") { "" } else { body };
        writer.write_all([head.as_str(), connection, body].concat().as_bytes())?;
        if close {
            return Ok(());
        }
    }
}

/// Answers every datagram on `port` with `name`.
pub fn udp(name: &str, port: u16) -> Result<()> {
    let socket = UdpSocket::bind(("::", port)).with_context(|| format!("opening UDP port {port}"))?;
    let mut buffer = [0; 2048];
    loop {
        if let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(name.as_bytes(), from);
        }
    }
}
