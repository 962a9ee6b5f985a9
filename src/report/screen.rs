//! Where text is shown: how wide, and whether in colour.

use std::borrow::Cow;

/// What the place where text is shown can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Its columns; [`Screen::WHOLE`] for files, pipes and mails, where nothing is cut.
    pub width: usize,
    /// Whether it shows colour. Colour never says anything that no word beside it says.
    pub color: bool,
}

/// What a coloured word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// A person should look, or decide.
    Doubtful,
    /// Something failed.
    Bad,
    /// Something to type.
    Command,
}

impl Screen {
    /// Wider than any text is.
    pub const WHOLE: usize = usize::MAX / 2;

    /// The same with fewer columns, for what stands further in.
    pub fn narrower(self, by: usize) -> Self {
        Self { width: self.width.saturating_sub(by), ..self }
    }

    /// A safe text in the colour of what it means, where there is colour.
    pub fn paint<'t>(self, tone: Tone, text: &'t str) -> Cow<'t, str> {
        if !self.color || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
            Tone::Command => "1",
        };
        Cow::Owned(format!("\u{1b}[{code}m{text}\u{1b}[0m"))
    }

    /// A word for a state in the colour of what it means; a word that means neither good nor bad as it is.
    pub fn paint_state(self, word: &str) -> Cow<'_, str> {
        match tone_of(word) {
            Some(tone) => self.paint(tone, word),
            None => Cow::Borrowed(word),
        }
    }
}

/// Columns alone, without colour.
impl From<usize> for Screen {
    fn from(width: usize) -> Self {
        Self { width, color: false }
    }
}

/// What the words mean by which runs, orders, snapshots and checks say how they stand.
fn tone_of(word: &str) -> Option<Tone> {
    Some(match word {
        "applied" | "complete" | "confirmed" | "ok" | "removed" => Tone::Good,
        "failed" | "FAILED" | "errored" | "uncertain" | "partial" | "ERROR" => Tone::Bad,
        "held-snapshot" | "held-plan" | "blocked" | "pending-review" | "suspect" | "stale" | "warning" | "conflict"
        | "ambiguous" | "incomplete" | "in-flight" | "orphan" => Tone::Doubtful,
        _ => return None,
    })
}
