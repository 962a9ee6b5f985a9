//! Facts that rows may share: how they are told apart, what they are worth, and how they read.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::model::explanation::FactKind;

/// Characters of a value that are told.
const TOLD: usize = 80;

/// A fact seen at one row, while the row is at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    pub(super) kind: FactKind,
    /// The column, by its number among the subjects of an explanation.
    pub(super) subject: u32,
    /// The value, or what it was before.
    pub(super) before: &'a str,
    /// What it is now, for changes.
    pub(super) after: &'a str,
}

impl Sight<'_> {
    /// Tells facts apart. Two of one digest would be taken for one fact: of a few hundred, that never happens.
    pub(super) fn digest(&self) -> u64 {
        let subject = [(self.kind as u8).to_le(), 0, 0, 0]
            .into_iter()
            .chain(self.subject.to_le_bytes())
            .fold(0u64, |seed, byte| seed << 8 | u64::from(byte));
        let before = xxh3_64_with_seed(self.before.as_bytes(), subject);
        if self.after.is_empty() { before } else { before.rotate_left(1) ^ xxh3_64(self.after.as_bytes()) }
    }
}

/// A fact that is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fact {
    pub(super) kind: FactKind,
    pub(super) subject: u32,
    pub(super) before: String,
    pub(super) after: String,
}

impl Fact {
    pub(super) fn of(sight: &Sight<'_>) -> Self {
        Self {
            kind: sight.kind,
            subject: sight.subject,
            before: sight.before.to_owned(),
            after: sight.after.to_owned(),
        }
    }

    /// A fact that its text alone tells.
    pub(super) fn said(kind: FactKind, text: String) -> Self {
        Self { kind, subject: 0, before: text, after: String::new() }
    }

    /// What the fact is worth as an explanation: the greater the number, the more rows it has to cover to be preferred.
    /// A precise cause is worth more than a coincidence of values, and that more than the mere kind of change.
    pub(super) fn cost(&self) -> f64 {
        match self.kind {
            FactKind::Earlier | FactKind::ScopeChanged | FactKind::RuleChanged | FactKind::Swapped => 0.9,
            FactKind::Replaced => 1.0,
            FactKind::Format => 1.02,
            FactKind::Cleared | FactKind::Filled | FactKind::Container => 1.05,
            FactKind::Range => 1.15,
            FactKind::Value => 1.2,
            FactKind::Everything => 1.4,
            FactKind::Situation | FactKind::Changed => 3.5,
        }
    }

    /// Half a sentence. `subjects` names the columns.
    pub(super) fn text(&self, subjects: &[String]) -> String {
        let subject = subjects.get(self.subject as usize).map_or("", String::as_str);
        let (before, after) = (told(&self.before), told(&self.after));
        match self.kind {
            FactKind::Swapped => format!("the columns `{subject}` and `{before}` hold each other's values"),
            FactKind::Replaced if before.is_empty() => format!("`{after}` was added to `{subject}`"),
            FactKind::Replaced if after.is_empty() => format!("`{before}` was taken from `{subject}`"),
            FactKind::Replaced => format!("`{subject}`: `{before}` became `{after}`"),
            FactKind::Format => format!("`{subject}` changed its format: {before} became {after}"),
            FactKind::Cleared => format!("`{subject}` lost its value"),
            FactKind::Filled => format!("`{subject}` had no value before"),
            FactKind::Container => format!("they lie in `{before}`, by `{subject}`"),
            FactKind::Value => format!("`{subject}` is `{before}`"),
            FactKind::Changed => format!("`{subject}` changed, in different ways"),
            FactKind::RuleChanged => format!("the job's rules want another `{subject}`, of the same rows"),
            FactKind::Earlier
            | FactKind::ScopeChanged
            | FactKind::Range
            | FactKind::Everything
            | FactKind::Situation => self.before.clone(),
        }
    }
}

/// The beginning of a long value.
fn told(value: &str) -> String {
    match value.char_indices().nth(TOLD) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
