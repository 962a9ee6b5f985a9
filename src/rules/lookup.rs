//! Values from other snapshots: what a rule's `lookup` reads, and the directories that it is read from.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outcome::shortened;
use super::problem::did_you_mean;
use crate::model::resource::ResourceName;
use crate::snapshot::directory::{Directory, Dispute, Finding};
use crate::snapshot::error::SnapshotError;
use crate::snapshot::table::Table;

/// What a rule looks up: in the row of a snapshot whose column `key` holds a value, what the column `wanted` holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    /// The snapshot.
    pub resource: ResourceName,
    /// The column that is searched.
    pub key: String,
    /// The column that is read.
    pub wanted: String,
}

/// A lookup where it stands in a rule.
#[derive(Clone, Debug)]
pub struct PlacedLookup {
    /// What is looked up.
    pub lookup: Lookup,
    /// Where the rule's text names the snapshot, in bytes from its start.
    pub offset: usize,
}

/// The directories for all lookups of a plan's rules, each read once.
#[derive(Debug, Default)]
pub struct Lookups {
    known: BTreeMap<Lookup, Result<Arc<Directory>, String>>,
}

impl Lookups {
    /// Reads a directory for each lookup whose snapshot is there.
    ///
    /// # Errors
    /// Where a snapshot cannot be read.
    pub fn read(
        wanted: impl IntoIterator<Item = Lookup>,
        tables: &BTreeMap<ResourceName, Table>,
    ) -> Result<Self, SnapshotError> {
        let mut known = BTreeMap::new();
        for lookup in wanted {
            let Some(table) = tables.get(&lookup.resource).filter(|_| !known.contains_key(&lookup)) else { continue };
            let column = |name: &str| {
                table.column(name).ok_or_else(|| {
                    let near = did_you_mean(name, table.columns().iter().map(String::as_str));
                    format!("{} has no column `{name}`{near}", lookup.resource)
                })
            };
            let directory = match (column(&lookup.key), column(&lookup.wanted)) {
                (Ok(key), Ok(wanted)) => Ok(Arc::new(Directory::new(table, key, wanted)?)),
                (Err(problem), _) | (_, Err(problem)) => Err(problem),
            };
            known.insert(lookup, directory);
        }
        Ok(Self { known })
    }

    /// The directory for a lookup, or why there is none.
    pub(super) fn directory(&self, lookup: &Lookup) -> Result<Arc<Directory>, String> {
        match self.known.get(lookup) {
            Some(Ok(directory)) => Ok(Arc::clone(directory)),
            Some(Err(problem)) => Err(problem.clone()),
            None => Err(format!("nothing can be looked up in {} here: its snapshot was not read", lookup.resource)),
        }
    }
}

impl Lookup {
    /// What a directory holds under a key; empty where there is nothing.
    ///
    /// # Errors
    /// Where several rows have the key and hold different things: nobody guesses which is meant.
    pub(super) fn find<'d>(&self, directory: &'d Directory, key: &str) -> Result<&'d str, String> {
        match directory.find(key) {
            Finding::Nothing => Ok(""),
            Finding::Value(value) => Ok(value),
            Finding::Disputed(dispute) => Err(self.disputed(key, dispute)),
        }
    }

    fn disputed(&self, key: &str, dispute: &Dispute) -> String {
        let said = |value: &str| match value {
            "" => "nothing".to_owned(),
            value => format!("`{}`", shortened(value)),
        };
        let [(first, one), (second, other)] = &dispute.sayings;
        format!(
            "{} rows of {} have {} `{}`, and they differ: {} is {} in `{first}` and {} in `{second}`",
            dispute.rows,
            self.resource,
            self.key,
            shortened(key),
            self.wanted,
            said(one),
            said(other),
        )
    }
}
