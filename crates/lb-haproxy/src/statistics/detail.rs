//! What the statistics have beyond totals: answers by status, waiting, times, errors.

use super::Row;

/// Since HAProxy's last start or reload, but for what is of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Detail {
    /// In mode http.
    pub requests: u64,
    pub requests_per_second: u64,
    /// In mode http: answers whose status begins with 1, 2, 3, 4, 5, and others.
    pub responses: [u64; 6],
    /// What waits for a real server now.
    pub queue: u32,
    /// Milliseconds until a real server accepted, and until its answer began; the average of the last 1024.
    pub connect_ms: u32,
    pub response_ms: u32,
    /// Refused by rules and limits.
    pub denied: u64,
    /// Requests that could not be read, connections and answers of real servers that failed.
    pub errors: u64,
    /// Tried once more, at the same real server or another one.
    pub retries: u64,
    /// What the last check took.
    pub check_ms: u32,
}

impl Detail {
    /// Where clients arrive.
    pub(super) fn arrive(&mut self, row: &Row) {
        self.requests = row.number("req_tot");
        self.requests_per_second = row.number("req_rate");
        self.responses = responses(row);
        self.denied = row.number("dreq");
        self.errors += row.number("ereq");
    }

    /// Where real servers are chosen, and at one of them.
    pub(super) fn serve(&mut self, row: &Row) {
        self.queue = row.small("qcur");
        self.connect_ms = row.small("ctime");
        self.response_ms = row.small("rtime");
        self.errors += row.number("econ") + row.number("eresp");
        self.retries = row.number("wretr") + row.number("wredis");
    }

    pub(super) fn of_server(row: &Row) -> Detail {
        let mut detail = Detail {
            requests: row.number("req_tot"),
            responses: responses(row),
            check_ms: row.small("check_duration"),
            ..Detail::default()
        };
        detail.serve(row);
        detail
    }
}

fn responses(row: &Row) -> [u64; 6] {
    ["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"].map(|name| row.number(name))
}
