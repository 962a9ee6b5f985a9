//! What was asked of each system: a log for forensics, what it comes to, and servers that say how much they take.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use support::company::Company;

/// The lines of a run's log of requests.
fn requests(company: &Company, run: &str) -> Vec<Value> {
    let file = company.world.run_file("corp", run, "requests.ndjson");
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn case_d12_each_request_is_in_a_log_without_secrets() {
    let company = Company::of(3);
    company.vault.faults(json!({"rules": [
        {"method": "POST", "prefix": "/Users", "when": {"nth": 1}, "action": {"status": {"code": 400, "body": r#"{"detail":"no such plan"}"#}}}]}));
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(5);

    let file = company.world.run_file("corp", &run, "requests.ndjson");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = requests(&company, &run);
    let of = |begin: &str| lines.iter().filter(|line| line["request"].as_str().unwrap().starts_with(begin)).count();
    // What was looked for is nobody's business; that it was looked for, how often and for how long, is.
    assert!(of("GET /scim/v2/Users?") > 0 && of("POST /scim/v2/Users") == 3, "{lines:#?}");
    let text = std::fs::read_to_string(&file).unwrap();
    for secret in ["user0001@corp.example", support::TOKEN, "Bearer"] {
        assert!(!text.contains(secret), "{secret} stands in the log:\n{text}");
    }
    let refused: Vec<&Value> = lines.iter().filter(|line| line["status"] == 400).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["failure"], "no such plan");
    assert!(lines.iter().all(|line| line["system"] == "vault" && line["ms"].as_f64().unwrap() > 0.0));

    // That the server has no /Me is its answer, and no failure.
    assert!(lines.iter().any(|line| line["status"] == 501), "{lines:#?}");
    let report = company.world.muster(&["report", &run]).ended(0);
    report.says(&[&format!("asked vault: {} requests, 1 failed;", lines.len())]);
    let report = company.world.muster(&["report", &run, "--format", "json"]).ended(0).json();
    assert_eq!(report["traffic"]["vault"]["requests"], lines.len());
    let bytes: u64 = lines.iter().map(|line| line["received"].as_u64().unwrap()).sum();
    assert_eq!(report["traffic"]["vault"]["received"], bytes);
}

/// Okta, GitHub and others say with each answer how many requests are left: whoever goes on is refused.
#[test]
fn a_server_that_says_that_no_request_is_left_is_left_alone_until_then() {
    let company = Company::of(3);
    let headers = json!({"ratelimit-remaining": "0", "ratelimit-reset": "2"});
    let empty =
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": 0}).to_string();
    company.vault.faults(json!({"rules": [
        {"method": "GET", "prefix": "/Users", "when": {"nth": 1}, "action": {"status": {"code": 200, "body": empty, "headers": headers}}}]}));
    let began = std::time::Instant::now();
    company.world.muster(&["run", "corp"]).ended(3);
    assert!(began.elapsed().as_secs_f64() >= 2.0, "it went on at once");
    let run = company.world.newest_run("corp");
    assert!(requests(&company, &run).iter().all(|line| line["status"] != 429), "something was refused");
}
