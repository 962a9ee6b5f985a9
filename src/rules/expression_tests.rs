#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const COLUMNS: [&str; 7] = ["email", "enabled", "groups", "name.givenName", "number", "weird name", "first-name"];

fn columns() -> Vec<String> {
    COLUMNS.map(str::to_owned).to_vec()
}

fn row() -> Vec<String> {
    ["Jane@Corp.example", "TRUE", r#"["admins","staff"]"#, " Zoë ", "42", "w", "hyphen"].map(str::to_owned).to_vec()
}

fn eval(text: &str) -> Result<Outcome, RuleFailure> {
    Expression::compile(text).unwrap().bind(&columns()).unwrap().evaluate(&row())
}

fn text(outcome: &str) -> Result<Outcome, RuleFailure> {
    Ok(Outcome::Text(outcome.to_owned()))
}

#[test]
fn rules_yield_what_people_expect() {
    assert_eq!(eval("email"), text("Jane@Corp.example"));
    assert_eq!(eval("first-name"), text("hyphen"));
    assert_eq!(eval("weird name"), text("w"));
    assert_eq!(eval("'constant'"), text("constant"));
    assert_eq!(eval("email.lowerAscii()"), text("jane@corp.example"));
    assert_eq!(eval("email.split('@')[0].upperAscii()"), text("JANE"));
    assert_eq!(eval("email.substring(0, 4) + '-' + row[\"weird name\"]"), text("Jane-w"));
    assert_eq!(eval("name.givenName.trim().ascii()"), text("Zoe"));
    assert_eq!(eval("has(name.givenName) ? name.givenName.trim() : email"), text("Zoë"));
    assert_eq!(eval("groups.join(';')"), text("admins;staff"));
    assert_eq!(
        eval("groups.filter(g, g.startsWith('s')).map(g, g.upperAscii())"),
        Ok(Outcome::Many(vec!["STAFF".into()]))
    );
    assert_eq!(eval("'admins' in groups ? 'yes' : 'no'"), text("yes"));
    assert_eq!(eval("size(groups) + int(number)"), text("44"));
    assert_eq!(eval("[email]"), Ok(Outcome::Many(vec!["Jane@Corp.example".into()])));
    assert_eq!(eval("email.replace('Jane', 'Joe').charAt(1)"), text("o"));
    assert_eq!(eval("email == null ? 'a' : null"), Ok(Outcome::Nothing));
    assert_eq!(eval("groups.sort().distinct()[0]"), text("admins"));
}

#[test]
fn a_truth_value_is_read_where_one_is_needed_and_text_elsewhere() {
    assert_eq!(eval("!enabled"), text("false"));
    assert_eq!(eval("enabled && email != ''"), text("true"));
    assert_eq!(eval("enabled == true"), text("true"));
    assert_eq!(eval("enabled == 'TRUE'"), text("true"));
    let failure = eval("email && enabled").unwrap_err();
    assert_eq!(failure.message, "column `email` holds `Jane@Corp.example`, which is neither true nor false");
    assert_eq!(failure.inputs[0], ("email".to_owned(), "Jane@Corp.example".to_owned()));
}

#[test]
fn mistakes_are_told_before_any_row_is_read() {
    let compile = |text: &str| Expression::compile(text).unwrap_err();
    assert_eq!(compile("email.lowerAsci()").message, "unknown function `lowerAsci`; did you mean `lowerAscii`?");
    assert!(compile("int(number) > 4 && number > 41").message.contains("write int(number)"));
    assert_eq!(compile("email.matches('(')").message, "`(` is not a regular expression");
    assert!(Expression::condition("'always'").is_err());
    let problem = Expression::compile("emial + 'x'").unwrap().bind(&columns()).unwrap_err();
    assert_eq!(problem.message, "there is no column `emial`; did you mean `email`?");
    let problem = Expression::compile("'x' + name.givenname").unwrap().bind(&columns()).unwrap_err();
    assert_eq!(
        (problem.message.as_str(), problem.offset),
        ("there is no column `name.givenname`; did you mean `name.givenName`?", 6)
    );
}

#[test]
fn names_that_are_no_expression_are_columns() {
    let is_column = |text: &str| matches!(Expression::compile(text).unwrap().form, Form::Column);
    assert!(is_column("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"));
    assert!(is_column("emails[type eq \"work\"].value"));
    assert!(is_column("Employee Number"));
    assert!(!is_column("true"));
    assert!(!is_column("'a' in groups"));
}

#[test]
fn columns_are_known_before_binding() {
    let rule = Expression::compile("groups.exists(g, g == email) ? row[\"weird name\"] : name.givenName").unwrap();
    assert_eq!(rule.columns(), ["email", "groups", "name.givenName", "weird name"]);
}

proptest! {
    /// Evaluating other rows in between, or in other threads, changes nothing.
    #[test]
    fn a_rule_depends_on_its_row_alone(rows in proptest::collection::vec(
        proptest::collection::vec("[a-zé@ \\[\\]\",]{0,8}|true|FALSE|[\"a\"]", 7), 1..6))
    {
        let rules: Vec<Bound> = ["email.lowerAscii() + number", "groups.join(',')", "enabled ? email : number", "weird name"]
            .iter().filter_map(|text| Expression::compile(text).ok()?.bind(&columns()).ok()).collect();
        let alone: Vec<_> = rows.iter().map(|row| rules.iter().map(|rule| rule.evaluate(row)).collect::<Vec<_>>()).collect();
        let mixed: Vec<_> = std::thread::scope(|scope| {
            let handles: Vec<_> = rows.iter().rev().map(|row| {
                let rules = &rules;
                scope.spawn(move || rules.iter().map(|rule| rule.evaluate(row)).collect::<Vec<_>>())
            }).collect();
            handles.into_iter().rev().filter_map(|handle| handle.join().ok()).collect()
        });
        prop_assert_eq!(alone, mixed);
    }
}
