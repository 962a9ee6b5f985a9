//! muster on real systems. `tests/systems/run` installs and starts them, tells where they are, and runs these tests.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "systems/active_directory.rs"]
mod active_directory;
#[path = "systems/ad_increments.rs"]
mod ad_increments;
#[path = "support/connector_renamed.rs"]
mod connector_renamed;
#[path = "support/connector_sink.rs"]
mod connector_sink;
#[path = "support/connector_subject.rs"]
mod connector_subject;
#[path = "support/connector_suite.rs"]
mod connector_suite;
#[path = "systems/directory.rs"]
mod directory;
#[path = "systems/dirsrv389.rs"]
mod dirsrv389;
#[path = "systems/exported.rs"]
mod exported;
#[path = "systems/init.rs"]
mod init;
#[path = "systems/keycloak.rs"]
mod keycloak;
#[path = "systems/keycloak_held.rs"]
mod keycloak_held;
#[path = "systems/keycloak_loop.rs"]
mod keycloak_loop;
#[path = "systems/keycloak_moving.rs"]
mod keycloak_moving;
#[path = "systems/keycloak_scim.rs"]
mod keycloak_scim;
#[path = "systems/ldap.rs"]
mod ldap;
#[path = "systems/ldap_cut_off.rs"]
mod ldap_cut_off;
#[path = "systems/ldap_increments.rs"]
mod ldap_increments;
#[path = "systems/ldap_into_vault.rs"]
mod ldap_into_vault;
#[path = "systems/ldap_loop.rs"]
mod ldap_loop;
#[path = "systems/ldap_requests.rs"]
mod ldap_requests;
#[path = "systems/lost_answers.rs"]
mod lost_answers;
#[path = "systems/nginx_loop.rs"]
mod nginx_loop;
#[path = "systems/privileged_access.rs"]
mod privileged_access;
#[path = "systems/realm.rs"]
mod realm;
#[path = "systems/review_page.rs"]
mod review_page;
#[path = "systems/scim_increments.rs"]
mod scim_increments;
#[path = "systems/smtp.rs"]
mod smtp;
#[path = "systems/staff.rs"]
mod staff;
#[path = "systems/stages.rs"]
mod stages;
mod support;
#[path = "systems/units.rs"]
mod units;
#[path = "systems/vault.rs"]
mod vault;
#[path = "systems/vault_admin.rs"]
mod vault_admin;
#[path = "systems/vault_loop.rs"]
mod vault_loop;
#[path = "systems/whole_loop.rs"]
mod whole_loop;

use std::path::Path;
use std::process::Command;

use support::company::{Company, Person, person};
use whole_loop::System;

/// What `tests/systems/run` says about a system; a test whose system is not there fails.
fn told(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: start these tests with tests/systems/run"))
}

/// What the server itself says about its abilities, and to somebody with a wrong token.
fn answers_only_with_its_token(system: &System) {
    let (status, config) = system.get("/ServiceProviderConfig");
    assert_eq!(status, 200, "{config}");
    let schema = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
    assert_eq!(config["schemas"][0], schema, "{config}");
    assert_eq!(config["patch"]["supported"], true, "{config}");
    assert_eq!(config["filter"]["supported"], true, "{config}");

    let (status, body) = support::send("GET", &format!("{}/Users", system.url), Some("not-the-token"), None);
    assert_eq!(status, 401, "with a wrong token: {body}");
}

/// Strict, in memory, slow; queues five connections; leaves deleted users in their groups.
#[test]
fn scim2_server_is_brought_into_step_and_kept_there() {
    let system = System::told("SCIM2");
    answers_only_with_its_token(&system);
    whole_loop::converges(&system);
}

/// Lenient; ignores If-Match, answers past the end with page one, and adds the same member twice.
#[test]
fn scimmy_is_brought_into_step_and_kept_there() {
    let system = System::told("SCIMMY");
    answers_only_with_its_token(&system);
    whole_loop::converges(&system);
}

/// The variants that the review file is later read back from: a real program writes them in all their encodings.
#[test]
fn the_spreadsheet_program_writes_each_variant() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("review.csv");
    std::fs::write(&original, "decision,order,key\r\napprove,o-0123456789abcdef-1,Ünal\r\n").unwrap();
    let out = folder.path().join("variants");

    let script = told("MUSTER_TEST_SPREADSHEET");
    let made = Command::new(script).arg(&original).arg(&out).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let read = |name: &str| std::fs::read(out.join(Path::new(name))).unwrap();
    assert!(String::from_utf8(read("semicolon.csv")).unwrap().contains("approve;o-0123456789abcdef-1;Ünal"));
    assert!(String::from_utf8(read("tab.csv")).unwrap().contains("approve\to-0123456789abcdef-1\tÜnal"));
    assert_eq!(read("utf16.csv")[..2], [0xff, 0xfe], "UTF-16 begins with its byte order mark");
    assert!(String::from_utf8(read("through_xlsx.csv")).unwrap().contains("o-0123456789abcdef-1"));
}

/// People whose names a spreadsheet would take for formulas, numbers, dates and truths.
fn people_that_spreadsheets_misread() -> Vec<Person> {
    let names = ["=1+1", "00123", "12E5", "1/2", "TRUE", "-5", "@SUM(A1)", "123456789012345", "2026-01-02", "O'Brien"];
    let named = |(i, family): (usize, &&str)| Person { family: (*family).to_owned(), ..person(i + 1) };
    names.iter().enumerate().map(named).collect()
}

/// A company whose first load waits for review.
fn company_under_review() -> Company {
    let company = Company::of(1);
    company.hr(&people_that_spreadsheets_misread());
    company.world.muster(&["run", "corp"]).ended(3);
    company
}

#[test]
fn a_review_file_that_went_through_a_spreadsheet_is_read_as_it_was_meant() {
    let first = company_under_review();
    first.world.muster(&["review", "corp", "--output", "review.csv"]).ended(0);
    // The reviewer approves every order, in a hand of their own.
    let text = first.world.read("review.csv");
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let mut filled = csv::Writer::from_path(first.world.path().join("filled.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let decision = header.iter().position(|name| name == "decision").unwrap();
    filled.write_record(&header).unwrap();
    let mut orders = 0;
    for row in reader.records() {
        let row = row.unwrap();
        filled.write_record(row.iter().enumerate().map(|(i, c)| if i == decision { " Approve" } else { c })).unwrap();
        orders += 1;
    }
    filled.flush().unwrap();

    let script = told("MUSTER_TEST_SPREADSHEET");
    let out = first.world.path().join("variants");
    let made = Command::new(script).arg(first.world.path().join("filled.csv")).arg(&out).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let variants: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(variants.len(), 9, "{variants:?}");
    for variant in variants {
        // The same content has the same order ids, so each variant meets a review of its own.
        let company = company_under_review();
        let file = variant.to_str().unwrap();
        let said = company.world.muster(&["approve", "corp", "--file", file, "--comment", "through a spreadsheet"]);
        assert_eq!(said.status, 0, "{file}\n{}", said.err);
        said.says(&[&format!("{orders} orders approved")]);
    }
}
