//! Texts in pages and mails of HTML.

use super::safe_text;

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
