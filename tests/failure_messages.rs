//! What services say, as it arrives, and what it has to mean; a row of the table that no answer takes is one too many.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use muster::connector::classify::{Refusal, classify, row_among, row_for};
use muster::connector::failure_table::{Asked, ldap_rows, rows};
use muster::connector::scim::Dialect;
use muster::model::failure::{Class, Recourse};
use muster::scim::error::ScimError;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    answer: Vec<Answer>,
}

/// One answer and its meaning.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default)]
    dialect: Option<String>,
    asked: Asked,
    status: u16,
    body: String,
    class: Class,
    recourse: Recourse,
    /// A part of it.
    remedy: String,
}

#[test]
fn each_answer_means_what_it_should_and_each_row_is_taken_by_one() {
    let text = std::fs::read_to_string("fixtures/failures/scim.toml").unwrap();
    let fixture: Fixture = toml::from_str(&text).unwrap();
    let mut taken = BTreeSet::new();
    for answer in &fixture.answer {
        let dialect = answer.dialect.as_deref().map_or(Dialect::generic(), |name| Dialect::named(name).unwrap());
        let error = ScimError::parse(answer.status, answer.body.as_bytes());
        let failure = classify(&Refusal {
            system: "vault",
            asked: answer.asked,
            request: "PATCH https://vault.example.com/scim/v2/Users/7",
            status: answer.status,
            is_html: answer.body.starts_with('<'),
            scim_type: error.scim_type.as_deref(),
            message: Some(error.detail.as_str()).filter(|detail| !detail.is_empty()),
            credential: None,
            request_id: None,
            retry_after: None,
            dialect: dialect.rows(),
        });
        let told = (failure.class, failure.recourse);
        assert_eq!(told, (answer.class, answer.recourse), "{}: {}\n{failure}", answer.status, answer.body);
        assert!(failure.remedy.contains(&answer.remedy), "`{}` is not in: {}", answer.remedy, failure.remedy);
        let (kind, message) = (error.scim_type.as_deref(), Some(error.detail.as_str()));
        let of_dialect = row_among(dialect.rows(), answer.asked, answer.status, kind, message);
        let row = of_dialect.or_else(|| row_for(answer.asked, answer.status, kind, message));
        let row = row.unwrap_or_else(|| panic!("no row for {}: {}", answer.status, answer.body));
        assert_eq!(failure.remedy, row.remedy, "{}", answer.body);
        taken.insert((of_dialect.map_or("", |_| dialect.name), row.name));
    }
    let all =
        Dialect::names().flat_map(|name| Dialect::named(name).unwrap().rows().iter().map(move |row| (name, row.name)));
    for row in rows().map(|row| ("", row.name)).chain(all) {
        assert!(taken.contains(&row), "no answer in fixtures/failures/scim.toml takes {row:?}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Results {
    answer: Vec<ResultOf>,
}

/// A result of a directory and its meaning.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultOf {
    asked: Asked,
    code: u16,
    message: String,
    row: String,
    class: Class,
    recourse: Recourse,
    /// A part of it.
    remedy: String,
}

#[test]
fn each_result_of_a_directory_means_what_it_should_and_each_row_and_code_has_one() {
    let text = std::fs::read_to_string("fixtures/failures/ldap.toml").unwrap();
    let results: Results = toml::from_str(&text).unwrap();
    let (mut taken, mut codes) = (BTreeSet::new(), BTreeSet::new());
    for answer in &results.answer {
        let row = row_among(ldap_rows(), answer.asked, answer.code, None, Some(&answer.message));
        let row = row.unwrap_or_else(|| panic!("no row for {}: {}", answer.code, answer.message));
        let told = (row.name, row.class, row.recourse);
        assert_eq!(
            told,
            (answer.row.as_str(), answer.class, answer.recourse),
            "{:?} {}: {}",
            answer.asked,
            answer.code,
            answer.message
        );
        assert!(row.remedy.contains(&answer.remedy), "`{}` is not in: {}", answer.remedy, row.remedy);
        assert!(!answer.remedy.is_empty() && !row.says.is_empty(), "{}", row.name);
        taken.insert(row.name);
        codes.insert(answer.code);
    }
    for row in ldap_rows() {
        assert!(taken.contains(row.name), "no answer in fixtures/failures/ldap.toml takes {}", row.name);
        // They are compared with what the server says in lower case.
        assert!(row.messages.iter().all(|pattern| *pattern == pattern.to_lowercase()), "{}", row.name);
    }
    // RFC 4511 section 4.1.9, without success (0) and those that are reserved.
    let all = (1..=14).chain(16..=21).chain(32..=36).chain(48..=54).chain(64..=71).chain([80]);
    for code in all.filter(|code| ![9, 35, 70].contains(code)) {
        assert!(codes.contains(&code), "no answer in fixtures/failures/ldap.toml has the code {code}");
        for asked in [Asked::Discovery, Asked::List, Asked::Object, Asked::Write, Asked::Delete] {
            assert!(row_among(ldap_rows(), asked, code, None, None).is_some(), "{asked:?} {code}: no row");
        }
    }
}
