//! Input that is broken, hostile or absurd: each is refused with the place named, and nothing half-read is used.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use serde_json::{Value, json};
use support::company::{Company, people};
use support::{Said, World, files_below};

/// An HR drop and a desk that gets work orders: no server.
fn desk() -> World {
    let world = World::new();
    world.write(
        "jobs/desk.toml",
        r#"name = "desk"
[systems.hr]
kind = "csv"
path = "../hr"
[systems.desk]
kind = "csv"
path = "../desk"
orders = "../orders"
[[sync]]
from = "hr.users"
to = "desk.users"
match = [{ source = "id", target = "id" }]
[sync.attributes]
id = "id"
login = "login"
"#,
    );
    world.write("desk/users.csv", "id,login\n");
    world
}

/// Runs the desk's job on a file that must be refused; nothing may be left that looks whole.
#[track_caller]
fn refused(world: &World, texts: &[&str]) {
    let said = world.muster(&["run", "desk"]).ended(1).says(&["hr", "users.csv"]).says(texts);
    assert!(!said.err.contains("panicked"), "{}", said.err);
    nothing_planned(world, "desk");
}

#[track_caller]
fn nothing_planned(world: &World, job: &str) {
    let run = world.newest_run(job);
    for file in ["plan.json", "orders.ndjson", "review.csv"] {
        assert!(!world.run_file(job, &run, file).exists(), "{file} was written");
    }
    assert!(!world.path().join("orders").exists(), "work orders were written");
}

#[test]
fn case_x1_malformed_rows_are_named_by_row_line_and_column() {
    let world = desk();
    let cases: [(&[u8], &[&str]); 8] = [
        // The line break in the second row's cell makes rows and lines differ.
        (b"id,login\n1,\"a\nb\"\n2,b,c\n3,d\n", &["row 3, line 4", "3 cells", "2 columns"]),
        (b"id,login\n1\n", &["row 2, line 2", "1 cell"]),
        (b"id,login\n1,\"b\"x\n", &["row 2, line 2, column 2 (login)", "after the closing quote"]),
        (b"id,login\n1,a\n2,\"b\n3,d\n", &["row 3, line 3, column 2 (login)", "never closed"]),
        (b"id,login\n1,a\n2,b\xff\n", &["row 3, line 3, column 2 (login)", "not UTF-8", "0xff"]),
        (b"id,login\n1,a\n2,b\0c\n", &["row 3, line 3, column 2 (login)", "NUL"]),
        (b"id,login,login\n1,a,b\n", &["`login` is the name of columns 2 and 3"]),
        (b"\xff\xfei\0d\0,\0l\0\n\0", &["UTF-16", "UTF-8"]),
    ];
    for (bytes, texts) in cases {
        world.write("hr/users.csv", bytes);
        refused(&world, texts);
    }
}

#[test]
fn case_x1_all_malformed_rows_are_told_at_once_up_to_a_limit() {
    let world = desk();
    let mut text = String::from("id,login\n");
    for row in 0..1000 {
        text.push_str(&format!("{row},a,b\n"));
    }
    world.write("hr/users.csv", text);
    let said = world.muster(&["run", "desk"]).ended(1).says(&["row 2,", "row 21,", "and 980 more"]);
    assert!(!said.err.contains("row 22,"), "{}", said.err);
    assert!(!said.err.contains("\\n"), "an escape instead of a separator: {}", said.err);
}

#[test]
fn case_x5_a_file_that_was_cut_in_the_middle_is_refused() {
    let world = desk();
    for (text, place) in [("id,login\n1,a\n2", "row 3"), ("id,login\n1,a\n2,\"long na", "row 3"), ("id,log", "login")] {
        world.write("hr/users.csv", text);
        let said = world.muster(&["run", "desk"]).ended(1).says(&["hr"]);
        assert!(said.err.contains(place) || said.err.contains("log"), "{}", said.err);
        nothing_planned(&world, "desk");
    }
}

#[test]
fn case_x5_a_file_that_was_cut_in_its_last_cell_is_held() {
    let company = Company::of(5);
    company.settle();
    let file = company.world.path().join("hr/users.csv");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, whole.trim_end().strip_suffix('e').unwrap()).unwrap();
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/last-line", "may have been cut"]);
    no_order_at_all(&company);
    // With its line break the same file is a change like any other.
    fs::write(&file, whole).unwrap();
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_x5_no_bytes_is_refused_and_a_header_alone_is_held() {
    let world = desk();
    world.write("hr/users.csv", "");
    refused(&world, &["is empty", "header"]);
    world.write("hr/users.csv", "id,login\n");
    world.muster(&["run", "desk"]).ended(4).says(&["hr.users/empty", "no rows", "allow_empty"]);
    nothing_planned(&world, "desk");
}

#[test]
fn case_x4_keys_that_repeat_or_are_missing_are_held_and_both_places_named() {
    let world = desk();
    world.write("hr/users.csv", "id,login\n1,a\n2,b\n3,c\n2,d\n");
    world.muster(&["run", "desk"]).ended(4).says(&["hr.users/duplicate-keys", "2: rows 3 and 5"]);
    nothing_planned(&world, "desk");
    let world = desk();
    world.write("hr/users.csv", "id,login\n1,a\n,b\n");
    world.muster(&["run", "desk"]).ended(4).says(&["hr.users/empty-keys", "row 3"]);
    nothing_planned(&world, "desk");
}

#[test]
fn case_x4_keys_that_a_person_takes_for_one_are_told() {
    let world = desk();
    // A blank at the end, and a letter in two pieces.
    world.write("hr/users.csv", "id,login\nE1,a\n\"E1 \",b\nAn\u{e9},c\nAne\u{301},d\nE2,e\n");
    let said = world.muster(&["run", "desk"]).ended(3);
    said.says(&["hr.users: keys that differ in blanks", "`E1` (row 2) and `E1 ` (row 3)", "(row 4) and", "(row 5)"])
        .never_says(&["`E2`"]);
}

#[test]
fn case_x1_a_cell_of_100_megabytes_is_given_up_early() {
    let world = desk();
    // Sparse, but for its begin: a quote that is never closed.
    let path = world.write("hr/users.csv", "id,login\n1,\"");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100 << 20).unwrap();
    refused(&world, &["row 2, line 2, column 2 (login)", "16 MiB", "never closed"]);
    // Full of text.
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"id,login\n1,\"").unwrap();
    let block = vec![b'a'; 1 << 20];
    for _ in 0..20 {
        file.write_all(&block).unwrap();
    }
    file.write_all(b"\"\n").unwrap();
    drop(file);
    refused(&world, &["row 2, line 2, column 2 (login)", "16 MiB"]);
}

#[test]
fn case_x1_columns_have_a_limit_and_within_it_work() {
    let world = desk();
    let file = |columns: usize| {
        let names: Vec<String> = (0..columns).map(|n| format!("c{n}")).collect();
        format!("id,login,{}\n1,a,{}\n", names.join(","), vec!["x"; columns].join(","))
    };
    world.write("hr/users.csv", file(10_000));
    refused(&world, &["10002 columns", "4096"]);
    world.write("hr/users.csv", file(4000));
    world.muster(&["run", "desk"]).ended(3);
}

#[test]
fn case_c_a_job_file_that_is_not_text_is_a_usage_error() {
    let world = desk();
    world.write("jobs/odd.toml", b"name = \"odd\xff\"\n");
    for command in ["run", "plan", "check", "export"] {
        world.muster(&[command, "odd"]).ended(2).says(&["jobs/odd.toml", "not UTF-8", "byte 11"]);
    }
    world.write("jobs/odd.toml", b"name = \"odd\0\"\n");
    world.muster(&["run", "odd"]).ended(2).says(&["jobs/odd.toml"]);
    world.write("jobs/odd.toml", "");
    world.muster(&["run", "odd"]).ended(2).says(&["jobs/odd.toml", "name", "systems", "sync"]);
    fs::create_dir(world.path().join("jobs/folder.toml")).unwrap();
    world.muster(&["run", "folder"]).ended(2).says(&["folder"]);
}

/// A suspect snapshot holds what depends on it, and only that: groups may be planned, users and their rows not.
#[track_caller]
fn no_user_planned(company: &Company) {
    let run = company.world.newest_run("corp");
    if company.world.run_file("corp", &run, "orders.ndjson").exists() {
        for order in company.world.orders("corp", &run) {
            assert_eq!(order["resource"], "vault.groups", "{order}");
        }
    }
}

/// A company whose vault answers lists of users in this way, read with patience for a slow machine.
fn vault_that(action: Value, paging: &str) -> Company {
    let company = Company::of(12);
    let text = company.job_text("[apply]\nretry_budget = \"1s\"\n");
    let settings = format!("kind = \"scim\"\ntimeout_seconds = 60\npage_size = 5\npaging = \"{paging}\"");
    company.world.write("jobs/corp.toml", text.replace("kind = \"scim\"", &settings));
    for n in 1..=12 {
        company.vault.add_user(&format!("local{n}"));
    }
    company.vault.faults(json!({"rules": [
        {"method": "GET", "prefix": "/Users", "when": "every", "action": action}]}));
    company
}

#[track_caller]
fn failed_export(company: &Company) -> Said {
    let said = company.world.muster(&["run", "corp"]).ended(1).says(&["vault", "/Users", "nothing was planned"]);
    nothing_planned(&company.world, "corp");
    let run = company.world.newest_run("corp");
    let log = fs::read_to_string(company.world.run_file("corp", &run, "run.log")).unwrap();
    assert!(log.contains("/Users"), "the error is in the run's log:\n{log}");
    said
}

#[test]
fn case_n3_answers_that_are_no_scim_are_told_apart() {
    let company = vault_that(json!({"html": {"code": 200}}), "auto");
    failed_export(&company).says(&["configuration", "page for people", "API is disabled"]);
    company.vault.faults(json!({"rules": [{"method": "GET", "prefix": "/Users", "action": "foreign-json"}]}));
    failed_export(&company).says(&["JSON but no SCIM list", "SCIM base address"]);
}

#[test]
fn case_x1_a_body_that_is_cut_is_never_taken_for_whole() {
    let company = vault_that(json!("cut-body"), "auto");
    failed_export(&company).says(&["no valid JSON", "cut off"]);
    company.vault.faults(json!({"rules": [{"method": "GET", "prefix": "/Users", "action": "cut-connection"}]}));
    failed_export(&company).says(&["no whole answer"]);
}

#[test]
fn case_x1_a_body_that_never_ends_meets_the_time_limit() {
    let company = vault_that(json!("endless-body"), "auto");
    let text = company.world.read("jobs/corp.toml").replace("timeout_seconds = 60", "timeout_seconds = 2");
    company.world.write("jobs/corp.toml", text);
    failed_export(&company).says(&["no whole answer within 2 s", "timeout_seconds"]);
}

#[test]
fn case_x1_a_body_that_never_ends_meets_the_size_limit() {
    let company = vault_that(json!("endless-body"), "auto");
    let text = company.world.read("jobs/corp.toml");
    let text = text.replace("timeout_seconds = 60", "timeout_seconds = 60\nmax_answer_bytes = 65536");
    company.world.write("jobs/corp.toml", text);
    let place = format!(
        "export of vault failed: the answer to GET {}/Users did not end within 65,536 bytes [server,",
        company.vault.url
    );
    failed_export(&company).says(&[&place, "why it does not end its answer; if", "max_answer_bytes"]);
}

#[test]
fn case_x2_paging_that_does_not_end_ends() {
    let by_index = &["vault.users/total-moved", "12 rows received, the server's own total is"];
    let by_cursor = &[
        "/Users do not end: all rows came, and then a cursor",
        "3 pages with 12 rows came, the server's own total is 12",
        "[server, status 400]; the server's paging is broken; try another `paging`",
    ];
    for (paging, status, texts) in [("index", 4, &by_index[..]), ("cursor", 1, by_cursor)] {
        let company = vault_that(json!("endless-paging"), paging);
        company.world.muster(&["run", "corp"]).ended(status).says(texts);
        no_user_planned(&company);
    }
}

#[test]
fn case_x2_a_cursor_that_is_lost_on_the_way_says_how_far_the_walk_came() {
    let company = vault_that(json!("repeat-page"), "cursor");
    let expired = json!({"status": {"code": 400, "body": "{\"scimType\":\"expiredCursor\"}"}});
    company
        .vault
        .faults(json!({"rules": [{"method": "GET", "prefix": "/Users", "when": {"nth": 2}, "action": expired}]}));
    let said = failed_export(&company);
    said.says(&["the paging cursor expired; 1 page with 5 rows came, the server's own total is 12", "the next export"]);
}

#[test]
fn a_system_that_answers_429_while_it_is_read_is_told_with_what_governs_reading() {
    let company = vault_that(json!({"throttle": {"retry_after": 0}}), "index");
    failed_export(&company).says(&[
        "asks to slow down",
        "[throttled, status 429]",
        "pages_in_flight",
        "for reading too",
    ]);
}

#[test]
fn case_x2_a_page_that_repeats_is_held() {
    for paging in ["index", "cursor"] {
        let company = vault_that(json!("repeat-page"), paging);
        company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/repeated-page"]);
        no_user_planned(&company);
    }
}

#[test]
fn case_x2_totals_that_lie_are_held_with_both_figures() {
    let company = vault_that(json!({"wrong-total": {"by": 7}}), "auto");
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/total", "12 rows received", "19"]);
    no_user_planned(&company);
    company
        .vault
        .faults(json!({"rules": [{"method": "GET", "prefix": "/Users", "action": {"wrong-total": {"by": -5}}}]}));
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/total", "12 rows received", "7"]);
}

#[test]
fn case_x1_a_manifest_of_a_newer_format_is_refused_by_name() {
    let company = Company::of(5);
    company.settle();
    let mut changed = 0;
    for path in files_below(&company.world.state()) {
        if path.ends_with("manifest.json") {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replacen("\"format_version\": 2", "\"format_version\": 99", 1)).unwrap();
            changed += usize::from(fs::read_to_string(&path).unwrap().contains("99"));
        }
    }
    assert!(changed > 0, "the formatting of manifests changed");
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["hr.users/baseline", "manifest.json", "format version 99", "approve"]);
    no_order_at_all(&company);
}

#[test]
fn case_x4_a_damaged_baseline_holds_until_a_person_accepts() {
    let company = Company::of(60);
    company.settle();
    for path in files_below(&company.world.state().join("export")) {
        if path.ends_with("hr/users.csv") {
            fs::write(&path, "id,login\n").unwrap();
        }
    }
    // Most of the company is gone, and there is nothing to see it by.
    company.hr(&people(5));
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["hr.users/baseline", "hr/users.csv", "no threshold can be judged"]);
    no_order_at_all(&company);
    company.hr(&people(60));
    company.world.muster(&["run", "corp"]).ended(4);
    let accept = ["approve", "corp", "--accept", "hr.users/baseline", "--comment", "disk was repaired"];
    company.world.muster(&accept).says(&["accepted"]);
    company.world.muster(&["run", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    company.hr(&people(5));
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/deleted/"]);
}

#[track_caller]
fn no_order_at_all(company: &Company) {
    let run = company.world.newest_run("corp");
    assert!(
        !company.world.run_file("corp", &run, "orders.ndjson").exists()
            || company.world.orders("corp", &run).is_empty()
    );
}

/// The binary as somebody whom file modes bind, whoever runs the tests.
fn as_nobody(world: &World, args: &[&str]) -> Said {
    let mut command = world.command(args);
    if rustix::process::getuid().is_root() {
        let copy = world.path().join("muster-copy");
        if !copy.exists() {
            fs::copy(env!("CARGO_BIN_EXE_muster"), &copy).unwrap();
        }
        fs::set_permissions(world.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut other = std::process::Command::new(copy);
        other.current_dir(world.path()).args(args).env_clear().uid(65534).gid(65534);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                other.env(name, value);
            }
        }
        command = other;
    }
    command.output().unwrap().into()
}

#[test]
fn case_x1_a_state_folder_that_cannot_be_written_is_named() {
    let world = desk();
    world.write("hr/users.csv", "id,login\n1,a\n");
    let state = world.state();
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o555)).unwrap();
    let said = as_nobody(&world, &["run", "desk"]);
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    said.ended(1).says(&[state.to_str().unwrap()]).never_says(&["panicked"]);
    assert!(fs::read_dir(&state).unwrap().next().is_none());
    // A file where the folder should be.
    fs::remove_dir(&state).unwrap();
    fs::write(&state, "not a folder").unwrap();
    world.muster(&["run", "desk"]).ended(1).says(&[state.to_str().unwrap()]).never_says(&["panicked"]);
}

#[test]
fn case_x3_a_company_without_anybody_is_held_on_the_first_run_too() {
    let company = Company::of(3);
    company.hr(&people(0));
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/empty"]);
    no_user_planned(&company);
}

#[test]
fn another_file_of_the_same_name_is_told_before_it_takes_the_runs_of_the_first() {
    let company = Company::of(3);
    company.settle();
    let path = company.world.path().join("jobs/corp.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    company.world.write("elsewhere/corp.toml", &text);
    let told = ["was ", &path.to_string_lossy(), "share runs, links and approvals"];
    company.world.muster(&["run", "elsewhere/corp.toml"]).says(&told);
    // A file that was moved is the same job.
    std::fs::remove_file(company.world.path().join("elsewhere/corp.toml")).unwrap();
    company.world.muster(&["run", "corp"]).ended(0).never_says(&["so far"]);
}
