//! muster on real systems. `tests/systems/run` installs and starts them, tells where they are, and runs these tests.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod support;
#[path = "systems/whole_loop.rs"]
mod whole_loop;

use std::path::Path;
use std::process::Command;

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
