//! The files of a folder: which there are, what identifies their rows, what they offer.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::CsvSystem;
use crate::disk::DiskError;
use crate::model::capabilities::{AttributeType, Capabilities, ResourceCapabilities};
use crate::model::failure::{Class, Failure, Stage};
use crate::model::order::Operation;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::table::Table;

/// The column that says whether an account is in use, unless the job names another.
pub(super) const ENABLED: &str = "active";

/// Associations that are known by their columns, as the other connectors write them.
const KNOWN_ENDS: &[[(&str, &str); 2]] =
    &[[("group", "groups"), ("user", "users")], [("parent", "groups"), ("child", "groups")]];

/// A file that was opened, with the state that it had then.
pub(super) struct Opened {
    pub(super) table: Table,
    /// End column → resource, for associations.
    pub(super) ends: BTreeMap<String, String>,
    /// The key's columns.
    pub(super) key: Vec<String>,
    path: PathBuf,
    state: Option<(u64, Option<SystemTime>)>,
}

impl Opened {
    /// Whether the file's last line has no line break.
    pub(super) fn ends_open(&self) -> Result<bool, SnapshotError> {
        let last = || {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::End(-1))?;
            let mut byte = [0];
            file.read_exact(&mut byte)?;
            Ok(byte[0])
        };
        // It has a header, so that there is a last byte.
        let last: std::io::Result<u8> = last();
        Ok(!matches!(last.map_err(DiskError::of("read", &self.path))?, b'\n' | b'\r'))
    }
}

fn state(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    std::fs::metadata(path).ok().map(|found: Metadata| (found.len(), found.modified().ok()))
}

impl CsvSystem {
    /// The resources that the folder has, sorted.
    pub(super) fn resources(&self) -> Result<Vec<String>, Failure> {
        let entries = std::fs::read_dir(&self.folder).map_err(|error| {
            let mut failure = self.failure(
                Class::Connection,
                format!("the folder {} cannot be read: {error}", self.folder.display()),
                "see whether the folder is there (mounted?) and may be read; `path` is relative to the job file",
            );
            failure.stage = Some(Stage::Connect);
            failure
        })?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".csv").map(str::to_owned))
            .filter(|name| !name.starts_with('.') && !name.is_empty())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Opens a resource's file.
    pub(super) fn open(&self, resource: &str) -> Result<Opened, Failure> {
        let names = self.resources()?;
        if !names.iter().any(|name| name == resource) {
            let mut near = names;
            near.sort_by(|a, b| strsim::jaro_winkler(b, resource).total_cmp(&strsim::jaro_winkler(a, resource)));
            near.truncate(3);
            let near: Vec<String> = near.into_iter().map(|name| format!("{name}.csv")).collect();
            let has = if near.is_empty() { "no csv file at all".to_owned() } else { near.join(", ") };
            let mut failure = self.failure(
                Class::Configuration,
                format!("there is no {resource}.csv in {}; there is {has}", self.folder.display()),
                "put the file there, or correct the resource's name in the job file",
            );
            failure.stage = Some(Stage::Schema);
            return Err(failure);
        }
        let path = self.folder.join(format!("{resource}.csv"));
        let state = state(&path);
        let header = Table::open(&path, &[]).map_err(|error| self.unreadable(&error))?;
        let ends = self.ends_of(resource, header.columns());
        let key = self.key_of(resource, header.columns(), &ends);
        let table = Table::open(&path, &key).map_err(|error| self.unreadable(&error))?;
        if table.bytes() != state.map_or(0, |(bytes, _)| bytes) {
            return Err(self.changed(&path));
        }
        Ok(Opened { table, ends, key, path, state })
    }

    /// Fails where a file is not the one any more that was opened.
    pub(super) fn still_the_same(&self, opened: &Opened) -> Result<(), Failure> {
        if state(&opened.path) == opened.state { Ok(()) } else { Err(self.changed(&opened.path)) }
    }

    fn changed(&self, path: &Path) -> Failure {
        self.failure(
            Class::Data,
            format!("{} changed while it was read", path.display()),
            "let whoever writes it write beside it and rename; then run again",
        )
    }

    pub(super) fn unreadable(&self, error: &SnapshotError) -> Failure {
        let class = if matches!(error, SnapshotError::Disk(_)) { Class::Connection } else { Class::Data };
        self.failure(
            class,
            error.to_string().replace("\n  ", "; "),
            "correct the file, or the export that writes it; then run again",
        )
    }

    fn ends_of(&self, resource: &str, columns: &[String]) -> BTreeMap<String, String> {
        if let Some(ends) = self.config.ends.get(resource) {
            return ends.clone();
        }
        if self.config.keys.contains_key(resource) {
            return BTreeMap::new();
        }
        KNOWN_ENDS
            .iter()
            .find(|ends| columns.len() == 2 && ends.iter().all(|(end, _)| columns.iter().any(|column| column == end)))
            .map(|ends| ends.iter().map(|(end, of)| ((*end).to_owned(), (*of).to_owned())).collect())
            .unwrap_or_default()
    }

    /// The key's columns: as set, else all ends of an association, else `id`, else the first column.
    fn key_of(&self, resource: &str, columns: &[String], ends: &BTreeMap<String, String>) -> Vec<String> {
        if let Some(key) = self.config.keys.get(resource) {
            return key.clone();
        }
        if !ends.is_empty() {
            // In the file's order; an end that the file lacks is named when the table is opened.
            let mut key: Vec<String> = columns.iter().filter(|column| ends.contains_key(*column)).cloned().collect();
            key.extend(ends.keys().filter(|end| !columns.contains(end)).cloned());
            return key;
        }
        let first = columns.iter().find(|column| *column == "id").or_else(|| columns.first());
        first.cloned().into_iter().collect()
    }

    pub(super) fn read_capabilities(&self) -> Result<Capabilities, Failure> {
        let mut resources = BTreeMap::new();
        for resource in self.resources()? {
            let opened = self.open(&resource)?;
            resources.insert(resource, self.offers(&opened));
        }
        Ok(Capabilities { resources, ..Capabilities::default() })
    }

    fn offers(&self, opened: &Opened) -> ResourceCapabilities {
        let columns = opened.table.columns();
        let name = self.config.enabled.as_deref().unwrap_or(ENABLED);
        let enabled = columns.iter().find(|column| *column == name).cloned();
        let mut operations = Vec::new();
        if self.orders.is_some() && !opened.ends.is_empty() {
            operations.extend([Operation::Add, Operation::Remove]);
        } else if self.orders.is_some() {
            operations.extend([Operation::Create, Operation::Update]);
            if enabled.is_some() {
                operations.extend([Operation::Disable, Operation::Enable]);
            }
            operations.push(Operation::Delete);
        }
        ResourceCapabilities {
            operations,
            attributes: columns.iter().map(|column| (column.clone(), AttributeType::Text)).collect(),
            shapes: BTreeMap::new(),
            immutable: Vec::new(),
            hidden: Vec::new(),
            required: Vec::new(),
            unique: Vec::new(),
            read_only: Vec::new(),
            key: opened.key.clone(),
            ends: opened.ends.iter().map(|(end, resource)| (end.clone(), vec![resource.clone()])).collect(),
            enabled,
            ..ResourceCapabilities::default()
        }
    }
}
