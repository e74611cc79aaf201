//! How the unit is now: lbd over its socket, the web interface as a browser would ask.

use crate::gate::{Lbd, Seen};
use lb_api::{BlockingClient, HaRole};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// Where the web interface listens for plain http, whatever else it is told.
const WEB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);
const REQUEST: &[u8] = b"GET /lbadmin/login HTTP/1.0\r\nHost: 127.0.0.1:9080\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(10);

pub fn look() -> Seen {
    Seen { lbd: lbd(), web: web(WEB) }
}

fn lbd() -> Result<Lbd, String> {
    let client = BlockingClient::new(lb_api::SOCKET);
    let summary = client.summary().map_err(|error| first_line(&error.to_string()))?;
    let ha = client.ha().map_err(|error| first_line(&error.to_string()))?;
    let unfit = match ha.role {
        HaRole::Single => None,
        HaRole::Unknown => Some(vec!["heartbeat does not answer".to_owned()]),
        _ => Some(ha.unfit),
    };
    let failsafe = summary.alarms.into_iter().find(|alarm| alarm.starts_with("FAILSAFE"));
    Ok(Lbd { failsafe: failsafe.map(|alarm| first_line(&alarm)), converged: summary.converged, unfit })
}

/// Without the hint, which is for another place.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.split(". hint: ").next().unwrap_or_default().to_owned()
}

/// Any answer that is no error counts: the page, or where it is.
fn web(at: SocketAddr) -> Result<(), String> {
    let status = ask(at).map_err(|error| error.to_string())?;
    match status {
        200..400 => Ok(()),
        _ => Err(format!("its status is {status}")),
    }
}

fn ask(at: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    let mut start = Vec::new();
    stream.take(64).read_to_end(&mut start)?;
    // HTTP/1.1 200 OK
    let status = std::str::from_utf8(&start).ok().and_then(|text| text.split(' ').nth(1)?.parse().ok());
    status.ok_or_else(|| io::Error::other("what answers is no web server"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    fn answers(with: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let at = listener.local_addr().map_err(|error| error.to_string())?;
        let server = thread::spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut request = [0; REQUEST.len()];
            stream.read_exact(&mut request)?;
            stream.write_all(with.as_bytes())
        });
        let got = web(at);
        server.join().map_err(|_| "the server".to_owned())?.map_err(|error| error.to_string())?;
        got
    }

    #[test]
    fn a_page_and_a_redirect_are_answers() {
        assert_eq!(answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Ok(()));
        assert_eq!(answers("HTTP/1.0 308 Permanent Redirect\r\n\r\n"), Ok(()));
        assert_eq!(answers("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Err("its status is 503".into()));
        assert_eq!(answers("hello"), Err("what answers is no web server".into()));
        assert_eq!(answers(""), Err("what answers is no web server".into()));
    }
}
