//! Lines that are too long for a screen, broken where a reader would break them.
//!
//! A command stays one that can be pasted: it is broken only between its words, with the shell's own sign for a command
//! that goes on. Nothing is left out.

use super::safe_text;

/// How much further in the rest of a line stands.
const HANGING: usize = 2;

/// The least room that the first part of a long word is worth.
const WORTH: usize = 12;

/// A safe text with no line wider than `width` columns, but for words of a command and places (paths, addresses), which
/// stay whole to be copied.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        if columns(body) <= width {
            out.push_str(body);
        } else {
            let indent = body.len() - body.trim_start_matches(' ').len();
            out.push_str(&broken(body, indent + HANGING, width));
        }
        out.push_str(end);
    }
    out
}

/// The same of one line, the rest of which stands `hanging` columns in.
pub fn broken(line: &str, hanging: usize, width: usize) -> String {
    let mut out = Broken { text: String::new(), at: 0, hanging: hanging.min(width / 2), width };
    let (prose, command) = split_command(line);
    for (gap, unit) in units(prose) {
        out.unit(gap, unit);
    }
    out.space(prose.len() - prose.trim_end_matches(' ').len());
    if let Some(command) = command {
        out.command(command);
    }
    out.text
}

/// How many columns a safe text takes, which may hold colours.
pub fn columns(text: &str) -> usize {
    if !text.contains('\u{1b}') {
        return safe_text::width(text);
    }
    pieces(text).map(|(_, columns)| columns).sum()
}

struct Broken {
    text: String,
    at: usize,
    hanging: usize,
    width: usize,
}

impl Broken {
    /// Adds what is better not broken, after a gap.
    fn unit(&mut self, gap: usize, unit: &str) {
        let long = columns(unit);
        if self.at + gap + long <= self.width {
            return self.push(gap, unit, long);
        }
        if self.hanging + long <= self.width {
            self.next_line("");
            return self.push(0, unit, long);
        }
        if unit.contains(' ') {
            let mut gap = gap;
            for word in unit.split(' ') {
                self.unit(gap, word);
                gap = 1;
            }
        } else if unit.contains('/') {
            self.next_line("");
            self.push(0, unit, long);
        } else {
            if self.at + gap + WORTH > self.width {
                self.next_line("");
            } else {
                self.push(gap, "", 0);
            }
            for (piece, columns) in pieces(unit) {
                if self.at + columns > self.width {
                    self.next_line("");
                }
                self.push(0, piece, columns);
            }
        }
    }

    /// Adds blanks, where what comes is not on a line of its own.
    fn space(&mut self, blanks: usize) {
        if self.at + blanks < self.width {
            self.push(blanks, "", 0);
        }
    }

    /// Adds a command, on a line of its own where it does not fit behind what is there.
    fn command(&mut self, command: &str) {
        let long = columns(command);
        let gap = usize::from(!self.text.is_empty() && !self.text.ends_with(' '));
        if self.at + gap + long <= self.width {
            return self.push(gap, command, long);
        }
        if self.hanging + long <= self.width {
            self.next_line("");
            return self.push(0, command, long);
        }
        for (number, word) in words(command).into_iter().enumerate() {
            let long = columns(word);
            // Room for the sign that it goes on.
            if number > 0 && self.at + 1 + long + 2 > self.width {
                self.next_line(" \\");
                self.push(0, word, long);
            } else {
                self.push(if number == 0 { gap } else { 1 }, word, long);
            }
        }
    }

    fn push(&mut self, gap: usize, text: &str, columns: usize) {
        // At the beginning of what hangs nothing is to be kept apart.
        let gap = if self.at == self.hanging && self.text.ends_with(' ') { 0 } else { gap };
        self.text.extend(std::iter::repeat_n(' ', gap));
        self.text.push_str(text);
        self.at += gap + columns;
    }

    fn next_line(&mut self, goes_on: &str) {
        if self.text.trim().is_empty() {
            return;
        }
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push_str(goes_on);
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', self.hanging));
        self.at = self.hanging;
    }
}

/// A line's prose, and the command that it ends with (`next: muster …`), where nothing more is said after it.
fn split_command(line: &str) -> (&str, Option<&str>) {
    let label = |before: &str| before.trim_end().ends_with(':') || matches!(before.trim(), "" | "next" | "or");
    let begins = line.match_indices("muster ").map(|(at, _)| at).find(|at| label(&line[..*at]));
    let Some(at) = begins else { return (line, None) };
    let command = line[at..].trim_end();
    let is_whole = !words(command).iter().any(|word| word.ends_with([',', ';']) || word.starts_with('('));
    if is_whole { (&line[..at], Some(command)) } else { (line, None) }
}

/// The words of a command line, as a shell takes them apart; quotes stay.
fn words(command: &str) -> Vec<&str> {
    let (mut found, mut begin, mut quote) = (Vec::new(), 0, None);
    for (at, c) in command.char_indices() {
        match (quote, c) {
            (None, ' ') => {
                found.push(&command[begin..at]);
                begin = at + 1;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    found.push(&command[begin..]);
    found.retain(|word| !word.is_empty());
    found
}

/// What of a line is better not broken, each with the blanks before it: words, and commands that are named in prose.
fn units(prose: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < prose.len() {
        let gap = prose[at..].len() - prose[at..].trim_start_matches(' ').len();
        let begin = at + gap;
        if begin == prose.len() {
            break;
        }
        let word = |from: usize| prose[from..].find(' ').map_or(prose.len(), |long| from + long);
        let mut end = word(begin);
        if prose[begin..end].trim_start_matches(['`', '(']) == "muster" {
            while !prose[..end].ends_with([',', ';', ')', '`', ':', '.']) && end < prose.len() {
                end = word(end + 1);
            }
        }
        found.push((gap, &prose[begin..end]));
        at = end;
    }
    found
}

/// The characters of a text, and the colours between them, which take no room.
fn pieces(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let next = if rest.starts_with('\u{1b}') {
            let end = rest.find('m').map_or(rest.len(), |at| at + 1);
            (&rest[..end], 0)
        } else {
            safe_text::characters(rest).next()?
        };
        rest = &rest[next.0.len()..];
        Some(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_blanks_and_long_words_where_the_screen_ends() {
        assert_eq!(wrapped("short\n  one two three four\nend", 12), "short\n  one two\n    three\n    four\nend");
        assert_eq!(wrapped("a 田中角栄田中角栄", 14), "a 田中角栄田中\n  角栄");
        assert_eq!(wrapped("see /a/long/path/to/it", 10), "see\n  /a/long/path/to/it", "what is copied is whole");
        let red = "\u{1b}[31mred\u{1b}[0m";
        assert_eq!(columns(red), 3);
        assert_eq!(wrapped(&format!("{red} and {red}\n"), 8), format!("{red} and\n  {red}\n"));
    }

    #[test]
    fn a_command_can_be_pasted_whatever_the_width() {
        let line = "next: muster approve 20261122T150405Z-7f3a --all --comment \"so be it\"";
        assert_eq!(
            wrapped(line, 40),
            "next: muster approve \\\n  20261122T150405Z-7f3a --all \\\n  --comment \"so be it\""
        );
        assert_eq!(wrapped(line, 66), format!("next:\n  {}", &line[6..]));
        let prose = "mend it, then muster report corp, and muster retry corp";
        assert_eq!(wrapped(prose, 24), "mend it, then\n  muster report corp,\n  and muster retry corp");
    }
}
