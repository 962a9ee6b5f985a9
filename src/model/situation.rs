//! What an object's situation is, and why a value differs.

use serde::{Deserialize, Serialize};

/// How an object stands between source and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Situation {
    /// Equal on both sides.
    Confirmed,
    /// Correlated, and at least one mapped attribute differs.
    Changed,
    /// Wanted, absent at the target.
    Missing,
    /// Managed, and its source row is gone.
    Orphan,
    /// Managed; its source row exists but the scope leaves it out.
    OutOfScope,
    /// At the target, linked to nothing.
    Unmanaged,
    /// Several candidates match.
    Ambiguous,
    /// A unique value is taken, or claimed by two syncs or jobs.
    Conflict,
    /// A required value is missing.
    Incomplete,
}

/// Why an attribute differs, judged against the agreed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// There is no agreed state yet.
    Initial,
    /// The target moved.
    Drift,
    /// The wanted value moved with its source row.
    Source,
    /// The wanted value moved though the source row did not: the job's rules did.
    Rule,
    /// Target and wanted value moved apart: always reviewed.
    Both,
    /// A person asks that what was applied be undone.
    Revert,
}

macro_rules! words {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The word used in files, commands and messages.
            pub fn word(self) -> &'static str { match self { $(Self::$variant => $word),+ } }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.word()) }
        }
        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.word() == text).ok_or_else(|| format!("`{text}` is none of {}",
                    Self::ALL.iter().map(|v| v.word()).collect::<Vec<_>>().join(", ")))
            }
        }
    };
}
pub(crate) use words;

words!(Situation {
    Confirmed => "confirmed", Changed => "changed", Missing => "missing", Orphan => "orphan",
    OutOfScope => "out-of-scope", Unmanaged => "unmanaged", Ambiguous => "ambiguous", Conflict => "conflict",
    Incomplete => "incomplete",
});
words!(Cause {
    Initial => "initial", Drift => "drift", Source => "source", Rule => "rule", Both => "both",
    Revert => "revert",
});
