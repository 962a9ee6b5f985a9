//! What differs between two snapshot files, for people.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::figures::{count, counted};
use super::safe_text;
use super::value_change::{shown_pair, shown_value};
use crate::model::evidence::Occurrences;

/// Columns that differ that are told of one row.
const CELLS: usize = 8;
/// Columns that are counted one by one.
const COLUMNS: usize = 20;

/// Counts, and some rows of each kind.
#[derive(Clone, Debug, Default)]
pub struct DifferenceSummary {
    /// The file before.
    pub old: Side,
    /// The file after.
    pub new: Side,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// Rows that only the new file has.
    pub added: u64,
    /// Rows that only the old file has.
    pub removed: u64,
    /// Rows of both with other cells.
    pub changed: u64,
    /// Rows of both with equal cells.
    pub unchanged: u64,
    /// In how many rows each column differs, the largest number first; columns without a change are left out.
    pub by_column: Vec<(String, u64)>,
    /// Some changed rows, by key.
    pub changed_rows: Vec<ChangedRow>,
    /// The first added rows, by key.
    pub added_rows: Vec<WholeRow>,
    /// The first removed rows, by key.
    pub removed_rows: Vec<WholeRow>,
}

/// One file.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// Its rows, without the header.
    pub rows: u64,
    /// Columns that the other file has not.
    pub columns_alone: Vec<String>,
    /// Rows whose key an earlier row has.
    pub repeated: Occurrences,
    /// Rows with an empty key.
    pub keyless: Occurrences,
}

/// A row of both files with other cells.
#[derive(Clone, Debug)]
pub struct ChangedRow {
    /// Its key.
    pub key: String,
    /// What differs, in the order of the columns.
    pub cells: Vec<CellChange>,
}

/// A cell before and after.
#[derive(Clone, Debug)]
pub struct CellChange {
    /// Its column.
    pub column: String,
    /// The value before.
    pub before: String,
    /// The value after.
    pub after: String,
}

/// A row of one file only.
#[derive(Clone, Debug)]
pub struct WholeRow {
    /// Its key.
    pub key: String,
    /// The first of its other cells that are not empty, with their columns.
    pub cells: Vec<(String, String)>,
}

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const HEADING: Style = Style::new().bold();
const ASIDE: Style = Style::new().dimmed();

impl DifferenceSummary {
    /// Whether nothing differs.
    fn is_empty(&self) -> bool {
        let columns = self.old.columns_alone.len() + self.new.columns_alone.len();
        self.added + self.removed + self.changed == 0 && columns == 0
    }

    /// Rows that could not be compared: why the answer is not the whole one, and what to do. `None` where all were.
    pub fn doubt(&self) -> Option<String> {
        let rows: u64 = [&self.old, &self.new].iter().map(|side| side.repeated.count + side.keyless.count).sum();
        let text = "could not be compared, because their key repeats or is empty; mend the files, or name the columns in \
                    --key that tell their rows apart";
        (rows > 0).then(|| format!("{} {text}", counted(rows, "row")))
    }

    /// The counts alone.
    pub fn in_one_line(&self) -> String {
        let (old, new) = (safe_text::line(&self.old.name), safe_text::line(&self.new.name));
        if self.is_empty() {
            return format!("{old} and {new} do not differ: {} alike", counted(self.unchanged, "row"));
        }
        let [added, removed, changed, unchanged] = [self.added, self.removed, self.changed, self.unchanged].map(count);
        format!("{old} → {new}: {added} added, {removed} removed, {changed} changed, {unchanged} unchanged")
    }

    /// The whole summary, ending with a line break; safe for a terminal of so many columns. Colour only repeats what
    /// signs and words say.
    pub fn render(&self, width: usize, color: bool) -> String {
        let mut page = Page { text: String::new(), width, color };
        page.head(self);
        page.columns(self);
        page.by_column(&self.by_column);
        page.changed(&self.changed_rows, self.changed);
        page.whole("added", '+', ADDED, &self.added_rows, self.added);
        page.whole("removed", '-', REMOVED, &self.removed_rows, self.removed);
        page.not_compared([&self.old, &self.new]);
        page.text
    }
}

/// Text under construction.
struct Page {
    text: String,
    width: usize,
    color: bool,
}

impl Page {
    fn paint(&self, style: Style, text: &str) -> String {
        if self.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// `changed, 5 of 9,001`
    fn heading(&mut self, word: &str, shown: usize, all: u64) {
        let rest = if all > shown as u64 { format!(", {shown} of {}", count(all)) } else { String::new() };
        let heading = format!("{}{}", self.paint(HEADING, word), self.paint(ASIDE, &rest));
        self.text.push('\n');
        self.line(&heading);
    }

    fn head(&mut self, summary: &DifferenceSummary) {
        let names = [&summary.old, &summary.new].map(|side| safe_text::line(&side.name).into_owned());
        let rows = [&summary.old, &summary.new].map(|side| side.rows);
        let longest = names.iter().map(|name| safe_text::width(name)).max().unwrap_or(0).min(self.width / 2);
        let figures = rows.iter().map(|rows| count(*rows).len()).max().unwrap_or(0);
        for ((word, name), rows) in ["before", "after"].iter().zip(&names).zip(&rows) {
            let name = padded(&from_the_right(name, longest), longest);
            let blanks = " ".repeat(figures - count(*rows).len());
            self.line(&format!("{word:<6}  {name}  {blanks}{}", counted(*rows, "row")));
        }
        let key: Vec<_> = summary.key.iter().map(|column| safe_text::line(column)).collect();
        self.line(&format!("key     {}", key.join(", ")));
        self.text.push('\n');
        if summary.is_empty() && summary.doubt().is_none() {
            let equal = format!("no differences: {} alike", counted(summary.unchanged, "row"));
            let equal = self.paint(ADDED, &equal);
            self.line(&equal);
            return;
        }
        let counts = [
            ('+', summary.added, "added", ADDED),
            ('-', summary.removed, "removed", REMOVED),
            ('~', summary.changed, "changed", CHANGED),
            ('=', summary.unchanged, "unchanged", ASIDE),
        ];
        let figures = counts.iter().map(|(_, rows, ..)| count(*rows).len()).max().unwrap_or(0);
        for (sign, rows, word, style) in counts {
            let line = format!("{sign} {:>figures$} {word}", count(rows));
            let line = if rows == 0 { self.paint(ASIDE, &line) } else { self.paint(style, &line) };
            self.line(&line);
        }
    }

    fn columns(&mut self, summary: &DifferenceSummary) {
        let sides = [(&summary.new, '+', ADDED), (&summary.old, '-', REMOVED)];
        if sides.iter().all(|(side, ..)| side.columns_alone.is_empty()) {
            return;
        }
        self.heading("columns of one file only, not compared", 0, 0);
        for (side, sign, style) in sides {
            for column in &side.columns_alone {
                let column = safe_text::line(column);
                let column = self.paint(style, &format!("{sign} {}", safe_text::clip(&column, self.width / 2)));
                let file = from_the_right(&safe_text::line(&side.name), self.width.saturating_sub(16) / 2);
                self.line(&format!("  {column}  only in {file}"));
            }
        }
    }

    fn by_column(&mut self, by_column: &[(String, u64)]) {
        if by_column.is_empty() {
            return;
        }
        self.heading("changed, by column", 0, 0);
        let shown = &by_column[..by_column.len().min(COLUMNS)];
        let names: Vec<_> = shown.iter().map(|(name, _)| safe_text::line(name)).collect();
        let longest = names.iter().map(|name| safe_text::width(name)).max().unwrap_or(0).min(self.width / 2);
        let figures = shown.iter().map(|(_, rows)| count(*rows).len()).max().unwrap_or(0);
        for (name, (_, rows)) in names.iter().zip(shown) {
            let name = padded(&format!("{}:", safe_text::clip(name, longest)), longest + 1);
            let blanks = " ".repeat(figures - count(*rows).len());
            self.line(&format!("  {name} {blanks}{}", counted(*rows, "row")));
        }
        if by_column.len() > shown.len() {
            self.line(&format!("  … and {}", counted((by_column.len() - shown.len()) as u64, "more column")));
        }
    }

    fn changed(&mut self, rows: &[ChangedRow], all: u64) {
        if rows.is_empty() {
            return;
        }
        self.heading("changed", rows.len(), all);
        for row in rows {
            let key = format!("~ {}", self.key(&row.key));
            let key = self.paint(CHANGED, &key);
            self.line(&format!("  {key}"));
            let shown = &row.cells[..row.cells.len().min(CELLS)];
            let names: Vec<_> = shown.iter().map(|cell| safe_text::line(&cell.column)).collect();
            let longest = names.iter().map(|name| safe_text::width(name)).max().unwrap_or(0).min(self.width / 3);
            for (cell, name) in shown.iter().zip(&names) {
                let name = padded(&safe_text::clip(name, longest), longest);
                // Indent, two blanks after the name, and the arrow with its blanks.
                let room = self.width.saturating_sub(6 + longest + 2 + 3);
                let (before, after) = shown_pair(&cell.before, &cell.after, room);
                let line = format!("      {name}  {} → {}", self.paint(REMOVED, &before), self.paint(ADDED, &after));
                self.line(&line);
            }
            if row.cells.len() > shown.len() {
                self.line(&format!("      … and {}", counted((row.cells.len() - shown.len()) as u64, "more column")));
            }
        }
    }

    fn whole(&mut self, word: &str, sign: char, style: Style, rows: &[WholeRow], all: u64) {
        if rows.is_empty() {
            return;
        }
        self.heading(word, rows.len(), all);
        let keys: Vec<String> = rows.iter().map(|row| self.key(&row.key)).collect();
        let longest = keys.iter().map(|key| safe_text::width(key)).max().unwrap_or(0);
        for (row, key) in rows.iter().zip(&keys) {
            let mut cells = String::new();
            for (column, value) in &row.cells {
                let gap = if cells.is_empty() { "" } else { ", " };
                let _ = write!(cells, "{gap}{}: {}", safe_text::line(column), shown_value(value));
            }
            let room = self.width.saturating_sub(4 + longest + 2);
            let key = self.paint(style, &padded(&format!("{sign} {key}"), longest + 2));
            self.line(&format!("  {key}  {}", safe_text::clip(&cells, room)));
        }
    }

    fn not_compared(&mut self, sides: [&Side; 2]) {
        if sides.iter().all(|side| side.repeated.count + side.keyless.count == 0) {
            return;
        }
        self.heading("not compared", 0, 0);
        for side in sides {
            let name = safe_text::line(&side.name);
            let kinds = [(&side.repeated, "of a key that an earlier row has"), (&side.keyless, "without a key")];
            for (seen, what) in kinds.into_iter().filter(|(seen, _)| seen.count > 0) {
                let line = format!("  ! {name}: {} {what}", counted(seen.count, "row"));
                let line = self.paint(CHANGED, &line);
                self.line(&line);
                for row in &seen.first {
                    self.line(&format!(
                        "      {}",
                        safe_text::clip(&safe_text::line(row), self.width.saturating_sub(6))
                    ));
                }
                let rest = seen.count.saturating_sub(seen.first.len() as u64);
                if rest > 0 {
                    self.line(&format!("      … and {} more", count(rest)));
                }
            }
        }
    }

    /// A key, short enough to leave room for what follows it.
    fn key(&self, key: &str) -> String {
        safe_text::clip(&shown_value(key), self.width.saturating_sub(4).max(20) * 2 / 3).into_owned()
    }
}

/// Text with blanks up to a width.
fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(safe_text::width(text))))
}

/// The end of a path, which tells files apart; with `…` for what was left out.
fn from_the_right(text: &str, width: usize) -> String {
    if safe_text::width(text) <= width {
        return text.to_owned();
    }
    let mut kept: Vec<char> = Vec::new();
    let mut used = 1;
    for c in text.chars().rev() {
        used += safe_text::width(c.encode_utf8(&mut [0; 4]));
        if used > width {
            break;
        }
        kept.push(c);
    }
    std::iter::once('…').chain(kept.into_iter().rev()).collect()
}
