//! The review file through a spreadsheet and back, from outside: what it may decide, and what is refused.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::Value;
use support::company::{Company, people};

/// Cells of a review file as muster wrote it.
fn cells(text: &str) -> Vec<Vec<String>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// A table as a spreadsheet of a land with decimal commas saves it.
fn saved(cells: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(b';')
        .terminator(csv::Terminator::CRLF)
        .from_writer(b"\xEF\xBB\xBF".to_vec());
    for row in cells {
        writer.write_record(row).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn the_review_file_goes_round_through_a_spreadsheet() {
    let company = Company::of(4);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let said = company.world.muster(&["review", &run, "--output", "review.csv"]).ended(0);
    said.says(&["11 orders", "review.csv", "--file review.csv", "--comment"]);
    company.world.muster(&["review", &run, "--output", "review.csv"]).ended(2).says(&["is there already"]);
    let mut table = cells(&company.world.read("review.csv"));
    let column = |name: &str| table[0].iter().position(|c| c == name).unwrap();
    let (decision, key, comment) = (column("decision"), column("key"), column("comment"));
    for row in &mut table[1..] {
        row[decision] = match row[key].trim_start_matches('\'') {
            "E0004" => " Reject ".into(),
            "E0003" => String::new(),
            _ => "APPROVE".into(),
        };
        if row[key].ends_with("E0004") && !row[key].contains(char::is_whitespace) {
            row[comment] = "starts in May".into();
        }
    }
    table[1..].sort_by(|a, b| b[key].cmp(&a[key]));
    company.world.write("filled.csv", saved(&table));
    let said = company.world.muster(&["approve", &run, "--file", "filled.csv", "--comment", "with HR"]).ended(3);
    // What waits for an order that will not come is blocked, and sealing says so.
    said.says(&["1 order rejected", "blocked now", "E0004", "still wait"]);
    company.world.muster(&["apply", "corp"]).ended(3);
    let users: Vec<Value> = company.vault.all("Users").iter().map(|u| u["externalId"].clone()).collect();
    assert_eq!(users, ["E0001", "E0002"]);
    assert_eq!(company.vault.all("Groups").len(), 3);
    let log = company.world.muster(&["log", "--format", "json"]).ended(0);
    assert!(log.out.contains("starts in May"), "the row's own comment is kept");
    // The same file again changes nothing, and is no refusal.
    company.world.muster(&["approve", &run, "--file", "filled.csv", "--comment", "again"]).ended(3).says(&["skipped"]);
}

#[test]
fn a_review_file_that_says_something_else_is_refused_whole() {
    let company = Company::of(4);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    company.world.muster(&["review", &run, "--output", "review.csv"]).ended(0);
    let table = cells(&company.world.read("review.csv"));
    let column = |name: &str| table[0].iter().position(|c| c == name).unwrap();
    let (decision, changes, order) = (column("decision"), column("changes"), column("order"));
    let mut approved = table.clone();
    for row in &mut approved[1..] {
        row[decision] = "approve".into();
    }
    let refuse = |table: &[Vec<String>], texts: &[&str]| {
        company.world.write("edited.csv", saved(table));
        let said = company.world.muster(&["approve", &run, "--file", "edited.csv", "--comment", "x"]).ended(2);
        said.says(&["nothing was sealed", "a fresh copy: muster review"]).says(texts);
    };
    let mut altered = approved.clone();
    altered[1][changes] = altered[1][changes].replace("user0001", "root");
    refuse(&altered, &["row 2", "column changes", "root"]);
    let mut added = approved.clone();
    let mut row = added[1].clone();
    row[order] = "o-0123456789abcdef-1".into();
    added.push(row);
    refuse(&added, &["row 13", "o-0123456789abcdef-1"]);
    let mut word = approved.clone();
    word[3][decision] = "yes".into();
    refuse(&word, &["row 4", "column decision", "`yes`"]);
    assert!(!company.world.run_file("corp", &run, "approval-1.json").exists());
    company.world.muster(&["apply", "corp"]).ended(3);
    assert!(company.vault.all("Users").is_empty());
}

#[test]
fn an_order_that_cannot_go_is_not_counted_as_one_that_may() {
    let company = Company::of(4);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["reject", "corp", "--where", "key == 'E0002'", "--comment", "not her"]).ended(3);
    let said = company.world.muster(&["approve", "corp", "--all", "--comment", "the rest"]).ended(0);
    // Three other people, three groups, three memberships.
    said.says(&["9 orders approved", "left out: 1 order blocked, missing-reference"]);

    let company = Company::of(4);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    company.world.muster(&["review", &run, "--output", "review.csv"]).ended(0);
    let mut table = cells(&company.world.read("review.csv"));
    let column = |name: &str| table[0].iter().position(|c| c == name).unwrap();
    let (decision, key) = (column("decision"), column("key"));
    for row in &mut table[1..] {
        let rejected = row[key].trim_start_matches('\'') == "E0002";
        row[decision] = if rejected { "reject" } else { "approve" }.into();
    }
    company.world.write("filled.csv", saved(&table));
    let said = company.world.muster(&["approve", &run, "--file", "filled.csv", "--comment", "x"]).ended(0);
    said.says(&["9 orders approved, 1 order approved and blocked by what they need, 1 order rejected", "blocked now"]);
}

#[test]
fn the_review_file_of_another_run_is_told_in_one_sentence_and_like_problems_only_ten_times() {
    let company = Company::of(30);
    company.world.muster(&["run", "corp"]).ended(3);
    let first = company.world.newest_run("corp");
    company.world.muster(&["review", &first, "--output", "first.csv"]).ended(0);
    company.hr(&people(31));
    company.world.muster(&["run", "corp"]).ended(3);
    let second = company.world.newest_run("corp");
    let said = company.world.muster(&["approve", &second, "--file", "first.csv", "--comment", "x"]).ended(2);
    assert_eq!(said.err.trim().lines().count(), 1, "{}", said.err);
    said.says(&[&format!("is the review file of run {first}"), &format!("muster review {second} --output FILE")]);
    // A column that a spreadsheet spoilt.
    let mut table = cells(&company.world.read("first.csv"));
    let name = table[0].iter().position(|c| c == "name").unwrap();
    for row in &mut table[1..] {
        row[name].push('?');
    }
    company.world.write("spoilt.csv", saved(&table));
    let said = company.world.muster(&["approve", &first, "--file", "spoilt.csv", "--comment", "x"]).ended(2);
    assert_eq!(said.err.matches("column name").count(), 10, "{}", said.err);
    let more = format!("and {} more like these", table.len() - 1 - 10);
    said.says(&["row 11, column name", &more]);
}

#[test]
fn a_file_in_another_encoding_or_of_another_kind_is_told_in_one_sentence() {
    let company = Company::of(4);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    company.world.muster(&["review", &run, "--output", "review.csv"]).ended(0);
    let text = company.world.read("review.csv");
    let text = text.trim_start_matches('\u{feff}').replacen("\n,o-", "\napprove,o-", 1);
    let refuse = |bytes: &[u8], texts: &[&str]| {
        company.world.write("other", bytes);
        let said = company.world.muster(&["approve", &run, "--file", "other", "--comment", "x"]).ended(2);
        let said = said.says(&["nothing was sealed"]).says(texts);
        let lines: Vec<&str> = said.err.trim().lines().collect();
        assert!(lines.len() == 2 && lines[1].starts_with("  a fresh copy: muster review"), "{lines:#?}");
    };
    let rows = text.matches(" → ").count();
    assert!(rows > 4, "{text}");
    for lost in ["?", "->", "\u{e2}\u{2020}\u{2019}"] {
        let shown = format!("(absent) {lost} ");
        let texts = ["saved in another encoding", "row 2, column changes", &shown, "save it as CSV UTF-8"];
        refuse(text.replace('→', lost).as_bytes(), &texts);
    }
    // Windows-1252 has no arrow; what it has is no UTF-8.
    let western = text.replace('→', "?").replacen("\napprove,", "\nJos\u{1},", 1).replace('\u{1}', "_");
    let western: Vec<u8> = western.bytes().map(|b| if b == b'_' { 0xE9 } else { b }).collect();
    refuse(&western, &["saved in another encoding, line ", "save it as CSV UTF-8"]);
    refuse(
        b"<!DOCTYPE html>\n<html><body>Sign in, please</body></html>\n",
        &["it is a web page", "save the review file itself"],
    );
    refuse(b"\x89PNG\r\n\x1a\n\0\0", &["nor a review file"]);
    // One cell that lost an arrow as well as a value is no matter of encodings alone.
    refuse(text.replacen("(absent) → true", "(absent) ? false", 1).as_bytes(), &["restore the cell"]);
}
