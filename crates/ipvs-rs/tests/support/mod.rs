//! Reads the recorded traffic. The folder stands beside the project: `../shared/fixtures/ipvs-golden`.
#![allow(dead_code, reason = "every test file uses its own part of this module")]

use std::fs;
use std::path::Path;

use ipvs::wire::{Message, Messages};
use serde::Deserialize;

/// The family's number in the recorded guest.
pub const IPVS_FAMILY: u16 = 32;

/// One command line of `ipvsadm` and everything that went over its sockets.
#[derive(Debug, Deserialize)]
pub struct Record {
    pub cmd: String,
    pub rc: i32,
    /// Standard output and error together, from `golden.list`: the recording keeps the first line alone.
    #[serde(skip)]
    pub out: String,
    msgs: Vec<Recorded>,
}

#[derive(Debug, Deserialize)]
struct Recorded {
    dir: String,
    #[serde(rename = "type")]
    kind: u16,
    hex: String,
}

/// A request to the IPVS family and the answers to it.
#[derive(Debug)]
pub struct Exchange {
    pub cmd: u8,
    pub request: Vec<u8>,
    answers: Vec<Vec<u8>>,
}

impl Exchange {
    /// Every message of the answer.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.answers.iter().flat_map(|bytes| Messages(bytes)).map(|message| message.expect("well-formed"))
    }

    /// Of the acknowledgement; 0 is none.
    pub fn errno(&self) -> i32 {
        self.messages()
            .filter(|message| message.kind == ipvs::wire::NLMSG_ERROR)
            .map(|message| message.errno().expect("an errno"))
            .last()
            .unwrap_or(0)
    }
}

impl Record {
    /// The exchanges with the IPVS family; those with the controller are left out.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let mut found: Vec<Exchange> = Vec::new();
        let mut to_controller = false;
        for message in &self.msgs {
            let bytes = unhex(&message.hex);
            if message.dir == "tx" {
                to_controller = message.kind != IPVS_FAMILY;
                if !to_controller {
                    found.push(Exchange { cmd: bytes[16], request: bytes, answers: Vec::new() });
                }
            } else if let Some(last) = found.last_mut().filter(|_| !to_controller) {
                let answered = bytes[8..12] == last.request[8..12];
                if answered {
                    last.answers.push(bytes);
                }
            }
        }
        found
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// The whole recording.
pub fn recorded() -> Vec<Record> {
    let mut records: Vec<Record> = serde_json::from_str(&fixture("ipvs-wire.json")).expect("the recording's JSON");
    let list = fixture("golden.list");
    let sections: Vec<&str> = list.split_inclusive('\n').collect();
    let mut sections = sections.split(|line| line.starts_with("## ")).skip(1);
    for record in &mut records {
        record.out = sections.next().expect("a section for every command").concat();
    }
    assert!(sections.next().is_none(), "more sections than commands");
    records
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/ipvs-golden").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}\nhint: the recorded traffic lies in the folder `shared` beside the project", path.display())
    })
}
