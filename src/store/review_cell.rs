//! Cells of the review file: what a spreadsheet would reinterpret gets a text mark, what is too long is shortened.

use std::borrow::Cow;

use crate::model::digest::Digest;

/// The text mark: an apostrophe in front.
pub const MARK: char = '\'';

/// The longest cell, in UTF-16 units as spreadsheets count; they cut at 32,767.
pub const LONGEST: usize = 32_000;

/// A cell as the review file holds it: control characters visible, long text as a head and a digest, marked where a
/// spreadsheet would reinterpret it.
pub fn written(text: Cow<'_, str>) -> Cow<'_, str> {
    let text = replaced(text, visible);
    let text = replaced(text, shortened);
    if is_reinterpreted(&text) { Cow::Owned(format!("{MARK}{text}")) } else { text }
}

/// A text with a change made to it; itself, where none is needed.
fn replaced<'t>(text: Cow<'t, str>, change: impl Fn(&str) -> Cow<'_, str>) -> Cow<'t, str> {
    match change(&text) {
        Cow::Owned(changed) => Cow::Owned(changed),
        Cow::Borrowed(_) => text,
    }
}

/// Whether a cell that was read back is the one that was written. Line ends do not count; of all other changes only
/// the loss of the text mark is accepted.
pub fn is_same(written: &str, found: &str) -> bool {
    let found = line_ends(found);
    let bare = written.strip_prefix(MARK).filter(|bare| is_reinterpreted(bare));
    line_ends(written) == found || bare.is_some_and(|bare| line_ends(bare) == found)
}

/// Whether a cell that was read back is the one that was written but for its characters beyond ASCII, of which others
/// stand in place: what saving in an encoding that lacks them does, or reading in another than was written.
pub fn is_reencoded(written: &str, found: &str) -> bool {
    let bare = |text: &str| line_ends(text.trim()).trim_start_matches(MARK).to_owned();
    let (written, found) = (bare(written), bare(found));
    let (mut written, mut found) = (written.as_str(), found.as_str());
    let mut is_other = false;
    loop {
        let (ascii, rest) = written.split_at(written.find(|c: char| !c.is_ascii()).unwrap_or(written.len()));
        let Some(after) = found.strip_prefix(ascii) else { return false };
        if rest.is_empty() {
            return is_other && after.is_empty();
        }
        let (lost, then) = rest.split_at(rest.find(|c: char| c.is_ascii()).unwrap_or(rest.len()));
        // Up to where the written text goes on in ASCII, or to the end.
        let next = &then[..then.find(|c: char| !c.is_ascii()).unwrap_or(then.len())];
        let first = after.chars().next().map_or(0, char::len_utf8);
        let place = if next.is_empty() { Some(after.len() - first) } else { after[first..].find(next) };
        let Some((got, after)) = place.map(|place| after.split_at(first + place)) else { return false };
        if got != lost {
            // One character becomes one to four others; what was only added to is another text.
            let (few, many) = (lost.chars().count(), got.chars().count());
            if !(few..=few * 4).contains(&many) || got.starts_with(lost) || got.ends_with(lost) {
                return false;
            }
            is_other = true;
        }
        (written, found) = (then, after);
    }
}

/// What a person typed, without a text mark that a spreadsheet may have kept.
pub fn typed(found: &str) -> &str {
    let found = found.trim();
    found.strip_prefix(MARK).filter(|bare| is_reinterpreted(bare)).unwrap_or(found)
}

/// Line ends as LF.
fn line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { Cow::Borrowed(text) }
}

/// Control characters other than tab and line ends, and those that turn the direction of text, as `\u{…}`: they act
/// on terminals, are dropped by spreadsheets, or make a reviewer see what is not there.
fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
            || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let is_plain = |b: u8| (b' '..0x7f).contains(&b) || matches!(b, b'\t' | b'\n' | b'\r');
    if text.bytes().all(is_plain) || !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

fn shortened(text: &str) -> Cow<'_, str> {
    // No character has fewer bytes than units.
    if text.len() < LONGEST {
        return Cow::Borrowed(text);
    }
    let mut units = 0;
    let mut head = 0;
    for (position, c) in text.char_indices() {
        units += c.len_utf16();
        if units <= LONGEST - 200 {
            head = position + c.len_utf8();
        }
    }
    if units < LONGEST {
        return Cow::Borrowed(text);
    }
    let digest = Digest::of(text.as_bytes());
    Cow::Owned(format!("{}… [{} characters, SHA-256 {digest}]", &text[..head], text.chars().count()))
}

/// Whether a spreadsheet would take a cell for a formula, a number that it rewrites, a date, a boolean or an error,
/// or for a marked cell. Rather one mark too many than one too few.
fn is_reinterpreted(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    if matches!(first, '=' | '+' | '-' | '@' | '\t' | '\r' | '#' | MARK) {
        return true;
    }
    let trimmed = text.trim();
    let lower = lower_case(trimmed);
    if ["true", "false", "wahr", "falsch", "vrai", "faux", "verdadero", "falso", "vero"].contains(&&*lower) {
        return true;
    }
    if !lower.contains(|c: char| c.is_numeric()) || is_plain_number(text) {
        return false;
    }
    // Long text is never a number or a date.
    if lower.len() > 80 {
        return lower.chars().all(|c| c.is_numeric() || c.is_whitespace() || ".,'+-".contains(c));
    }
    lower.split(|c: char| !c.is_alphabetic()).all(is_part_of_date_or_number)
        && !lower.contains(['@', '_', '\\', '|', '{', '}', '[', ']', '<', '>', '&', '!', '?', '"', '='])
}

/// A text in lower case: itself, where it is already.
fn lower_case(text: &str) -> Cow<'_, str> {
    let may_change = |c: char| if c.is_ascii() { c.is_ascii_uppercase() } else { !c.to_lowercase().eq([c]) };
    if text.contains(may_change) { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

/// A whole number that every spreadsheet gives back as it is: no leading zero, at most eleven digits.
fn is_plain_number(text: &str) -> bool {
    text.len() <= 11 && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

fn is_part_of_date_or_number(letters: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "e", "d", "t", "z", "h", "m", "s", "am", "pm", "a", "p", "st", "nd", "rd", "th", "er", "de", "del", "utc",
        "gmt", "uhr", "eur", "usd", "gbp", "chf",
    ];
    // Months and weekdays of some languages, by their beginnings.
    const STEMS: &[&str] = &[
        "jan", "feb", "mar", "mär", "apr", "may", "mai", "jun", "jul", "aug", "sep", "oct", "okt", "nov", "dec", "dez",
        "fév", "fev", "avr", "jui", "aoû", "aou", "déc", "ene", "abr", "ago", "dic", "gen", "mag", "giu", "lug", "set",
        "ott", "mon", "tue", "wed", "thu", "fri", "sat", "sun",
    ];
    WORDS.contains(&letters) || STEMS.iter().any(|stem| letters.starts_with(stem)) && letters.chars().count() <= 10
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Cow<'_, str> {
        super::written(Cow::Borrowed(text))
    }

    #[test]
    fn what_a_spreadsheet_would_reinterpret_is_marked_once() {
        for cell in [
            "007",
            "00",
            "123456789012",
            "1.10",
            "1,5",
            "1e5",
            "12E3",
            "2026-01-02",
            "1/2",
            "3-4",
            "12:30",
            "Jan 5",
            "MAR1",
            "5. Mai 2026",
            "TRUE",
            "false",
            "Falsch",
            "=1+1",
            "+49 30 1",
            "-1",
            "@cmd",
            "\tx",
            "\rx",
            "#N/A",
            "'quoted",
            "50 %",
            "2026-11-22T15:04:05Z",
            "٣",
            "0.5",
        ] {
            assert_eq!(written(cell), format!("'{cell}"), "{cell}");
            assert!(is_same(&written(cell), cell) && is_same(&written(cell), &written(cell)), "{cell}");
        }
        for cell in ["", "jane", "0", "90", "12345678901", "o-00ff-1", "jane@corp", "active: false → true", "e5f2-x"]
        {
            assert_eq!(written(cell), cell, "{cell}");
        }
    }

    #[test]
    fn only_the_loss_of_the_mark_is_accepted() {
        assert!(!is_same("'007", "7"));
        assert!(!is_same("'1.10", "1.1"));
        assert!(!is_same("''quoted", "quoted"));
        assert!(is_same("''quoted", "'quoted"));
        assert!(!is_same("jane", "'jane"));
        assert!(!is_same("jane", "jane "));
        assert!(is_same("a\nb", "a\r\nb"));
        assert_eq!((typed(" 'true "), typed("'tis"), typed("ok")), ("true", "'tis", "ok"));
    }

    #[test]
    fn long_and_hidden_text_is_told() {
        let long = "ä".repeat(40_000);
        let cell = written(&long);
        assert!(cell.encode_utf16().count() <= LONGEST && cell.contains("[40000 characters, SHA-256 "), "{cell}");
        assert_ne!(cell, written(&format!("{long}x")));
        assert_eq!(written("a\u{1b}[31m\u{202e}"), "a\\u{1b}[31m\\u{202e}");
    }
}
