//! `kind = "csv"`: folders of CSV files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A folder with one `<resource>.csv` for each resource type or association.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// The folder.
    pub path: PathBuf,
    /// As a target: the folder that work-order files are written into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<PathBuf>,
    /// Key columns by resource; without an entry: `id` where there is such a column, else the first one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, Vec<String>>,
    /// Associations: resource → end column → the resource that its ids belong to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<String, BTreeMap<String, String>>,
    /// The column that says whether an account is in use; default `active`, where there is such a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<String>,
}

impl CsvConfig {
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.path.as_os_str().is_empty() {
            problems.push(("path", "the folder's path is empty; name the folder that holds the csv files".to_owned()));
        }
        for (resource, columns) in &self.keys {
            if columns.is_empty() {
                problems.push(("keys", format!("no key column is named for `{resource}`; name one or leave it out")));
            }
        }
        for (resource, ends) in &self.ends {
            if ends.len() < 2 {
                problems.push(("ends", format!("the association `{resource}` needs two end columns or more")));
            }
        }
        problems
    }
}
