//! Texts in pages and mails of HTML.

use std::fmt::Write as _;

use super::cell::Cell;
use super::figures::count;
use super::safe_text;
use super::section::{Part, Section};
use super::table::Listing;

/// How pages look: colours by name, light and dark, and the type. The review page looks the same.
const LOOK: &str = include_str!("look.css");

/// What a page that stands alone has in common with others.
const FRAME: &str = "
body { margin: 0; background: var(--bg); color: var(--text); }
main { max-width: 920px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 20px; overflow-wrap: anywhere; } h2 { font-size: 15px; margin: 28px 0 8px; }
";

/// The beginning of a page that stands alone, up to its title: it may load nothing.
pub(super) fn opened(title: &str, style: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <title>{title}</title>\n<style>\n{LOOK}{FRAME}{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    )
}

/// The end of such a page.
pub(super) const CLOSED: &str = "</main>\n</body>\n</html>\n";

/// A text that is nothing but text: whatever it holds, no mark of HTML and no character that hides or turns others.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in safe_text::line(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// Sections under their headings, with tables; those that say nothing are left out.
pub fn sections_html(sections: &[Section]) -> String {
    let mut html = String::new();
    for section in sections.iter().filter(|section| !section.is_empty()) {
        if !section.heading.is_empty() {
            let _ = writeln!(html, "<h2>{}</h2>", escaped(&section.heading));
        }
        for part in &section.parts {
            match part {
                Part::Line(line) => drop(writeln!(html, "<p>{}</p>", escaped(line))),
                Part::Detail(line) => drop(writeln!(html, "<p class=\"detail\">{}</p>", escaped(line))),
                Part::Table(table) => html.push_str(&rows(table)),
            }
        }
    }
    html
}

fn rows(table: &Listing) -> String {
    let is_number = |column: usize| {
        let mut cells = table.rows.iter().filter_map(|row| row.get(column)).filter(|cell| **cell != Cell::Empty);
        cells.all(|cell| matches!(cell, Cell::Number(_)))
    };
    let class = |column: usize| if is_number(column) { " class=\"number\"" } else { "" };
    let mut html = String::from("<table>\n<tr>");
    for (number, column) in table.columns.iter().enumerate() {
        let _ = write!(html, "<th{}>{}</th>", class(number), escaped(&column.name));
    }
    html.push_str("</tr>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for column in 0..table.columns.len() {
            let text = match row.get(column) {
                None | Some(Cell::Empty) => String::new(),
                Some(Cell::Text(text)) => text.clone(),
                Some(Cell::Number(number)) => count(*number),
                Some(Cell::Flag(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
                Some(Cell::List(texts)) => texts.join("; "),
            };
            let _ = write!(html, "<td{}>{}</td>", class(column), escaped(&text));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    html
}
