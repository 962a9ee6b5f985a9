//! How a server can be made to misbehave, as data: rules in a JSON or TOML file, or sent to `/_faults`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A script of faults.
///
/// ```toml
/// seed = 7
/// [[rules]]
/// method = "POST"
/// prefix = "/Users"
/// when = { first = 2 }
/// action = { unavailable = { retry_after = 1 } }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Where the dice of `probability` start.
    #[serde(default)]
    pub seed: u64,
    /// The rules; all that fire act together, and of those that answer the first does.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// One rule: which requests, which of them, what happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only requests with this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only paths (below the base path) that start so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Only paths with their query, as sent, in which this text is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Which of these requests.
    #[serde(default)]
    pub when: When,
    /// What happens.
    pub action: Action,
}

/// Which of the requests that a rule covers it acts on; they are counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// All.
    #[default]
    Every,
    /// This one.
    Nth(u64),
    /// Each one whose number is a multiple.
    EveryNth(u64),
    /// The first so many.
    First(u64),
    /// All but the first so many.
    After(u64),
    /// Each with this probability, from 0 to 1; the dice are seeded.
    Probability(f64),
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Waits, then goes on; a client that gives up meanwhile is forgotten, and nothing is done.
    Delay {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Does it, then waits before it answers.
    DelayAfter {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Answers this and does nothing.
    Status {
        /// The status.
        code: u16,
        /// The body as it is; without one an error message with this status.
        #[serde(default)]
        body: Option<String>,
        /// More headers; `content-type` is the protocol's own unless given.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// 429 with Retry-After, in seconds; without doing it.
    Throttle {
        /// Seconds.
        retry_after: u64,
    },
    /// 503 with Retry-After, in seconds; without doing it.
    Unavailable {
        /// Seconds.
        retry_after: u64,
    },
    /// Closes the connection without an answer and without doing it.
    DropBefore,
    /// Does it, then closes the connection without an answer.
    DropAfter,
    /// Does it, then answers this error.
    FailAfter {
        /// The status, as a rule 500.
        code: u16,
    },
    /// Does it twice, as a gateway does that sends a request again; the answer is the second one.
    Twice,
    /// A page of HTML, without doing it.
    Html {
        /// The status; 200 is what a sign-in page comes with.
        code: u16,
    },
    /// 200 with JSON that has nothing to do with SCIM, without doing it.
    ForeignJson,
    /// 200 with a body that never ends, without doing it.
    EndlessBody,
    /// Does it and answers with the first half of the body, as if it were whole.
    CutBody,
    /// Does it and closes the connection in the middle of the body.
    CutConnection,
    /// Lists: rows beyond this number are missing, the numbers say otherwise and no next page is named.
    TruncatePage {
        /// Rows that stay.
        keep: usize,
    },
    /// Lists: `totalResults` is off by so many.
    WrongTotal {
        /// Added to the total; may be negative.
        by: i64,
    },
    /// Lists: whatever page is asked for, the first one comes, and says it is the one asked for.
    RepeatPage,
    /// Lists: there is always one more page.
    EndlessPaging,
    /// Lists: pages are never larger than this, whatever the configuration says.
    ClipPage {
        /// Rows.
        max: usize,
    },
    /// Groups show no more members than this.
    ClipMembers {
        /// Members.
        max: usize,
    },
    /// A filter is 400 `invalidFilter`.
    RefuseFilter,
    /// A filter is ignored: everybody, with 200.
    IgnoreFilter,
    /// A filter finds nobody, with 200.
    EmptyFilter,
    /// `attributes` and `excludedAttributes` are ignored: everything comes.
    IgnoreAttributes,
    /// PATCH is 501.
    RefusePatch,
    /// If-Match and If-None-Match are ignored.
    IgnorePreconditions,
    /// Taking members out by `members[value eq …]` is answered with success and not done.
    IgnoreMemberPath,
    /// Answers as lenient servers write them: no `schemas`, the status of an error as a number, the manager as a bare
    /// text, an extension that no schema names.
    Loosely,
    /// Answers one of the product's own messages by its name, without doing it: `required`, `immutable`, … as the
    /// dialect's file has them.
    Says {
        /// The name of the message.
        message: String,
        /// What it is about, where the message names something.
        #[serde(default)]
        about: String,
    },
    /// A user's `manager` that is no user here is 400 `invalidValue`; to delete one whom another still names is 409.
    StrictReferences,
}

/// Why a script cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultsError {
    /// The text is no script.
    #[error("the faults in {place} cannot be read: {cause}")]
    Syntax {
        /// Where they come from.
        place: String,
        /// What is wrong, with line and column.
        cause: String,
    },
    /// A rule cannot be.
    #[error("the faults in {place}, rule {rule}: {cause}")]
    Rule {
        /// Where they come from.
        place: String,
        /// Which rule, from 1.
        rule: usize,
        /// What is wrong.
        cause: &'static str,
    },
}

impl Faults {
    /// Reads a script: TOML where the name of its file ends in `.toml`, else JSON.
    ///
    /// # Errors
    /// [`FaultsError`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, FaultsError> {
        let place = file.display().to_string();
        let read = if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
            toml::from_str(text).map_err(|error| error.to_string())
        } else {
            serde_json::from_str(text).map_err(|error| error.to_string())
        };
        let faults: Self = read.map_err(|cause| FaultsError::Syntax { place: place.clone(), cause })?;
        faults.check(&place)?;
        Ok(faults)
    }

    /// Whether every rule can be.
    ///
    /// # Errors
    /// [`FaultsError::Rule`], the first that cannot.
    pub fn check(&self, place: &str) -> Result<(), FaultsError> {
        for (at, rule) in self.rules.iter().enumerate() {
            let code = match &rule.action {
                Action::Status { code, .. } | Action::FailAfter { code } | Action::Html { code } => *code,
                _ => 200,
            };
            let cause = match rule.when {
                _ if !(200..=599).contains(&code) => "a status is from 200 to 599",
                When::Probability(p) if !(0.0..=1.0).contains(&p) => "a probability is from 0 to 1",
                When::EveryNth(0) | When::Nth(0) => "requests are counted from 1",
                _ => continue,
            };
            return Err(FaultsError::Rule { place: place.to_owned(), rule: at + 1, cause });
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read_from_both_formats_and_checked() {
        let toml = "[[rules]]\nmethod = \"POST\"\nwhen = { first = 2 }\naction = { throttle = { retry_after = 1 } }\n[[rules]]\naction = \"drop-after\"\n";
        let json = r#"{"rules": [{"method": "POST", "when": {"first": 2}, "action": {"throttle": {"retry_after": 1}}}, {"when": "every", "action": "drop-after"}]}"#;
        let read = Faults::parse(toml, Path::new("faults.toml")).unwrap();
        assert_eq!(read, Faults::parse(json, Path::new("faults.json")).unwrap());
        assert_eq!(read.rules[1].action, Action::DropAfter);
        let wrong = r#"{"rules": [{"action": {"html": {"code": 99}}}]}"#;
        assert!(matches!(Faults::parse(wrong, Path::new("f")), Err(FaultsError::Rule { rule: 1, .. })));
        assert!(matches!(Faults::parse("{\"rule\": []}", Path::new("f")), Err(FaultsError::Syntax { .. })));
    }
}
