//! Values that are made once for an object and kept: a login by a rule, with a counter where it is taken.

use crate::model::capabilities::AttributeType;

use super::canonical;

/// An attribute whose value is made once. Its rule is in the mapping, and yields the value that is tried first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerateRule {
    /// The target attribute.
    pub attribute: String,
    /// The values that are tried where that is taken.
    pub on_collision: Collision,
    /// The first number that is tried.
    pub from: u32,
    /// Whether an object gets another value when its own is none that the rule makes any more.
    pub follow: bool,
}

/// How a value looks with a number: `{value}{n}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value,
    /// What stands before the `@`.
    Local,
    /// What stands after it.
    Domain,
    Number,
}

/// A higher number is not tried: somebody forgot what makes values differ.
pub(crate) const LAST: u32 = 99_999;

impl Collision {
    /// Reads a pattern: text with `{n}`, and `{value}`, or `{local}` and `{domain}` of a value with an `@`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("`{` is not closed")?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name {
                "value" => Part::Value,
                "local" => Part::Local,
                "domain" => Part::Domain,
                "n" => Part::Number,
                other => {
                    return Err(format!(
                        "`{{{other}}}` is unknown; there are {{value}}, {{local}}, {{domain}} and {{n}}"
                    ));
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        match parts.iter().filter(|part| **part == Part::Number).count() {
            1 => Ok(Self { parts }),
            0 => Err("it needs `{n}`, the number that makes values differ".to_owned()),
            _ => Err("it has `{n}` more than once".to_owned()),
        }
    }

    /// What stands before and after the number.
    fn around(&self, value: &str) -> (String, String) {
        let (local, domain) = value.rsplit_once('@').unwrap_or((value, ""));
        let (mut before, mut after, mut is_after) = (String::new(), String::new(), false);
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => text,
                Part::Value => value,
                Part::Local => local,
                Part::Domain => domain,
                Part::Number => {
                    is_after = true;
                    continue;
                }
            };
            if is_after { after.push_str(text) } else { before.push_str(text) }
        }
        (before, after)
    }
}

impl GenerateRule {
    /// The values that are tried, from the one of a number on; 0 is the value itself.
    pub(crate) fn candidates(&self, value: &str, number: u32) -> impl Iterator<Item = (u32, String)> {
        let (before, after) = self.on_collision.around(value);
        let first = (number == 0).then(|| (0, value.to_owned()));
        let counted = (number.max(self.from)..=LAST).map(move |n| (n, format!("{before}{n}{after}")));
        first.into_iter().chain(counted)
    }

    /// Whether a value is one of those that are tried.
    pub(crate) fn could_be(&self, value: &str, held: &str, kind: AttributeType) -> bool {
        let plain = |text: &str| canonical::canonical(text, kind).into_owned();
        let held = plain(held);
        if held == plain(value) {
            return true;
        }
        let (before, after) = self.on_collision.around(value);
        let number = held.strip_prefix(&plain(&before)).and_then(|rest| rest.strip_suffix(&plain(&after)));
        let number = number.filter(|number| !number.starts_with(['0', '+']) || *number == "0");
        number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|n| (self.from..=LAST).contains(&n))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rule(pattern: &str) -> GenerateRule {
        let on_collision = Collision::parse(pattern).unwrap();
        GenerateRule { attribute: "userName".into(), on_collision, from: 2, follow: false }
    }

    #[test]
    fn candidates_are_known_again() {
        for (pattern, value, third) in
            [("{value}{n}", "jdoe", "jdoe3"), ("{local}-{n}@{domain}", "j.doe@corp", "j.doe-3@corp"), ("{n}", "x", "3")]
        {
            let rule = rule(pattern);
            let tried: Vec<String> = rule.candidates(value, 0).take(3).map(|(_, text)| text).collect();
            assert_eq!((tried[0].as_str(), tried[2].as_str()), (value, third));
            let kind = AttributeType::CaselessText;
            assert!(tried.iter().all(|text| rule.could_be(value, &text.to_uppercase(), kind)), "{tried:?}");
            assert!(rule.candidates(value, 7).take(1).all(|(n, text)| n == 7 && text.contains('7')));
        }
        let rule = rule("{value}{n}");
        for other in ["jdoe1", "jdoe02", "jdoe+2", "jdoex", "doe2", "jdoe999999"] {
            assert!(!rule.could_be("jdoe", other, AttributeType::Text), "{other}");
        }
    }

    #[test]
    fn a_pattern_without_a_number_or_with_unknown_names_is_refused() {
        assert!(Collision::parse("{value}").unwrap_err().contains("{n}"));
        assert!(Collision::parse("{value}{n}{n}").is_err());
        assert!(Collision::parse("{login}{n}").unwrap_err().contains("`{login}` is unknown"));
        assert!(Collision::parse("{value}{n").is_err());
    }
}
