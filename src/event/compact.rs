//! Serialisation of long lists in few characters: a thousand batches a second, most of them of equal length, are recorded
//! for hours.

use super::ids::SensorId;
use serde::{
    Deserialize, Deserializer, Serializer,
    de::{Error, SeqAccess, Visitor},
    ser::SerializeSeq,
};
use std::fmt;

/// Upper bound on the values of one list: far more batches than a device runs between two reports, and few enough that a
/// damaged count cannot exhaust memory.
const MOST: u64 = 1_000_000;

/// A value and how many times it occurs in a row.
struct Run(u64, u64);

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Run;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a pair of a whole number and its count")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Run, E> {
                Ok(Run(value, 1))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Run, A::Error> {
                let mut next = |i| -> Result<u64, A::Error> {
                    pair.next_element()?.ok_or_else(|| A::Error::invalid_length(i, &self))
                };
                Ok(Run(next(0)?, next(1)?))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// Writes a run of equal values as `[value, count]`, any other value as itself.
pub fn serialize<S: Serializer>(values: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(None)?;
    for run in values.chunk_by(|a, b| a == b) {
        match run {
            [one] => list.serialize_element(one)?,
            _ => list.serialize_element(&(run[0], run.len()))?,
        }
    }
    list.end()
}

/// Reads what [`serialize`] wrote, and plain lists.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let mut values: Vec<u64> = Vec::new();
    for Run(value, count) in Vec::<Run>::deserialize(deserializer)? {
        if count > MOST - values.len() as u64 {
            return Err(D::Error::custom(format!("more than {MOST} values in a list")));
        }
        values.extend(std::iter::repeat_n(value, count as usize));
    }
    Ok(values)
}

/// Reads sensor readings. JSON has no NaN and has null in its place.
pub fn readings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(SensorId, f64)>, D::Error> {
    let values = Vec::<(SensorId, Option<f64>)>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(id, value)| (id, value.unwrap_or(f64::NAN))).collect())
}
