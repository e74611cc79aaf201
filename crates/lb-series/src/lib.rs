//! What was measured over the last hour, day and 30 days, in bounded files of one directory.
//!
//! Owns the directory it opens: three ring files ([`Span`]: steps of 10 s, 2 min and 1 h) and `names.json`, which says
//! whose values lie in which column. At most `limit` objects are recorded (512 take 26 MB, few objects little);
//! those beyond are counted. An object that has not been seen for 31 days gives its place away.
//!
//! What a caller may rely on: a torn or damaged value is a gap, never an error and never another object's value,
//! because every value carries a checksum over its object's name, its time and itself. A clock that is set makes
//! gaps. Nothing is synced: a power cut may cost the last seconds. One process at a time writes.
//!
//! Refuses: no clock (time is an argument), no threads, no background work. [`Meter`] turns counters into rates.
//! Tested by a model with clock jumps, reopens, damage and recycled names (`tests/`).
#![forbid(unsafe_code)]

mod cell;
mod error;
mod key;
mod names;
mod rates;
mod ring;
mod series;
mod span;
mod values;

pub use error::SeriesError;
pub use key::{Column, Key, KeyError};
pub use rates::{Meter, Reading};
pub use series::{Chart, Series};
pub use span::{Span, SpanError};
pub use values::{Traffic, Values};

/// Objects recorded unless said otherwise.
pub const LIMIT: usize = 512;
