//! Why a threshold tripped: what the rows or orders behind it have in common.

use serde::{Deserialize, Serialize};

use super::situation::words;

/// The smallest set of shared facts found that covers nine tenths of the rows or orders, and what it leaves over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Facts, the one that covers most first.
    pub facts: Vec<SharedFact>,
    /// Rows or orders that none of the facts covers. The counts of the facts and this one add up to all of them.
    pub rest: u64,
}

impl Explanation {
    /// How many rows or orders there are.
    pub fn all(&self) -> u64 {
        self.facts.iter().map(|fact| fact.count).sum::<u64>() + self.rest
    }
}

/// One fact that rows or orders share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedFact {
    /// What kind of fact.
    pub kind: FactKind,
    /// The fact, half a sentence. Holds values of the snapshots: not safe for a terminal as it is.
    pub text: String,
    /// The rows or orders that it covers and no fact before it does.
    pub count: u64,
}

/// What rows or orders may have in common. Where several say the same of as many, the first is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactKind {
    /// They wait since earlier runs.
    Earlier,
    /// The scope leaves them out, and the job file changed.
    ScopeChanged,
    /// The rules want another value of one attribute, of the same rows.
    RuleChanged,
    /// Two columns hold each other's values.
    Swapped,
    /// A part of one column's values was replaced by another, always the same.
    Replaced,
    /// One column is written another way.
    Format,
    /// One column lost its values.
    Cleared,
    /// One column had no values before.
    Filled,
    /// They lie in one container: a subtree, a folder, a domain.
    Container,
    /// They stand one after the other in the export.
    Range,
    /// They have one value in common.
    Value,
    /// All rows, or nearly.
    Everything,
    /// What the source does not want any more, or what was changed at the target.
    Situation,
    /// One column changed, in different ways.
    Changed,
}

words!(FactKind {
    Earlier => "earlier", ScopeChanged => "scope-changed", RuleChanged => "rule-changed", Swapped => "swapped",
    Replaced => "replaced", Format => "format", Cleared => "cleared", Filled => "filled", Container => "container",
    Range => "range", Value => "value", Everything => "everything", Situation => "situation", Changed => "changed",
});
