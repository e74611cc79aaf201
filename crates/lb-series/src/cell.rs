//! One object's values at one time, as bytes: a CRC32 and 24 bytes of values.
//!
//! The checksum covers the object's name, the number of the step and the values, so that what was written for another
//! object, at another time or only in part does not pass. The finest ring has `f32`; the others have average and peak
//! in 16 bits each ([`pack`]), which is 0.2 % exact.

use crate::values::WIDTH;

/// Bytes of a cell.
pub const CELL: usize = 4 + 4 * WIDTH;

/// Values over one step. NaN: not known.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub average: [f32; WIDTH],
    pub peak: [f32; WIDTH],
}

/// How the values of a ring are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As measured.
    Exact,
    /// Average and peak of finer ones.
    Packed,
}

impl Cell {
    pub fn measured(values: [f32; WIDTH]) -> Self {
        Cell { average: values, peak: values }
    }

    /// `seed` stands for the object ([`seed`]), `n` for the step.
    pub fn encode(&self, form: Form, seed: u32, n: u64) -> [u8; CELL] {
        let mut bytes = [0; CELL];
        for (i, place) in bytes[4..].chunks_exact_mut(4).enumerate() {
            match form {
                Form::Exact => place.copy_from_slice(&self.average[i].to_le_bytes()),
                Form::Packed => {
                    place[..2].copy_from_slice(&pack_near(self.average[i]).to_le_bytes());
                    place[2..].copy_from_slice(&pack_up(self.peak[i]).to_le_bytes());
                }
            }
        }
        let crc = checksum(seed, n, &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// None: there is nothing of this object at this time.
    pub fn decode(bytes: &[u8], form: Form, seed: u32, n: u64) -> Option<Self> {
        let (crc, values) = bytes.get(..CELL)?.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*crc) != checksum(seed, n, values) {
            return None;
        }
        let mut cell = Cell::measured([f32::NAN; WIDTH]);
        for (i, place) in values.chunks_exact(4).enumerate() {
            let place = [place[0], place[1], place[2], place[3]];
            match form {
                Form::Exact => {
                    cell.average[i] = f32::from_le_bytes(place);
                    cell.peak[i] = cell.average[i];
                }
                Form::Packed => {
                    cell.average[i] = unpack(u16::from_le_bytes([place[0], place[1]]));
                    cell.peak[i] = unpack(u16::from_le_bytes([place[2], place[3]]));
                }
            }
        }
        Some(cell)
    }

    /// Average of the averages and peak of the peaks, value by value over those that are known; none of none.
    pub fn over(cells: impl IntoIterator<Item = Cell>) -> Option<Self> {
        let mut sums = [0f64; WIDTH];
        let mut counts = [0u32; WIDTH];
        let mut peak = [f32::NAN; WIDTH];
        let mut any = false;
        for cell in cells {
            any = true;
            for i in 0..WIDTH {
                if !cell.average[i].is_nan() {
                    sums[i] += f64::from(cell.average[i]);
                    counts[i] += 1;
                }
                peak[i] = peak[i].max(cell.peak[i]); // of NaN and a number: the number
            }
        }
        let average = std::array::from_fn(|i| (sums[i] / f64::from(counts[i])) as f32); // 0 / 0: NaN
        any.then_some(Cell { average, peak })
    }
}

/// What stands for an object in its cells.
pub fn seed(name: &str) -> u32 {
    crc32fast::hash(name.as_bytes())
}

fn checksum(seed: u32, n: u64, values: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&n.to_le_bytes());
    hasher.update(values);
    hasher.finalize()
}

/// The upper half of an `f32` without its sign: 8 bits of exponent, 8 of fraction. Whole numbers up to 512 are exact.
fn pack(bits: u32) -> u16 {
    (bits >> 15) as u16
}

fn pack_near(value: f32) -> u16 {
    match value.is_nan() {
        true => u16::MAX,
        false => pack(value.abs().min(f32::MAX / 2.0).to_bits() + (1 << 14)),
    }
}

/// A peak is never told smaller than it was.
fn pack_up(value: f32) -> u16 {
    match value.is_nan() {
        true => u16::MAX,
        false => pack(value.abs().min(f32::MAX / 2.0).to_bits() + ((1 << 15) - 1)),
    }
}

fn unpack(packed: u16) -> f32 {
    f32::from_bits(u32::from(packed) << 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = [f32; WIDTH]> {
        prop::array::uniform6(prop_oneof![Just(f32::NAN), 0.0..1.0f32, 0.0..1e12f32])
    }

    proptest! {
        #[test]
        fn measured_values_come_back_exactly(values in values(), seed: u32, n: u64) {
            let bytes = Cell::measured(values).encode(Form::Exact, seed, n);
            let back = Cell::decode(&bytes, Form::Exact, seed, n).expect("whole");
            prop_assert_eq!(back.average.map(f32::to_bits), values.map(f32::to_bits));
        }

        #[test]
        fn packed_averages_are_near_and_peaks_not_below(values in values(), seed: u32, n: u64) {
            let bytes = Cell::measured(values).encode(Form::Packed, seed, n);
            let back = Cell::decode(&bytes, Form::Packed, seed, n).expect("whole");
            for (value, (average, peak)) in values.into_iter().zip(back.average.into_iter().zip(back.peak)) {
                prop_assert_eq!((value.is_nan(), value.is_nan()), (average.is_nan(), peak.is_nan()));
                if !value.is_nan() {
                    prop_assert!((average - value).abs() <= value / 500.0 + f32::MIN_POSITIVE);
                    prop_assert!(peak >= value && peak <= value * 1.005 + f32::MIN_POSITIVE);
                }
            }
        }

        #[test]
        fn another_object_another_time_and_any_flipped_bit_do_not_pass(
            values in values(), seed: u32, n: u64, other: u32, later in 1u64..1000, bit in 0usize..CELL * 8,
        ) {
            let mut bytes = Cell::measured(values).encode(Form::Exact, seed, n);
            prop_assert!(other == seed || Cell::decode(&bytes, Form::Exact, other, n).is_none());
            prop_assert!(Cell::decode(&bytes, Form::Exact, seed, n.wrapping_add(later)).is_none());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Cell::decode(&bytes, Form::Exact, seed, n).is_none());
        }
    }

    #[test]
    fn an_average_passes_over_what_is_not_known() {
        let nan = f32::NAN;
        let cells = [[1.0, nan, nan, 0.0, 4.0, 1.0], [3.0, 8.0, nan, 0.0, nan, 2.0]].map(Cell::measured);
        let cell = Cell::over(cells).expect("two");
        assert_eq!(cell.average[..2], [2.0, 8.0]);
        assert!(cell.average[2].is_nan() && cell.peak[2].is_nan());
        assert_eq!((cell.average[4], cell.peak[0], cell.peak[5]), (4.0, 3.0, 2.0));
        assert!(Cell::over([]).is_none());
    }

    #[test]
    fn counts_up_to_512_are_exact_when_packed() {
        for n in 0..=512u16 {
            assert_eq!(unpack(pack_near(f32::from(n))), f32::from(n));
            assert_eq!(unpack(pack_up(f32::from(n))), f32::from(n));
        }
    }
}
