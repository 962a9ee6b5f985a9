//! Listings: rows under named columns, as an aligned table, as JSON or as CSV.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

pub use super::cell::Cell;
use super::safe_text;
use super::screen::Screen;
use super::wrap::broken;

/// How wide a table is where nobody says how wide the terminal is, in columns.
pub const DEFAULT_WIDTH: usize = 80;

/// The narrowest that a column is squeezed to.
const NARROWEST: usize = 6;

/// What a column that may be cut should keep, before one that may be left out is shown.
const READABLE: usize = 16;

/// Columns between two columns.
const GAP: usize = 2;

/// How a listing is written (`--format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// An array of objects, one a row.
    Json,
    /// A header and one record a row (RFC 4180).
    Csv,
}

impl Format {
    /// Every format, by its word.
    pub const WORDS: [&'static str; 3] = ["table", "json", "csv"];
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            _ => Err(format!("`{text}` is none of {}", Self::WORDS.join(", "))),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
        })
    }
}

/// A column of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name: the table's heading, the JSON key, the CSV header.
    pub name: String,
    /// What happens to its cells where a table is too wide.
    pub cut: Cut,
    /// Whether its cells are words for states, which a screen may show in colour.
    pub is_state: bool,
}

/// What happens to a column's cells where a table is too wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Never cut: what people copy.
    Never,
    /// Cut before any other: what few people read.
    First,
    /// Cut where that does not do.
    Then,
    /// Left out, and every column of this kind after it, where there is no room for it beside the others.
    LeftOut,
}

impl Column {
    /// A column whose cells are cut where the table would be too wide.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), cut: Cut::Then, is_state: false }
    }

    /// A column whose cells are never cut.
    pub fn whole(name: &str) -> Self {
        Self { name: name.to_owned(), cut: Cut::Never, is_state: false }
    }

    /// A column of words for states; never cut.
    pub fn state(name: &str) -> Self {
        Self { is_state: true, ..Self::whole(name) }
    }

    /// A column whose cells are cut before those of others.
    pub fn spare(name: &str) -> Self {
        Self { name: name.to_owned(), cut: Cut::First, is_state: false }
    }

    /// A column that a table shows only where there is room for it; JSON and CSV always have it.
    pub fn roomy(name: &str) -> Self {
        Self { name: name.to_owned(), cut: Cut::LeftOut, is_state: false }
    }
}

/// Rows under named columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The columns, from left to right.
    pub columns: Vec<Column>,
    /// The rows; a missing cell at the end is empty.
    pub rows: Vec<Vec<Cell>>,
}

impl Listing {
    /// A listing without rows.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// The same without the columns that have no cell at all, for a table: there they only take room.
    pub fn without_empty_columns(mut self) -> Self {
        let used: Vec<bool> =
            (0..self.columns.len()).map(|i| self.rows.iter().any(|row| *Self::cell(row, i) != Cell::Empty)).collect();
        let mut kept = used.iter();
        self.columns.retain(|_| kept.next() == Some(&true));
        for row in &mut self.rows {
            let mut kept = used.iter();
            row.retain(|_| kept.next() == Some(&true));
        }
        self
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The listing in a format, ending with a line break; a table is as wide as the screen at most. Where its whole
    /// columns do not let it, each row is told on lines of its own, a cell on each.
    ///
    /// In every format the text is safe for a terminal. JSON loses nothing; in tables and CSV control characters stand
    /// as visible escapes, and in CSV no text is taken for a formula (see [`safe_text::spreadsheet_cell`]).
    pub fn render(&self, format: Format, on: impl Into<Screen>) -> String {
        match format {
            Format::Table => self.table(on.into()),
            Format::Json => self.json(),
            Format::Csv => self.csv(),
        }
    }

    fn cell(row: &[Cell], column: usize) -> &Cell {
        row.get(column).unwrap_or(&Cell::Empty)
    }

    fn json(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let object = self.columns.iter().enumerate().map(|(i, c)| (c.name.clone(), Self::cell(row, i).json()));
            Value::Object(object.collect::<Map<String, Value>>())
        });
        let mut text = serde_json::to_string_pretty(&Value::Array(rows.collect())).unwrap_or_default();
        text.push('\n');
        safe_text::json(text)
    }

    fn csv(&self) -> String {
        let header = self.columns.iter().map(|column| column.name.clone()).collect();
        let rows = self.rows.iter().map(|row| (0..self.columns.len()).map(|i| Self::cell(row, i).csv()).collect());
        csv_text(std::iter::once(header).chain(rows))
    }

    fn table(&self, on: Screen) -> String {
        let width = on.width;
        let heading: Vec<String> = self.columns.iter().map(|c| safe_text::line(&c.name).into_owned()).collect();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                let cells = (0..heading.len()).map(|i| Self::cell(row, i).shown());
                cells.map(|text| safe_text::line(&text).into_owned()).collect()
            })
            .collect();
        let right: Vec<bool> = (0..heading.len()).map(|i| self.is_numeric(i)).collect();
        let natural: Vec<usize> = (0..heading.len())
            .map(|i| {
                rows.iter().map(|row| safe_text::width(&row[i])).max().unwrap_or(0).max(safe_text::width(&heading[i]))
            })
            .collect();
        let shown = self.shown(&natural, &right, width);
        let cut = |cuts: &[Cut]| -> Vec<bool> {
            shown.iter().map(|i| cuts.contains(&self.columns[*i].cut) && !right[*i]).collect()
        };
        let widths: Vec<usize> = shown.iter().map(|i| natural[*i]).collect();
        let widths = squeeze(squeeze(widths, &cut(&[Cut::First]), width), &cut(&[Cut::Then, Cut::LeftOut]), width);
        if all(&widths) > width && !rows.is_empty() {
            return self.blocks(on, &heading, &rows);
        }

        let mut text = String::new();
        for row in std::iter::once(&heading).chain(&rows) {
            let mut line = String::new();
            for (at, (i, width)) in shown.iter().zip(&widths).enumerate() {
                let cell = safe_text::clip(&row[*i], *width);
                let blanks = " ".repeat(width - safe_text::width(&cell));
                if at > 0 {
                    line.push_str(&" ".repeat(GAP));
                }
                if right[*i] {
                    line.push_str(&blanks);
                }
                line.push_str(&if self.columns[*i].is_state { on.paint_state(&cell) } else { cell });
                if !right[*i] {
                    line.push_str(&blanks);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Row by row, each cell that is not empty behind its column's name: for screens that are too narrow for a table.
    fn blocks(&self, on: Screen, heading: &[String], rows: &[Vec<String>]) -> String {
        let names = heading.iter().map(|name| safe_text::width(name)).max().unwrap_or(0);
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            for (i, cell) in row.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
                let blanks = " ".repeat(names - safe_text::width(&heading[i]) + GAP);
                let cell = if self.columns[i].is_state { on.paint_state(cell) } else { cell.as_str().into() };
                text.push_str(&broken(&format!("{}{blanks}{cell}", heading[i]), names + GAP, on.width));
                text.push('\n');
            }
        }
        text
    }

    /// The columns that a table of a width has room for.
    fn shown(&self, natural: &[usize], right: &[bool], width: usize) -> Vec<usize> {
        let least = |i: usize| match self.columns[i].cut {
            Cut::Never => natural[i],
            _ if right[i] => natural[i],
            Cut::First => natural[i].min(NARROWEST),
            Cut::Then | Cut::LeftOut => natural[i].min(READABLE),
        };
        let may_go = |i: &usize| self.columns[*i].cut == Cut::LeftOut;
        let mut used: usize = (0..natural.len()).filter(|i| !may_go(i)).map(|i| least(i) + GAP).sum();
        let mut is_full = false;
        let has_room = |i: &usize| {
            if may_go(i) {
                used += least(*i) + GAP;
                is_full |= used > width + GAP;
            }
            !may_go(i) || !is_full
        };
        (0..natural.len()).filter(has_room).collect()
    }

    /// Whether a column holds numbers alone.
    fn is_numeric(&self, column: usize) -> bool {
        let mut cells =
            self.rows.iter().map(|row| Self::cell(row, column)).filter(|cell| **cell != Cell::Empty).peekable();
        cells.peek().is_some() && cells.all(|cell| matches!(cell, Cell::Number(_)))
    }
}

/// Records as RFC 4180 text with LF line ends, each cell safe for a terminal.
pub(super) fn csv_text(records: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for record in records {
        // Writing into memory does not fail.
        let _ = writer.write_record(record.iter().map(|cell| safe_text::line(cell).into_owned()));
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// How wide columns are together.
fn all(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Takes columns away from the widest that may be cut until the table fits, or nothing more can be taken.
fn squeeze(mut widths: Vec<usize>, may: &[bool], width: usize) -> Vec<usize> {
    let mut excess = all(&widths).saturating_sub(width);
    while excess > 0 {
        let cuttable = |i: &usize| may[*i] && widths[*i] > NARROWEST;
        let Some(widest) = (0..widths.len()).filter(cuttable).max_by_key(|i| widths[*i]) else { break };
        // Down to the next widest at once, so that a cell of a million characters takes one step.
        let next = (0..widths.len()).filter(|i| *i != widest && cuttable(i)).map(|i| widths[i]).max();
        let step = (widths[widest] - next.unwrap_or(NARROWEST).max(NARROWEST)).clamp(1, excess);
        widths[widest] -= step;
        excess -= step;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let mut listing = Listing::new(vec![Column::whole("order"), Column::new("name"), Column::new("rows")]);
        listing.push(vec!["o-1".into(), "田中 \u{1b}[31m".into(), 5u64.into()]);
        listing.push(vec!["o-22".into(), "a rather long name, \"quoted\"".into(), 1234u64.into()]);
        listing.push(vec!["o-3".into()]);
        listing
    }

    #[test]
    fn a_table_aligns_by_width_and_fits() {
        assert_eq!(
            listing().render(Format::Table, 30),
            "order  name               rows\n\
             o-1    田中 \\u{1b}[31m       5\n\
             o-22   a rather long n…  1,234\n\
             o-3\n"
        );
    }

    #[test]
    fn a_screen_that_is_too_narrow_for_a_table_has_a_line_a_cell() {
        let mut listing = Listing::new(vec![Column::whole("order"), Column::state("state"), Column::new("name")]);
        listing.push(vec!["o-0123456789".into(), "errored".into(), "one two three".into()]);
        listing.push(vec!["o-1".into(), "approved".into()]);
        assert_eq!(
            listing.render(Format::Table, 19),
            "order  o-0123456789\nstate  errored\nname   one two\n       three\n\norder  o-1\nstate  approved\n"
        );
        let colours = listing.render(Format::Table, Screen { width: 80, color: true });
        assert!(colours.contains("o-0123456789  \u{1b}[31merrored\u{1b}[0m   one"), "{colours:?}");
        assert!(!listing.render(Format::Table, 1).is_empty(), "never endless");
    }

    #[test]
    fn a_table_cuts_what_few_read_before_what_everybody_does_and_leaves_empty_columns_out() {
        let mut listing = Listing::new(vec![Column::new("name"), Column::new("note"), Column::spare("id")]);
        listing.push(vec!["jane@corp.example".into(), None::<&str>.into(), "0123456789abcdef".into()]);
        assert_eq!(
            listing.clone().without_empty_columns().render(Format::Table, 30),
            "name               id\njane@corp.example  0123456789…\n"
        );
        assert_eq!(listing.render(Format::Csv, 30), "name,note,id\njane@corp.example,,0123456789abcdef\n");
    }

    #[test]
    fn a_table_leaves_columns_out_from_the_first_that_has_no_room() {
        let mut listing = Listing::new(vec![Column::whole("order"), Column::roomy("name"), Column::roomy("cause")]);
        listing.push(vec!["o-1".into(), "a rather long name, \"quoted\"".into(), "drift".into()]);
        assert_eq!(listing.render(Format::Table, 22), "order\no-1\n");
        assert_eq!(listing.render(Format::Table, 23), "order  name\no-1    a rather long n…\n");
        assert_eq!(
            listing.render(Format::Table, 30),
            "order  name              cause\no-1    a rather long n…  drift\n"
        );
        assert_eq!(listing.render(Format::Csv, 1).lines().next(), Some("order,name,cause"));
    }

    #[test]
    fn json_and_csv_hold_every_cell_whole() {
        let json: Value = serde_json::from_str(&listing().render(Format::Json, 1)).unwrap_or_default();
        assert_eq!(json[0], serde_json::json!({"order": "o-1", "name": "田中 \u{1b}[31m", "rows": 5}));
        assert_eq!(json[2]["rows"], Value::Null);
        assert_eq!(
            listing().render(Format::Csv, 1),
            "order,name,rows\no-1,田中 \\u{1b}[31m,5\no-22,\"a rather long name, \"\"quoted\"\"\",1234\no-3,,\n"
        );
    }
}
