//! The client: one socket, one family number, requests in and answers out.
//!
//! Changes go through [`Ipvs::batch`]: up to [`BATCH`] messages in one `sendmsg`, each acknowledged and
//! matched by its sequence number. Reads are dumps. The kernel has no consistent dump: with another
//! writer at work an entry may come twice or not at all, so a read is a hint that a later read repeats.

use std::io;

use nix::libc;

use crate::config::{Info, Timeouts};
use crate::daemon::{Daemon, DaemonRole};
use crate::dest::{Dest, DestEntry, DestId};
use crate::error::Error;
use crate::request::Request;
use crate::service::{Service, ServiceEntry, ServiceId};
use crate::socket::{Socket, TIMEOUT};
use crate::wire::{
    Attrs, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_CMD_GETFAMILY, Cmd, DecodeError, Encoder, GENL_ID_CTRL,
    IPVS_GENL_NAME, IPVS_GENL_VERSION, Message, Messages, NLM_F_ACK, NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR,
};

/// Messages per `sendmsg`: their answers fit the smallest receive queue (128 x ~1.3 KiB < 208 KiB).
pub const BATCH: usize = 128;
/// Bytes per `sendmsg`, well below the default send buffer.
const BATCH_BYTES: usize = 64 * 1024;

/// The kernel's IPVS in one network namespace.
pub struct Ipvs {
    socket: Socket,
    out: Encoder,
    family: u16,
    seq: u32,
}

impl Ipvs {
    /// Opens a socket in the calling thread's network namespace and looks the family up, which makes the
    /// kernel load its module where it can. [`Error::NoIpvs`] where it cannot.
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::open().map_err(|source| Error::Socket { doing: "open a netlink socket", source })?;
        let mut ipvs = Self { socket, out: Encoder::new(), family: GENL_ID_CTRL, seq: 0 };
        ipvs.family = ipvs.resolve()?;
        Ok(ipvs)
    }

    /// Version and connection table size.
    pub fn info(&mut self) -> Result<Info, Error> {
        let seq = self.begin(Cmd::GetInfo, NLM_F_ACK);
        self.out.end();
        let infos = self.collect(Cmd::GetInfo, &"", seq, Info::decode)?;
        one(infos, "read the IPVS version")
    }

    /// Every service in the namespace, in the order of the kernel's hash table.
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let seq = self.begin(Cmd::GetService, NLM_F_DUMP);
        self.out.end();
        self.collect(Cmd::GetService, &"", seq, ServiceEntry::decode)
    }

    /// One service; [`crate::ErrorKind::NoSuchService`] when there is none.
    pub fn service(&mut self, id: &ServiceId) -> Result<ServiceEntry, Error> {
        let seq = self.begin(Cmd::GetService, NLM_F_ACK);
        id.encode_nest(&mut self.out);
        self.out.end();
        let found = self.collect(Cmd::GetService, id, seq, ServiceEntry::decode)?;
        one(found, "read a service")
    }

    /// The destinations of a service. Empty also when there is no such service: the kernel does not tell
    /// the two apart; ask [`Ipvs::service`] where it matters.
    pub fn dests(&mut self, id: &ServiceId) -> Result<Vec<DestEntry>, Error> {
        let seq = self.begin(Cmd::GetDest, NLM_F_DUMP);
        id.encode_nest(&mut self.out);
        self.out.end();
        let family = id.family();
        self.collect(Cmd::GetDest, id, seq, |attrs| DestEntry::decode(attrs, family))
    }

    /// Every service with its destinations: one dump and then one per service.
    pub fn table(&mut self) -> Result<Vec<(ServiceEntry, Vec<DestEntry>)>, Error> {
        let services = self.services()?;
        let mut table = Vec::with_capacity(services.len());
        for service in services {
            let dests = self.dests(&service.service.id)?;
            table.push((service, dests));
        }
        Ok(table)
    }

    /// Connection timeouts.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let seq = self.begin(Cmd::GetConfig, NLM_F_ACK);
        self.out.end();
        let found = self.collect(Cmd::GetConfig, &"", seq, Timeouts::decode)?;
        one(found, "read timeouts")
    }

    /// The running sync daemons, none to two.
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        let seq = self.begin(Cmd::GetDaemon, NLM_F_DUMP);
        self.out.end();
        self.collect(Cmd::GetDaemon, &"", seq, Daemon::decode)
    }

    /// Adds a service.
    pub fn add_service(&mut self, service: Service) -> Result<(), Error> {
        self.change(Request::AddService(service))
    }

    /// Changes a service in place: connections, counters and destinations stay.
    pub fn set_service(&mut self, service: Service) -> Result<(), Error> {
        self.change(Request::SetService(service))
    }

    /// Deletes a service with its destinations.
    pub fn del_service(&mut self, id: ServiceId) -> Result<(), Error> {
        self.change(Request::DelService(id))
    }

    /// Adds a destination.
    pub fn add_dest(&mut self, id: ServiceId, dest: Dest) -> Result<(), Error> {
        self.change(Request::AddDest(id, dest))
    }

    /// Changes a destination in place; everything it does not carry over is reset, tunnel options too.
    pub fn set_dest(&mut self, id: ServiceId, dest: Dest) -> Result<(), Error> {
        self.change(Request::SetDest(id, dest))
    }

    /// Deletes a destination.
    pub fn del_dest(&mut self, id: ServiceId, dest: DestId) -> Result<(), Error> {
        self.change(Request::DelDest(id, dest))
    }

    /// Sets connection timeouts; a 0 leaves that one as it is.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), Error> {
        self.change(Request::SetTimeouts(timeouts))
    }

    /// Starts a sync daemon.
    pub fn start_daemon(&mut self, daemon: Daemon) -> Result<(), Error> {
        self.change(Request::StartDaemon(daemon))
    }

    /// Stops a sync daemon.
    pub fn stop_daemon(&mut self, role: DaemonRole) -> Result<(), Error> {
        self.change(Request::StopDaemon(role))
    }

    /// Zeroes the counters of one service or of all.
    pub fn zero(&mut self, id: Option<ServiceId>) -> Result<(), Error> {
        self.change(Request::Zero(id))
    }

    /// Deletes every service in the namespace, other programs' too.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.change(Request::Flush)
    }

    /// Does the changes in order and returns one result for each, in the same order. A refused change does
    /// not stop the others; when the socket fails, everything not yet answered carries that failure.
    pub fn batch(&mut self, requests: &[Request]) -> Vec<Result<(), Error>> {
        let mut results = Vec::with_capacity(requests.len());
        let mut rest = requests;
        while !rest.is_empty() {
            let first = self.seq.wrapping_add(1);
            self.out.clear();
            let mut count = 0;
            for request in rest.iter().take(BATCH) {
                request.encode(&mut self.out, self.family, first.wrapping_add(count));
                count += 1;
                if self.out.bytes().len() >= BATCH_BYTES {
                    break;
                }
            }
            self.seq = self.seq.wrapping_add(count);
            let (chunk, later) = rest.split_at(count as usize);
            rest = later;
            self.exchange(chunk, first, &mut results);
        }
        results
    }

    fn change(&mut self, request: Request) -> Result<(), Error> {
        self.batch(std::slice::from_ref(&request)).pop().unwrap_or(Ok(()))
    }

    /// Sends what is encoded, collects the answer to each of `chunk`, whose sequence numbers start at
    /// `first`.
    fn exchange(&mut self, chunk: &[Request], first: u32, results: &mut Vec<Result<(), Error>>) {
        let mut answers: Vec<Option<i32>> = vec![None; chunk.len()];
        let mut missing = chunk.len();
        let failed = match self.socket.send(self.out.bytes()) {
            Ok(()) => self.acknowledge(first, &mut answers, &mut missing).err(),
            Err(source) => Some(Failure::Io("send to the kernel", source)),
        };
        for (request, answer) in chunk.iter().zip(answers) {
            results.push(match (answer, &failed) {
                (Some(0), _) => Ok(()),
                (Some(errno), _) => Err(Error::refused(request.command(), request, errno)),
                (None, Some(failure)) => Err(failure.error(request)),
                (None, None) => Err(Error::ReplyLost { command: request.command(), object: request.to_string() }),
            });
        }
    }

    /// Receives until no answer is missing. An overflow of the queue ends it too, after what is left in
    /// the queue was read: those without an answer then are lost.
    fn acknowledge(&mut self, first: u32, answers: &mut [Option<i32>], missing: &mut usize) -> Result<(), Failure> {
        let mut overflowed = false;
        while *missing > 0 {
            let got = match self.socket.receive(*missing) {
                Ok(got) => got,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    overflowed = true;
                    continue;
                }
                Err(error) if overflowed && error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Failure::Io("receive from the kernel", error)),
            };
            for slot in 0..got {
                for message in Messages(self.socket.datagram(slot)) {
                    let message = message.map_err(Failure::Decode)?;
                    if message.kind != NLMSG_ERROR {
                        continue;
                    }
                    let index = message.seq.wrapping_sub(first) as usize;
                    if let Some(answer @ None) = answers.get_mut(index) {
                        *answer = Some(message.errno().map_err(Failure::Decode)?);
                        *missing -= 1;
                        // Answers come in order: behind the last one nothing more is to be waited for.
                        if overflowed && index + 1 == answers.len() {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, cmd: Cmd, flags: u16) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.out.clear();
        self.out.begin(self.family, flags, self.seq, cmd as u8, IPVS_GENL_VERSION);
        self.seq
    }

    /// Sends the encoded read and decodes its replies. A dump ends with `DONE`, a single read with its
    /// acknowledgement.
    fn collect<T>(
        &mut self,
        cmd: Cmd,
        object: &dyn std::fmt::Display,
        seq: u32,
        decode: impl Fn(Attrs<'_>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        let family = self.family;
        let mut found = Vec::new();
        let outcome = self.read(seq, |message| {
            if message.kind == family {
                found.push(decode(message.attrs()?)?);
            }
            Ok(())
        });
        match outcome {
            Ok(0) => Ok(found),
            Ok(errno) => Err(Error::refused(cmd, object, errno)),
            Err(Failure::Io(doing, source)) => Err(io_error(doing, source)),
            Err(Failure::Decode(source)) => Err(Error::Decode { doing: "a read", source }),
        }
    }

    /// Sends the encoded message and hands every reply to `each` until the answer is complete; returns the
    /// errno (0 = none). The whole answer is read even when `each` fails, so that the socket stays usable.
    fn read(&mut self, seq: u32, mut each: impl FnMut(Message<'_>) -> Result<(), DecodeError>) -> Result<i32, Failure> {
        self.socket.send(self.out.bytes()).map_err(|e| Failure::Io("send to the kernel", e))?;
        let mut wrong = None;
        loop {
            // Two: the kernel puts the end of a short dump into a second datagram while the first is read.
            let got = self.socket.receive(2).map_err(|e| Failure::Io("receive from the kernel", e))?;
            if self.socket.take_truncated() {
                wrong.get_or_insert(DecodeError::Truncated);
            }
            for slot in 0..got {
                for message in Messages(self.socket.datagram(slot)) {
                    let message = message.map_err(Failure::Decode)?;
                    if message.seq != seq {
                        continue;
                    }
                    let errno = match message.kind {
                        NLMSG_ERROR | NLMSG_DONE => message.errno().map_err(Failure::Decode)?,
                        _ => {
                            if let Err(error) = each(message) {
                                wrong.get_or_insert(error);
                            }
                            continue;
                        }
                    };
                    return match wrong {
                        Some(error) if errno == 0 => Err(Failure::Decode(error)),
                        _ => Ok(errno),
                    };
                }
            }
        }
    }

    /// Asks the controller for the family's number.
    fn resolve(&mut self) -> Result<u16, Error> {
        const DOING: &str = "look the IPVS family up";
        self.seq = self.seq.wrapping_add(1);
        self.out.clear();
        self.out.begin(GENL_ID_CTRL, NLM_F_ACK, self.seq, CTRL_CMD_GETFAMILY, 1);
        self.out.string(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME);
        self.out.end();
        let mut family = None;
        let outcome = self.read(self.seq, |message| {
            for attr in message.attrs()? {
                let attr = attr?;
                if attr.kind == CTRL_ATTR_FAMILY_ID {
                    family = Some(attr.u16("family id")?);
                }
            }
            Ok(())
        });
        match (outcome, family) {
            (Ok(0), Some(family)) => Ok(family),
            (Ok(0), None) => Err(Error::Decode { doing: DOING, source: DecodeError::Missing("family id") }),
            (Ok(libc::ENOENT), _) => Err(Error::NoIpvs),
            (Ok(errno), _) => Err(Error::Socket { doing: DOING, source: io::Error::from_raw_os_error(errno) }),
            (Err(Failure::Io(doing, source)), _) => Err(io_error(doing, source)),
            (Err(Failure::Decode(source)), _) => Err(Error::Decode { doing: DOING, source }),
        }
    }
}

/// Why an exchange ended before every answer was there.
enum Failure {
    Io(&'static str, io::Error),
    Decode(DecodeError),
}

impl Failure {
    /// The same failure as seen by one of the requests it hit.
    fn error(&self, request: &Request) -> Error {
        match self {
            Self::Io(doing, source) => match source.raw_os_error() {
                Some(errno) => io_error(doing, io::Error::from_raw_os_error(errno)),
                None => Error::ReplyLost { command: request.command(), object: request.to_string() },
            },
            Self::Decode(source) => Error::Decode { doing: "a change", source: *source },
        }
    }
}

fn io_error(doing: &'static str, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::WouldBlock {
        return Error::Timeout { seconds: TIMEOUT.as_secs() };
    }
    Error::Socket { doing, source }
}

fn one<T>(found: Vec<T>, doing: &'static str) -> Result<T, Error> {
    found.into_iter().next().ok_or(Error::Decode { doing, source: DecodeError::Missing("reply") })
}
