//! What failures have in common: failures of one cause are counted, stopped and told as one.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::failure::{Class, Failure};
use super::order::Operation;
use super::resource::ResourceName;

/// The cause of failed orders. Two failures with equal causes are the same problem on different objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FailureCause {
    /// Whose side, and what kind.
    pub class: Class,
    /// HTTP status or the protocol's result code.
    pub status: Option<u16>,
    /// SCIM's scimType (RFC 7644 section 3.12).
    pub scim_type: Option<String>,
    /// The message without what names one object (see [`normalised`]).
    pub message: String,
    /// What the orders were to do.
    pub operation: Operation,
    /// To what.
    pub resource: ResourceName,
}

impl FailureCause {
    /// A short name that stays the same as long as the cause does: `permission-3f2a`.
    pub fn name(&self) -> String {
        let digest = Digest::of(&serde_json::to_vec(self).unwrap_or_default());
        format!("{}-{}", self.class, &digest.as_str()[..4])
    }

    /// The cause of a failed order: the server's message where it sent one, else what muster found.
    pub fn of(failure: &Failure, operation: Operation, resource: &ResourceName) -> Self {
        let message = failure.message.as_deref().filter(|message| !message.is_empty()).unwrap_or(&failure.cause);
        Self {
            class: failure.class,
            status: failure.status,
            scim_type: failure.scim_type.clone(),
            message: normalised(message),
            operation,
            resource: resource.clone(),
        }
    }
}

/// A message without what differs from object to object: text in quotes becomes `…` inside its quotes, and every word
/// that holds a digit or an `@` (numbers, ids, addresses) becomes `#`. Runs of blanks become one.
pub fn normalised(message: &str) -> String {
    let unquoted = without_quoted(message);
    let words = unquoted.split_whitespace().map(|word| {
        let core = word.trim_matches(|c: char| c.is_ascii_punctuation() && !matches!(c, '#' | '@'));
        if !core.is_empty() && core.contains(|c: char| c.is_numeric() || c == '@') {
            word.replacen(core, "#", 1)
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Replaces what stands between quotes. An apostrophe inside a word opens and closes nothing; a quote without its
/// partner stays.
fn without_quoted(message: &str) -> String {
    let chars: Vec<char> = message.chars().collect();
    let in_word = |i: usize| {
        let letter = |j: Option<usize>| j.and_then(|j| chars.get(j)).is_some_and(|c| c.is_alphanumeric());
        letter(i.checked_sub(1)) && letter(Some(i + 1))
    };
    let mut text = String::with_capacity(message.len());
    let mut i = 0;
    while i < chars.len() {
        let close = match chars[i] {
            '"' => Some('"'),
            '\'' if !in_word(i) => Some('\''),
            '`' => Some('`'),
            '\u{201c}' | '\u{201e}' => Some('\u{201d}'),
            '\u{2018}' => Some('\u{2019}'),
            '\u{ab}' => Some('\u{bb}'),
            _ => None,
        };
        let end =
            close.and_then(|close| (i + 1..chars.len()).find(|&j| chars[j] == close && !(close == '\'' && in_word(j))));
        text.push(chars[i]);
        if let Some(end) = end {
            text.push('…');
            text.push(chars[end]);
            i = end;
        }
        i += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn the_same_problem_on_two_objects_reads_the_same() {
        let pairs = [
            ("User 'jane' already exists", "User 'o'neill' already exists", "User '…' already exists"),
            ("duplicate userName \"a b\"", "duplicate userName \"c\"", "duplicate userName \"…\""),
            ("line 7: bad (id=2819c223-7f76)", "line 12: bad (id=902c246b-6245)", "line #: bad (#)"),
            ("no seat for ann@example.com.", "no seat for bob@example.com.", "no seat for #."),
            ("it can't be  done", "it can't be\ndone", "it can't be done"),
        ];
        for (one, other, expected) in pairs {
            assert_eq!(normalised(one), expected);
            assert_eq!(normalised(other), expected);
        }
        assert_eq!(normalised("an open \" quote"), "an open \" quote");
        assert_ne!(normalised("userName is required"), normalised("emails is required"));
    }
}
