//! Remembered pairs of source and target objects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::situation::words;

/// How a link came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A match rule of 100 % confidence, confirmed.
    Match,
    /// A person: `link`, or approving an order of low confidence.
    Person,
    /// An order that was applied.
    Applied,
}

words!(How { Match => "match", Person => "person", Applied => "applied" });

/// What source and target agreed on when an object was last found confirmed or read back after an apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// 64-bit digest of all cells of the source row at that time.
    pub source_digest: u64,
    /// 64-bit digest of each mapped attribute's canonical value; an attribute that was absent is in it too.
    pub attributes: BTreeMap<String, u64>,
}

/// A remembered pair. An object with a link is managed by the sync that recorded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The sync's id.
    pub sync_id: String,
    /// The source row's key.
    pub source_key: String,
    /// The target's id of the object.
    pub target_id: String,
    /// How it came to be.
    pub how: How,
    /// The agreed state; `None` until the object was first confirmed.
    pub agreed: Option<Agreed>,
}
