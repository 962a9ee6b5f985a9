//! `muster diff`: what differs between two snapshot files, without a job.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::disk::atomic::AtomicFile;
use crate::snapshot::diff::{DiffOptions, Difference, diff, shown_key};
use crate::snapshot::row::{Cells, Place};
use crate::snapshot::table::{KEY_JOINT, Table};

/// What differs between two snapshot files
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Args {
    /// The snapshot before
    #[arg(value_name = "A.csv")]
    pub old: PathBuf,
    /// The snapshot after
    #[arg(value_name = "B.csv")]
    pub new: PathBuf,
    /// Columns that identify a row
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', required = true)]
    pub key: Vec<String>,
    /// Columns that make no difference
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// Form of the answer; csv where standard output is not a terminal, else summary
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Write the answer to a file, whole or not at all, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Exit with 1 where anything differs
    #[arg(long)]
    pub exit_code: bool,
}

/// Form of the answer.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One row an object: change, key, columns
    Csv,
    /// One JSON object a line, with the cells before and after
    Ndjson,
    /// Counts and samples for people
    Summary,
}

/// Samples of each kind of change that a summary shows.
const SAMPLES: usize = 5;
/// Characters of a cell that a summary shows.
const CELL_WIDTH: usize = 60;

/// Runs the command and gives its exit status: 0 done, 1 with `--exit-code` where anything differs, 2 on any error
/// (which is told on standard error).
pub(super) fn run(args: Args) -> anyhow::Result<u8> {
    match compare(&args) {
        Ok(differs) => Ok(u8::from(differs && args.exit_code)),
        Err(error) => {
            writeln!(io::stderr(), "error: {error:#}")?;
            Ok(2)
        }
    }
}

fn compare(args: &Args) -> anyhow::Result<bool> {
    if let Some(column) = args.ignore.iter().find(|column| args.key.contains(column)) {
        bail!("`{column}` is a key column and cannot be ignored; name it in --key or in --ignore, not in both");
    }
    let old = Table::open(&args.old, &args.key)?;
    let new = Table::open(&args.new, &args.key)?;
    let ignore = args.ignore.iter().cloned().collect::<BTreeSet<_>>();
    let options = DiffOptions { ignore, ..DiffOptions::default() };
    let difference = diff(&old, &new, &options)?;
    difference.require_unique(&old, &new)?;

    let shown = args.output.is_none() && io::stdout().is_terminal();
    let format = args.format.unwrap_or(if shown { Format::Summary } else { Format::Csv });
    let answer = Answer { old: &old, new: &new, difference: &difference, shown };
    match &args.output {
        Some(path) => {
            let mut out = BufWriter::with_capacity(256 << 10, AtomicFile::create(path)?);
            answer.write(format, &mut out).with_context(|| format!("cannot write {}", path.display()))?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error);
            file.with_context(|| format!("cannot write {}", path.display()))?.commit()?;
        }
        None => {
            let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
            match answer.write(format, &mut out).and_then(|()| Ok(out.flush()?)) {
                // Whoever reads has seen enough.
                Err(error) if is_broken_pipe(&error) => {}
                result => result.context("cannot write to standard output")?,
            }
        }
    }
    if format != Format::Summary && io::stderr().is_terminal() {
        answer.counts(&mut io::stderr().lock())?;
    }
    Ok(!difference.is_empty())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// A comparison and the files it is about.
struct Answer<'a> {
    old: &'a Table,
    new: &'a Table,
    difference: &'a Difference,
    /// Whether a terminal shows it: then nothing that steers one may be in it.
    shown: bool,
}

/// One object that differs.
enum Change<'a> {
    Added(Place),
    Removed(Place),
    Changed(Place, Place, &'a [usize]),
}

impl Change<'_> {
    fn word(&self) -> &'static str {
        match self {
            Self::Added(_) => "added",
            Self::Removed(_) => "removed",
            Self::Changed(..) => "changed",
        }
    }
}

impl Answer<'_> {
    fn write(&self, format: Format, out: &mut impl Write) -> anyhow::Result<()> {
        match format {
            Format::Csv => self.csv(out),
            Format::Ndjson => self.ndjson(out),
            Format::Summary => self.summary(out),
        }
    }

    /// Every object that differs, by key.
    fn changes(&self) -> impl Iterator<Item = (&str, Change<'_>)> {
        let (d, keys) = (self.difference, &self.difference.keys);
        let mut added = d.added.iter().zip(&keys.added).peekable();
        let mut removed = d.removed.iter().zip(&keys.removed).peekable();
        let mut changed = d.changed.iter().zip(&keys.changed).peekable();
        std::iter::from_fn(move || {
            let next = [added.peek().map(|x| x.1), removed.peek().map(|x| x.1), changed.peek().map(|x| x.1)];
            let first = (0..3).filter_map(|i| next[i].map(|key| (key, i))).min()?.1;
            match first {
                0 => added.next().map(|(place, key)| (key.as_str(), Change::Added(*place))),
                1 => removed.next().map(|(place, key)| (key.as_str(), Change::Removed(*place))),
                _ => changed.next().map(|((a, b, columns), key)| (key.as_str(), Change::Changed(*a, *b, columns))),
            }
        })
    }

    fn csv(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["change", "key", "columns"])?;
        for (key, change) in self.changes() {
            let columns = match &change {
                Change::Changed(_, _, columns) => self.names(columns).collect::<Vec<_>>().join(";"),
                _ => String::new(),
            };
            let key = joined_key(key)?;
            writer.write_record([change.word(), &self.guarded(&key), &self.guarded(&columns)])?;
        }
        Ok(writer.flush()?)
    }

    fn ndjson(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for (key, change) in self.changes() {
            let names = self.new.key_columns().iter().map(|c| self.new.columns()[*c].clone());
            let key: Map<String, Value> = names.zip(key.split(KEY_JOINT).map(Value::from)).collect();
            let line = match &change {
                Change::Added(place) => {
                    json!({"change": change.word(), "key": key, "after": whole(self.new, *place)?})
                }
                Change::Removed(place) => {
                    json!({"change": change.word(), "key": key, "before": whole(self.old, *place)?})
                }
                Change::Changed(before, after, columns) => {
                    let (before, after) = (self.old.fetch(*before)?, self.new.fetch(*after)?);
                    let mut sides = [Map::new(), Map::new()];
                    for name in self.names(columns) {
                        sides[0].insert(name.to_owned(), cell_of(self.old, &before, name).into());
                        sides[1].insert(name.to_owned(), cell_of(self.new, &after, name).into());
                    }
                    let [before, after] = sides;
                    let columns: Vec<&str> = self.names(columns).collect();
                    json!({"change": change.word(), "key": key, "columns": columns, "before": before, "after": after})
                }
            };
            writeln!(out, "{}", self.guarded(&line.to_string()))?;
        }
        Ok(())
    }

    fn summary(&self, out: &mut impl Write) -> anyhow::Result<()> {
        self.counts(out)?;
        let d = self.difference;
        for (file, columns) in [(self.old, &d.columns_removed), (self.new, &d.columns_added)] {
            if !columns.is_empty() {
                let names: Vec<_> = columns.iter().map(|name| safe(name)).collect();
                writeln!(out, "\nonly {} has the columns {}", shown_path(file.path()), names.join(", "))?;
            }
        }
        let mut by_column = vec![0u64; self.new.columns().len()];
        for column in d.changed.iter().flat_map(|(_, _, columns)| columns) {
            by_column[*column] += 1;
        }
        let mut by_column: Vec<(usize, u64)> = by_column.into_iter().enumerate().filter(|(_, n)| *n > 0).collect();
        by_column.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        if !by_column.is_empty() {
            writeln!(out, "\nchanged by column")?;
        }
        for (column, count) in by_column {
            writeln!(out, "  {:>13}  {}", grouped(count), safe(&self.new.columns()[column]))?;
        }
        if !d.changed.is_empty() {
            writeln!(out, "\nfirst changed")?;
        }
        for ((before, after, columns), key) in d.changed.iter().zip(&d.keys.changed).take(SAMPLES) {
            writeln!(out, "  {}", short(&shown_key(key)))?;
            let (before, after) = (self.old.fetch(*before)?, self.new.fetch(*after)?);
            for name in self.names(columns) {
                let (from, to) = (cell_of(self.old, &before, name), cell_of(self.new, &after, name));
                writeln!(out, "    {}: {} → {}", safe(name), short(from), short(to))?;
            }
        }
        for (word, keys) in [("added", &d.keys.added), ("removed", &d.keys.removed)] {
            if !keys.is_empty() {
                writeln!(out, "\nfirst {word}")?;
            }
            for key in keys.iter().take(SAMPLES) {
                writeln!(out, "  {}", short(&shown_key(key)))?;
            }
        }
        Ok(())
    }

    fn counts(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let counts = self.difference.counts();
        let key: Vec<_> = self.new.key_columns().iter().map(|c| safe(&self.new.columns()[*c])).collect();
        let (old, new) = (shown_path(self.old.path()), shown_path(self.new.path()));
        writeln!(out, "{old} → {new}, by {}", key.join(", "))?;
        let lines = [
            ("added", counts.added),
            ("removed", counts.removed),
            ("changed", counts.changed),
            ("unchanged", counts.unchanged),
        ];
        for (word, count) in lines {
            writeln!(out, "  {:>13}  {word}", grouped(count))?;
        }
        Ok(())
    }

    fn names<'b>(&'b self, columns: &'b [usize]) -> impl Iterator<Item = &'b str> {
        columns.iter().map(|column| self.new.columns()[*column].as_str())
    }

    /// Text as it is, or made safe where a terminal shows it.
    fn guarded<'b>(&self, text: &'b str) -> Cow<'b, str> {
        if self.shown { safe(text) } else { Cow::Borrowed(text) }
    }
}

/// A key of several columns as a CSV record of its own, so that it can be taken apart again.
fn joined_key(key: &str) -> anyhow::Result<Cow<'_, str>> {
    if !key.contains(KEY_JOINT) {
        return Ok(Cow::Borrowed(key));
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(key.split(KEY_JOINT))?;
    let mut text = String::from_utf8(writer.into_inner()?)?;
    text.truncate(text.trim_end_matches('\n').len());
    Ok(Cow::Owned(text))
}

fn cell_of<'a>(table: &Table, row: &'a dyn Cells, name: &str) -> &'a str {
    table.column(name).map_or("", |column| row.cell(column))
}

/// The cells of a row that are not empty, by name.
fn whole(table: &Table, place: Place) -> anyhow::Result<Map<String, Value>> {
    let row = table.fetch(place)?;
    let cells = table.columns().iter().enumerate().map(|(i, name)| (name.clone(), row.cell(i)));
    Ok(cells.filter(|(_, cell)| !cell.is_empty()).map(|(name, cell)| (name, cell.into())).collect())
}

fn shown_path(path: &Path) -> String {
    safe(&path.display().to_string()).into_owned()
}

/// Text from outside, for a terminal: whatever could steer one, or turn the direction of writing, is spelled out.
fn safe(text: &str) -> Cow<'_, str> {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The begin of a cell, safe for a terminal; an empty one is shown as such.
fn short(cell: &str) -> String {
    if cell.is_empty() {
        return "(empty)".to_owned();
    }
    let text: String = safe(cell).chars().take(CELL_WIDTH + 1).collect();
    match text.chars().count().cmp(&CELL_WIDTH) {
        Ordering::Greater => text.chars().take(CELL_WIDTH).chain(['…']).collect(),
        _ => text,
    }
}

/// `1,234,567`
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn diff_of(old: &str, new: &str, key: &str, format: Format) -> (u8, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let output = folder.path().join("out");
        let args = Args {
            old: file("a.csv", old),
            new: file("b.csv", new),
            key: key.split(',').map(str::to_owned).collect(),
            ignore: Vec::new(),
            format: Some(format),
            output: Some(output.clone()),
            exit_code: true,
        };
        let status = run(args).unwrap();
        (status, std::fs::read_to_string(output).unwrap_or_default())
    }

    const OLD: &str = "id,name,mail\n3,c,\n1,a,a@x\n2,b,b@x\n";
    const NEW: &str = "id,mail,name\n4,d@x,d\n1,a@x,a\n2,b@y,\"b\x1b[31m\"\n";

    #[test]
    fn csv_has_one_row_an_object_by_key() {
        let want = "change,key,columns\nchanged,2,mail;name\nremoved,3,\nadded,4,\n";
        assert_eq!(diff_of(OLD, NEW, "id", Format::Csv), (1, want.to_owned()));
        let pairs = diff_of("g,u\nx,\"a,b\"\n", "g,u\n", "g,u", Format::Csv);
        assert_eq!(pairs, (1, "change,key,columns\nremoved,\"x,\"\"a,b\"\"\",\n".to_owned()));
        assert_eq!(diff_of(OLD, OLD, "id", Format::Csv), (0, "change,key,columns\n".to_owned()));
    }

    #[test]
    fn ndjson_has_the_cells_before_and_after() {
        let (_, text) = diff_of(OLD, NEW, "id", Format::Ndjson);
        let first = r#"{"change":"changed","key":{"id":"2"},"columns":["mail","name"],"before":{"mail":"b@x","name":"b"},"after":{"mail":"b@y","name":"b\u001b[31m"}}"#;
        assert_eq!(text.lines().next().unwrap(), first);
        assert!(text.contains(r#"{"change":"added","key":{"id":"4"},"after":{"id":"4","mail":"d@x","name":"d"}}"#));
    }

    #[test]
    fn a_summary_shows_samples_without_terminal_sequences() {
        let (status, text) = diff_of(OLD, NEW, "id", Format::Summary);
        assert_eq!(status, 1);
        assert!(text.contains("name: b → b\\u{1b}[31m\n") && text.contains("1  changed\n"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn an_error_is_status_2_and_writes_nothing() {
        assert_eq!(diff_of(OLD, "id,name\n1,a\n1,b\n", "id", Format::Csv), (2, String::new()));
        assert_eq!(diff_of(OLD, NEW, "uid", Format::Csv), (2, String::new()));
    }
}
