//! Where exported rows land: one snapshot file for each resource, written while the rows arrive.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::connector::source::{ExportEnd, ExportError, ExportSink};
use crate::disk::private::create_folder;
use crate::model::event::{Event, Reporter};
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::resource::ResourceName;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::merge::digest_of_id;
use crate::snapshot::row::Cells as _;
use crate::snapshot::sharing::Shareable;
use crate::snapshot::table::{KEY_JOINT, Table};
use crate::snapshot::writer::{Writer, Written};
use crate::store::baselines::Baseline;

/// After how many rows the reporter hears of progress.
const PROGRESS: u64 = 200;

/// The folder that one system's rows land in.
pub(super) struct Landing<'a> {
    folder: PathBuf,
    suffix: &'static str,
    system: String,
    reporter: Arc<dyn Reporter>,
    /// The last accepted snapshots, with their files, where a resource may turn out to be the same.
    accepted: &'a BTreeMap<String, (Baseline, PathBuf)>,
    open: BTreeMap<String, Open>,
    landed: BTreeMap<String, Landed>,
    /// How many rows there will be, as the system says.
    expected: BTreeMap<String, u64>,
}

struct Open {
    rows: Rows,
    path: PathBuf,
    gone: HashSet<String>,
    replaced: BTreeMap<String, HashSet<String>>,
    only: BTreeMap<String, HashSet<u128>>,
}

/// Where a resource's rows come from.
enum Rows {
    /// They are written as they arrive.
    Arriving(Box<Writer>),
    /// They are those of the last accepted snapshot.
    Unchanged { columns: Vec<String>, key: Vec<String>, written: Written },
}

/// A resource that was read to its end.
pub(super) struct Landed {
    pub(super) path: PathBuf,
    pub(super) columns: Vec<String>,
    pub(super) key: Vec<String>,
    pub(super) written: Written,
    pub(super) end: ExportEnd,
    pub(super) gone: HashSet<String>,
    pub(super) replaced: BTreeMap<String, HashSet<String>>,
    pub(super) only: BTreeMap<String, HashSet<u128>>,
}

impl<'a> Landing<'a> {
    /// Files land in `folder` as `<resource><suffix>.csv`.
    pub(super) fn new(
        folder: PathBuf,
        suffix: &'static str,
        system: &str,
        reporter: Arc<dyn Reporter>,
        accepted: &'a BTreeMap<String, (Baseline, PathBuf)>,
    ) -> Self {
        let (open, landed, expected) = Default::default();
        Self { folder, suffix, system: system.to_owned(), reporter, accepted, open, landed, expected }
    }

    /// Everything that was read to its end.
    pub(super) fn landed(self) -> BTreeMap<String, Landed> {
        self.landed
    }

    fn open(&mut self, resource: &str) -> Result<&mut Open, ExportError> {
        self.open.get_mut(resource).ok_or_else(|| ExportError::Disk(format!("{resource}: rows before its columns")))
    }

    /// Writes rows, and tells how many there are from time to time.
    fn write(
        &mut self,
        resource: &str,
        write: impl FnOnce(&mut Writer) -> Result<(), SnapshotError>,
    ) -> Result<(), ExportError> {
        let Rows::Arriving(writer) = &mut self.open(resource)?.rows else {
            return Err(ExportError::Disk(format!("{resource}: rows after it was said to be unchanged")));
        };
        let before = writer.rows();
        write(writer).map_err(disk)?;
        let rows = writer.rows();
        self.tell(resource, before, rows);
        Ok(())
    }

    fn tell(&self, resource: &str, before: u64, rows: u64) {
        if before / PROGRESS != rows / PROGRESS {
            self.progress(resource, rows);
        }
    }

    fn progress(&self, resource: &str, rows: u64) {
        let total = self.expected.get(resource).copied();
        let resource = ResourceName::new(&self.system, resource);
        self.reporter.event(&Event::ExportProgress { resource, rows, total });
    }

    /// The file that a resource lands in; its folder is there.
    fn path(&self, resource: &str) -> Result<PathBuf, ExportError> {
        create_folder(&self.folder).map_err(|error| ExportError::Disk(error.to_string()))?;
        Ok(self.folder.join(format!("{}{}.csv", crate::store::layout::escaped(resource), self.suffix)))
    }

    fn opened(&mut self, resource: &str, path: PathBuf, rows: Rows) {
        let (gone, replaced, only) = Default::default();
        self.open.insert(resource.to_owned(), Open { rows, path, gone, replaced, only });
    }
}

/// A row by its key, for people.
fn name_of(writer: &Writer, cells: &[&str]) -> String {
    let key = writer.columns().iter().zip(cells).filter(|(column, _)| writer.key().contains(column));
    key.map(|(column, cell)| format!("{column} `{}`", cell.chars().take(80).collect::<String>()))
        .collect::<Vec<_>>()
        .join(", ")
}

fn disk(error: SnapshotError) -> ExportError {
    ExportError::Disk(error.to_string())
}

impl ExportSink for Landing<'_> {
    fn unchanged(
        &mut self,
        resource: &str,
        columns: &[String],
        key: &[String],
        file: &File,
    ) -> Result<Option<u64>, ExportError> {
        let Some((baseline, accepted)) = self.accepted.get(resource) else { return Ok(None) };
        if baseline.columns != columns || baseline.key != key {
            return Ok(None);
        }
        let Some(same) = Shareable::find(accepted, &baseline.sha256, key) else { return Ok(None) };
        // What cannot be read here is told by the one who reads it for its rows.
        if !same.has_bytes_of(file).unwrap_or(false) {
            return Ok(None);
        }
        let path = self.path(resource)?;
        let Some(bytes) = same.share(&path) else { return Ok(None) };
        let (rows, sha256) = (baseline.rows, baseline.sha256.clone());
        let written = Written { rows, bytes, sha256 };
        self.opened(resource, path, Rows::Unchanged { columns: columns.to_vec(), key: key.to_vec(), written });
        self.tell(resource, 0, rows);
        Ok(Some(rows))
    }

    fn copy(
        &mut self,
        resource: &str,
        columns: &[String],
        key: &[String],
        file: &File,
        rows: u64,
    ) -> Result<bool, ExportError> {
        self.begin(resource, columns, key)?;
        self.write(resource, |writer| writer.copied_rows(file, rows))?;
        Ok(true)
    }

    fn begin(&mut self, resource: &str, columns: &[String], key: &[String]) -> Result<(), ExportError> {
        // One that begins anew leaves nothing in the new one's place.
        self.open.remove(resource);
        let path = self.path(resource)?;
        let writer = Writer::create(&path, columns, key).map_err(disk)?;
        self.opened(resource, path, Rows::Arriving(Box::new(writer)));
        Ok(())
    }

    fn expect(&mut self, resource: &str, rows: u64) {
        if self.expected.insert(resource.to_owned(), rows) != Some(rows) {
            let so_far = match self.open.get(resource).map(|open| &open.rows) {
                Some(Rows::Arriving(writer)) => writer.rows(),
                _ => return,
            };
            self.progress(resource, so_far);
        }
    }

    fn row(&mut self, resource: &str, cells: &[&str]) -> Result<(), ExportError> {
        let mut refused = None;
        self.write(resource, |writer| match writer.row(cells) {
            Err(SnapshotError::Row { cause, .. }) => {
                refused = Some((name_of(writer, cells), cause));
                Ok(())
            }
            other => other,
        })?;
        // What no file can hold is a value of the system, and no fault of this machine's disk.
        let Some((row, cause)) = refused else { return Ok(()) };
        let cause = format!("{resource} {row} {cause}: no snapshot can hold it");
        let remedy = "correct the value there, then run again";
        Err(ExportError::System(Failure::new(Class::Data, Recourse::Stop, &self.system, cause, remedy)))
    }

    fn written_rows(&mut self, resource: &str, records: &str, rows: u64) -> Result<(), ExportError> {
        self.write(resource, |writer| writer.written_rows(records, rows))
    }

    fn replace(&mut self, resource: &str, end: &str, id: &str) -> Result<(), ExportError> {
        let replaced = &mut self.open(resource)?.replaced;
        replaced.entry(end.to_owned()).or_default().insert(id.to_owned());
        Ok(())
    }

    fn only(&mut self, resource: &str, column: &str, ids: &mut dyn Iterator<Item = String>) -> Result<(), ExportError> {
        self.open(resource)?.only.insert(column.to_owned(), ids.map(|id| digest_of_id(&id)).collect());
        Ok(())
    }

    fn last(&mut self, resource: &str, columns: &[&str], each: &mut dyn FnMut(&[&str])) -> Result<bool, ExportError> {
        let Some((baseline, accepted)) = self.accepted.get(resource) else { return Ok(false) };
        let table = Table::open(accepted, &baseline.key).map_err(disk)?;
        let positions: Option<Vec<usize>> = columns.iter().map(|name| table.column(name)).collect();
        let Some(positions) = positions else { return Ok(false) };
        let handed = table.for_each(|row| {
            each(&positions.iter().map(|position| row.cell(*position)).collect::<Vec<&str>>());
        });
        handed.map_err(disk)?;
        Ok(true)
    }

    fn gone(&mut self, resource: &str, key: &[&str]) -> Result<(), ExportError> {
        let key = key.join(&KEY_JOINT.to_string());
        self.open(resource)?.gone.insert(key);
        Ok(())
    }

    fn end(&mut self, resource: &str, end: ExportEnd) -> Result<(), ExportError> {
        let Some(open) = self.open.remove(resource) else {
            return Err(ExportError::Disk(format!("{resource}: ended before it began")));
        };
        let Open { rows, path, gone, replaced, only } = open;
        let (columns, key, written) = match rows {
            Rows::Arriving(writer) => {
                let (columns, key) = (writer.columns().to_vec(), writer.key().to_vec());
                (columns, key, writer.finish().map_err(disk)?)
            }
            Rows::Unchanged { columns, key, written } => (columns, key, written),
        };
        let landed = Landed { path, columns, key, written, end, gone, replaced, only };
        self.landed.insert(resource.to_owned(), landed);
        Ok(())
    }
}
