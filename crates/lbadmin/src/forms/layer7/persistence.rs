//! The part of a layer 7 virtual server's form that is about persistence.
//!
//! Each kind reads its own fields; what stands in the others does not matter.

use crate::forms::{
    edit::{Typed, Values},
    form::{Field, Section},
    parse,
    virtual_server::{EACH, granularity, granularity_text},
};
use lb_model::{
    Family,
    layer7::{ApplicationCookie, Cookie, CookieName, Layer7Persistence, SourceTable},
};

const A_YEAR: u32 = 31_536_000;
const MOST_ENTRIES: u32 = 10_000_000;

const NONE: &str = "";
const COOKIE: &str = "cookie";
const APPLICATION: &str = "application-cookie";
const SOURCE: &str = "source";
const RDP: &str = "rdp-cookie";
const SSL: &str = "ssl-session-id";

/// The kinds by the document's words for them, each in a phrase.
const KINDS: [(&str, &str); 6] = [
    (NONE, "none: each request goes where the balance says"),
    (COOKIE, "cookie: inserted by this unit (http)"),
    (APPLICATION, "application's cookie: remembered by its value (http)"),
    (SOURCE, "source IP: the client's address is remembered"),
    (RDP, "RDP cookie: a user's terminal server (tcp)"),
    (SSL, "SSL session id: of TLS up to 1.2 that passes through (tcp)"),
];

const FIELDS: [&str; 11] = [
    "persistence",
    "cookie_name",
    "cookie_idle",
    "cookie_life",
    "table_timeout",
    "table_size",
    "granularity",
    "by_source",
    "source_timeout",
    "source_size",
    "source_granularity",
];

pub fn sections(usual: &Values) -> [Section; 2] {
    let seconds = |name, label: &str, help| Field::number(name, label, help, 1, A_YEAR).unit("seconds");
    let entries =
        |name, label: &str| Field::number(name, label, "layer-seven-table-size", 1, MOST_ENTRIES).unit("entries");
    let first = Section::new(
        "Persistence",
        vec![
            Field::select("persistence", "Persistence", "layer-seven-persistence", KINDS),
            Field::text("cookie_name", "Cookie name", "layer-seven-cookie-name")
                .placeholder("SERVERID")
                .hint("Of the inserted cookie, empty: SERVERID; or of the application's own, such as PHPSESSID"),
            seconds("cookie_idle", "Idle limit", "layer-seven-cookie-limits")
                .placeholder("none")
                .hint("The inserted cookie counts no more after so long without a request"),
            seconds("cookie_life", "Life limit", "layer-seven-cookie-limits")
                .placeholder("none")
                .hint("The inserted cookie counts no more so long after the first request"),
            seconds("table_timeout", "Timeout", "layer-seven-table-timeout")
                .hint("Of all kinds but the inserted cookie, as the table size"),
            entries("table_size", "Table size"),
            Field::text("granularity", "Granularity", "layer-seven-granularity")
                .placeholder(EACH)
                .hint("Of source IP: a netmask or a prefix length; clients in one such network are one client"),
        ],
    );
    let second = Section::folding(
        "Persistence by source address beside a cookie",
        vec![
            Field::checkbox("by_source", "And by source address", "layer-seven-by-source")
                .hint("Beside a cookie of either kind: for clients that keep none"),
            seconds("source_timeout", "Timeout of the source address", "layer-seven-table-timeout"),
            entries("source_size", "Table size of source addresses"),
            Field::text("source_granularity", "Granularity of the source address", "layer-seven-granularity")
                .placeholder(EACH),
        ],
        usual,
    );
    [first, second]
}

fn kind(persistence: Option<&Layer7Persistence>) -> &'static str {
    match persistence {
        None => NONE,
        Some(Layer7Persistence::Cookie(_)) => COOKIE,
        Some(Layer7Persistence::ApplicationCookie(_)) => APPLICATION,
        Some(Layer7Persistence::Source(_)) => SOURCE,
        Some(Layer7Persistence::RdpCookie(_)) => RDP,
        Some(Layer7Persistence::SslSessionId(_)) => SSL,
    }
}

pub fn values(persistence: Option<&Layer7Persistence>, family: Family, values: &mut Values) {
    let number = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
    let blank = SourceTable::default();
    let (name, limits, table, source) = match persistence {
        None => (String::new(), (None, None), blank, None),
        Some(Layer7Persistence::Cookie(c)) => (c.name.to_string(), (c.idle, c.life), blank, c.source),
        Some(Layer7Persistence::ApplicationCookie(c)) => {
            let table = SourceTable { timeout: c.timeout, size: c.size, granularity: None };
            (c.name.to_string(), (None, None), table, c.source)
        }
        Some(
            Layer7Persistence::Source(table)
            | Layer7Persistence::RdpCookie(table)
            | Layer7Persistence::SslSessionId(table),
        ) => (String::new(), (None, None), *table, None),
    };
    let second = source.unwrap_or_default();
    values.extend([
        ("persistence", kind(persistence).to_owned()),
        ("cookie_name", name),
        ("cookie_idle", number(limits.0)),
        ("cookie_life", number(limits.1)),
        ("table_timeout", table.timeout.to_string()),
        ("table_size", table.size.to_string()),
        ("granularity", granularity_text(table.granularity, family)),
        ("by_source", if source.is_some() { "on".to_owned() } else { String::new() }),
        ("source_timeout", second.timeout.to_string()),
        ("source_size", second.size.to_string()),
        ("source_granularity", granularity_text(second.granularity, family)),
    ]);
}

/// Reads fields: those that were changed, or all of them where the kind is another one than before.
struct Reader<'a> {
    typed: &'a mut Typed,
    anew: bool,
    family: Family,
}

impl Reader<'_> {
    fn put<T, E: ToString>(&mut self, name: &str, place: &mut T, parse: impl FnOnce(&str) -> Result<T, E>) {
        if !self.anew {
            self.typed.put(name, place, parse);
        } else if let Some(value) = self.typed.parsed(name, parse) {
            *place = value;
        }
    }

    fn number(&mut self, name: &str, place: &mut u32) {
        let (min, max) = self.typed.range(name);
        self.put(name, place, |text| parse::number(text, min, max));
    }

    fn limit(&mut self, name: &str, place: &mut Option<u32>) {
        let (min, max) = self.typed.range(name);
        self.put(name, place, |text| match text {
            "" => Ok(None),
            text => parse::number(text, min, max).map(Some),
        });
    }

    fn table(&mut self, [timeout, size, bits]: [&str; 3], place: &mut SourceTable) {
        self.number(timeout, &mut place.timeout);
        self.number(size, &mut place.size);
        let family = self.family;
        self.put(bits, &mut place.granularity, |text| granularity(text, family));
    }

    fn source(&mut self, place: &mut Option<SourceTable>) {
        if !self.typed.on("by_source") {
            *place = None;
            return;
        }
        let mut table = place.unwrap_or_default();
        self.table(["source_timeout", "source_size", "source_granularity"], &mut table);
        *place = Some(table);
    }

    fn cookie(&mut self, mut cookie: Cookie) -> Cookie {
        self.put("cookie_name", &mut cookie.name, |text| match text {
            "" => Ok(CookieName::server_id()),
            text => text.parse(),
        });
        self.limit("cookie_idle", &mut cookie.idle);
        self.limit("cookie_life", &mut cookie.life);
        self.source(&mut cookie.source);
        cookie
    }

    fn application(&mut self, mut cookie: ApplicationCookie) -> ApplicationCookie {
        self.put("cookie_name", &mut cookie.name, |text| match text {
            "" => {
                Err("the name of the application's cookie is needed here, for example PHPSESSID or JSESSIONID".into())
            }
            text => text.parse().map_err(|e: lb_model::NameError| e.to_string()),
        });
        self.number("table_timeout", &mut cookie.timeout);
        self.number("table_size", &mut cookie.size);
        self.source(&mut cookie.source);
        cookie
    }

    fn remembered(&mut self, mut table: SourceTable) -> SourceTable {
        self.table(["table_timeout", "table_size", "granularity"], &mut table);
        table
    }
}

pub fn write(persistence: &mut Option<Layer7Persistence>, family: Family, typed: &mut Typed) {
    if !typed.changed(&FIELDS) {
        return;
    }
    let wanted = typed.text("persistence").to_owned();
    let before = persistence.take();
    let anew = wanted != kind(before.as_ref());
    let mut read = Reader { typed, anew, family };
    let before = before.filter(|_| !anew);
    *persistence = match wanted.as_str() {
        COOKIE => Some(Layer7Persistence::Cookie(read.cookie(match before {
            Some(Layer7Persistence::Cookie(cookie)) => cookie,
            _ => Cookie::default(),
        }))),
        APPLICATION => Some(Layer7Persistence::ApplicationCookie(read.application(match before {
            Some(Layer7Persistence::ApplicationCookie(cookie)) => cookie,
            _ => ApplicationCookie::new(CookieName::server_id()),
        }))),
        SOURCE => Some(Layer7Persistence::Source(read.remembered(table(before)))),
        RDP => Some(Layer7Persistence::RdpCookie(read.remembered(table(before)))),
        SSL => Some(Layer7Persistence::SslSessionId(read.remembered(table(before)))),
        _ => None,
    };
}

fn table(before: Option<Layer7Persistence>) -> SourceTable {
    match before {
        Some(
            Layer7Persistence::Source(table)
            | Layer7Persistence::RdpCookie(table)
            | Layer7Persistence::SslSessionId(table),
        ) => table,
        _ => SourceTable::default(),
    }
}

/// The field that a pointer below `/persistence` is about.
pub fn field_at(tail: &str) -> &'static str {
    match tail {
        "/name" => "cookie_name",
        "/idle" => "cookie_idle",
        "/life" => "cookie_life",
        "/timeout" => "table_timeout",
        "/size" => "table_size",
        "/granularity" => "granularity",
        "/source/timeout" => "source_timeout",
        "/source/size" => "source_size",
        "/source/granularity" => "source_granularity",
        "/source" => "by_source",
        _ => "persistence",
    }
}
