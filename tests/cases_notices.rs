//! Who is told, and when: the daily summary, messages on errors and on what is held, each once, by mail and over the web.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::company::{Company, people};
use support::postbox::{Hook, Postbox};
use support::{World, files_below};

/// Moves the clock of the messages by a day: the next summary is due.
fn a_day_later(world: &World) {
    let file = world.state().join("notices/corp.json");
    let mut memory: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for way in ["email", "webhook"] {
        for moment in ["due", "until"] {
            let told = &mut memory["ways"][way][moment];
            if let Some(at) = told.as_str().map(|at| at.parse::<chrono::DateTime<chrono::Utc>>().unwrap()) {
                *told = json!(at - chrono::TimeDelta::days(1));
            }
        }
    }
    std::fs::write(file, memory.to_string()).unwrap();
}

#[test]
fn case_i1_a_summary_a_day_tells_what_was_done_by_mail_and_as_a_file() {
    let post = Postbox::open();
    let company = Company::with(12, &format!("[report]\n{}", post.email("daily")));
    let world = &company.world;
    world.muster(&["run", "corp"]).ended(3);
    let first = post.one();
    assert_eq!(first.subject(), "muster: corp summary: 0 applied, 27 to review");
    world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    world.muster(&["apply", "corp"]).ended(0);
    world.muster(&["run", "corp"]).ended(0);
    post.none();

    let mut staff = people(12);
    staff[0].enabled = false;
    staff[1].family = "Müller <b>".to_owned();
    company.hr(&staff);
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "ok"]).ended(0);
    world.muster(&["apply", "corp"]).ended(0);
    a_day_later(world);
    world.muster(&["run", "corp"]).ended(0);
    let mail = post.one();
    assert_eq!(mail.subject(), "muster: corp summary: 29 applied");
    assert_eq!(mail.to, ["iam@example.com"]);
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    let text = mail.text();
    for told in [
        "vault.users            12       1        1",
        "vault.memberships",
        "hr.users              12    12      12    12",
        "4 runs: 2 done, 2 waits",
        "nothing waits",
        "next\n  muster report corp --since 24h",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let html = mail.html();
    assert!(html.contains("<td class=\"number\">12</td>") && html.contains("color-scheme"), "{html}");

    // The same as files of the run, and at any time by a command.
    let run = world.newest_run("corp");
    let page = std::fs::read_to_string(world.run_file("corp", &run, "summary.html")).unwrap();
    assert!(page.contains("29 applied"), "{page}");
    let file: Value =
        serde_json::from_slice(&std::fs::read(world.run_file("corp", &run, "summary.json")).unwrap()).unwrap();
    let said = world.muster(&["report", "corp", "--since", "24h", "--format", "json"]).ended(0).json();
    assert_eq!(file["applied"], said["applied"]);
    assert_eq!(said["applied"]["vault.users"], json!({"create": 12, "update": 1, "disable": 1}));
    assert_eq!(said["runs"].as_array().unwrap().len(), 4);
    let told = world.muster(&["report", "corp", "--since", "30d"]).ended(0);
    assert!(told.out.lines().all(|line| line.chars().count() <= 80), "{}", told.out);
    let csv = world.muster(&["report", "corp", "--since", "30d", "--format", "csv"]).ended(0);
    let head = csv.out.lines().next().unwrap();
    assert!(head.contains("applied create vault.users,") && head.ends_with("rows vault.users"), "{head}");
    assert_eq!(csv.out.lines().count(), 5, "{}", csv.out);
    world.muster(&["report", &run, "--since", "30d"]).ended(2).says(&["--since is about a job"]);
    world.muster(&["log", "corp", "--since", "24h"]).ended(0).says(&["order-applied"]);
}

#[test]
fn case_i2_errors_are_told_at_once_and_the_same_ones_no_more() {
    let post = Postbox::open();
    let company = Company::with(5, &format!("[report]\n{}", post.email("on-errors")));
    let world = &company.world;
    company.settle();
    post.none();
    let broken = json!({"rules": [{"action": "drop-before"}]});
    company.vault.faults(broken.clone());
    world.muster(&["run", "corp"]).ended(1);
    let mail = post.one();
    assert_eq!(mail.subject(), "muster: corp errors: vault could not be exported");
    let text = mail.text();
    let run = world.newest_run("corp");
    for told in ["vault could not be exported\n", "[connection", "muster check corp", "muster run corp", &run] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    // At the next tick nobody is told again; when it is mended and breaks again, they are.
    world.muster(&["run", "corp"]).ended(1);
    post.none();
    company.vault.faults(json!({"rules": []}));
    world.muster(&["run", "corp"]).ended(0);
    post.none();
    company.vault.faults(broken);
    world.muster(&["run", "corp"]).ended(1);
    post.one();

    // Orders that fail: by cause, with the command that tries one again.
    company.vault.faults(json!({"rules": [{"method": "POST", "action": {"status": {"code": 403}}}]}));
    let mut staff = people(9);
    staff[7].family = "=cmd()<script>\u{1b}[2J".to_owned();
    company.hr(&staff);
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "ok"]).ended(0);
    world.muster(&["apply", "corp"]).ended(5);
    let mail = post.one();
    assert!(mail.subject().starts_with("muster: corp errors: 1 order failed (permission)"), "{}", mail.subject());
    let text = mail.text();
    for told in ["create vault.users: 1 failed", "class permission, status 403", "muster retry ", "--first"] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    let html = mail.html();
    assert!(!html.contains("<script") && !html.contains('\u{1b}'), "{html}");
    world.muster(&["run", "corp"]).ended(5);
    post.none();
    company.vault.faults(json!({"rules": []}));
    world.muster(&["retry", "corp"]).ended(0);
    world.muster(&["apply", "corp"]).ended(0);
    post.none();
}

#[test]
fn case_i4_a_job_tells_daily_on_errors_or_never() {
    let post = Postbox::open();
    let report = |when: &str| format!("[report]\n{}", post.email(when));
    let company = Company::with(60, &report("never"));
    let world = &company.world;
    company.settle();
    company.hr(&people(20));
    world.muster(&["run", "corp"]).ended(4);
    post.none();
    assert!(!world.state().join("notices").exists());

    // What is open is told once somebody wants to hear of it: a hold with the command that accepts it, once.
    company.job(&report("on-errors"));
    world.muster(&["run", "corp"]).ended(4);
    let mail = post.one();
    assert!(mail.subject().starts_with("muster: corp held: "), "{}", mail.subject());
    let text = mail.text();
    let held = world.muster(&["status", "corp", "--json"]).json()["next"]["held"][0].as_str().unwrap().to_owned();
    for told in [format!("muster review {held}"), format!("muster approve {held} --accept "), "the limit is".to_owned()]
    {
        assert!(text.contains(&told), "{told}\n{text}");
    }
    world.muster(&["run", "corp"]).ended(4);
    post.none();

    // A summary repeats what is open.
    company.job(&report("daily"));
    world.muster(&["run", "corp"]).ended(4);
    let mail = post.one();
    assert!(
        mail.subject().contains("summary") && mail.text().contains(&format!("run {held} is held")),
        "{}",
        mail.text()
    );
    // Data that is right again is a good run; the same hold is news then.
    company.hr(&people(60));
    world.muster(&["run", "corp"]).ended(0);
    company.hr(&people(20));
    world.muster(&["run", "corp"]).ended(4);
    assert!(post.one().subject().contains("held: "));
}

#[test]
fn case_i2_what_cannot_be_sent_is_a_warning_and_tried_again() {
    let post = Postbox::open();
    let email = format!(
        "[report]\nemail = {{ to = [\"iam@example.com\", \"gone@example.com\"], server = \"{}\" }}\n",
        post.server()
    );
    let company = Company::with(3, &email);
    let world = &company.world;
    world.muster(&["run", "corp"]).ended(3);
    company.vault.faults(json!({"rules": [{"action": "drop-before"}]}));
    post.refuse("iam@example.com", "451 4.3.0 try again later");
    post.refuse("gone@example.com", "550 5.1.1 no such user");
    let said = world.muster(&["run", "corp"]).ended(1);
    said.says(&[
        "muster: warning: a message was not sent",
        "[server, stage permission, status 451]",
        "tried again at the next run",
    ]);
    post.none();
    // One address that is refused keeps the mail from nobody else.
    post.refuse("iam@example.com", "");
    let said = world.muster(&["run", "corp"]).ended(1);
    said.says(&["refused the address gone@example.com", "no such user", "correct `to`"]);
    assert_eq!(post.one().to, ["iam@example.com"]);
    post.refuse("gone@example.com", "");
    company.vault.faults(json!({"rules": []}));
    world.muster(&["run", "corp"]).ended(3).never_says(&["warning"]);
    let mail = post.one();
    assert_eq!(mail.to, ["gone@example.com"]);
    assert!(mail.subject().contains("vault could not be exported"), "{}", mail.subject());
    world.muster(&["run", "corp"]).ended(3);
    post.none();
    // A server that is gone is told by check, and keeps no run from its end.
    company
        .job("[report]\nemail = { to = [\"iam@example.com\"], when = \"daily\", server = \"smtp://127.0.0.1:9\" }\n");
    world.muster(&["run", "corp"]).ended(3).says(&["no connection to 127.0.0.1:9", "[connection, stage connect]"]);
    world.muster(&["check", "corp"]).ended(1).says(&["FAILED", "no connection to 127.0.0.1:9", "not tried"]);
    company.job(&email);
    world.muster(&["check", "corp"]).ended(0).says(&["postbox answers", "no mail was sent"]);
    post.none();
}

/// HMAC-SHA256 as openssl makes it.
fn hmac(key: &str, text: &str) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-hmac", key]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = openssl.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    out.trim().rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn case_i2_a_webhook_gets_signed_json_and_its_refusal_is_told() {
    let hook = Hook::open();
    let report = |when: &str| {
        format!("[report]\nwebhook = {{ url = \"{}\", secret = \"file:hook.key\", when = \"{when}\" }}\n", hook.url)
    };
    let company = Company::with(60, &report("on-errors"));
    let world = &company.world;
    world.write("jobs/hook.key", "hunter2hunter2\n");
    company.settle();
    assert!(hook.collect().is_empty());
    company.hr(&people(20));
    hook.answers("302 Found\r\nLocation: http://127.0.0.1:9/\r\n");
    world.muster(&["run", "corp"]).ended(4).says(&["did not take a message", "status 302", "no redirect is followed"]);
    let refused = hook.collect();
    hook.answers("204 No Content\r\n");
    world.muster(&["run", "corp"]).ended(4);
    let posts = hook.collect();
    assert_eq!((refused.len(), posts.len()), (1, 1));
    let post = &posts[0];
    assert_eq!(post.header("Muster-Delivery"), refused[0].header("Muster-Delivery"));
    assert_eq!(post.body, refused[0].body);
    let told = post.json();
    assert_eq!((&told["format_version"], &told["kind"], &told["job"]), (&json!(1), &json!("held"), &json!("corp")));
    assert_eq!(told["counts"]["held_runs"], 1);
    assert!(told["next"][1].as_str().unwrap().contains(" --accept "), "{told:#}");
    let signature = post.header("Muster-Signature");
    let (at, tag) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).unwrap();
    assert_eq!(hmac("hunter2hunter2", &format!("{at}.{}", post.body)), tag);
    let now = chrono::Utc::now().timestamp();
    assert!((now - at.parse::<i64>().unwrap()).abs() < 600, "{at}");

    world.muster(&["check", "corp"]).ended(0).says(&["webhook", "the key is there", "no message was sent"]);
    company.job(&report("daily"));
    world.muster(&["run", "corp"]).ended(4);
    assert_eq!(hook.collect()[0].json()["kind"], "summary");
    for file in files_below(&world.state()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(14).any(|text| text == b"hunter2hunter2"), "{} holds the key", file.display());
    }
    std::fs::remove_file(world.path().join("jobs/hook.key")).unwrap();
    a_day_later(world);
    world.muster(&["run", "corp"]).ended(4).says(&["[credential, stage login]", "file:hook.key"]);
}

#[test]
fn case_x3_a_schedule_hands_over_the_credentials_of_messages() {
    let further = "[report]\nemail = { to = [\"iam@example.com\"], server = \"smtp://mail.example.com:587\", \
                   auth = { user = \"muster\", password = \"credential:smtp\" } }\n\
                   webhook = { url = \"https://chat.example.com/x\", secret = \"credential:hook\" }\n";
    let company = Company::with(1, further);
    company.world.muster(&["schedule", "corp"]).ended(0).says(&[
        "LoadCredential=smtp:/etc/muster/credentials/smtp",
        "LoadCredential=hook:/etc/muster/credentials/hook",
    ]);
}
