//! What a column's values are like, in little: compared between snapshots, it shows a format that changed and headers
//! that were swapped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::shape::Shape;

/// As many values as a sketch keeps.
const KEPT: usize = 32;

/// How the values of one column are written, and some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Values looked at, by shape; empty cells are not counted.
    pub shapes: BTreeMap<Shape, u64>,
    /// Digests of some of the values.
    pub sketch: Sketch,
}

/// The smallest digests of a column's values. Two columns share as much of their sketches as of their values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sketch(Vec<u64>);

impl Fingerprint {
    /// Looks at a value; `digest` is its digest, the same in every run.
    pub fn add(&mut self, cell: &str, digest: u64) {
        if !cell.is_empty() {
            *self.shapes.entry(Shape::of(cell)).or_default() += 1;
            self.sketch.add(digest);
        }
    }

    /// Takes what another part of the same column showed.
    pub fn merge(&mut self, other: &Self) {
        for (shape, number) in &other.shapes {
            *self.shapes.entry(*shape).or_default() += number;
        }
        other.sketch.0.iter().for_each(|digest| self.sketch.add(*digest));
    }

    /// Values that were looked at.
    pub fn values(&self) -> u64 {
        self.shapes.values().sum()
    }

    /// The share of the values with a shape, 0.0 to 1.0.
    pub fn share(&self, shape: Shape) -> f64 {
        self.shapes.get(&shape).copied().unwrap_or(0) as f64 / self.values().max(1) as f64
    }

    /// The shape that most values have.
    pub fn main_shape(&self) -> Option<Shape> {
        self.shapes.iter().max_by_key(|(_, number)| **number).map(|(shape, _)| *shape)
    }
}

impl Sketch {
    fn add(&mut self, digest: u64) {
        if self.0.len() == KEPT && self.0.last().is_some_and(|last| digest >= *last) {
            return;
        }
        if let Err(at) = self.0.binary_search(&digest) {
            self.0.insert(at, digest);
            self.0.truncate(KEPT);
        }
    }

    /// About which share of the values of both columns is in both, 0.0 to 1.0.
    pub fn overlap(&self, other: &Self) -> f64 {
        let mut union = self.clone();
        other.0.iter().for_each(|digest| union.add(*digest));
        let both = union.0.iter().filter(|d| self.0.binary_search(d).is_ok() && other.0.binary_search(d).is_ok());
        both.count() as f64 / union.0.len().max(1) as f64
    }
}

impl From<Sketch> for String {
    fn from(sketch: Sketch) -> Self {
        sketch.0.iter().map(|digest| format!("{digest:016x}")).collect()
    }
}

impl TryFrom<String> for Sketch {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digest = |at: usize| text.get(at..at + 16).and_then(|part| u64::from_str_radix(part, 16).ok());
        let digests = (0..text.len()).step_by(16).map(digest).collect::<Option<Vec<u64>>>();
        let mut digests = digests.ok_or("a sketch is digests of 16 hex digits each")?;
        digests.sort_unstable();
        digests.dedup();
        digests.truncate(KEPT);
        Ok(Self(digests))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(values: std::ops::Range<u64>) -> Fingerprint {
        let mut print = Fingerprint::default();
        // Any mixing of the numbers does for digests.
        values.for_each(|n| print.add(&n.to_string(), (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        print
    }

    #[test]
    fn sketches_overlap_as_the_values_do_and_read_back() {
        let (all, half, other) = (of(0..1000), of(500..1000), of(2000..3000));
        assert_eq!(all.sketch.overlap(&all.sketch), 1.0);
        assert!((0.2..0.8).contains(&all.sketch.overlap(&half.sketch)));
        assert_eq!(all.sketch.overlap(&other.sketch), 0.0);
        let mut parts = of(0..300);
        parts.merge(&of(300..1000));
        assert_eq!(parts, all);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), all);
    }
}
