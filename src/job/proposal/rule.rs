//! Rules on source columns, whatever these are called.

use crate::rules::expression::Expression;

/// The rule that yields a column as it is: its name, or `row['…']` where the name would mean something else. `None`
/// where no rule can name it.
pub(super) fn column(name: &str) -> Option<String> {
    [name.to_owned(), in_row(name)].into_iter().find(|rule| {
        // A rule is trimmed before it is read.
        rule.trim() == rule && Expression::compile(rule).is_ok_and(|compiled| compiled.columns() == [name])
    })
}

/// A column inside an expression. `None` where none can name it.
pub(super) fn inside(name: &str) -> Option<String> {
    let is_identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let own = is_identifier.then(|| name.to_owned());
    own.into_iter().chain([in_row(name)]).find(|rule| {
        let probe = format!("{rule} + ''");
        Expression::compile(&probe).is_ok_and(|compiled| compiled.columns() == [name])
    })
}

/// The columns that a rule reads; none where it is no rule.
pub(super) fn columns(rule: &str) -> Vec<String> {
    let compiled = Expression::compile(rule).or_else(|_| Expression::condition(rule));
    compiled.map(|compiled| compiled.columns()).unwrap_or_default()
}

fn in_row(name: &str) -> String {
    let mut rule = "row['".to_owned();
    for c in name.chars() {
        match c {
            '\\' | '\'' => rule.extend(['\\', c]),
            c if c.is_control() => rule.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => rule.push(c),
        }
    }
    rule + "']"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_column_is_named_by_a_rule_that_reads_it_and_nothing_else() {
        for name in [
            "email",
            "Employee Number",
            "true",
            "null",
            "row",
            "a'b",
            "a\"b",
            "a\\b",
            "a\nb",
            "id == 'x'",
            "'constant'",
            "[x]",
            " lead",
            "100",
            "größe",
            "in",
            "x in y",
            "a + b",
            "\u{1b}[31m",
            "\u{202e}x",
            "lookup(1)",
            "#0",
            "%1",
        ] {
            for rule in [column(name), inside(name).map(|rule| format!("{rule} + 'x'"))] {
                let rule = rule.unwrap_or_else(|| panic!("no rule names {name:?}"));
                let columns = Expression::compile(&rule).map(|compiled| compiled.columns());
                assert_eq!(columns.ok().as_deref(), Some(&[name.to_owned()][..]), "{rule}");
            }
        }
        assert_eq!(column("Employee Number").as_deref(), Some("Employee Number"));
    }
}
