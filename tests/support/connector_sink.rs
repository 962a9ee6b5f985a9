//! An export sink that keeps everything, for looking at it.
#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::collections::BTreeMap;

use muster::connector::source::{ExportEnd, ExportError, ExportRequest, ExportSink, ResourceRequest, Source};

/// One exported resource.
#[derive(Debug, Default)]
pub(crate) struct Exported {
    pub(crate) columns: Vec<String>,
    pub(crate) key: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) replaced: Vec<(String, String)>,
    pub(crate) gone: Vec<Vec<String>>,
    pub(crate) only: BTreeMap<String, Vec<String>>,
    pub(crate) end: Option<ExportEnd>,
}

impl Exported {
    /// One column of every row, sorted.
    pub(crate) fn column(&self, name: &str) -> Vec<String> {
        let at = self.columns.iter().position(|column| column == name).unwrap_or_else(|| panic!("no column {name}"));
        let mut cells: Vec<String> = self.rows.iter().map(|row| row[at].clone()).collect();
        cells.sort();
        cells
    }

    /// The row with a value in a column, as column → cell.
    pub(crate) fn row(&self, column: &str, value: &str) -> Option<BTreeMap<&str, &str>> {
        let at = self.columns.iter().position(|name| name == column)?;
        let row = self.rows.iter().find(|row| row[at] == value)?;
        Some(self.columns.iter().map(String::as_str).zip(row.iter().map(String::as_str)).collect())
    }

    pub(crate) fn ended(&self) -> &ExportEnd {
        self.end.as_ref().expect("the export did not end")
    }
}

/// Everything that an export handed over.
#[derive(Debug, Default)]
pub(crate) struct MemorySink(pub(crate) BTreeMap<String, Exported>);

impl ExportSink for MemorySink {
    fn begin(&mut self, resource: &str, columns: &[String], key: &[String]) -> Result<(), ExportError> {
        let new = Exported { columns: columns.to_vec(), key: key.to_vec(), ..Exported::default() };
        let before = self.0.insert(resource.to_owned(), new);
        assert!(before.is_none_or(|before| before.end.is_none()), "{resource} begins again behind its end");
        Ok(())
    }

    fn row(&mut self, resource: &str, cells: &[&str]) -> Result<(), ExportError> {
        let exported = self.0.get_mut(resource).expect("a row before its begin");
        assert_eq!(cells.len(), exported.columns.len(), "a row has as many cells as columns");
        exported.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
        Ok(())
    }

    fn written_rows(&mut self, resource: &str, records: &str, rows: u64) -> Result<(), ExportError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(records.as_bytes());
        let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("written as CSV");
        assert_eq!(records.len() as u64, rows, "as many rows as are said");
        records.iter().try_for_each(|record| self.row(resource, &record.iter().collect::<Vec<_>>()))
    }

    fn replace(&mut self, resource: &str, end: &str, id: &str) -> Result<(), ExportError> {
        let exported = self.0.get_mut(resource).expect("a replace before its begin");
        exported.replaced.push((end.to_owned(), id.to_owned()));
        Ok(())
    }

    fn only(&mut self, resource: &str, column: &str, ids: &mut dyn Iterator<Item = String>) -> Result<(), ExportError> {
        let exported = self.0.get_mut(resource).expect("an only before its begin");
        let before = exported.only.insert(column.to_owned(), ids.collect());
        assert!(before.is_none(), "{resource}: said twice who is in {column}");
        Ok(())
    }

    fn gone(&mut self, resource: &str, key: &[&str]) -> Result<(), ExportError> {
        let exported = self.0.get_mut(resource).expect("a gone row before its begin");
        exported.gone.push(key.iter().map(|part| (*part).to_owned()).collect());
        Ok(())
    }

    fn end(&mut self, resource: &str, end: ExportEnd) -> Result<(), ExportError> {
        let exported = self.0.get_mut(resource).expect("an end before its begin");
        assert!(exported.end.replace(end).is_none(), "{resource} ends twice");
        Ok(())
    }
}

/// Exports resources, everything of them or since a cursor.
pub(crate) async fn export_since(
    source: &dyn Source,
    resources: &[&str],
    since: Option<&str>,
) -> Result<BTreeMap<String, Exported>, ExportError> {
    let resources = resources
        .iter()
        .map(|resource| ResourceRequest {
            resource: (*resource).to_owned(),
            columns: Vec::new(),
            since: since.map(str::to_owned),
        })
        .collect();
    let mut sink = MemorySink::default();
    source.export(&ExportRequest { resources }, &mut sink).await?;
    Ok(sink.0)
}

/// Exports everything of some resources.
pub(crate) async fn export(source: &dyn Source, resources: &[&str]) -> Result<BTreeMap<String, Exported>, ExportError> {
    export_since(source, resources, None).await
}
