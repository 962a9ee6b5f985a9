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

/// When each request to a system began, in milliseconds, in this sequence.
fn begun(lines: &[Value], system: &str) -> Vec<f64> {
    let of = lines.iter().filter(|line| line["system"] == system);
    let began = of.map(|line| {
        let at = chrono::DateTime::parse_from_rfc3339(line["at"].as_str().unwrap()).unwrap();
        at.timestamp_millis() as f64 - line["ms"].as_f64().unwrap()
    });
    let mut began: Vec<f64> = began.collect();
    began.sort_by(f64::total_cmp);
    began
}

#[test]
fn each_system_is_asked_so_many_times_a_second_and_counted_for_itself() {
    let company = Company::of(1);
    // A second server as the source: both are asked, and each has the rate to itself.
    let source = company.world.server_on("source.db", &["--seed-users", "40"]);
    let systems = support::company::systems("hr", &company.vault.url);
    let systems = systems.replace("kind = \"csv\"\npath = \"../hr\"", &format!(
        "kind = \"scim\"\nurl = \"{}\"\nauth = {{ bearer = \"env:VAULT_TOKEN\" }}\npage_size = 2\npages_in_flight = 8", source.url
    ));
    let sync = "[[sync]]\nfrom = \"hr.users\"\nto = \"vault.users\"\nmatch = [{ source = \"userName\", target = \"userName\" }]\nattributes = { userName = \"userName\" }\n";
    let job = format!("name = \"corp\"\n{systems}\n{sync}[apply]\nrate = \"20/s\"\nconcurrency = 8\n");
    company.world.write("jobs/corp.toml", job);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    let planned = requests(&company, &run).len();
    company.world.muster(&["apply", "corp"]).ended(0);
    let lines = requests(&company, &run);
    for (system, lines) in [("hr", &lines[..planned]), ("vault", &lines[planned..])] {
        let began = begun(lines, system);
        assert!(began.len() > 20, "{system}: {began:?}");
        // One every 50 ms. Whoever waits longer makes the whole longer; the first may have left a little late.
        let (least, took) = ((began.len() - 1) as f64 * 50.0, began[began.len() - 1] - began[0]);
        assert!(took > 0.7 * least, "{system}: {} requests in {took} ms", began.len());
    }
    let report = company.world.muster(&["report", &run, "--format", "json"]).ended(0).json();
    for system in ["hr", "vault"] {
        let of: Vec<&Value> = lines.iter().filter(|line| line["system"] == system).collect();
        assert_eq!(report["traffic"][system]["requests"], of.len(), "{system}");
        let sent: u64 = of.iter().map(|line| line["sent"].as_u64().unwrap()).sum();
        assert_eq!(report["traffic"][system]["sent"], sent, "{system}");
        assert!(
            of.iter().all(|line| (line["request"].as_str().unwrap().starts_with("POST")) == (line["sent"] != 0)),
            "{of:#?}"
        );
    }
}

/// Retry-After, as a number of seconds and as a date; the program's own wait would be shorter.
#[test]
fn a_server_that_says_when_to_come_again_is_not_asked_before() {
    for by_date in [false, true] {
        let company = Company::of(2);
        company.world.muster(&["run", "corp"]).ended(3);
        company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
        let run = company.world.newest_run("corp");
        // A date tells whole seconds, and is held against the server's own: at least three from now are two to wait.
        let until = chrono::Utc::now() + chrono::Duration::seconds(4);
        let told = if by_date { until.format("%a, %d %b %Y %H:%M:%S GMT").to_string() } else { "2".to_owned() };
        company.vault.faults(json!({"rules": [{"method": "POST", "prefix": "/Users", "when": {"nth": 1},
            "action": {"status": {"code": 429, "headers": {"retry-after": told}}}}]}));
        company.world.muster(&["apply", "corp"]).ended(0);
        let lines = requests(&company, &run);
        let at = |line: &Value| chrono::DateTime::parse_from_rfc3339(line["at"].as_str().unwrap()).unwrap().to_utc();
        let refused = at(lines.iter().find(|line| line["status"] == 429).unwrap());
        let creates = lines.iter().filter(|line| line["request"] == "POST /scim/v2/Users" && line["status"] == 201);
        let first = creates.map(at).min().unwrap();
        let waited = (first - refused).num_milliseconds();
        let least = if by_date { (until - refused).num_milliseconds() - 1_100 } else { 1_900 };
        assert!(waited >= least, "{told}: it came again after {waited} ms, not {least}");
        assert_eq!(lines.iter().filter(|line| line["status"] == 429).count(), 1);
    }
}
