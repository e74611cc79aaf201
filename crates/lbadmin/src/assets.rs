//! The files that pages refer to: style, scripts, icons, and the licences of what we did not write.
//!
//! They are embedded in the program and answered under `/lbadmin/static/`, with or without a session (the log-in page
//! needs its looks). A template asks [`url`] for an address that carries the content's hash: such an answer may be kept
//! for ever, any other is asked for again with its `ETag`. What a browser can unpack is sent packed, once compressed.
//!
//! Only exact names from the embedded table are answered, so there is no path to walk out of.
//! `app.css` has the vendored sheets in front of it, in a cascade layer below our own rules.
//!
//! Content security: no file needs `data:`, `eval` or an inline style; `default-src 'self'` is enough for all of them.
//! Tested below: names, headers, hashes of the vendored files, traversal, the addresses in the sheets and templates.

use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use flate2::{Compression, write::GzEncoder};
use rust_embed::RustEmbed;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{LazyLock, OnceLock};

const PREFIX: &str = "/lbadmin/static/";

/// What a file may be; others in the folder (VENDORED.md) are not served.
const TYPES: [(&str, &str); 6] = [
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("txt", "text/plain; charset=utf-8"),
];

/// Sheets put in front of `app.css`, in this order.
const LAYERED: [&str; 2] = ["vendor/pico.min.css", "vendor/uPlot.min.css"];

#[derive(RustEmbed)]
#[folder = "assets"]
struct Files;

struct Asset {
    content_type: &'static str,
    plain: Vec<u8>,
    /// Made when the first client asks for it; `None` inside: packing gained nothing.
    packed: OnceLock<Option<Vec<u8>>>,
    hash: String,
    url: String,
}

static ASSETS: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
    let mut assets = BTreeMap::new();
    for name in Files::iter() {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let Some((_, content_type)) = TYPES.iter().find(|(known, _)| *known == extension) else { continue };
        let Some(plain) = content(&name) else { continue };
        let hash: String = Sha256::digest(&plain).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let url = format!("{PREFIX}{name}?v={hash}");
        assets.insert(name.to_string(), Asset { content_type, plain, packed: OnceLock::new(), hash, url });
    }
    assets
});

fn content(name: &str) -> Option<Vec<u8>> {
    let own = Files::get(name)?.data.into_owned();
    if name != "app.css" {
        return Some(own);
    }
    let mut sheet = b"@layer vendor{".to_vec();
    for vendored in LAYERED {
        let text = Files::get(vendored)?.data;
        // `@charset` may only stand at the very beginning of a sheet; the header says it here.
        sheet.extend_from_slice(text.strip_prefix(b"@charset \"UTF-8\";").unwrap_or(&text));
    }
    sheet.extend_from_slice(b"}\n");
    sheet.extend_from_slice(&own);
    Some(sheet)
}

/// The address of a file for a page, with the hash of its content: `url("app.css")`.
/// An unknown name gives an address that answers 404; a test reads all templates for such names.
pub fn url(name: &str) -> &'static str {
    ASSETS.get(name).map_or("/lbadmin/static/unknown", |asset| asset.url.as_str())
}

pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/lbadmin/static/{*name}", get(serve))
}

#[derive(Deserialize)]
struct Version {
    v: Option<String>,
}

async fn serve(Path(name): Path<String>, Query(version): Query<Version>, asked: HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(&name) else { return (StatusCode::NOT_FOUND, "No such file.\n").into_response() };
    let packed = if accepts_gzip(&asked) { asset.packed() } else { None };
    let etag = format!("\"{}{}\"", asset.hash, if packed.is_some() { "-gz" } else { "" });
    let lasting = version.v.as_deref() == Some(asset.hash.as_str());

    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let cache = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    if has_etag(&asked, &etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    match packed {
        Some(packed) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            (headers, packed).into_response()
        }
        None => (headers, asset.plain.as_slice()).into_response(),
    }
}

impl Asset {
    fn packed(&self) -> Option<&[u8]> {
        let packed = self.packed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&self.plain).ok()?;
            encoder.finish().ok().filter(|packed| packed.len() < self.plain.len())
        });
        packed.as_deref()
    }
}

/// RFC 9110 section 12.5.3, as far as one coding needs it: named, or meant by `*`, and not with a weight of zero.
fn accepts_gzip(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for item in values.flat_map(|value| value.split(',')) {
        let (coding, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let wanted = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q > 0.0);
        match coding.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return wanted,
            "*" => any = wanted,
            _ => {}
        }
    }
    any
}

fn has_etag(asked: &HeaderMap, etag: &str) -> bool {
    let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let item = item.trim();
        item == "*" || item.strip_prefix("W/").unwrap_or(item) == etag
    })
}

#[cfg(test)]
mod tests;
