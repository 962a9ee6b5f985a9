//! What the first rows of a file show of its columns, without keeping any of their values.

use std::collections::{BTreeMap, BTreeSet};

/// What words for yes and no look like, in lower case; what yes is comes first.
const WORDS: &[[&str; 2]] = &[
    ["true", "false"],
    ["yes", "no"],
    ["y", "n"],
    ["1", "0"],
    ["active", "inactive"],
    ["enabled", "disabled"],
    ["on", "off"],
    ["ja", "nein"],
    ["j", "n"],
];

/// What the first rows show.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// How many rows were seen.
    pub rows: usize,
    columns: BTreeMap<String, Seen>,
}

/// One column, while rows are seen.
#[derive(Clone, Debug, Default)]
struct Seen {
    empty: bool,
    repeats: bool,
    /// Digests, so that no value is kept.
    values: BTreeSet<u64>,
    /// Which of `WORDS` all values so far belong to; `None` before the first one.
    words: Option<BTreeSet<usize>>,
}

impl Look {
    /// Takes a row, by column.
    pub fn row<'c>(&mut self, cells: impl Iterator<Item = (&'c str, &'c str)>) {
        self.rows += 1;
        for (column, cell) in cells {
            let seen = self.columns.entry(column.to_owned()).or_default();
            let cell = cell.trim();
            if cell.is_empty() {
                seen.empty = true;
                continue;
            }
            let lower = cell.to_lowercase();
            seen.repeats |= !seen.values.insert(xxhash_rust::xxh3::xxh3_64(lower.as_bytes()));
            let fit = |pair: usize| WORDS.get(pair).is_some_and(|words| words.contains(&lower.as_str()));
            seen.words = Some(match seen.words.take() {
                None => (0..WORDS.len()).filter(|pair| fit(*pair)).collect(),
                Some(words) => words.into_iter().filter(|pair| fit(*pair)).collect(),
            });
        }
    }

    /// Whether every row has a value of its own there, as far as was seen.
    pub(super) fn tells_apart(&self, column: &str) -> bool {
        self.columns.get(column).is_none_or(|seen| !seen.empty && !seen.repeats)
    }

    /// Whether a row without a value there was seen.
    pub(super) fn has_gaps(&self, column: &str) -> bool {
        self.columns.get(column).is_some_and(|seen| seen.empty)
    }

    /// The word for yes, where all values seen are words for yes and no; `None` where they are something else, or
    /// nothing was seen.
    pub(super) fn yes(&self, column: &str) -> Option<&'static str> {
        let pair = *self.columns.get(column)?.words.as_ref()?.first()?;
        WORDS.get(pair).map(|[yes, _]| *yes)
    }
}
