//! Resources as snapshot rows and as objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use super::{ScimSystem, id_of};
use crate::model::failure::{Class, Failure};
use crate::model::object::Object;
use crate::model::value::Value;
use crate::scim::column::{Column, ColumnReader, columns};
use crate::scim::path::{Path, member};
use crate::scim::schema::Definition;

/// The columns that a resource type offers by itself. Members and groups are left out: they are associations, and a
/// group of a million members is no cell.
pub(super) fn offered(definition: &Definition) -> Vec<Column> {
    let mut columns = columns(definition);
    columns.retain(|column| !matches!(column.name.as_str(), "members" | "groups"));
    columns
}

/// Reads rows of some columns.
pub(super) struct RowReader {
    pub(super) names: Vec<String>,
    readers: Vec<ColumnReader>,
}

impl RowReader {
    /// The offered columns and then further ones.
    pub(super) fn new<'a>(
        system: &ScimSystem,
        definition: &Definition,
        extra: impl IntoIterator<Item = &'a String>,
    ) -> Result<Self, Failure> {
        let mut names: Vec<String> = offered(definition).into_iter().map(|column| column.name).collect();
        for name in extra {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let readers =
            names.iter().map(|name| ColumnReader::of(name, definition)).collect::<Result<_, _>>().map_err(|error| {
                system.failure(Class::Configuration, error.to_string(), "correct the column in the job file")
            })?;
        Ok(Self { names, readers })
    }

    /// The reader of one column, where it is among these.
    pub(super) fn column(&self, name: &str) -> Option<&ColumnReader> {
        self.readers.get(self.names.iter().position(|known| known == name)?)
    }

    pub(super) fn cells(&self, resource: &Json) -> Vec<String> {
        self.readers.iter().map(|reader| reader.cell(resource)).collect()
    }

    pub(super) fn object(&self, resource: &Json) -> Option<Object> {
        let attributes = self
            .names
            .iter()
            .zip(self.cells(resource))
            .filter_map(|(name, cell)| Some((name.clone(), Value::from_cell(&cell)?)))
            .collect();
        let version = member(resource, "meta")
            .and_then(|meta| member(meta, "version"))
            .and_then(Json::as_str)
            .filter(|version| !version.is_empty())
            .map(str::to_owned);
        Some(Object { id: id_of(resource)?, attributes, version })
    }
}

/// The readers of objects: for each resource one, made once, of the columns that its schema offers and those that the
/// job names.
pub(super) struct ObjectReaders(Mutex<BTreeMap<String, Known>>);

#[derive(Default)]
struct Known {
    /// Columns beyond those of the schema.
    columns: BTreeSet<String>,
    reader: Option<Arc<RowReader>>,
}

impl ObjectReaders {
    /// Readers that know the columns that a job names, by resource.
    pub(super) fn new(columns: &BTreeMap<String, BTreeSet<String>>) -> Self {
        let known = |columns: &BTreeSet<String>| Known { columns: columns.clone(), reader: None };
        Self(Mutex::new(columns.iter().map(|(resource, columns)| (resource.clone(), known(columns))).collect()))
    }

    /// The reader of a resource's objects, with these columns and all that were named before.
    pub(super) fn with<'a>(
        &self,
        system: &ScimSystem,
        resource: &str,
        definition: &Definition,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Result<Arc<RowReader>, Failure> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = readers.entry(resource.to_owned()).or_default();
        let reader = known.reader.as_ref();
        let missing: Vec<&String> =
            names.into_iter().filter(|name| reader.is_none_or(|reader| reader.column(name).is_none())).collect();
        if let Some(reader) = reader.filter(|_| missing.is_empty()) {
            return Ok(reader.clone());
        }
        let columns: BTreeSet<String> = known.columns.iter().chain(missing).cloned().collect();
        let reader = Arc::new(RowReader::new(system, definition, columns.iter())?);
        *known = Known { columns, reader: Some(reader.clone()) };
        Ok(reader)
    }
}

/// Whether a resource holds a value in an attribute: alone or among others, by the attribute's case rule.
pub(super) fn holds_value(definition: &Definition, reader: &ColumnReader, resource: &Json, value: &str) -> bool {
    let path: &Path = reader.path();
    let exact = definition.find(path).is_some_and(|attribute| attribute.leaf().case_exact);
    let same = |found: &str| if exact { found == value } else { found.to_lowercase() == value.to_lowercase() };
    match Value::from_cell(&reader.cell(resource)) {
        Some(Value::Text(found)) => same(&found),
        Some(Value::Many(found)) => found.iter().any(|found| same(found)),
        None => false,
    }
}

/// When a resource last changed, by its own account.
pub(super) fn last_modified(resource: &Json) -> Option<DateTime<Utc>> {
    let text = member(member(resource, "meta")?, "lastModified")?.as_str()?;
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}
