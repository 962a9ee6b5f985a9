#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::rules::lookup::Lookups;

const COLUMNS: [&str; 8] =
    ["email", "enabled", "groups", "name.givenName", "number", "weird name", "first-name", "missing"];

fn columns() -> Vec<String> {
    COLUMNS.map(str::to_owned).to_vec()
}

fn row() -> Vec<String> {
    ["Jane@Corp.example", "TRUE", r#"["admins","staff"]"#, " Zoë ", "42", "w", "hyphen", ""].map(str::to_owned).to_vec()
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
fn functions_do_what_their_names_say() {
    for (rule, wanted) in [
        // The first group, the whole where there is none, or the group that is asked for; nothing where nothing fits.
        ("email.extract('@(.+)$')", "corp.example|Corp.example"),
        ("email.extract('[a-z]+')", "ane"),
        ("email.extract('(.)(.)', 2)", "a"),
        ("email.extract('[0-9]+')", ""),
        ("extract(email, '^J...')", "Jane"),
        ("email.replaceAll('[aeo]', '_')", "J_n_@C_rp._x_mpl_"),
        ("email.replaceAll('(\\\\w+)@(\\\\w+).*', '${2}x $1 $$')", "Corpx Jane $"),
        ("email.matches('^J') ? 'yes' : 'no'", "yes"),
        ("email.matches('^' + email.substring(0, 1)) ? 'yes' : 'no'", "yes"),
        ("number.padLeft(5, '0')", "00042"),
        ("number.padLeft(1, '0') + number.padRight(4, '-')", "4242--"),
        ("missing.padLeft(5, '0')", ""),
        ("missing.default('none')", "none"),
        ("email.default('none')", "Jane@Corp.example"),
        ("missing.default(groups)[1]", "staff"),
        ("groups.map(g, g.default('x').padLeft(6, '_')).join()", "admins_staff"),
        ("'31.01.2026'.parseDate('%d.%m.%Y')", "2026-01-31"),
        ("'31.01.2026 08:30'.parseDate('%d.%m.%Y %H:%M')", "2026-01-31T08:30:00Z"),
        ("'2026-01-31 08:30 +0200'.parseDate('%Y-%m-%d %H:%M %z')", "2026-01-31T06:30:00Z"),
        ("missing.parseDate('%d.%m.%Y')", ""),
        ("'2026-01-31'.formatDate('%d/%m/%y')", "31/01/26"),
        ("'2026-01-31T23:30:00+01:00'.formatDate('%Y%m%d%H')", "2026013122"),
        ("timestamp('2026-01-31T08:30:00Z').formatDate('%H.%M')", "08.30"),
        ("'2026-01-31'.addDays(30)", "2026-03-02"),
        ("'2026-03-01T10:00:00Z'.addDays(-1)", "2026-02-28T10:00:00Z"),
        ("timestamp('2026-01-31T08:30:00Z').addDays(1)", "2026-02-01T08:30:00Z"),
        ("timestamp('2026-01-31') < timestamp('2026-01-31T00:00:01') ? 'before' : 'after'", "before"),
        ("timestamp('2026-01-31') == timestamp('2026-01-31T01:00:00+01:00') ? 'same' : 'other'", "same"),
        ("'31.01.2026'.parseDate('%d.%m.%Y').addDays(1).formatDate('%A')", "Sunday"),
        ("'Жанна Müller'.ascii().lowerAscii()", "zhanna muller"),
    ] {
        let found = eval(rule);
        let is_it = |wanted: &str| match wanted {
            "" => found == Ok(Outcome::Nothing),
            wanted => found == text(wanted),
        };
        assert!(wanted.split('|').any(is_it), "{rule}: {found:?}");
    }
    for (rule, why) in [
        ("'31.02.2026'.parseDate('%d.%m.%Y')", "parseDate: `31.02.2026` is not a date of the format `%d.%m.%Y`"),
        ("'5.3.24'.parseDate('%d.%m.%Y')", "its year has less than four digits, which `%y` reads"),
        ("email.formatDate('%d')", "parseDate(format) makes one of it"),
        ("'2026-01-31'.formatDate('%H')", "has nothing that the format `%H` asks for"),
        ("number.padLeft(5, 'ab')", "it fills up with one character"),
        ("groups.ascii()", "it works on text, and this is a list"),
        ("email.extract(email.replace('J', '('))", "is not a regular expression"),
        ("email.addDays(1)", "is not a date like 2026-01-31"),
        (
            "timestamp(email) < timestamp('2026-01-31') ? 'a' : 'b'",
            "timestamp: `Jane@Corp.example` is not a date like 2026-01-31",
        ),
        ("email.substring(0, 99)", "substring: the text has no place 99"),
        ("email.substring(5, 2)", "substring: it ends before it begins"),
        ("string(int(email))", "int: the text is not a whole number"),
        ("string(double(email))", "double: the text is not a number"),
        ("string(duration(email))", "duration: the text is not a duration such as `90m`"),
        ("groups.slice(0, 99)[0]", "slice: the list has no more than 2 elements"),
        ("string(1/0)", "a division by zero"),
        ("string(9223372036854775807 + 1)", "the result of `+` is larger than a number can be"),
        ("email + 1", "`+` cannot be applied to string and int"),
    ] {
        let failure = eval(rule).unwrap_err();
        assert!(failure.message.contains(why), "{rule}: {}", failure.message);
    }
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
    assert_eq!(compile("email.orElse('x')").message, "unknown function `orElse`; `default` is its name here");
    assert!(compile("email.extract('(a)', 2)").message.contains("has no group 2, its last one is 1"));
    assert!(compile("email.replaceAll('(a)', '$1x')").message.contains("write ${1}x"));
    assert!(compile("email.formatDate('%Q')").message.contains("is not the format of a date"));
    assert!(compile("lookup(email, 'id', number, 'x')").message.contains("the snapshot of a `lookup` is a text"));
    let problem = compile(" 'x' + lookup('people', 'id', number, 'x')");
    assert_eq!((problem.message.contains("like \"hr.people\""), problem.offset), (true, 14));
    assert!(Expression::condition("'always'").is_err());
    let problem = Expression::compile("emial + 'x'").unwrap().bind(&columns()).unwrap_err();
    assert_eq!(problem.message, "there is no column `emial`; did you mean `email`?");
    let problem = Expression::compile("'x' + name.givenname").unwrap().bind(&columns()).unwrap_err();
    assert_eq!(
        (problem.message.as_str(), problem.offset),
        ("there is no column `name.givenname`; did you mean `name.givenName`?", 6)
    );
}

fn lookups(rows: &str, rules: &[&str]) -> Vec<Result<Outcome, RuleFailure>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.csv");
    std::fs::write(&path, format!("id,number,name,active\n{rows}")).unwrap();
    let name = "hr.people".parse().unwrap();
    let tables = [(name, crate::snapshot::table::Table::open(&path, &["id".to_owned()]).unwrap())].into();
    let compiled: Vec<Expression> = rules.iter().map(|rule| Expression::compile(rule).unwrap()).collect();
    let wanted = compiled.iter().flat_map(Expression::lookups).map(|placed| placed.lookup.clone());
    let lookups = Lookups::read(wanted.collect::<Vec<_>>(), &tables).unwrap();
    compiled.iter().map(|rule| rule.bind_with(&columns(), &lookups).unwrap().evaluate(&row())).collect()
}

#[test]
fn what_is_looked_up_is_read_as_a_cell_is() {
    let rows = "1,42,Ann,TRUE\n2,admins,Admins,\n3,staff,Staff,maybe\n4,7,One,\n5,7,Two,\n6,8,Same,\n7,8,Same,\n\
                8,9,\"[\"\"x\"\",\"\"y\"\"]\",\n";
    let found = lookups(
        rows,
        &[
            "lookup('hr.people', 'number', number, 'name')",
            "lookup('hr.people', 'number', email, 'name').default('nobody')",
            "lookup('hr.people', 'number', number, 'active') ? 'in use' : 'not'",
            "lookup('hr.people', 'number', missing, 'name') == null ? 'none' : 'some'",
            "groups.map(g, lookup('hr.people', 'number', g, 'name')).join(', ')",
            "lookup('hr.people', 'number', '8', 'name')",
            "'y' in lookup('hr.people', 'number', '9', 'name') ? 'yes' : 'no'",
            "lookup('hr.people', 'number', '7', 'name')",
            "lookup('hr.people', 'number', 'staff', 'active') ? 'in use' : 'not'",
        ],
    );
    for (found, wanted) in found.iter().zip(["Ann", "nobody", "in use", "none", "Admins, Staff", "Same", "yes"]) {
        assert_eq!(*found, text(wanted));
    }
    let differs = found[7].as_ref().unwrap_err();
    assert_eq!(
        differs.message,
        "lookup: 2 rows of hr.people have number `7`, and they differ: name is `One` in `4` and `Two` in `5`"
    );
    let failure = found[8].as_ref().unwrap_err();
    assert_eq!(failure.message, "lookup: active of hr.people is `maybe`, which is neither true nor false");
    assert_eq!(failure.inputs, [("active of hr.people by number `staff`".to_owned(), "maybe".to_owned())]);
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
        proptest::collection::vec("[a-zé@ \\[\\]\",]{0,8}|true|FALSE|[\"a\"]", 8), 1..6))
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
