//! Undoing a run: planned from the before-images, through the same review, and never more than what is still as it was
//! applied.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::company::{Company, Person, people, person};
use support::undo::{carry_out, change, revert};

/// The target's users and groups with their members, without what the server stamps on them.
fn target(company: &Company) -> Vec<Value> {
    let mut all = Vec::new();
    for endpoint in ["Users", "Groups"] {
        let mut rows = company.vault.all(endpoint);
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            // What a server derives from the groups' members says the same once more.
            row.retain(|name, _| !["meta", "groups"].contains(&name.as_str()));
            if let Some(members) = row.get_mut("members").and_then(Value::as_array_mut) {
                members.sort_by_key(|member| member["value"].to_string());
            }
            if row.get("members").is_some_and(|members| members.as_array().is_some_and(Vec::is_empty)) {
                row.remove("members");
            }
        }
        rows.sort_by_key(|row| row["id"].to_string());
        all.extend(rows);
    }
    all
}

fn plan_json(company: &Company, run: &str) -> Value {
    let text = std::fs::read(company.world.run_file("corp", run, "plan.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// A company whose job deletes accounts, without grace.
fn deleting(n: usize) -> Company {
    let company = Company::of(n);
    let on = "unique = [\"userName\"]\non = { orphan = \"delete\" }\n";
    company.world.write("jobs/corp.toml", company.job_text("").replace("unique = [\"userName\"]\n", on));
    company
}

/// Some edits of people by a seed: names, teams, switches; and who leaves, or who joins.
fn edited(mut staff: Vec<Person>, mut seed: u64, leave: bool) -> Vec<Person> {
    let mut dice = |sides: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    for one in &mut staff {
        match dice(6) {
            0 => one.family.push_str("-Neu"),
            1 => one.team = format!("T{}", dice(3)),
            2 => one.enabled = !one.enabled,
            3 => (one.family, one.email) = (format!("O'Brien {}", dice(9)), format!("x{}@corp.example", one.id)),
            _ => {}
        }
    }
    // One edit is certain, or there would be nothing to undo.
    staff[0].family.push_str("-Sure");
    if leave {
        staff.remove(1 + dice(5) as usize);
    } else {
        staff.push(person(90));
        staff.push(person(91));
    }
    staff
}

#[test]
fn apply_then_revert_leaves_the_target_as_it_was_and_reverting_that_brings_it_back() {
    for (seed, leave) in [(1, true), (2, false), (3, true), (4, false)] {
        let company = if leave { Company::of(9) } else { deleting(9) };
        company.settle();
        let before = target(&company);
        let run = change(&company, &edited(people(9), seed, leave));
        let after = target(&company);
        assert_ne!(before, after);

        let (undoing, said) = revert(&company, &run);
        said.ended(3).says(&[&format!("undoes run {run}"), "wait"]);
        let logged = std::fs::read_to_string(company.world.run_file("corp", &undoing, "run.log")).unwrap();
        assert!(logged.contains(&format!("run {undoing} of job corp undoes run {run}")), "{logged}");
        company.world.muster(&["report", &undoing]).says(&[&format!("of job corp, undoes run {run}")]);
        assert_eq!(target(&company), after, "revert itself sends nothing");
        assert_eq!(plan_json(&company, &undoing)["reverts"]["run"], run.as_str());
        // A timer's run neither drops it nor sends it.
        company.world.muster(&["run", "corp"]).ended(3);
        assert_eq!(target(&company), after);
        carry_out(&company);
        assert_eq!(target(&company), before, "seed {seed}");

        // What was undone is not done again by itself, and that is told.
        company.world.muster(&["run", "corp"]).ended(0);
        assert_eq!(target(&company), before, "seed {seed}");
        let ordinary = company.world.newest_run("corp");
        let why = format!("reverted by run {undoing}, which tester approved");
        company.world.muster(&["review", &ordinary]).says(&[&why, "--ask-again"]);
        // Once more there is nothing to undo.
        revert(&company, &run).1.ended(0).says(&["nothing to undo"]);

        let created = |order: &Value| order["operation"] == "delete";
        let for_good = company.world.orders("corp", &undoing).iter().any(created);
        assert_eq!(for_good, !leave);
        if leave {
            revert(&company, &undoing).1.ended(3);
            carry_out(&company);
            assert_eq!(target(&company), after, "seed {seed}");
            company.world.muster(&["run", "corp"]).ended(0);
            assert!(plan_json(&company, &company.world.newest_run("corp"))["withheld"].is_null());
        } else {
            // A delete cannot be undone; but who asks again gets the same wishes anew.
            company.world.muster(&["plan", "corp", "--ask-again"]).ended(3);
            carry_out(&company);
            assert_eq!(target(&company).len(), after.len());
        }
    }
}

#[test]
fn what_changed_since_is_left_and_named_and_the_rest_is_undone() {
    let company = Company::of(6);
    company.settle();
    let mut staff = people(6);
    staff[0].family = "One".into();
    staff[1].family = "Two".into();
    staff[2].team = "T1".into();
    let run = change(&company, &staff);
    let id = company.vault.user(&staff[0].login).unwrap()["id"].as_str().unwrap().to_owned();
    let by_hand = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "name.familyName", "value": "Hand"}]});
    assert_eq!(company.vault.send("PATCH", &format!("/Users/{id}"), Some(by_hand)).0 / 100, 2);
    let (undoing, said) = revert(&company, &run);
    said.ended(3).says(&["left as it is", "E0001", "`One` when it was applied, `Hand` now"]);
    company.world.muster(&["review", &undoing]).says(&["left as it is", "`Hand` now", "undoes the update o-"]);
    carry_out(&company);
    let family = |at: usize| company.vault.user(&staff[at].login).unwrap()["name"]["familyName"].clone();
    assert_eq!((family(0), family(1)), ("Hand".into(), "Family2".into()));
    // Only some of it.
    let mut later = people(6);
    (later[3].family, later[4].family) = ("Four".into(), "Five".into());
    later[0].family = "Hand".into();
    let second = change(&company, &later);
    let order = company.world.orders("corp", &second).into_iter().find(|o| o["key"] == "E0004").unwrap();
    company.world.muster(&["revert", &second, "--order", order["id"].as_str().unwrap()]).ended(3);
    assert_eq!(company.world.orders("corp", &company.world.newest_run("corp")).len(), 1);
    company.world.muster(&["revert", "corp", "--group", "update vault.users"]).ended(3);
    for (typed, near) in
        [("updte vault.users", true), ("update vault.user", true), ("delete vault.groups", false), ("many", false)]
    {
        let said = company.world.muster(&["revert", &second, "--group", typed]).ended(2);
        let said = said.says(&[&format!("no orders of the kind `{typed}`"), "it has update vault.users (2)"]);
        assert_eq!(said.err.contains("did you mean `update vault.users`?"), near, "{}", said.err);
    }
    company.world.muster(&["log", &company.world.newest_run("corp")]).ended(0).says(&[&format!("undoes={second}")]);
    company.world.muster(&["revert", &second, "--order", "o-1"]).ended(2).says(&["no such order"]);
    carry_out(&company);
    assert_eq!((family(3), family(4)), ("Family4".into(), "Family5".into()));
    // What the source wants anew is raised, whatever was undone.
    later[3].family = "Other".into();
    company.hr(&later);
    company.world.muster(&["run", "corp"]).ended(3);
    carry_out(&company);
    assert_eq!((family(3), family(4)), ("Other".into(), "Family5".into()));
}

#[test]
fn what_cannot_be_undone_is_marked_in_the_first_review() {
    let company = deleting(6);
    company.settle();
    company.hr(&people(5));
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let words = "cannot be undone: an object that was deleted comes back";
    company.world.muster(&["review", &run]).says(&[words, "cannot be undone once applied: 1 order"]);
    let marked = company.world.muster(&["review", &run, "--where", "irreversible != ''", "--format", "json"]).json();
    assert_eq!((marked.as_array().unwrap().len(), &marked[0]["operation"]), (1, &json!("delete")));
    let csv = std::fs::read_to_string(company.world.run_file("corp", &run, "review.csv")).unwrap();
    assert!(csv.contains(words), "{csv}");
    assert_eq!(plan_json(&company, &run)["irreversible"], 1);
    // The file is accepted as it was written.
    let decided =
        csv.lines().map(|line| if line.contains("o-") { format!("approve{line}\n") } else { format!("{line}\n") });
    company.world.write("review.csv", decided.collect::<String>());
    company.world.muster(&["approve", &run, "--file", "review.csv", "--comment", "gone"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    let delete = company.world.orders("corp", &run).into_iter().find(|o| o["operation"] == "delete").unwrap();
    let (_, said) = revert(&company, &run);
    said.says(&["left as it is", delete["id"].as_str().unwrap(), "a new one with a new id"]);
}

#[test]
fn a_create_is_undone_by_a_disable_where_the_job_does_not_delete_and_the_thresholds_count_it() {
    let company = Company::of(30);
    company.settle();
    let first = company.world.runs("corp")[0].clone();
    let groups = company.world.muster(&["revert", &first, "--group", "create vault.groups"]).ended(1);
    groups.says(&["left as it is", "objects of vault.groups cannot be disabled"]);
    company.world.muster(&["revert", &first, "--group", "create vault.users"]).ended(4);
    let undoing = company.world.newest_run("corp");
    let accept = ["vault.users/disable/count", "vault.users/removal/count"];
    let mut args = vec!["approve", &undoing, "--comment", "all of it was wrong"];
    accept.iter().for_each(|name| args.extend(["--accept", name]));
    company.world.muster(&args).says(&["accepted"]);
    carry_out(&company);
    let users = company.vault.all("Users");
    assert!(users.len() == 30 && users.iter().all(|user| user["active"] == false), "{users:#?}");
    company.world.muster(&["run", "corp"]).ended(0);
    assert!(company.vault.all("Users").iter().all(|user| user["active"] == false));
    let ordinary = company.world.newest_run("corp");
    company.world.muster(&["review", &ordinary]).says(&["enable `E0001`", "reverted by run", "enable `E0030`"]);
}

#[test]
fn a_revert_that_is_killed_sends_nothing_and_its_apply_goes_on_after_a_kill() {
    let company = Company::of(8);
    company.settle();
    let before = target(&company);
    let run = change(&company, &edited(people(8), 7, true));
    let after = target(&company);
    // Killed while it reads.
    company.vault.faults(json!({ "rules": [
        { "method": "GET", "prefix": "/Users/", "when": "every", "action": { "delay": { "ms": 20_000 } } }] }));
    let begun = || company.world.muster(&["log", "corp", "--limit", "0"]).ended(0).out.matches("run-started").count();
    let earlier = begun();
    let mut reading = company.world.command(&["revert", &run]).spawn().unwrap();
    while begun() == earlier {
        assert!(reading.try_wait().unwrap().is_none(), "it ended before");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    reading.kill().unwrap();
    reading.wait().unwrap();
    company.vault.faults(json!({ "rules": [] }));
    assert_eq!(target(&company), after);
    let killed = company.world.newest_run("corp");
    revert(&company, &run).1.ended(3);
    let runs = company.world.muster(&["status", "corp", "--format", "json"]).json()["runs"].clone();
    let killed = runs.as_array().unwrap().iter().find(|run| run["run"] == *killed).unwrap();
    assert_eq!(killed["state"], "failed");
    assert!(killed["why"].as_str().unwrap().starts_with("interrupted"), "{killed:#}");
    // Killed while it is applied: requests take effect, and their answers are lost.
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    let undoing = company.world.newest_run("corp");
    company.vault.faults(json!({ "rules": [
        { "method": "PATCH", "prefix": "/", "when": { "after": 1 }, "action": { "delay-after": { "ms": 20_000 } } }] }));
    let mut apply = company.world.command(&["apply", "corp"]).spawn().unwrap();
    let states = || company.world.muster(&["report", &undoing, "--format", "json"]).json()["orders_by_state"].clone();
    while states()["in-flight"].as_u64().is_none() {
        assert!(apply.try_wait().unwrap().is_none(), "the apply ended before");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    apply.kill().unwrap();
    apply.wait().unwrap();
    company.vault.faults(json!({ "rules": [] }));
    // While it is not known what took effect, nobody undoes it: first it is looked up.
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(target(&company), before);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn a_revert_that_makes_no_sense_is_refused_in_a_sentence() {
    let company = Company::of(4);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let runs = company.world.runs("corp").len();
    company.world.muster(&["revert", &run]).ended(1).says(&["nothing of it is applied", "pending-review", &run]);
    company.world.muster(&["revert", "corp"]).ended(2).says(&["nothing of job corp was ever applied"]);
    carry_out(&company);
    // Another address.
    let other = company.world.server_on("other.db", &[]);
    company.world.write("jobs/corp.toml", support::company::job_text(&other.url, ""));
    company.world.muster(&["revert", &run]).ended(1).says(&[
        company.vault.address(),
        other.address(),
        "put the address back",
    ]);
    company.job("");
    // Nobody knows of one.
    let db = rusqlite::Connection::open(company.world.state().join("muster.db")).unwrap();
    let set = |state: &str| {
        let sql = "UPDATE orders SET state = ? WHERE operation = 'create' AND key = 'E0002'";
        assert_eq!(db.execute(sql, [state]).unwrap(), 1);
    };
    set("uncertain");
    company.world.muster(&["revert", &run]).ended(1).says(&["`E0002`) is uncertain", "muster settle o-"]);
    set("applied");
    // Its files are gone.
    std::fs::remove_dir_all(company.world.state().join("runs/corp").join(&run)).unwrap();
    company.world.muster(&["revert", &run]).ended(1).says(&["is gone", "[retention]"]);
    assert_eq!(company.world.runs("corp").len(), runs - 1, "what is refused leaves no run");
}

#[test]
fn whoever_rejects_an_undo_says_nothing_about_later_leavers() {
    let company = Company::of(30);
    company.settle();
    let first = company.world.runs("corp")[0].clone();
    company.world.muster(&["revert", &first, "--group", "create vault.users"]).ended(4);
    company.world.muster(&["reject", "corp", "--all", "--comment", "a slip"]);
    company.hr(&people(30)[1..]);
    company.world.muster(&["run", "corp"]).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    assert!(orders.iter().any(|order| order["operation"] == "disable" && order["key"] == "E0001"), "{orders:#?}");
}

#[test]
fn what_was_undone_is_done_again_once_both_sides_agreed_in_between() {
    let company = Company::of(4);
    company.settle();
    let mut staff = people(4);
    staff[0].family = "Married".into();
    let run = change(&company, &staff[..3]);
    revert(&company, &run).1.ended(3);
    carry_out(&company);
    // A name, a leaver and their membership: withheld for as long as HR says the same.
    for _ in 0..2 {
        company.world.muster(&["run", "corp"]).ended(0);
        let withheld = plan_json(&company, &company.world.newest_run("corp"))["withheld"].clone();
        assert_eq!(withheld.as_array().unwrap().len(), 3, "{withheld:#}");
    }
    company.world.muster(&["status", "corp"]).says(&["3 orders undone before", "muster list corp --withheld"]);
    company.hr(&people(4));
    company.world.muster(&["run", "corp"]).ended(0);
    company.world.muster(&["status", "corp"]).never_says(&["undone"]);
    // And HR means it this time.
    company.hr(&staff[..3]);
    company.world.muster(&["run", "corp"]).ended(3);
    carry_out(&company);
    assert_eq!(company.vault.user(&staff[0].login).unwrap()["name"]["familyName"], "Married");
    assert_eq!(company.vault.user(&staff[3].login).unwrap()["active"], false);
    // Who is back is enabled; that is undone; and who comes back another time is enabled again.
    let run = change(&company, &staff);
    revert(&company, &run).1.ended(3);
    carry_out(&company);
    company.world.muster(&["run", "corp"]).ended(0);
    company.hr(&staff[..3]);
    company.world.muster(&["run", "corp"]).ended(0);
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    carry_out(&company);
    assert_eq!(company.vault.user(&staff[3].login).unwrap()["active"], true);
}

#[test]
fn what_a_person_wants_undone_is_not_dropped_for_what_a_run_wants_meanwhile() {
    let company = Company::of(4);
    company.settle();
    let mut staff = people(4);
    staff[0].family = "Married".into();
    let run = change(&company, &staff);
    let (undoing, _) = revert(&company, &run);
    let order = company.world.orders("corp", &undoing)[0]["id"].as_str().unwrap().to_owned();
    let state = || {
        let listed = company.world.muster(&["review", &undoing, "--all", "--format", "json"]).json();
        listed[0]["state"].as_str().unwrap().to_owned()
    };
    // Meanwhile the person gets another address. The undo waits for its review, and then for its apply; the update waits
    // for the undo.
    staff[0].email = "married@corp.example".into();
    company.hr(&staff);
    let plan = || {
        company.world.muster(&["plan", "corp"]);
        let run = company.world.newest_run("corp");
        company.world.muster(&["review", &run]).says(&[
            "update `E0001` in vault.users is not raised yet",
            &order,
            &format!("muster review {undoing}"),
            &format!("muster reject {undoing} --order {order}"),
        ]);
        assert!(company.world.orders("corp", &run).is_empty());
    };
    plan();
    assert_eq!(state(), "pending-review");
    company.world.muster(&["approve", &undoing, "--all", "--comment", "a slip"]);
    plan();
    assert_eq!(state(), "approved");
    company.world.muster(&["apply", "corp"]);
    assert_eq!(
        (state().as_str(), &*company.vault.user(&staff[0].login).unwrap()["name"]["familyName"].to_string()),
        ("applied", "\"Family1\"")
    );
    // It is decided: the address comes, and the name that was undone does not.
    company.world.muster(&["run", "corp"]).ended(3);
    carry_out(&company);
    let user = company.vault.user(&staff[0].login).unwrap();
    assert_eq!((&user["name"]["familyName"], &user["emails"][0]["value"]), (&json!("Family1"), &json!(staff[0].email)));
}

/// By the undo of a create, and by a leaver.
#[test]
fn case_p14_what_changed_after_its_delete_was_approved_is_not_deleted() {
    let company = deleting(3);
    company.settle();
    let run = change(&company, &people(4));
    revert(&company, &run).1.ended(3);
    for at in [3, 2] {
        company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]);
        let user = company.vault.user(&people(4)[at].login).unwrap();
        let by_hand = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "name.familyName", "value": "Married"}]});
        let path = format!("/Users/{}", user["id"].as_str().unwrap());
        assert_eq!(company.vault.send("PATCH", &path, Some(by_hand)).0 / 100, 2);
        company.world.muster(&["--verbose", "apply", "corp"]).says(&["1 stale"]);
        let user = company.vault.user(&people(4)[at].login).expect("it is still there");
        assert_eq!(user["name"]["familyName"], "Married");
        let mut staff = people(4);
        staff.remove(2);
        company.hr(&staff);
        company.world.muster(&["run", "corp"]);
    }
}
