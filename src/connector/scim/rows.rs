//! Resources as snapshot rows and as objects.

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
    pub(super) fn new(system: &ScimSystem, definition: &Definition, extra: &[String]) -> Result<Self, Failure> {
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
