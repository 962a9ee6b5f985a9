//! report.html: what a run did, in one file to be mailed or kept.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::json;
use support::company::{Company, people};

fn page(company: &Company, run: &str) -> String {
    std::fs::read_to_string(company.world.run_file("corp", run, "report.html")).unwrap()
}

#[test]
fn a_run_leaves_a_page_that_tells_what_it_did_and_who_vouches_for_it() {
    let company = Company::of(5);
    let mut all = people(5);
    all[0].family = "<script>alert(1)</script>".into();
    all[1].family = "\u{202e}drow".into();
    company.hr(&all);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let waits = page(&company, &run);
    assert!(waits.contains("Orders wait for review") && waits.contains("Nothing of this run was decided by anybody"));
    let comment = "ticket <b>4711</b> & \"more\"";
    company.world.muster(&["approve", "corp", "--all", "--comment", comment]).ended(0);
    let body = json!({"status": "400", "detail": "no <img src=x> like that"});
    let action = json!({"status": {"code": 400, "body": body.to_string()}});
    company
        .vault
        .faults(json!({"rules": [{"method": "POST", "prefix": "/Users", "when": {"nth": 2}, "action": action}]}));
    company.world.muster(&["apply", "corp"]);
    let told = page(&company, &run);
    for text in [
        "Applied, with order errors",
        "<td>vault.users</td><td>create</td>",
        "Errors by cause",
        "no &lt;img src=x&gt; like that",
        "Decision 1",
        "tester at 20",
        "ticket &lt;b&gt;4711&lt;/b&gt; &amp; &quot;more&quot;",
        "<summary>Waves</summary>",
        "create vault.users, wave 1: 1 order",
        "snapshot of hr.users, 5 rows, SHA-256",
        "<summary>13 orders</summary>",
        "<td>create vault.users</td><td>E0003<br>",
        "userName: (empty) → ",
    ] {
        assert!(told.contains(text), "{text}\n{told}");
    }
    let plan = company.world.read(&format!("state/runs/corp/{run}/approval-1.json"));
    let digest = serde_json::from_str::<serde_json::Value>(&plan).unwrap()["plan"].as_str().unwrap().to_owned();
    assert!(told.contains(&digest));
    // It needs nothing else, and nobody's name acts in it.
    for text in ["<script", "<img", "<link", "src=\"", "href=", "url(", "\u{202e}"] {
        assert!(!told.contains(text), "{text}\n{told}");
    }
}

#[test]
fn the_page_of_a_held_run_says_what_holds_it() {
    let company = Company::of(60);
    company.settle();
    company.hr(&people(20));
    company.world.muster(&["run", "corp"]).ended(4);
    let told = page(&company, &company.world.newest_run("corp"));
    assert!(told.contains("Held by a threshold or a suspicion") && told.contains("hr.users/deleted"), "{told}");
}

#[test]
fn the_days_of_a_job_are_told_and_drawn() {
    let company = Company::of(5);
    company.world.muster(&["run", "corp"]).ended(3);
    let first = company.world.newest_run("corp");
    company.settle();
    // The first run was three days ago.
    let db = rusqlite::Connection::open(company.world.state().join("muster.db")).unwrap();
    let then = (chrono::Utc::now() - chrono::TimeDelta::days(3)).to_rfc3339();
    db.execute("UPDATE runs SET started = ?, ended = ? WHERE id = ?", [&then, &then, &first]).unwrap();
    let of = |format: &[&str]| company.world.muster(&[&["report", "corp", "--since", "30d"], format].concat()).ended(0);
    let told = of(&[]).says(&["day by day (UTC)"]);
    let days: Vec<&str> = told
        .out
        .lines()
        .skip_while(|line| !line.starts_with("day by day"))
        .skip(2)
        .take_while(|l| !l.is_empty())
        .collect();
    assert_eq!(days.len(), 4, "{}", told.out);
    // A day without a run is one, too.
    assert!(days[1].split_whitespace().skip(1).eq(["0", "0", "0", "0"]), "{}", told.out);
    let page = of(&["--format", "html"]).out;
    for text in ["Orders a day", "The longest run of each day", "Rows of hr.users", "the most is 13", "role=\"img\""] {
        assert!(page.contains(text), "{text}\n{page}");
    }
    assert!(!page.contains("<script") && !page.contains("src="), "{page}");
    let kept = company.world.muster(&["report", &first, "--format", "html"]).ended(0).out;
    assert!(kept.contains(&format!("corp: run {first}")), "{kept}");
}
