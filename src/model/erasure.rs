//! The erasure of an identity that is gone: whom it is about, what stands in its way, and what it came to.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::order::OrderId;
use super::resource::ResourceName;
use super::run::RunId;

/// An erasure as it is written down before anything is erased, so that a crash is finished by whoever comes next.
/// It names whom it is about, and goes when it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The made name that stands in the place of the identity from then on: `erased-1f0c9a77b2`.
    pub name: String,
    /// The job.
    pub job: String,
    /// Who asked for it.
    pub who: String,
    /// Why.
    pub comment: String,
    /// What the identity is called, and what refers to it.
    pub whom: Whom,
    /// The orders of the identity itself, and of its association rows.
    pub own: BTreeSet<OrderId>,
    /// Orders of others that name it in a value.
    pub naming: BTreeSet<OrderId>,
    /// The runs in whose folders it is named.
    pub runs: BTreeSet<RunId>,
    /// The runs whose snapshots hold it.
    pub exports: BTreeSet<RunId>,
}

/// What an identity goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whom {
    /// The resource type that its row was read from, and those that it was provisioned to.
    pub resources: BTreeSet<ResourceName>,
    /// The syncs that are about it.
    pub syncs: BTreeSet<String>,
    /// Its source keys.
    pub keys: BTreeSet<String>,
    /// Its ids at targets.
    pub ids: BTreeSet<String>,
    /// What it is called, whoever else may be called so.
    pub names: BTreeSet<String>,
    /// Values that nobody else has: replaced wherever they stand as a word.
    pub values: BTreeSet<String>,
    /// Its identities among objects, `vault.users/hr.users=E1` and `vault.users#77`, and `hr.users=E1`.
    pub objects: BTreeSet<String>,
}

impl Whom {
    /// Whether a text is its key, its id or its name.
    pub fn is_called(&self, text: &str) -> bool {
        self.keys.contains(text) || self.ids.contains(text) || self.names.contains(text) || self.values.contains(text)
    }
}

/// Something that has to be over before an identity can be erased.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// What it is, in a sentence.
    pub what: String,
    /// What to do about it: a command, or when.
    pub next: String,
}

/// A file that an erasure rewrites, or a folder that it removes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErasedPlace {
    /// Below the state folder.
    pub path: String,
    /// `rewritten`, or `removed`.
    pub what: &'static str,
}

/// What an erasure comes to in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedRows {
    /// Orders of the identity and of its association rows.
    pub orders: u64,
    /// Orders of others that named it.
    pub naming: u64,
    /// Tries at these orders.
    pub attempts: u64,
    /// Links and association rows.
    pub links: u64,
    /// Other texts: holds, comments, notes.
    pub texts: u64,
    /// Entries of the log.
    pub entries: u64,
}

/// An erasure, as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToldErasure {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub who: String,
    /// Why.
    pub comment: String,
    /// The made name, or what was erased.
    pub name: String,
    /// Entries of the log whose content it took.
    pub entries: u64,
}
