//! Work-order files: what is to be done, for people who do it by hand.
//!
//! One file for each run and resource, `<run>-<resource>.csv`, one row for each attribute that is to be changed. An
//! order is appended and synced before it counts as handed over; an order that stands in the file already is not
//! written again.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::CsvSystem;
use crate::connector::target::{Applied, ObjectChange, RowChange};
use crate::disk::atomic::sync_folder_of;
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::order::Operation;
use crate::model::outcome::Effected;
use crate::model::value::Value;

/// The columns of a work-order file.
const HEADER: [&str; 7] = ["order", "operation", "id", "name", "attribute", "before", "after"];

type Line = [String; 7];

/// The work-order files of one run.
pub(super) struct WorkOrders {
    folder: PathBuf,
    run: String,
    files: Mutex<BTreeMap<String, OrderFile>>,
}

/// A file with what stands in it.
struct OrderFile {
    path: PathBuf,
    /// Order → its lines as they stand there.
    orders: BTreeMap<String, Vec<Line>>,
    /// The orders as they follow each other, and where each begins; a crash may have cut the last one short.
    sequence: Vec<(String, u64)>,
}

impl WorkOrders {
    pub(super) fn new(folder: PathBuf, run: &str) -> Self {
        Self { folder, run: file_name(run), files: Mutex::new(BTreeMap::new()) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn object(&self, system: &CsvSystem, change: &ObjectChange, enabled: &str) -> Result<Applied, Failure> {
        let cell = |value: Option<&Value>| value.map(Value::to_cell).unwrap_or_default();
        let before = |attribute: &str| cell(change.before.get(attribute));
        let switch = |word: &str| (enabled.to_owned(), before(enabled), word.to_owned());
        let mut changes: Vec<(String, String, String)> = match change.operation {
            Operation::Disable => vec![switch("false")],
            Operation::Enable => vec![switch("true")],
            _ => Vec::new(),
        };
        if !matches!(change.operation, Operation::Delete | Operation::Add | Operation::Remove) {
            let switched = !changes.is_empty();
            let others = change.attributes.iter().filter(|(attribute, _)| !switched || *attribute != enabled);
            changes.extend(others.map(|(name, value)| (name.clone(), before(name), cell(value.as_ref()))));
        }
        if changes.is_empty() {
            changes.push(Default::default());
        }
        let id = change.id.clone().unwrap_or_default();
        let lines = changes
            .into_iter()
            .map(|(attribute, before, after)| {
                [&change.order.0, change.operation.word(), &id, &change.name, &attribute, &before, &after].map(safe)
            })
            .collect();
        self.hand_over(system, &change.resource, &change.order.0, lines)
    }

    pub(super) fn rows(
        &self,
        system: &CsvSystem,
        resource: &str,
        operation: Operation,
        rows: &[RowChange],
    ) -> Vec<Result<Applied, Failure>> {
        rows.iter()
            .map(|row| {
                let lines = row
                    .ends
                    .iter()
                    .map(|(end, id)| {
                        let (before, after) =
                            if operation == Operation::Add { ("", id.as_str()) } else { (id.as_str(), "") };
                        [&row.order.0, operation.word(), "", &row.name, end, before, after].map(safe)
                    })
                    .collect();
                self.hand_over(system, resource, &row.order.0, lines)
            })
            .collect()
    }

    fn hand_over(&self, system: &CsvSystem, resource: &str, order: &str, lines: Vec<Line>) -> Result<Applied, Failure> {
        let path = self.folder.join(format!("{}-{}.csv", self.run, file_name(resource)));
        let failed = |effect: Effect| {
            let path = path.clone();
            move |error: std::io::Error| {
                let mut failure = Failure::new(
                    Class::Connection,
                    Recourse::Stop,
                    &system.name,
                    format!("order {order} cannot be written into {}: {error}", path.display()),
                    "see whether the folder is there, may be written, and has room; then `muster apply` goes on",
                );
                failure.effect = effect;
                failure
            }
        };
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.contains_key(resource) {
            let opened = OrderFile::open(&path).map_err(failed(Effect::None))?;
            files.insert(resource.to_owned(), opened);
        }
        let Some(file) = files.get_mut(resource) else {
            return Err(failed(Effect::None)(std::io::Error::other("it is not open")));
        };
        let effected = file.append(order, lines).map_err(failed(Effect::Unknown));
        if effected.is_err() {
            // Read again before the next order: nobody knows how much of this one arrived.
            files.remove(resource);
        }
        Ok(Applied { id: None, effected: effected?, note: Some(format!("work order in {}", path.display())) })
    }
}

impl OrderFile {
    fn open(path: &Path) -> std::io::Result<Self> {
        let mut file = Self { path: path.to_owned(), orders: BTreeMap::new(), sequence: Vec::new() };
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(mut found) => found.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(file),
            Err(error) => return Err(error),
        };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(std::io::Error::other)? {
            let line: Line = std::array::from_fn(|column| record.get(column).unwrap_or("").to_owned());
            let order = line[0].clone();
            let begin = record.position().map_or(0, csv::Position::byte);
            // The line feed of the line before counts as part of this record.
            let start = begin + u64::from(bytes.get(begin as usize) == Some(&b'\n'));
            if file.sequence.last().is_none_or(|(last, _)| *last != order) {
                file.sequence.push((order.clone(), start));
            }
            file.orders.entry(order).or_default().push(line);
        }
        // A crash in the middle of a line: the order it belongs to never counted as handed over.
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            match file.sequence.last().cloned() {
                Some((order, start)) => file.cut(&order, start)?,
                None => file.set_length(0)?,
            }
        }
        Ok(file)
    }

    fn append(&mut self, order: &str, lines: Vec<Line>) -> std::io::Result<Effected> {
        match (self.orders.get(order), self.sequence.last()) {
            (Some(there), _) if *there == lines => return Ok(Effected::AlreadySo),
            (Some(_), Some((last, start))) if last == order => {
                let start = *start;
                self.cut(order, start)?;
            }
            (Some(_), _) => {
                return Err(std::io::Error::other(
                    "this order stands there with another content: the file was altered",
                ));
            }
            (None, _) => {}
        }
        if let Some(folder) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        }
        // The job's owner may let a group read and carry them out; nobody else, and nobody else's hand in them.
        let mut file = OpenOptions::new().create(true).append(true).mode(0o640).open(&self.path)?;
        let start = file.metadata()?.len();
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        if start == 0 {
            writer.write_record(HEADER)?;
        }
        for line in &lines {
            writer.write_record(line)?;
        }
        let bytes = writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        if start == 0 {
            sync_folder_of(&self.path).map_err(std::io::Error::other)?;
        }
        self.sequence.push((order.to_owned(), start));
        self.orders.insert(order.to_owned(), lines);
        Ok(Effected::HandedOver)
    }

    fn cut(&mut self, order: &str, start: u64) -> std::io::Result<()> {
        self.set_length(start)?;
        self.orders.remove(order);
        self.sequence.pop();
        Ok(())
    }

    fn set_length(&self, length: u64) -> std::io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len(length)?;
        file.sync_all()
    }
}

/// A name from outside as part of a file name.
fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect()
}

/// A text that a spreadsheet shows as it is: what it would calculate or reformat begins with an apostrophe, as does
/// what begins with one.
fn safe(text: &str) -> String {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_numeric = digits > 0
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | 'e' | 'E' | '+' | '-' | '/' | ':' | ' '));
    let would_change = is_numeric
        && (text.starts_with('0') && text.len() > 1 || digits > 11 || !text.chars().all(|c| c.is_ascii_digit()));
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) || would_change {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lines(order: &str) -> Vec<Line> {
        ["mail", "title"].map(|attribute| [order, "update", "7", "jane\nd", attribute, "", "x"].map(safe)).to_vec()
    }

    #[test]
    fn what_a_crash_cut_short_is_written_anew_and_what_is_whole_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run-users.csv");
        let mut file = OrderFile::open(&path).unwrap();
        for order in ["o-1", "o-2"] {
            assert_eq!(file.append(order, lines(order)).unwrap(), Effected::HandedOver);
        }
        let whole = std::fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let mut file = OrderFile::open(&path).unwrap();
            for order in ["o-1", "o-2"] {
                file.append(order, lines(order)).unwrap();
            }
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {length}");
        }
        let mut file = OrderFile::open(&path).unwrap();
        assert_eq!(file.append("o-1", lines("o-1")).unwrap(), Effected::AlreadySo);
        assert!(file.append("o-1", lines("o-9")).is_err());
    }

    #[test]
    fn spreadsheets_find_nothing_to_calculate() {
        for text in ["=1+1", "+49 30", "-1", "@x", "007", "123456789012", "1E5", "2026-11-22", "'x"] {
            assert_eq!(safe(text), format!("'{text}"));
        }
        for text in ["", "jane", "42", "o-12ab-1", "a=b"] {
            assert_eq!(safe(text), text);
        }
    }
}
