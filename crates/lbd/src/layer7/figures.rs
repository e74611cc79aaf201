//! HAProxy's counters in the API's words.

use super::{View, look};
use lb_api::{Layer7Figures, Layer7RealServerFigures, Layer7Statistics, Layer7VirtualServerFigures, Responses};
use lb_haproxy::{Detail, ServerKey, Totals};
use lb_model::{Config, Layer7VirtualServer};

pub fn statistics(config: &Config, view: &View) -> Layer7Statistics {
    Layer7Statistics {
        old_connections: view.observed.old_connections,
        virtual_servers: config.layer7.virtual_servers.iter().map(|vs| virtual_server(vs, view)).collect(),
    }
}

fn virtual_server(vs: &Layer7VirtualServer, view: &View) -> Layer7VirtualServerFigures {
    let seen = &view.statistics;
    let totals = seen.virtual_servers.get(&vs.label).map(|counted| counted.totals).unwrap_or_default();
    let real_servers = vs.real_servers.iter().map(|rs| {
        let key = ServerKey { virtual_server: vs.label.clone(), real_server: rs.label.clone() };
        let (server, detail) = (seen.servers.get(&key), seen.server_details.get(&key).copied().unwrap_or_default());
        Layer7RealServerFigures {
            label: rs.label.to_string(),
            figures: figures(server.map(|server| server.totals).unwrap_or_default(), detail),
            check: server.and_then(|server| look::check(server, view, &key)),
            check_ms: detail.check_ms,
        }
    });
    Layer7VirtualServerFigures {
        label: vs.label.to_string(),
        mode: vs.mode.to_string(),
        figures: figures(totals, seen.details.get(&vs.label).copied().unwrap_or_default()),
        real_servers: real_servers.collect(),
    }
}

fn figures(totals: Totals, detail: Detail) -> Layer7Figures {
    let [s1xx, s2xx, s3xx, s4xx, s5xx, other] = detail.responses;
    Layer7Figures {
        connections: totals.current,
        total: totals.sessions,
        per_second: totals.rate,
        responses: Responses { s1xx, s2xx, s3xx, s4xx, s5xx, other },
        queue: detail.queue,
        connect_ms: detail.connect_ms,
        response_ms: detail.response_ms,
        bytes_in: totals.bytes_in,
        bytes_out: totals.bytes_out,
        denied: detail.denied,
        errors: detail.errors,
        retries: detail.retries,
    }
}
