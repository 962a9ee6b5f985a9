//! Reading from a system.

use std::collections::BTreeMap;
use std::fs::File;

use async_trait::async_trait;

use crate::model::capabilities::Capabilities;
use crate::model::evidence::Evidence;
use crate::model::failure::Failure;
pub use crate::model::failure::Step;
use crate::model::object::Object;

/// What one export is to read.
#[derive(Clone, Debug, Default)]
pub struct ExportRequest {
    /// Each resource type or association once.
    pub resources: Vec<ResourceRequest>,
}

/// One resource type or association of an export.
#[derive(Clone, Debug, Default)]
pub struct ResourceRequest {
    /// Its name at the system: `users`, `memberships`.
    pub resource: String,
    /// Columns that the job reads, beyond those that the system offers by itself (value paths, extensions).
    pub columns: Vec<String>,
    /// Only what changed since this cursor; `None` = everything.
    pub since: Option<String>,
}

/// Receives exported rows and puts them on disk while they arrive. Calls for several resources may be interleaved.
pub trait ExportSink: Send {
    /// Takes the last accepted snapshot of a resource for its rows, where `file` has its bytes, and opens the resource with
    /// it: how many rows there are; none follows then, but its end. `None` where nothing is known that is the same.
    fn unchanged(
        &mut self,
        resource: &str,
        columns: &[String],
        key: &[String],
        file: &File,
    ) -> Result<Option<u64>, ExportError> {
        let _ = (resource, columns, key, file);
        Ok(None)
    }

    /// Opens a resource and takes all its rows from `file`, which is to the byte what a snapshot of so many rows is. False
    /// where they are to be handed over one by one.
    fn copy(
        &mut self,
        resource: &str,
        columns: &[String],
        key: &[String],
        file: &File,
        rows: u64,
    ) -> Result<bool, ExportError> {
        let _ = (resource, columns, key, file, rows);
        Ok(false)
    }

    /// Opens a resource. `key` names the columns that identify a row; for associations all end columns. One that is
    /// open already begins anew: what came of it is thrown away.
    fn begin(&mut self, resource: &str, columns: &[String], key: &[String]) -> Result<(), ExportError>;

    /// How many rows the system says that an open resource has, for whoever looks on: rows are counted, never believed.
    fn expect(&mut self, resource: &str, rows: u64) {
        let _ = (resource, rows);
    }

    /// One row; cells in the order of `begin`'s columns, canonical as `Value::to_cell` writes them, empty = absent.
    fn row(&mut self, resource: &str, cells: &[&str]) -> Result<(), ExportError>;

    /// The same for so many rows that stand in `records` as a snapshot writes them, each with its line feed.
    fn written_rows(&mut self, resource: &str, records: &str, rows: u64) -> Result<(), ExportError>;

    /// For an association exported since a cursor: all rows whose `end` column is `id` are replaced by those that
    /// follow. Also called for an owner that has no rows left.
    fn replace(&mut self, resource: &str, end: &str, id: &str) -> Result<(), ExportError>;

    /// For an export since a cursor: `column`, the key or an end, names nothing but these any more. Rows of the last snapshot
    /// that name another are gone, whenever that went.
    fn only(&mut self, resource: &str, column: &str, ids: &mut dyn Iterator<Item = String>) -> Result<(), ExportError>;

    /// For an export since a cursor: hands the rows of the last snapshot over, one by one, in some of its columns. False, and
    /// none of them, where there is no such snapshot at hand.
    fn last(&mut self, resource: &str, columns: &[&str], each: &mut dyn FnMut(&[&str])) -> Result<bool, ExportError> {
        let _ = (resource, columns, each);
        Ok(false)
    }

    /// For an export since a cursor, where the system reports deletions: the row with this key is gone.
    fn gone(&mut self, resource: &str, key: &[&str]) -> Result<(), ExportError>;

    /// The resource is read to its end.
    fn end(&mut self, resource: &str, end: ExportEnd) -> Result<(), ExportError>;
}

/// What a connector knows when a resource is read to its end.
#[derive(Clone, Debug, Default)]
pub struct ExportEnd {
    /// What was seen. Keys and empty cells are counted by the sink's owner, not by the connector.
    pub evidence: Evidence,
    /// Where the next incremental export may begin (the server's own time or the highest lastModified, less an
    /// overlap); `None` where the system cannot tell.
    pub cursor: Option<String>,
    /// For an export since a cursor: whether a row that is not mentioned is certainly still there.
    pub proves_absence: bool,
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The system's side.
    #[error(transparent)]
    System(#[from] Failure),
    /// The export folder's side.
    #[error("{0}")]
    Disk(String),
}

/// What a job needs of a system, so that a probe asks for no more.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Resources to be read, with the columns that the job names.
    pub reads: BTreeMap<String, Vec<String>>,
    /// Resources to be written.
    pub writes: Vec<String>,
    /// By resource, the attributes by which single objects are looked for.
    pub finds: BTreeMap<String, Vec<String>>,
    /// Resources of which the job may delete objects.
    pub deletes: Vec<String>,
}

/// A system that can be read. Planning holds nothing else.
#[async_trait]
pub trait Source: Send + Sync {
    /// The system's name in the job file.
    fn system(&self) -> &str;

    /// What makes it the same system for another job: kind and address, never a credential.
    fn identity(&self) -> String;

    /// What the system says it can do. Remembered after the first call.
    async fn capabilities(&self) -> Result<Capabilities, Failure>;

    /// Goes through the stages of reaching the system, in order, as far as one needs the other. Changes nothing.
    async fn probe(&self, needs: &Needs) -> Vec<Step>;

    /// Reads resources into a sink, page by page; memory does not grow with the number of pages.
    async fn export(&self, request: &ExportRequest, sink: &mut dyn ExportSink) -> Result<(), ExportError>;

    /// The object with an id, or `None` where the system says that it does not exist.
    async fn get(&self, resource: &str, id: &str) -> Result<Option<Object>, Failure>;

    /// All objects whose attribute equals a value; each is checked to be what was asked for.
    async fn find(&self, resource: &str, attribute: &str, value: &str) -> Result<Vec<Object>, Failure>;

    /// Which of some association rows exist; each row is end column → target id. One answer a row, in order.
    async fn holds(&self, resource: &str, rows: &[BTreeMap<String, String>]) -> Result<Vec<bool>, Failure>;

    /// The ids at the other end of all rows of an association that have `id` at `end`; none where there is no such
    /// object.
    async fn members(&self, resource: &str, end: &str, id: &str) -> Result<Vec<String>, Failure>;
}
