//! Where exported rows land: one snapshot file for each resource, written while the rows arrive.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::connector::source::{ExportEnd, ExportError, ExportSink};
use crate::disk::private::create_folder;
use crate::model::event::{Event, Reporter};
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::resource::ResourceName;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::table::KEY_JOINT;
use crate::snapshot::writer::{Writer, Written};

/// After how many rows the reporter hears of progress.
const PROGRESS: u64 = 1_000;

/// The folder that one system's rows land in.
pub(super) struct Landing {
    folder: PathBuf,
    suffix: &'static str,
    system: String,
    reporter: Arc<dyn Reporter>,
    open: BTreeMap<String, Open>,
    landed: BTreeMap<String, Landed>,
}

struct Open {
    writer: Writer,
    path: PathBuf,
    gone: HashSet<String>,
    replaced: Option<(String, HashSet<String>)>,
}

/// A resource that was read to its end.
pub(super) struct Landed {
    pub(super) path: PathBuf,
    pub(super) columns: Vec<String>,
    pub(super) key: Vec<String>,
    pub(super) written: Written,
    pub(super) end: ExportEnd,
    pub(super) gone: HashSet<String>,
    pub(super) replaced: Option<(String, HashSet<String>)>,
}

impl Landing {
    /// Files land in `folder` as `<resource><suffix>.csv`.
    pub(super) fn new(folder: PathBuf, suffix: &'static str, system: &str, reporter: Arc<dyn Reporter>) -> Self {
        Self { folder, suffix, system: system.to_owned(), reporter, open: BTreeMap::new(), landed: BTreeMap::new() }
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
        let writer = &mut self.open(resource)?.writer;
        let before = writer.rows();
        write(writer).map_err(disk)?;
        let rows = writer.rows();
        if before / PROGRESS != rows / PROGRESS {
            let resource = ResourceName::new(&self.system, resource);
            self.reporter.event(&Event::ExportProgress { resource, rows, total: None });
        }
        Ok(())
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

impl ExportSink for Landing {
    fn begin(&mut self, resource: &str, columns: &[String], key: &[String]) -> Result<(), ExportError> {
        create_folder(&self.folder).map_err(|error| ExportError::Disk(error.to_string()))?;
        // One that begins anew leaves nothing in the new one's place.
        self.open.remove(resource);
        let path = self.folder.join(format!("{}{}.csv", crate::store::layout::escaped(resource), self.suffix));
        let writer = Writer::create(&path, columns, key).map_err(disk)?;
        self.open.insert(resource.to_owned(), Open { writer, path, gone: HashSet::new(), replaced: None });
        Ok(())
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
        replaced.get_or_insert_with(|| (end.to_owned(), HashSet::new())).1.insert(id.to_owned());
        Ok(())
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
        let (columns, key) = (open.writer.columns().to_vec(), open.writer.key().to_vec());
        let written = open.writer.finish().map_err(disk)?;
        let landed = Landed { path: open.path, columns, key, written, end, gone: open.gone, replaced: open.replaced };
        self.landed.insert(resource.to_owned(), landed);
        Ok(())
    }
}
