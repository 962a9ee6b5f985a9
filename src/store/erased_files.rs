//! Files of runs without somebody's personal data: what concerns others keeps its bytes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension as _, params};
use serde_json::Value as Json;

use super::database::{Store, digest};
use super::error::StoreError;
use crate::disk::atomic;
use crate::model::digest::Digest;
use crate::model::erasure::Erasure;
use crate::model::order::{Block, EndRef, ObjectKey, Order, OrderId};
use crate::model::run::RunId;
use crate::model::scrub::Scrub;

/// Why nothing of an erased order is undone or told.
pub const WHY: &str = "its personal data was erased";

/// Cells of a row about an erased order that say nothing of whom it concerned.
const KEPT: [&str; 12] = [
    "decision",
    "order",
    "run",
    "operation",
    "resource",
    "cause",
    "confidence",
    "class",
    "status",
    "tries",
    "at",
    "group",
];

impl Store {
    /// The SHA-256 that a file of a run's plan or approvals has since an erasure rewrote it; `None` where none did.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn rewritten_as(&self, run: &RunId, file: &str) -> Result<Option<Digest>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached("SELECT sha256 FROM erased_files WHERE run = ? AND file = ?")?;
            let found: Option<String> = statement.query_row(params![run.0, file], |row| row.get(0)).optional()?;
            found.map(digest).transpose()
        })
    }

    /// Whether an erasure rewrote a file of a run's plan or approvals.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn is_rewritten(&self, run: &RunId) -> Result<bool, StoreError> {
        self.read(|db| {
            let sql = "SELECT EXISTS (SELECT 1 FROM erased_files WHERE run = ?)";
            Ok(db.query_row(sql, [&run.0], |row| row.get(0))?)
        })
    }

    /// Rewrites the files of a run's folder in which an identity is named, one after the other, each whole. Of those that
    /// digests are bound to, the database knows the new ones before.
    ///
    /// # Errors
    /// When a file or the database cannot be read or written. Called again, it goes on where it ended.
    pub fn rewrite_run(&mut self, erasure: &Erasure, scrub: &Scrub, run: &RunId) -> Result<(), StoreError> {
        // What is made of the others is made anew: no text of it is worth searching.
        let page = self.layout.report_page(&erasure.job, run);
        match fs::remove_file(&page) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(StoreError::file("remove", &page, error)),
            _ => {}
        }
        for path in files_of(&self.layout.run_folder(&erasure.job, run))? {
            let Some(bytes) = rewritten(&path, erasure, scrub)? else { continue };
            let name = name_of(&path);
            if is_left_over(&path) {
                fs::remove_file(&path).map_err(|error| StoreError::file("remove", &path, error))?;
                continue;
            }
            if is_bound(&name) {
                let sha256 = Digest::of(&bytes);
                self.write(|tx, _| {
                    let sql = "INSERT OR REPLACE INTO erased_files (run, file, sha256) VALUES (?, ?, ?)";
                    tx.execute(sql, params![run.0, name, sha256.as_str()])?;
                    Ok(())
                })?;
            }
            atomic::write(&path, &bytes)?;
        }
        Ok(())
    }
}

impl Store {
    /// Files of a job that lie beside its runs and may name somebody: messages that wait, who goes by which name in a bundle
    /// for support.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn beside(&self, job: &str) -> Result<Vec<PathBuf>, StoreError> {
        let mut files = files_of(&self.layout.support(job))?;
        files.extend(Some(self.layout.notices(job)).filter(|path| path.is_file()));
        Ok(files)
    }

    /// What one of these is to hold without an identity; `None` where it does not name it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn rewritten_beside(
        &self,
        path: &Path,
        erasure: &Erasure,
        scrub: &Scrub,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if !path.starts_with(self.layout.support(&erasure.job)) {
            return rewritten(path, erasure, scrub);
        }
        let bytes = fs::read(path).map_err(|error| StoreError::file("read", path, error))?;
        let Ok(mut at_home) = serde_json::from_slice::<Json>(&bytes) else { return rewritten(path, erasure, scrub) };
        let Some(names) = at_home["names"].as_object_mut() else { return Ok(None) };
        let before = names.len();
        names.retain(|_, value| !value.as_str().is_some_and(|text| erasure.whom.is_called(text) || scrub.names(text)));
        let changed = names.len() < before;
        Ok(changed.then(|| serde_json::to_string_pretty(&at_home).unwrap_or_default().into_bytes()))
    }

    /// Rewrites those that name an identity.
    ///
    /// # Errors
    /// When one cannot be read or written.
    pub fn rewrite_beside(&mut self, erasure: &Erasure, scrub: &Scrub) -> Result<(), StoreError> {
        for path in self.beside(&erasure.job)? {
            if let Some(bytes) = self.rewritten_beside(&path, erasure, scrub)? {
                atomic::write(&path, &bytes)?;
            }
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a file is what a killed process left of one that it was writing.
fn is_left_over(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "partial")
}

/// The files of a folder, sorted; none where it is not there.
///
/// # Errors
/// When it cannot be read.
pub fn files_of(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error| StoreError::file("read", folder, error);
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in listed {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a digest of a file is sealed or registered.
fn is_bound(name: &str) -> bool {
    ["plan.json", "orders.ndjson"].contains(&name) || name.starts_with("approval-") && name.ends_with(".json")
}

/// What a file is to hold without an identity; `None` where it does not name it.
///
/// # Errors
/// When it cannot be read.
pub fn rewritten(path: &Path, erasure: &Erasure, scrub: &Scrub) -> Result<Option<Vec<u8>>, StoreError> {
    let name = name_of(path);
    if is_left_over(path) {
        return Ok(Some(Vec::new()));
    }
    // What the job and the targets are is nobody's.
    if ["job.toml", "targets.json"].contains(&name.as_str()) {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(|error| StoreError::file("read", path, error))?;
    // A signature is of bytes, and names nobody.
    let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
    let told = match name.rsplit('.').next() {
        Some("ndjson") if name == "orders.ndjson" => lines(&text, |line| order_line(line, erasure, scrub)),
        Some("ndjson") => lines(&text, |line| json_line(line, scrub)),
        Some("csv") => table(&text, erasure, scrub),
        Some("json") => match serde_json::from_str::<Json>(&text) {
            Ok(mut value) => {
                let mut changed = scrub.json(&mut value);
                changed |= of_own_orders(&mut value, erasure);
                let pretty = || serde_json::to_string_pretty(&value).unwrap_or_default() + "\n";
                changed.then(pretty)
            }
            Err(_) => plain(&text, scrub),
        },
        _ => plain(&text, scrub),
    };
    Ok(told.map(String::into_bytes))
}

fn plain(text: &str, scrub: &Scrub) -> Option<String> {
    match scrub.text(text) {
        std::borrow::Cow::Owned(told) => Some(told),
        std::borrow::Cow::Borrowed(_) => None,
    }
}

/// A text of which some lines become others; `None` where none does.
fn lines(text: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut told = String::with_capacity(text.len());
    let mut changed = false;
    for line in text.split_inclusive('\n') {
        let (bare, end) = line.strip_suffix('\n').map_or((line, ""), |bare| (bare, "\n"));
        match change(bare) {
            Some(other) => {
                changed = true;
                told.push_str(&other);
            }
            None => told.push_str(bare),
        }
        told.push_str(end);
    }
    changed.then_some(told)
}

fn json_line(line: &str, scrub: &Scrub) -> Option<String> {
    let Ok(mut value) = serde_json::from_str::<Json>(line) else { return plain(line, scrub) };
    scrub.json(&mut value).then(|| value.to_string())
}

fn order_line(line: &str, erasure: &Erasure, scrub: &Scrub) -> Option<String> {
    match serde_json::from_str::<Order>(line) {
        Ok(order) if erasure.own.contains(&order.id) => {
            let emptied = serde_json::to_string(&emptied(order, erasure, scrub)).unwrap_or_default();
            (emptied != line).then_some(emptied)
        }
        _ => json_line(line, scrub),
    }
}

/// What is left of an order of the identity: that there was one, what it did, why in one word, and who else it tied.
fn emptied(order: Order, erasure: &Erasure, scrub: &Scrub) -> Order {
    let name = &erasure.name;
    let mut order = order;
    let key = order_key(&order.key, erasure, scrub);
    for end in &mut order.ends {
        let is_it = match &end.object {
            EndRef::Target(id) => erasure.whom.ids.contains(id) || id == name,
            EndRef::Order(creating) => erasure.own.contains(creating),
        };
        if is_it {
            end.label.clone_from(name);
            end.object = EndRef::Target(name.clone());
        }
    }
    for change in &mut order.changes {
        (change.before, change.after) = (None, None);
    }
    Order {
        object: ObjectKey(scrub.text(&order.object.0).into_owned()),
        target_id: order.target_id.map(|_| name.clone()),
        source_key: order.source_key.map(|_| name.clone()),
        renamed_from: order.renamed_from.map(|_| name.clone()),
        source_digest: None,
        key,
        name: String::new(),
        references: Vec::new(),
        reason: WHY.to_owned(),
        ground: String::new(),
        takes_along: Vec::new(),
        block: order.block.map(|block| Block { detail: WHY.to_owned(), ..block }),
        irreversible: Some(WHY.to_owned()),
        ..order
    }
}

/// What a person looks for, of an order of the identity: its made name, and the other end of a row.
pub(super) fn order_key(key: &str, erasure: &Erasure, scrub: &Scrub) -> String {
    if !key.contains(" → ") {
        return erasure.name.clone();
    }
    let part = |part| match erasure.whom.is_called(part) {
        true => erasure.name.clone(),
        false => scrub.text(part).into_owned(),
    };
    key.split(" → ").map(part).collect::<Vec<_>>().join(" → ")
}

/// A table of which the rows about erased orders lose what they say of whom; all others keep their bytes, but for the names.
fn table(text: &str, erasure: &Erasure, scrub: &Scrub) -> Option<String> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A spreadsheet may have saved it in its own way.
    let first = body.lines().next().unwrap_or_default();
    let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(|d| first.bytes().filter(|b| b == d).count());
    let delimiter = delimiter.unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).delimiter(delimiter).from_reader(body.as_bytes());
    let mut record = csv::StringRecord::new();
    let (mut told, mut changed) = (String::with_capacity(text.len()), false);
    told.push_str(&text[..text.len() - body.len()]);
    let mut columns: Option<Vec<String>> = None;
    let mut begin = 0;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => return plain(text, scrub),
        }
        let end = reader.position().byte() as usize;
        let raw = body.get(begin..end).unwrap_or_default();
        begin = end;
        let order = columns.as_ref().and_then(|columns| record.get(columns.iter().position(|name| name == "order")?));
        let is_own = order.is_some_and(|order| erasure.own.contains(&OrderId(order.to_owned())));
        match (&columns, is_own) {
            (Some(columns), true) => {
                let cells = record.iter().zip(columns).map(|(cell, column)| match column.as_str() {
                    "key" => order_key(cell.trim_start_matches('\''), erasure, scrub),
                    column if KEPT.contains(&column) => cell.to_owned(),
                    _ => String::new(),
                });
                let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
                let written = writer.write_record(cells).ok().and_then(|()| writer.into_inner().ok());
                let row = written.and_then(|row| String::from_utf8(row).ok()).unwrap_or_default();
                changed |= row.trim() != raw.trim();
                told.push_str(&raw[..raw.len() - raw.trim_start_matches(['\r', '\n']).len()]);
                told.push_str(row.trim_end_matches('\n'));
                told.push_str(&raw[raw.trim_end_matches(['\r', '\n']).len()..]);
            }
            _ => {
                let row = scrub.text(raw);
                changed |= row != raw;
                told.push_str(&row);
            }
        }
        columns.get_or_insert_with(|| record.iter().map(|cell| cell.trim().to_lowercase()).collect());
    }
    told.push_str(body.get(begin..).unwrap_or_default());
    changed.then_some(told)
}

/// Takes what is said in so many words out of each part of a report that is about an erased order; whether there was any.
pub(super) fn of_own_orders(value: &mut Json, erasure: &Erasure) -> bool {
    match value {
        Json::Array(values) => values.iter_mut().fold(false, |changed, value| of_own_orders(value, erasure) | changed),
        Json::Object(members) => {
            let order = members.get("order").and_then(Json::as_str).map(|order| OrderId(order.to_owned()));
            let is_own = order.is_some_and(|order| erasure.own.contains(&order));
            let mut changed = false;
            for (member, value) in members.iter_mut() {
                let is_said =
                    is_own && ["name", "message", "why", "note", "about", "detail"].contains(&member.as_str());
                match value {
                    Json::String(text) if is_said && text != WHY => {
                        WHY.clone_into(text);
                        changed = true;
                    }
                    Json::Array(_) | Json::Object(_) => changed |= of_own_orders(value, erasure),
                    _ => {}
                }
            }
            changed
        }
        _ => false,
    }
}
