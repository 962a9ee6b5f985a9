//! muster on real systems. `tests/systems/run` installs and starts them, tells where they are, and runs these tests.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::path::Path;
use std::process::Command;

/// What `tests/systems/run` says about a system; a test whose system is not there fails.
fn told(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: start these tests with tests/systems/run"))
}

/// A plain client, so that what is seen here is the server's and not the connector's.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// GETs ServiceProviderConfig, with and without the token.
async fn answers_only_with_its_token(system: &str) {
    let url = format!("{}/ServiceProviderConfig", told(&format!("MUSTER_TEST_{system}_URL")));
    let token = told(&format!("MUSTER_TEST_{system}_TOKEN"));

    let answer = client().get(&url).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200, "GET {url}");
    let config: serde_json::Value = answer.json().await.unwrap();
    let schema = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
    assert_eq!(config["schemas"][0], schema, "{config}");
    assert_eq!(config["patch"]["supported"], true, "{config}");
    assert_eq!(config["filter"]["supported"], true, "{config}");

    let users = url.replace("/ServiceProviderConfig", "/Users");
    let refused = client().get(&users).bearer_auth("not-the-token").send().await.unwrap();
    assert_eq!(refused.status(), 401, "GET {users} with a wrong token");
}

#[tokio::test]
async fn scim2_server_answers_only_with_its_token() {
    answers_only_with_its_token("SCIM2").await;
}

#[tokio::test]
async fn scimmy_answers_only_with_its_token() {
    answers_only_with_its_token("SCIMMY").await;
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
