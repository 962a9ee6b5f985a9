//! Why a threshold tripped, in a few lines.

use std::fmt::Write as _;

use super::figures::count;
use super::safe_text;
use crate::model::explanation::Explanation;

/// A line a fact, the largest first, and one for the rest; each ends with a line break. Safe for a terminal.
pub fn explanation_text(explanation: &Explanation, indent: usize) -> String {
    let mut text = String::new();
    let all = count(explanation.all());
    for fact in &explanation.facts {
        let _ = writeln!(text, "{:indent$}{} of {all}: {}", "", count(fact.count), safe_text::line(&fact.text));
    }
    match (explanation.rest, explanation.facts.is_empty()) {
        (0, _) => {}
        (_, true) => {
            let _ = writeln!(text, "{:indent$}{all} with nothing in common", "");
        }
        (rest, false) => {
            let _ = writeln!(text, "{:indent$}{} of {all}: for other reasons", "", count(rest));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::explanation::{FactKind, SharedFact};

    #[test]
    fn facts_come_with_their_counts_and_the_rest_as_one() {
        let fact = SharedFact { kind: FactKind::Value, text: "`ou` is `\u{1b}[2J`".to_owned(), count: 4000 };
        let mut explanation = Explanation { facts: vec![fact], rest: 12 };
        assert_eq!(
            explanation_text(&explanation, 2),
            "  4,000 of 4,012: `ou` is `\\u{1b}[2J`\n  12 of 4,012: for other reasons\n"
        );
        explanation.facts.clear();
        assert_eq!(explanation_text(&explanation, 0), "12 with nothing in common\n");
    }
}
