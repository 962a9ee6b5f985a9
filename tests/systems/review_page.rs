//! The review page in a real browser, driven as a person would; `browser/drive.mjs` says what is done and seen.

use std::process::Command;

use super::support::World;
use super::support::company::{Company, Person, people};
use super::support::page::Page;
use super::told;

/// Drives a browser; what it says on its standard output.
#[track_caller]
fn drive(args: &[&str]) -> String {
    let driven = Command::new("node").arg(told("MUSTER_TEST_BROWSER")).args(args).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(driven.status.success(), "{}{}", said(&driven.stdout), said(&driven.stderr));
    said(&driven.stdout)
}

/// A company that is settled, and then changes so that a limit holds it: a team is called otherwise, some leave, some
/// come, one of them without an address, and some have names that want to be more than text.
fn held() -> Company {
    let company = Company::of(60);
    company.settle();
    let text = company.job_text("").replacen(
        "[sync.attributes]",
        "[sync.thresholds]\nupdate = { count = 5 }\n\n[sync.attributes]",
        1,
    );
    company.world.write("jobs/corp.toml", text);
    let mut hr = people(64);
    for person in hr.iter_mut().step_by(6).take(10) {
        person.family = "Vertrieb".to_owned();
    }
    hr[1].family = "<script>alert(1)</script>".to_owned();
    hr[2].family = "\u{202e}gpj.exe".to_owned();
    hr[63].email = String::new();
    let leaves = |person: &Person| ["E0032", "E0033"].contains(&person.id.as_str());
    hr.retain(|person| !leaves(person));
    company.hr(&hr);
    company.world.muster(&["run", "corp"]).ended(4);
    company
}

#[test]
fn a_person_who_never_saw_a_terminal_reviews_a_run() {
    let company = held();
    let page = Page::start(&company.world, "corp", &[]);
    // Whoever wants to look at it names a folder.
    let shots = std::env::var("MUSTER_TEST_SCREENSHOTS").unwrap_or_default();
    drive(&["review", &page.url, &shots]);
    let run = company.world.newest_run("corp");
    let sealed = std::fs::read_to_string(company.world.run_file("corp", &run, "approval-1.json")).unwrap();
    let sealed: serde_json::Value = serde_json::from_str(&sealed).unwrap();
    assert_eq!(sealed["comment"], "HR-2291, looked at each\nvault.users/update/count: the department is called so now");
    assert_eq!(sealed["accepted"]["vault.users/update/count"], "12");
    let decisions = sealed["decisions"].as_object().unwrap();
    assert_eq!(decisions.values().filter(|decision| *decision == "reject").count(), 1, "{sealed}");
    assert_eq!(decisions.values().filter(|decision| *decision == "approve").count(), 12, "{sealed}");
    let (status, said) = page.end();
    assert!(status == 0 && said.contains("1 decision not sealed"), "{said}");
    company.world.muster(&["apply", "corp"]).ended(3).says(&["9 orders wait for review"]);
}

#[test]
fn many_orders_are_a_list_like_few() {
    let world = World::new();
    let number = 30_000;
    let mut users = String::from("id,login,name,dept\n");
    for n in 0..number {
        let dept = ["Sales", "Vertrieb", "Support"][n % 3];
        users.push_str(&format!("E{n:07},user{n:07}@corp.example,Family{},{dept}\n", n % 997));
    }
    world.write("hr/users.csv", users);
    world.write(
        "jobs/big.toml",
        r#"name = "big"

[systems.hr]
kind = "csv"
path = "../hr"

[systems.vault]
kind = "sandbox"

[[sync]]
from = "hr.users"
to = "vault.users"
match = [{ source = "id", target = "externalId" }]
attributes = { externalId = "id", userName = "login", "name.familyName" = "name", title = "dept" }

[sync.thresholds]
create = "off"
"#,
    );
    world.muster(&["run", "big"]).ended(3);
    let page = Page::start(&world, "big", &[]);
    println!("{}", drive(&["large", &page.url, &number.to_string()]));
}

#[test]
fn the_page_that_a_run_leaves_is_read_by_anybody() {
    let company = held();
    company.world.muster(&["approve", "corp", "--accept", "vault.users/update/count", "--comment", "as announced"]);
    company.world.muster(&["approve", "corp", "--all", "--comment", "HR-2291 \u{202e}<b>looked at</b>"]);
    let action = serde_json::json!({"status": {"code": 400, "body": "{\"detail\":\"no <img src=x> like that\"}"}});
    let rule = serde_json::json!({"method": "PATCH", "prefix": "/Users", "when": {"nth": 3}, "action": action});
    company.vault.faults(serde_json::json!({"rules": [rule]}));
    company.world.muster(&["apply", "corp"]);
    let page = company.world.run_file("corp", &company.world.newest_run("corp"), "report.html");
    let shots = std::env::var("MUSTER_TEST_SCREENSHOTS").unwrap_or_default();
    drive(&["kept", &format!("file://{}", page.display()), &shots]);
    // The settled company's runs, a day apart, as a trend.
    let db = rusqlite::Connection::open(company.world.state().join("muster.db")).unwrap();
    let ago =
        "strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-' || (SELECT count(*) FROM runs b WHERE b.id > runs.id) || ' days')";
    db.execute(&format!("UPDATE runs SET started = {ago}"), []).unwrap();
    let trend = company.world.muster(&["report", "corp", "--since", "30d", "--format", "html"]).ended(0).out;
    let page = company.world.write("trend.html", trend);
    drive(&["kept", &format!("file://{}", page.display()), ""]);
}

#[test]
fn a_page_whose_muster_is_gone_says_so() {
    let company = held();
    let page = Page::start(&company.world, "corp", &[]);
    drive(&["gone", &page.url, &page.id().to_string()]);
}
