//! Sections as a page of HTML that stands alone: no image, no script, no address, light or dark as its reader has it.

use std::fmt::Write as _;

use crate::report::page_text::{escaped, sections_html};
use crate::report::section::Section;

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 46em; margin: 1.5em auto; padding: 0 1em;
  color: #1d1f21; background: #ffffff; }
h1 { font-size: 1.25em; }
h2 { font-size: 1em; margin: 1.4em 0 .3em; }
p { margin: .2em 0; overflow-wrap: anywhere; }
p.detail { margin-left: 1.5em; color: #55595e; }
table { border-collapse: collapse; margin: .3em 0; }
th, td { text-align: left; padding: .15em .9em .15em 0; border-bottom: 1px solid #d8dade; vertical-align: top; }
td.number, th.number { text-align: right; }
footer { margin-top: 2em; color: #55595e; font-size: .85em; }
@media (prefers-color-scheme: dark) {
  body { color: #e3e5e8; background: #16181a; }
  p.detail, footer { color: #a0a5ab; }
  th, td { border-color: #3a3e43; }
}
";

/// A page with a title, sections, and lines at its end that say where it comes from.
pub fn page(title: &str, sections: &[Section], origin: &[String]) -> String {
    let title = escaped(title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n"
    );
    html.push_str(&sections_html(sections));
    html.push_str("<footer>\n");
    for line in origin {
        let _ = writeln!(html, "<p>{}</p>", escaped(line));
    }
    html.push_str("</footer>\n</body>\n</html>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::{Column, Listing};

    #[test]
    fn a_page_holds_no_mark_but_its_own_and_asks_nobody() {
        let hostile = "<script src='https://x.example/a.js'>\"&\u{202e}\u{1b}[2J\r\n";
        let mut table = Listing::new(vec![Column::new(hostile), Column::whole("n")]);
        table.push(vec![hostile.into(), 1200_u64.into()]);
        let section = Section::new(hostile).line(hostile).detail(hostile).table(table);
        let page = page(hostile, &[section], &[hostile.to_owned()]);
        assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\u{1b}'), "{page}");
        assert_eq!(page.matches("&lt;script src=&#39;https://x.example/a.js&#39;&gt;&quot;&amp;").count(), 8, "{page}");
        for mark in ["<img", "<link", "url(", "@import", " src=", " href="] {
            assert!(!page.contains(mark) || mark == " src=", "{mark}");
        }
        assert!(page.contains("<td class=\"number\">1,200</td>") && page.contains("prefers-color-scheme: dark"));
    }
}
