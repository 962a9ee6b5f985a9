//! A telling in parts: under each heading lines and tables, for a terminal, a mail or a page alike.

use serde_json::{Value, json};

use super::safe_text;
use super::summary::indented;
use super::table::{Format, Listing};
use super::wrap::broken;

/// Lines of a part that are told; of more, how many there are.
const TOLD: usize = 20;

/// What is said under one heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The heading; empty where there is none.
    pub heading: String,
    /// What is said, from top to bottom.
    pub parts: Vec<Part>,
}

/// One piece of it. Texts may come from outside: who shows them makes them safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A sentence.
    Line(String),
    /// Something that belongs to the line before it.
    Detail(String),
    /// Rows under columns.
    Table(Listing),
}

impl Section {
    /// A heading with nothing below it yet.
    pub fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), parts: Vec::new() }
    }

    /// The same with a line.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.parts.push(Part::Line(line.into()));
        self
    }

    /// The same with something that belongs to the line before it; an empty text adds nothing.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        if !detail.is_empty() {
            self.parts.push(Part::Detail(detail));
        }
        self
    }

    /// The same with a table; one without rows adds nothing.
    pub fn table(mut self, table: Listing) -> Self {
        if !table.rows.is_empty() {
            self.parts.push(Part::Table(table));
        }
        self
    }

    /// The same with the lines of a text, of a long one the first.
    pub fn text(mut self, text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().take(TOLD) {
            self.parts.push(match line.strip_prefix("  ") {
                Some(detail) => Part::Detail(detail.trim_start().to_owned()),
                None => Part::Line((*line).to_owned()),
            });
        }
        if lines.len() > TOLD {
            self.parts.push(Part::Line(format!("and {} more lines", lines.len() - TOLD)));
        }
        self
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// Sections as text, an empty line between two; tables at most `width` columns wide. Safe for a terminal.
pub fn sections_text(sections: &[Section], width: usize) -> String {
    let mut text = String::new();
    for section in sections.iter().filter(|section| !section.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        let indent = if section.heading.is_empty() { 0 } else { 2 };
        if indent > 0 {
            text.push_str(&safe_text::line(&section.heading));
            text.push('\n');
        }
        for part in &section.parts {
            match part {
                Part::Line(line) => text.push_str(&wrapped(line, indent, width)),
                Part::Detail(detail) => text.push_str(&wrapped(detail, indent + 2, width)),
                Part::Table(table) => {
                    let table = table.render(Format::Table, width.saturating_sub(indent));
                    text.push_str(&indented(&table, indent));
                }
            }
        }
    }
    text
}

/// A line of a part, what of it does not fit two columns further in.
fn wrapped(line: &str, indent: usize, width: usize) -> String {
    let line = format!("{:indent$}{}", "", safe_text::line(line));
    broken(&line, indent + 2, width) + "\n"
}

/// Sections for programs: an array of objects with `heading`, and `lines` and `tables` where there are any.
pub fn sections_json(sections: &[Section]) -> Value {
    let of = |section: &Section| {
        let mut object = json!({ "heading": section.heading });
        let (mut lines, mut tables) = (Vec::new(), Vec::new());
        for part in &section.parts {
            match part {
                Part::Line(line) | Part::Detail(line) => lines.push(Value::from(line.as_str())),
                Part::Table(table) => {
                    tables.push(serde_json::from_str(&table.render(Format::Json, 0)).unwrap_or(Value::Null));
                }
            }
        }
        for (name, values) in [("lines", lines), ("tables", tables)] {
            if !values.is_empty() {
                object[name] = Value::from(values);
            }
        }
        object
    };
    Value::Array(sections.iter().filter(|section| !section.is_empty()).map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::Column;

    #[test]
    fn lines_are_broken_at_blanks_and_nothing_is_cut() {
        let mut table = Listing::new(vec![Column::new("to"), Column::whole("create")]);
        table.push(vec!["vault.users".into(), 1200_u64.into()]);
        let sections = [
            Section::new("applied").table(table),
            Section::new("none"),
            Section::new("held").line("one two three four").detail("\u{1b}[2J five six seven"),
        ];
        let text = sections_text(&sections, 21);
        assert_eq!(
            text,
            "applied\n  to           create\n  vault.users   1,200\n\nheld\n  one two three four\n    \\u{1b}[2J five\n      six seven\n"
        );
        let told = sections_json(&sections);
        assert_eq!(told[0]["tables"][0][0]["create"], 1200);
        assert_eq!(told[1]["lines"][1], "\u{1b}[2J five six seven");
        let long = "x\n".repeat(30);
        assert_eq!(Section::new("").text(&long).parts.len(), TOLD + 1);
    }
}
