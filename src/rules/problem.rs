//! What can be wrong with a rule, when it is compiled, bound to columns, or evaluated.

use std::fmt;

/// A rule that cannot be compiled, or not be bound to the columns of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleProblem {
    /// The cause, and what to do next.
    pub message: String,
    /// Where in the rule's text, in bytes from its start.
    pub offset: usize,
    /// The rule's text, or what it is a rule for.
    pub rule: String,
}

impl RuleProblem {
    /// A problem at a place in a rule.
    pub(super) fn new(rule: &str, offset: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), offset, rule: rule.to_owned() }
    }
}

/// A rule that failed for one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFailure {
    /// The rule's text.
    pub rule: String,
    /// The columns that it reads with their cells in this row; long cells are cut.
    pub inputs: Vec<(String, String)>,
    /// The cause.
    pub message: String,
}

impl fmt::Display for RuleFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rule `{}` failed: {}", self.rule, self.message)?;
        for (number, (column, cell)) in self.inputs.iter().enumerate() {
            write!(f, "{}{column} = `{cell}`", if number == 0 { " (" } else { ", " })?;
        }
        if self.inputs.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl std::error::Error for RuleFailure {}

/// The candidate that looks most like a misspelt name, if any is near enough to be worth a hint.
///
/// Letter case and `_` against `-` never count as differences, and a URN before an attribute's own name may be missing.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(name);
    candidates
        .into_iter()
        .flat_map(|candidate| {
            let own = candidate.rsplit_once(':').map(|(_, own)| own);
            [Some(candidate), own].into_iter().flatten().map(move |spelled| (spelled, candidate))
        })
        .map(|(spelled, candidate)| (strsim::damerau_levenshtein(&wanted, &plain(spelled)), spelled, candidate))
        .filter(|(distance, spelled, _)| *distance * 5 <= name.chars().count().max(spelled.chars().count()).max(3) * 2)
        .min_by_key(|(distance, spelled, candidate)| (*distance, candidate.len() - spelled.len(), *candidate))
        .map(|(_, _, candidate)| candidate)
}

/// The end of a message that offers the nearest right name: `; did you mean …?`, or nothing.
pub fn did_you_mean<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The names that look most like one that does not exist, at most three: first those that differ in letter case and
/// blanks alone, then the nearest by their letters.
pub fn alike<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Vec<&'c str> {
    let plain = |text: &str| {
        let words: Vec<String> =
            text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '_')).map(str::to_lowercase).collect();
        words.concat()
    };
    let wanted = plain(name);
    let near = |candidate: &'c str| {
        let other = plain(candidate);
        let distance = strsim::damerau_levenshtein(&wanted, &other);
        let longer = wanted.chars().count().max(other.chars().count()).max(3);
        (distance * 5 <= longer * 2).then_some((distance, candidate))
    };
    let mut near: Vec<(usize, &str)> = candidates.into_iter().filter_map(near).collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}
