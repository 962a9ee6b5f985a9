//! The review page, as a browser talks to it: who gets in, what is shown, and that a decision made there is one that a
//! command would have made.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use support::company::{Company, people, person};
use support::page::{Page, send};

/// A company whose first load waits.
fn under_review(n: usize) -> Company {
    let company = Company::of(n);
    company.world.muster(&["run", "corp"]).ended(3);
    company
}

/// By key and operation, where each order of the newest run stands.
fn stand(company: &Company) -> BTreeMap<String, String> {
    let run = company.world.newest_run("corp");
    let listed = company.world.muster(&["review", &run, "--all", "--format", "json"]).json();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = listed.as_array().unwrap().iter();
    rows.map(|row| {
        let name = format!("{} {} {}", text(row, "operation"), text(row, "resource"), text(row, "key"));
        (name, format!("{} {}", text(row, "state"), text(row, "block")))
    })
    .collect()
}

/// A sealed approval of the newest run.
fn approval(company: &Company, number: u32) -> Value {
    let run = company.world.newest_run("corp");
    let file = company.world.run_file("corp", &run, &format!("approval-{number}.json"));
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn the_address_works_once_and_nobody_else_gets_in() {
    let company = under_review(2);
    let page = Page::open(&company.world, "corp", &[]);
    let token = page.url.rsplit('/').next().unwrap().to_owned();

    let again = send("GET", &page.url, &[], None);
    assert_eq!(again.status, 403, "{again:?}");
    assert!(again.body.contains("works once") && !again.body.contains(page.word()), "{}", again.body);
    assert_eq!(send("GET", &format!("{}/open/0", page.origin), &[], None).status, 403);
    // The browser that is in may load its own address again.
    assert_eq!(page.ask_with("GET", &format!("/open/{token}"), &[("cookie", page.cookie())], None).status, 200);

    let origin = page.origin.as_str();
    let (cookie, word) = (("cookie", page.cookie()), ("x-muster-page", page.word()));
    let ours = ("origin", origin);
    let kind = ("content-type", "application/json");
    let port = origin.rsplit(':').next().unwrap();
    let other_name = format!("localhost:{port}");
    let pulse = "/api/pulse";
    let refused = [
        ("without a cookie", page.ask_with("GET", "/", &[], None)),
        ("without a cookie, an asset", page.ask_with("GET", "/page.js", &[], None)),
        ("with another cookie", page.ask_with("GET", pulse, &[("cookie", "muster-1=x"), word], None)),
        ("without the page's word", page.ask_with("GET", pulse, &[cookie], None)),
        ("with another word", page.ask_with("GET", pulse, &[cookie, ("x-muster-page", "x")], None)),
        ("by another name", page.ask_with("GET", pulse, &[cookie, word, ("host", &other_name)], None)),
        ("by another port", page.ask_with("GET", pulse, &[cookie, word, ("host", "127.0.0.1:1")], None)),
        ("from elsewhere", page.ask_with("GET", pulse, &[cookie, word, ("origin", "http://evil.example")], None)),
        ("as another site", page.ask_with("GET", pulse, &[cookie, word, ("sec-fetch-site", "same-site")], None)),
        ("a change of no origin", page.ask_with("POST", "/api/end", &[cookie, word, kind], Some(&json!({})))),
        (
            "a change from elsewhere",
            page.ask_with("POST", "/api/end", &[cookie, word, kind, ("origin", "null")], Some(&json!({}))),
        ),
        (
            "a form",
            page.ask_with("POST", "/api/end", &[cookie, word, ours, ("content-type", "text/plain")], Some(&json!({}))),
        ),
        ("another method", page.ask_with("PUT", "/api/end", &[cookie, word, ours, kind], Some(&json!({})))),
        (
            "too much",
            page.ask_with("POST", "/api/decide", &[cookie, word, ours, kind], Some(&json!("x".repeat(2 << 20)))),
        ),
    ];
    for (what, answer) in &refused {
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        assert!(!answer.body.contains("E0001") && !answer.body.contains("\"runs\""), "{what}: {}", answer.body);
    }
    let shown = page.ask_with("GET", "/", &[cookie], None);
    assert_eq!(shown.status, 200);
    for answer in refused.iter().map(|(_, answer)| answer).chain([&shown, &again]) {
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        let said = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        assert_eq!((said("x-content-type-options"), said("referrer-policy")), ("nosniff".into(), "no-referrer".into()));
        assert_eq!(said("cache-control"), "no-store");
    }
    // Nothing is loaded from elsewhere, and nothing of the page is written into it.
    for asset in ["/", "/page.css", "/page.js", "/icon.svg"] {
        let text = page.ask_with("GET", asset, &[cookie], None);
        assert_eq!(text.status, 200, "{asset}");
        let foreign = text.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{asset}");
        assert!(!text.body.contains("innerHTML") && !text.body.contains(" style=\""), "{asset}");
    }
    let (status, said) = page.end();
    assert_eq!(status, 0, "{said}");
    assert!(!said.contains(&token) && said.contains("works once"), "{said}");
}

#[test]
fn a_decision_made_here_is_the_one_that_a_command_makes() {
    let (here, there) = (under_review(6), under_review(6));
    let command = |args: &[&str]| there.world.muster(&[args, &["--comment", "HR-1"]].concat());
    command(&["reject", "corp", "--where", "key == 'E0002'"]);
    command(&["approve", "corp", "--where", "resource == 'vault.users'"]);
    command(&["approve", "corp", "--where", "key.startsWith('T0 ')"]);

    let page = Page::open(&here.world, "corp", &[]);
    let over = page.overview();
    assert_eq!((&over["wants"]["orders"], &over["states"]), (&json!(15), &json!({ "pending-review": 15 })));
    let rejected = page.rows("q=E0002&operation=create");
    assert_eq!(rejected["total"], 1, "{rejected}");
    let plan = &over["plan"];
    let one = |n: &Value, decision: &str| {
        page.post("decide", json!({ "run": page.run, "plan": plan, "decision": decision, "places": [n] }))
    };
    one(&rejected["rows"][0]["n"], "reject");
    let open = page.rows("resource=vault.users&draft=open");
    assert_eq!((&open["total"], &open["approvable"]), (&json!(5), &json!(5)));
    page.sweep(json!({ "resource": "vault.users", "draft": "open" }), "approve", 5);
    // Words, all of which have to be there; what is in quotes is one.
    for query in ["q=databases%20%E2%86%92", "q=DATA%20vault.memberships", "q=%22databases%20%22"] {
        let found = page.rows(query)["total"].as_u64().unwrap();
        assert!(found >= 2, "{query}: {found}");
    }
    let rows = page.rows("resource=vault.memberships&q=Databases");
    assert_eq!(rows["total"], 2, "{rows}");
    page.sweep(json!({ "resource": "vault.memberships", "q": "Databases" }), "approve", 2);
    let sum = page.get(&format!("summary?run={}", page.run));
    assert_eq!((&sum["approve"], &sum["reject"], &sum["left"]), (&json!(7), &json!(1), &json!(7)), "{sum}");

    // What is shown and what is sealed are one: a list that changed decides nothing, nor does an old summary.
    let stale = page
        .refused("decide", json!({ "run": page.run, "plan": plan, "decision": "approve", "query": {}, "count": 14 }));
    assert!(stale.contains("14 orders matched") && stale.contains("15 do now"), "{stale}");
    let old = json!({ "run": page.run, "revision": 0, "comment": "HR-1" });
    assert!(page.refused("seal", old).contains("changed since it was shown"));
    let silent = page.seal("  ");
    assert_eq!(
        (silent.status, silent.json()["error"].as_str().unwrap().contains("say in a few words why")),
        (400, true)
    );
    assert!(stand(&here).values().all(|stands| stands == "pending-review "), "nothing is sealed yet");

    let sealed = page.seal("HR-1");
    assert_eq!(sealed.status, 200, "{}", sealed.body);
    let told = sealed.json();
    let lines =
        told["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n");
    assert!(lines.contains("7 orders approved, 1 order rejected, by tester"), "{lines}");
    assert_eq!(told["next"], json!([format!("muster apply {}", page.run)]));
    assert_eq!(stand(&here), stand(&there));
    let sealed = approval(&here, 1);
    assert_eq!((&sealed["comment"], &sealed["reviewer"], &sealed["plan"]), (&json!("HR-1"), &json!("tester"), plan));
    assert_eq!(sealed["decisions"].as_object().unwrap().len(), 8);
    // The page follows, and has nothing left to be sealed.
    let over = page.overview();
    assert_eq!((&over["draft"]["approve"], &over["states"]["approved"]), (&json!(0), &stand_count(&here, "approved")));
    here.world.muster(&["log", "--verify"]).ended(0);
    here.world.muster(&["apply", "corp"]).ended(3);
    page.until("applied", |over| over["states"]["applied"].as_u64() == Some(5));
}

fn stand_count(company: &Company, state: &str) -> Value {
    json!(stand(company).values().filter(|stands| stands.starts_with(state)).count())
}

#[test]
fn a_limit_is_accepted_with_a_reason_apart_from_the_orders() {
    let company = Company::with(60, "");
    company.settle();
    // Ten of sixty change at once, and a limit of five holds them.
    let text = company.job_text("").replace(
        "[sync.attributes]\nexternalId = \"id\"\nuserName",
        "[sync.thresholds]\nupdate = { count = 5 }\n[sync.attributes]\nexternalId = \"id\"\nuserName",
    );
    company.world.write("jobs/corp.toml", text);
    let renamed = |mut one: support::company::Person| {
        one.family = "Vertrieb".to_owned();
        one
    };
    let hr: Vec<_> = people(60).into_iter().enumerate().map(|(i, p)| if i < 10 { renamed(p) } else { p }).collect();
    company.hr(&hr);
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/update/count"]);

    let page = Page::open(&company.world, "corp", &[]);
    let over = page.overview();
    let hold = &over["holds"][0];
    assert_eq!(
        (&hold["name"], &hold["open"], &hold["figure"]),
        (&json!("vault.users/update/count"), &json!(true), &json!("10"))
    );
    assert!(hold["sentence"].as_str().unwrap().contains("the limit is 5") && hold["explained"] == 10, "{hold}");
    let limits = page.get(&format!("past?run={}", page.run));
    let reach = limits["limits"].as_array().unwrap().iter().find(|one| one["name"] == hold["name"]).unwrap();
    assert_eq!((&reach["figure"], &reach["limit"], &reach["size"]), (&json!(10), &json!(5.0), &json!(60)), "{reach}");
    // Approving is no acceptance: the orders wait for that.
    assert_eq!(page.rows("")["approvable"], 0);
    let place = &page.rows("")["rows"][0]["n"];
    let alone = json!({ "run": page.run, "plan": over["plan"], "decision": "approve", "places": [place] });
    assert!(page.refused("decide", alone).contains("cannot be decided like this as it stands (blocked)"));

    let accept =
        |reason: Value| json!({ "run": page.run, "name": hold["name"], "figure": hold["figure"], "reason": reason });
    assert!(page.refused("accept", accept(json!(" "))).contains("say in a few words why"));
    let other = json!({ "run": page.run, "name": hold["name"], "figure": "9", "reason": "x" });
    assert!(page.refused("accept", other).contains("look again"));
    page.post("accept", accept(json!("the team is called so now")));
    assert_eq!(page.rows("")["approvable"], 10);
    page.sweep(json!({}), "approve", 10);
    // Without the acceptance nothing of it can be approved.
    let back = page.post("accept", accept(Value::Null));
    assert_eq!((&back["fallen"], &back["draft"]["approve"]), (&json!(10), &json!(0)));
    page.post("accept", accept(json!("the team is called so now")));
    page.sweep(json!({}), "approve", 10);
    let sealed = page.seal("HR-7").json();
    assert_eq!(sealed["next"], json!([format!("muster apply {}", page.run)]), "{sealed}");
    let sealed = approval(&company, 1);
    assert_eq!(sealed["accepted"], json!({ "vault.users/update/count": "10" }));
    assert_eq!(sealed["comment"], "HR-7\nvault.users/update/count: the team is called so now");
    assert!(!page.until("read anew", |over| over["held"] == false)["holds"][0]["open"].as_bool().unwrap());
    company.world.muster(&["apply", "corp"]).ended(0);
}

#[test]
fn what_holds_a_run_before_its_plan_is_accepted_here_too() {
    let company = Company::of(60);
    company.settle();
    company.hr(&people(40));
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/deleted/percent"]);
    let page = Page::open(&company.world, "corp", &[]);
    let over = page.overview();
    assert!(over["stage"].as_str().unwrap().contains("muster run corp"), "{over}");
    let holds = over["holds"].as_array().unwrap();
    assert!(holds.iter().any(|hold| hold["name"] == "hr.users/deleted/percent" && hold["explained"] == 20), "{over}");
    for hold in holds {
        let accepted =
            json!({ "run": page.run, "name": hold["name"], "figure": hold["figure"], "reason": "a team left" });
        page.post("accept", accepted);
    }
    let sealed = page.seal("HR-9");
    assert_eq!(sealed.status, 200, "{}", sealed.body);
    assert_eq!(sealed.json()["next"], json!(["muster run corp"]));
    let run = page.run.clone();
    drop(page);
    company.world.muster(&["log", "--run", &run, "--format", "json"]).says(&["hr.users/deleted/percent: a team left"]);
    // It goes on, to the next limit.
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/disable/percent"]);
}

#[test]
fn what_is_decided_elsewhere_meanwhile_is_seen_here() {
    let company = under_review(4);
    let page = Page::open(&company.world, "corp", &[]);
    let all = page.rows("")["total"].as_u64().unwrap();
    page.sweep(json!({}), "approve", all);
    let before = page.get(&format!("summary?run={}", page.run));
    company.world.muster(&["reject", "corp", "--where", "key == 'E0001'", "--comment", "not her"]);
    let over = page.until("followed", |over| over["states"]["rejected"] == 1);
    // Rows that need her are blocked, and cannot be approved either.
    assert!(over["draft"]["fallen"].as_u64().unwrap() >= 2, "{}", over["draft"]);
    let old = json!({ "run": page.run, "revision": before["revision"], "comment": "x" });
    assert!(page.refused("seal", old).contains("changed since it was shown"));
    assert_eq!(page.seal("the others").status, 200);
    let stands = stand(&company);
    assert_eq!(stands["create vault.users E0001"], "rejected ");
    assert_eq!(stands["create vault.users E0002"], "approved ");
    // A newer run shows by itself.
    company.hr(&people(5));
    company.world.muster(&["run", "corp"]);
    for _ in 0..400 {
        if page.get("pulse")["runs"].as_array().unwrap().len() == 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    let newest = company.world.newest_run("corp");
    assert_eq!(page.get("pulse")["runs"][1]["run"], newest);
    let (status, said) = page.end();
    assert!(status == 0 && !said.contains("not sealed"), "{said}");
}

#[test]
fn names_that_want_to_be_more_than_text_are_shown_as_they_are() {
    let company = Company::of(1);
    let names =
        ["<script>alert(1)</script>", "\u{202e}gpj.exe", "\u{1b}[31mred", "=cmd|' /C calc'!A0", "</title><img src=x>"];
    let hostile = |(n, name): (usize, &&str)| support::company::Person { family: (*name).to_owned(), ..person(n + 1) };
    company.hr(&names.iter().enumerate().map(hostile).collect::<Vec<_>>());
    company.world.muster(&["run", "corp"]).ended(3);
    let page = Page::open(&company.world, "corp", &[]);
    let list = page.ask("GET", &format!("orders?run={}&limit=100", page.run), None);
    page.overview();
    let rows =
        page.ask("GET", &format!("orders?run={}&limit=100&operation=create&resource=vault.users", page.run), None);
    let mut told = vec![list.body, rows.body.clone()];
    for row in rows.json()["rows"].as_array().unwrap() {
        told.push(page.ask("GET", &format!("order?run={}&n={}", page.run, row["n"]), None).body);
    }
    let all = told.join("\n");
    assert!(all.contains("<script>alert(1)</script>") && all.contains("=cmd|' /C calc'!A0"), "{all}");
    assert!(all.contains(r"\\u{202e}gpj.exe") && all.contains(r"\\u{1b}[31mred"), "{all}");
    assert!(!all.chars().any(|c| matches!(c, '\u{1b}' | '\u{202a}'..='\u{202e}')), "{all}");
    let shown = page.ask_with("GET", "/", &[("cookie", page.cookie())], None);
    assert!(!shown.body.contains("alert(1)"), "nothing of a run is written into the page");
    assert_eq!(shown.headers["content-type"], "text/html; charset=utf-8");
    // A search is a search, whatever is typed.
    for query in ["q=%00%22%27%28%5B", "q=.%2A", "sort=key", "q=%3Cscript"] {
        page.rows(query);
    }
    assert_eq!(page.ask("GET", &format!("orders?run={}&operation=nonsense", page.run), None).status, 400);
    assert_eq!(page.ask("GET", "overview?run=..%2F..%2Fetc", None).status, 404);
    assert_eq!(page.ask("GET", &format!("order?run={}&n=999999", page.run), None).status, 409);
}

#[test]
fn a_plan_that_was_edited_is_not_shown_and_not_sealed() {
    let company = under_review(3);
    let run = company.world.newest_run("corp");
    let file = company.world.run_file("corp", &run, "orders.ndjson");
    let page = Page::open(&company.world, "corp", &[]);
    page.sweep(json!({}), "approve", page.rows("")["total"].as_u64().unwrap());
    let written = fs::read(&file).unwrap();
    let edited = String::from_utf8(written.clone()).unwrap().replace("Family1", "Family9");
    fs::write(&file, &edited).unwrap();
    let place = &page.ask("GET", &format!("orders?run={run}&limit=0"), None).json()["total"];
    assert!(place.as_u64().unwrap() > 0);
    let list = page.ask("GET", &format!("orders?run={run}&limit=100"), None);
    assert!(list.status == 409 && list.body.contains("is not what it was when this page was opened"), "{}", list.body);
    let sealed = page.seal("x");
    let why = sealed.json()["error"].as_str().unwrap().to_owned();
    assert!(sealed.status == 409 && why.contains("changed after it was written"), "{why}");
    company
        .world
        .muster(&["approve", "corp", "--all", "--comment", "x"])
        .ended(1)
        .says(&["changed after it was written"]);
    drop(page);
    // Opened anew, it says so at once.
    let page = Page::open(&company.world, &run, &[]);
    let failure = page.overview()["failure"].as_str().unwrap().to_owned();
    assert!(failure.contains("changed after it was written"), "{failure}");
    assert_eq!(page.ask("GET", &format!("orders?run={run}&limit=100"), None).status, 409);
    drop(page);
    fs::write(&file, written).unwrap();
    let page = Page::open(&company.world, "corp", &[]);
    page.sweep(json!({}), "approve", page.rows("")["total"].as_u64().unwrap());
    assert_eq!(page.seal("x").status, 200);
}

#[test]
fn where_the_job_asks_for_signatures_the_page_signs_or_gives_what_is_to_be_signed() {
    let company = Company::of(3);
    let key = |name: &str| {
        company.world.write("keys/.keep", "");
        let file = company.world.path().join("keys").join(name);
        let made =
            Command::new("ssh-keygen").args(["-q", "-N", "", "-t", "ed25519", "-C", name, "-f"]).arg(&file).status();
        assert!(made.unwrap().success());
        format!("{name}@corp.example {}", company.world.read(&format!("keys/{name}.pub")))
    };
    let approvers = [key("jane"), key("joe")].concat();
    key("eve");
    company.world.write("jobs/approvers.pub", approvers);
    company.job("[review]\napprovers = \"approvers.pub\"\nreviewers = 2\n");
    company.world.muster(&["run", "corp"]).ended(3);

    let sweep = |page: &Page| {
        page.sweep(json!({}), "approve", page.rows("")["total"].as_u64().unwrap());
    };
    let eve = Page::open(&company.world, "corp", &["--sign", "keys/eve"]);
    sweep(&eve);
    let refused = eve.seal("HR-1");
    assert!(refused.status == 409 && refused.body.contains("is not listed there"), "{}", refused.body);
    drop(eve);

    let jane = Page::open(&company.world, "corp", &["--sign", "keys/jane"]);
    sweep(&jane);
    let told = jane.seal("HR-1").json();
    let lines = told["lines"].to_string();
    assert!(lines.contains("approved in part, by jane@corp.example") && lines.contains("another reviewer"), "{lines}");
    let order = jane.get(&format!("order?run={}&n=0", jane.run));
    assert_eq!(order["seconded"], json!({ "by": ["jane@corp.example"], "of": 2 }), "{order}");
    drop(jane);

    // Without a key, nothing is sealed here, in the words of the command line.
    let page = Page::open(&company.world, "corp", &[]);
    sweep(&page);
    assert_eq!(page.overview()["signature"], json!({ "asked": true, "with": null }));
    let unsigned = page.seal("HR-1");
    assert!(unsigned.status == 409 && unsigned.body.contains("signed by one of"), "{}", unsigned.body);
    let sum = page.get(&format!("summary?run={}", page.run));
    let prepared = page.post("prepare", json!({ "run": page.run, "revision": sum["revision"], "comment": "HR-1" }));
    company.world.write("review.json", prepared["review"].as_str().unwrap());
    let signed = Command::new("ssh-keygen")
        .current_dir(company.world.path())
        .args(["-Y", "sign", "-q", "-n", "muster", "-f", "keys/joe", "review.json"])
        .output()
        .unwrap();
    assert!(signed.status.success());
    let seal = prepared["next"][1].as_str().unwrap().trim_start_matches("muster ").to_owned();
    let seal: Vec<&str> = seal.split(' ').collect();
    company.world.muster(&seal).ended(0).says(&["orders approved, by joe@corp.example"]);
    page.until("approved", |over| over["states"]["approved"].as_u64() == over["wants"]["orders"].as_u64());
}

#[test]
fn the_page_ends_when_it_is_told_or_left_alone() {
    let company = under_review(2);
    let mut idle = Page::open(&company.world, "corp", &["--idle", "1s"]);
    assert!(idle.ends(), "nobody uses it");

    let page = Page::open(&company.world, "corp", &[]);
    let all = page.rows("")["total"].as_u64().unwrap();
    page.sweep(json!({}), "reject", all);
    let (status, said) = page.end();
    assert!(status == 0 && said.contains(&format!("{all} decisions not sealed, and gone with the page")), "{said}");
    assert!(stand(&company).values().all(|stands| stands == "pending-review "));

    let mut page = Page::open(&company.world, "corp", &[]);
    page.post("end", json!({}));
    assert!(page.ends(), "it was closed");
    company.world.muster(&["review", "nobody", "--serve"]).ended(2).says(&["no job `nobody` has run"]);
    company.world.muster(&["review", "corp", "--serve", "--all"]).ended(2);
}
