//! What an export saw, and what that proves about its completeness.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::situation::words;

/// How much of a system an export reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Only what changed since the last cursor, merged into the baseline.
    Incremental,
    /// Everything.
    #[default]
    Complete,
}

words!(Mode { Incremental => "incremental", Complete => "complete" });

/// What was seen while one resource was exported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Requests for pages sent.
    pub pages_asked: u64,
    /// Pages received.
    pub pages_received: u64,
    /// Rows received, before any merge.
    pub rows_received: u64,
    /// The server's own total on the first page.
    pub total_start: Option<u64>,
    /// The server's own total, read again at the end.
    pub total_end: Option<u64>,
    /// HTTP statuses and how often.
    pub statuses: BTreeMap<u16, u64>,
    /// Rows whose key is empty: how many, and the first places.
    pub empty_keys: Occurrences,
    /// Rows whose key was seen before: how many, and the first places (`key: rows 3 and 17`).
    pub duplicate_keys: Occurrences,
    /// The share of empty cells by column, 0.0 to 1.0.
    pub empty_share: BTreeMap<String, f64>,
    /// How values are written, by column; of a sample of the rows, the same rows in every snapshot.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fingerprints: BTreeMap<String, Fingerprint>,
    /// For associations, by end column: how many different owners there are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub owners: BTreeMap<String, u64>,
    /// For associations, by end column: the owners with the most rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub largest: BTreeMap<String, Largest>,
    /// Objects that the job names and every whole export holds, as far as they were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentinels: Vec<String>,
    /// The accepted snapshots before this one, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Measure>,
    /// What a complete export found that the increments before it had not; `None` where there was nothing to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
    /// Whether the last line that was read has no line break: its file may have been cut there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_open: bool,
    /// Rows that had come on the page before too: the list moved under the walk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shifted_rows: u64,
    /// What the first look saw, where the list was read a second time; all else here is of the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_look: Option<FirstLook>,
    /// Why it is certainly not everything: the system broke the list off. A sentence, with what to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<String>,
    /// What the connector noticed and a person should know, in sentences (filter refused, read page by page …).
    pub notes: Vec<String>,
    /// Anomalies that the connector itself saw (a page repeated, a page short of rows …), each with a name.
    pub anomalies: Vec<Suspicion>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What was seen of a list that was then read a second time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstLook {
    /// Why one look was not enough: `the server's own total moved from 95 to 94`.
    pub why: String,
    /// Requests for pages sent.
    pub pages_asked: u64,
    /// Pages received.
    pub pages_received: u64,
    /// Rows received.
    pub rows_received: u64,
    /// The server's own total on the first page.
    pub total_start: Option<u64>,
    /// The server's own total at the end.
    pub total_end: Option<u64>,
    /// HTTP statuses and how often.
    pub statuses: BTreeMap<u16, u64>,
    /// Rows that had come on the page before too.
    pub shifted_rows: u64,
    /// What the connector itself saw.
    pub anomalies: Vec<Suspicion>,
}

/// The largest number of rows of an association that one owner has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Largest {
    /// How many rows.
    pub rows: u32,
    /// How many owners have so many.
    pub owners: u64,
}

/// How large an accepted snapshot was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Its rows.
    pub rows: u64,
    /// The share of empty cells by column, 0.0 to 1.0.
    pub empty_share: BTreeMap<String, f64>,
    /// For associations, by end column: how many different owners there were.
    pub owners: BTreeMap<String, u64>,
}

impl Evidence {
    /// As many accepted snapshots are remembered.
    pub const REMEMBERED: usize = 10;

    /// What the snapshot after this one, which has `rows` rows, remembers of it and of those before it.
    pub fn history_with(&self, rows: u64) -> Vec<Measure> {
        let own = Measure { rows, empty_share: self.empty_share.clone(), owners: self.owners.clone() };
        let skipped = (self.history.len() + 1).saturating_sub(Self::REMEMBERED);
        self.history.iter().skip(skipped).cloned().chain([own]).collect()
    }
}

/// A check of a finished snapshot; suspicions are named for it, and a job may switch it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// There are rows, where there were any.
    Empty,
    /// The server's own total is that of the rows.
    Total,
    /// The server's own total is the same at the start and at the end.
    TotalMoved,
    /// Every page that was asked for came.
    Pages,
    /// No key comes twice.
    DuplicateKeys,
    /// No key is empty.
    EmptyKeys,
    /// The last line ends as lines do, where it did before.
    LastLine,
    /// The columns that were there before are.
    Header,
    /// The objects that every whole export holds are there.
    Sentinel,
    /// No column lost most of its values.
    EmptyColumn,
    /// Lists of members do not all stop at a round number.
    RoundMembers,
    /// Columns are written as they were.
    Format,
    /// No two columns exchanged their values.
    SwappedColumns,
    /// There are not many fewer rows than in any of the last accepted snapshots.
    FewerRows,
    /// There are not many fewer owners of association rows than in any of them.
    FewerOwners,
}

words!(Check {
    Empty => "empty", Total => "total", TotalMoved => "total-moved", Pages => "pages",
    DuplicateKeys => "duplicate-keys", EmptyKeys => "empty-keys", LastLine => "last-line", Header => "header", Sentinel => "sentinel",
    EmptyColumn => "empty-column", RoundMembers => "round-members", Format => "format",
    SwappedColumns => "swapped-columns", FewerRows => "fewer-rows", FewerOwners => "fewer-owners",
});

/// Rows that the chain of increments had missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Rows that are new or differ.
    pub rows: u64,
    /// Rows that are gone.
    pub deletions: u64,
}

impl Missed {
    /// Whether the increments had seen everything.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_nothing() {
            return f.write_str("nothing");
        }
        let plural = |number: u64| if number == 1 { "" } else { "s" };
        let (rows, deletions) = (self.rows, self.deletions);
        write!(f, "{rows} new or changed row{} and {deletions} deletion{}", plural(rows), plural(deletions))
    }
}

/// A count with a few examples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrences {
    /// How many there are.
    pub count: u64,
    /// The first ten, ready to print.
    pub first: Vec<String>,
}

impl Occurrences {
    /// Counts one more and keeps it as an example while there are fewer than ten.
    pub fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < 10 {
            self.first.push(example());
        }
    }
}

/// One reason to doubt that a snapshot is whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Suspicion {
    /// Its name, as a person accepts it: `idp.users/empty`, `idp.users/total`.
    pub name: String,
    /// One sentence: what was seen, what was expected.
    pub detail: String,
    /// The figure that was seen; an acceptance holds until it changes.
    pub figure: String,
}

/// Whether a snapshot is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Completeness {
    /// Everything that the system holds.
    Complete,
    /// Perhaps not everything; a person may accept it.
    Suspect {
        /// Each reason, sorted by name.
        suspicions: Vec<Suspicion>,
    },
    /// Certainly not everything; never used.
    Partial {
        /// Why.
        cause: String,
    },
}

impl Completeness {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Suspect { .. } => "suspect",
            Self::Partial { .. } => "partial",
        }
    }
}
