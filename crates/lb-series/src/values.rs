//! What is recorded of an object at one time. A value that is not known is a gap of its own.

/// Values of an object have this many places.
pub(crate) const WIDTH: usize = 6;

/// Not known: NaN.
const GAP: f32 = f32::NAN;

/// The values of one object at one time, made by the constructor that fits its [`crate::Key`].
#[derive(Debug, Clone, Copy)]
pub struct Values(pub(crate) [f32; WIDTH]);

/// Rates per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traffic {
    pub packets_in: f64,
    pub packets_out: f64,
    pub bytes_in: f64,
    pub bytes_out: f64,
}

impl Values {
    /// Of a virtual or real server. The rates are unknown at the first reading and after a counter began anew.
    pub fn server(active_connections: u64, rates: Option<(f64, Traffic)>) -> Self {
        let [packets_in, packets_out, bytes_in, bytes_out] = traffic(rates.map(|(_, traffic)| traffic));
        let connections = known(rates.map(|(connections, _)| connections));
        Values([known(Some(active_connections as f64)), connections, packets_in, packets_out, bytes_in, bytes_out])
    }

    pub fn interface(rates: Option<Traffic>) -> Self {
        let [packets_in, packets_out, bytes_in, bytes_out] = traffic(rates);
        Values([packets_in, packets_out, bytes_in, bytes_out, GAP, GAP])
    }

    /// `cpu_busy` from 0 to 1, `memory_used` in bytes.
    pub fn system(cpu_busy: Option<f64>, memory_used: Option<u64>) -> Self {
        Values([known(cpu_busy), known(memory_used.map(|m| m as f64)), GAP, GAP, GAP, GAP])
    }
}

fn traffic(rates: Option<Traffic>) -> [f32; 4] {
    let pick = |value: fn(Traffic) -> f64| known(rates.map(value));
    [pick(|t| t.packets_in), pick(|t| t.packets_out), pick(|t| t.bytes_in), pick(|t| t.bytes_out)]
}

/// What no counter can yield (negative, infinite) is not known either.
fn known(value: Option<f64>) -> f32 {
    value.map(|v| v as f32).filter(|v| v.is_finite() && *v >= 0.0).unwrap_or(GAP)
}
