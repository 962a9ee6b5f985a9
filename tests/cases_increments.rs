//! Incremental runs, between two servers of which each can be asked for changes alone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use chrono::Datelike as _;
use rusqlite::Connection;
use serde_json::{Value, json};
use support::company::{Company, people};
use support::{Server, World};

const JOB: &str = "staff";

struct Pair {
    world: World,
    idp: Server,
    vault: Server,
}

impl Pair {
    /// A provider with `n` users, all of them in the vault.
    fn settled(n: usize, further: &str) -> Self {
        Self::with_groups(n, 0, further)
    }

    /// The same, with everybody in one of `groups` groups, for the syncs in `further`.
    fn with_groups(n: usize, groups: usize, further: &str) -> Self {
        let world = World::new();
        let idp = world.server_on("idp.db", &["--seed-users", &n.to_string(), "--seed-groups", &groups.to_string()]);
        let vault = world.server();
        world.write(
            "jobs/staff.toml",
            format!(
                r#"name = "{JOB}"

[systems.idp]
kind = "scim"
url = "{}"
auth = {{ bearer = "env:VAULT_TOKEN" }}

[systems.vault]
kind = "scim"
url = "{}"
auth = {{ bearer = "env:VAULT_TOKEN" }}

[[sync]]
from = "idp.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]

[sync.attributes]
externalId = "id"
userName = "userName"
displayName = "displayName"
active = "active"

{further}
"#,
                idp.url, vault.url
            ),
        );
        let pair = Self { world, idp, vault };
        pair.world.settle(JOB);
        pair
    }

    fn rename(&self, login: &str, name: &str) {
        let id = self.idp.user(login).unwrap()["id"].as_str().unwrap().to_owned();
        let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "displayName", "value": name}]});
        let (status, body) = self.idp.send("PATCH", &format!("/Users/{id}"), Some(patch));
        assert!(status < 300, "{status} {body}");
    }

    fn leave(&self, login: &str) -> String {
        let id = self.idp.user(login).unwrap()["id"].as_str().unwrap().to_owned();
        assert_eq!(self.idp.send("DELETE", &format!("/Users/{id}"), None).0, 204);
        id
    }

    /// The provider's own memory.
    fn memory(&self) -> Connection {
        Connection::open(self.world.path().join("idp.db")).unwrap()
    }

    /// What the newest run's manifest says about the provider's users.
    fn exported(&self) -> Value {
        self.exported_of("users")
    }

    fn exported_of(&self, resource: &str) -> Value {
        let run = self.world.newest_run(JOB);
        let manifest = self.world.read(&format!("state/export/{JOB}/{run}/manifest.json"));
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        manifest["systems"]["idp"][resource].clone()
    }

    /// What report.json of the newest run says that the increments had missed.
    fn missed(&self) -> Value {
        let report = self.world.read(&format!("state/runs/{JOB}/{}/report.json", self.world.newest_run(JOB)));
        let report: Value = serde_json::from_str(&report).unwrap();
        let exports = report["exports"].as_array().unwrap();
        exports.iter().find(|export| export["resource"] == "idp.users").unwrap()["missed"].clone()
    }

    fn orders(&self) -> Vec<(String, String)> {
        let orders = self.world.orders(JOB, &self.world.newest_run(JOB));
        let pair = |o: &Value| (o["operation"].as_str().unwrap().to_owned(), o["key"].as_str().unwrap().to_owned());
        orders.iter().map(pair).collect()
    }
}

/// The cursor that an increment began at, as its evidence says.
fn since(exported: &Value) -> String {
    let notes = exported["evidence"]["notes"].as_array().unwrap();
    let note = notes.iter().filter_map(Value::as_str).find_map(|n| n.split_once("changed since ")).unwrap();
    note.1.to_owned()
}

#[test]
fn an_incremental_run_sees_the_joiner_and_the_changed_user() {
    let pair = Pair::settled(40, "");
    assert_eq!(pair.exported()["mode"], "incremental", "{}", pair.exported());
    let joiner = pair.idp.add_user("joiner@corp.example");
    pair.rename("user000002", "Chiara Newname");
    pair.world.muster(&["run", JOB]).ended(3);
    let exported = pair.exported();
    assert_eq!(exported["mode"], "incremental", "{exported}");
    assert_eq!(exported["rows"], 41, "what did not change is taken from the baseline");
    let changed = pair.idp.user("user000002").unwrap()["id"].as_str().unwrap().to_owned();
    let mut orders = pair.orders();
    orders.sort();
    assert_eq!(orders, [("create".to_owned(), joiner), ("update".to_owned(), changed)]);
}

#[test]
fn the_cursor_moves_only_with_the_baseline() {
    let limit = "[snapshot.\"idp.users\"]\nthresholds = { updated = { count = 1 } }\n";
    let pair = Pair::settled(20, limit);
    let first = pair.exported()["cursor"].as_str().unwrap().to_owned();
    // A server's time has whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    pair.rename("user000001", "One");
    pair.rename("user000002", "Two");
    pair.world.muster(&["run", JOB]).ended(4).says(&["idp.users/updated/count"]);
    let held = pair.world.newest_run(JOB);
    let exported = pair.exported();
    assert_eq!(exported["mode"], "incremental");
    let second = exported["cursor"].as_str().unwrap().to_owned();
    assert!(second > first, "{first} {second}");
    // What was held moved nothing: the next run begins where the accepted one did.
    pair.world.muster(&["run", JOB]).ended(4);
    assert_eq!(since(&pair.exported()), first);
    let accept = ["approve", &held, "--accept", "idp.users/updated/count", "--comment", "two weddings"];
    pair.world.muster(&accept).says(&["accepted"]);
    pair.world.muster(&["run", JOB]).ended(3);
    assert_eq!(pair.orders().len(), 2, "{:?}", pair.orders());
    pair.world.muster(&["run", JOB]).ended(3);
    assert_eq!(since(&pair.exported()), second);
}

/// The provider does not say which ids there are.
fn no_ids() -> Value {
    json!({"method": "GET", "contains": "attributes=id", "action": {"status": {"code": 400}}})
}

const GROUPS: &str = r#"
[[sync]]
from = "idp.groups"
to = "vault.groups"
match = [{ source = "id", target = "externalId" }]
on = { orphan = "delete" }
attributes = { externalId = "id", displayName = "displayName" }

[[sync]]
from = "idp.memberships"
to = "vault.memberships"
ends = { user = ["idp.users", "vault.users"], group = ["idp.groups", "vault.groups"] }
"#;

#[test]
fn case_x2_whoever_is_gone_is_seen_by_an_increment_and_so_are_their_memberships() {
    let pair = Pair::with_groups(40, 4, GROUPS);
    // One group did not change for long.
    let old = "UPDATE resource SET modified = '2001-01-01T00:00:00.000000Z' WHERE name_key = 'group0004'";
    assert_eq!(pair.memory().execute(old, []).unwrap(), 1);
    let operations = || {
        let mut all: Vec<String> = pair.orders().into_iter().map(|(operation, _)| operation).collect();
        all.sort();
        all
    };
    let confirm = |orders: &[&str]| {
        pair.world.muster(&["run", JOB]).ended(3);
        for resource in ["users", "groups", "memberships"] {
            let exported = pair.exported_of(resource);
            assert_eq!((&exported["mode"], &exported["proves_absence"]), (&json!("incremental"), &json!(true)));
        }
        assert_eq!(operations(), orders);
        pair.world.muster(&["approve", JOB, "--all", "--comment", "left"]).ended(0);
        pair.world.muster(&["apply", JOB]).ended(0);
    };
    let rows = || ["users", "groups", "memberships"].map(|resource| pair.exported_of(resource)["rows"].clone());
    pair.leave("user000003");
    confirm(&["disable", "remove"]);
    assert_eq!(rows(), [39, 4, 39]);
    assert_eq!(pair.vault.user("user000003").unwrap()["active"], false);
    // A provider that forgets somebody without a word in the group that held them.
    let of_one = "member_seq = (SELECT seq FROM resource WHERE name_key = 'user000004')";
    pair.memory().execute(&format!("DELETE FROM member WHERE {of_one}"), []).unwrap();
    pair.memory().execute("DELETE FROM resource WHERE name_key = 'user000004'", []).unwrap();
    confirm(&["disable", "remove"]);
    assert_eq!(rows(), [38, 4, 38]);
    let notes = pair.exported_of("memberships")["evidence"]["notes"].to_string();
    assert!(notes.contains("1 object without a newer lastModified, read one by one"), "{notes}");
    // A group goes with who is in it.
    let group = pair.idp.all("Groups").into_iter().find(|group| group["displayName"] == "group0001").unwrap();
    assert_eq!(pair.idp.send("DELETE", &format!("/Groups/{}", group["id"].as_str().unwrap()), None).0, 204);
    confirm(&["delete"]);
    assert_eq!(rows(), [38, 3, 28]);
    pair.world.muster(&["run", JOB, "--mode", "complete"]).ended(0).never_says(&["missed"]);
}

#[test]
fn case_x2_whoever_comes_without_a_newer_last_modified_is_read_by_an_increment() {
    let pair = Pair::settled(40, "");
    let joiner = pair.idp.add_user("restored@corp.example");
    let old = "UPDATE resource SET modified = '2001-01-01T00:00:00.000000Z' WHERE id = ?";
    assert_eq!(pair.memory().execute(old, [&joiner]).unwrap(), 1);
    pair.world.muster(&["run", JOB]).ended(3);
    let exported = pair.exported();
    assert_eq!((&exported["mode"], &exported["rows"]), (&json!("incremental"), &json!(41)), "{exported}");
    assert_eq!(pair.orders(), [("create".to_owned(), joiner)]);
}

#[test]
fn case_x2_ids_that_are_not_all_of_them_prove_nobody_gone() {
    let pair = Pair::settled(40, "");
    let job = pair.world.read("jobs/staff.toml").replacen(
        "kind = \"scim\"\n",
        "kind = \"scim\"\npage_size = 15\npaging = \"index\"\n",
        1,
    );
    pair.world.write("jobs/staff.toml", job);
    let rule = |action: Value| json!({"method": "GET", "contains": "attributes=id", "action": action});
    let list = |total: u32, ids: &[&str]| {
        let rows: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        let body = json!({"totalResults": total, "Resources": rows}).to_string();
        json!({"status": {"code": 200, "body": body}})
    };
    let second_page = json!({"contains": "attributes=id&startIndex=16&", "action": list(40, &[])});
    let lists = [
        vec![no_ids()],
        vec![rule(json!("repeat-page"))],
        vec![second_page],
        // It says of what it shows that this is all.
        vec![rule(list(2, &["a", "b"]))],
    ];
    for rules in &lists {
        pair.idp.faults(json!({"rules": rules}));
        pair.world.muster(&["run", JOB]).ended(0);
        let exported = pair.exported();
        let told = (&exported["mode"], &exported["rows"], &exported["proves_absence"]);
        assert_eq!(told, (&json!("incremental"), &json!(40), &json!(false)), "{rules:?}");
        assert!(exported["evidence"]["notes"].to_string().contains("who is gone is not known"), "{exported}");
    }
    // What an increment cannot prove is noticed by the totals, and the run goes complete by itself.
    let gone = pair.leave("user000003");
    let said = pair.world.muster(&["--verbose", "run", JOB]).ended(3);
    said.says(&["idp was read completely", "idp.users holds 39 rows, the increments make 40", "1 deletion"]);
    assert_eq!(pair.exported()["mode"], "complete");
    assert_eq!(pair.orders(), [("disable".to_owned(), gone)]);
    // A service that sends everything of everybody where only ids were asked for has told who is there.
    pair.idp.faults(json!({"rules": [rule(json!("ignore-attributes"))]}));
    pair.leave("user000004");
    pair.world.muster(&["run", JOB]).ended(3);
    let log = pair.world.read(&format!("state/runs/{JOB}/{}/run.log", pair.world.newest_run(JOB)));
    assert!(log.contains("users: the service sends whole resources where only their ids are asked for"), "{log}");
    assert_eq!((&pair.exported()["mode"], &pair.exported()["rows"]), (&json!("incremental"), &json!(38)));
    pair.world.muster(&["check", JOB]).says(&["ids of users alone", "`attributes` is ignored"]);
}

#[test]
fn case_x2_a_complete_run_says_what_the_increments_had_missed() {
    let pair = Pair::settled(40, "");
    pair.world.muster(&["run", JOB]).ended(0);
    // One leaves and one joins: the totals are as they were.
    let gone = pair.leave("user000003");
    let joiner = pair.idp.add_user("joiner@corp.example");
    pair.world.muster(&["run", JOB]).ended(3);
    assert_eq!(pair.exported()["mode"], "incremental");
    let mut orders = pair.orders();
    orders.sort();
    assert_eq!(orders, [("create".to_owned(), joiner), ("disable".to_owned(), gone)]);
    // Asked for, it compares what the increments would have shown with what is there.
    pair.world.muster(&["run", JOB]).ended(3);
    pair.idp.faults(json!({"rules": [no_ids()]}));
    pair.leave("user000004");
    let said = pair.world.muster(&["--verbose", "run", JOB, "--mode", "complete"]).ended(3);
    said.says(&[
        "exported idp.users: 39 rows, of which the increments had missed 0 new or changed rows and 1 deletion",
    ]);
    assert_eq!(pair.missed(), json!({"rows": 0, "deletions": 1}));
    // A run that follows a complete one has no increments to prove.
    pair.world.muster(&["run", JOB, "--mode", "complete"]).ended(3);
    assert_eq!(pair.missed(), Value::Null);
}

#[test]
fn a_complete_run_says_what_the_increments_had_missed_also_to_cron() {
    let pair = Pair::settled(40, "");
    let complete = || pair.world.muster(&["run", JOB, "--mode", "complete"]);
    // A run by increments that sees everything, and a complete one that finds nothing beside it.
    pair.rename("user000002", "Chiara Newname");
    pair.world.muster(&["run", JOB]).ended(3);
    assert_eq!(pair.missed(), Value::Null, "an incremental run proves nothing about itself");
    complete().ended(3).never_says(&["missed"]);
    assert_eq!(pair.missed(), json!({"rows": 0, "deletions": 0}));
    // A provider that hides a change from its own filter, and deletes beside it.
    pair.world.muster(&["run", JOB]).ended(3);
    assert_eq!(pair.exported()["mode"], "incremental");
    // The proof that the provider filters at all asks for another day.
    let today = pair.exported()["cursor"].as_str().unwrap()[..10].to_owned();
    pair.rename("user000005", "Unseen");
    pair.leave("user000004");
    let hidden = json!({"prefix": "/Users", "contains": today, "action": "empty-filter"});
    pair.idp.faults(json!({"rules": [hidden, no_ids()]}));
    let told = "the increments of idp.users had missed 1 new or changed row and 1 deletion";
    complete().ended(3).says(&["muster: warning", told]);
    assert_eq!(pair.missed(), json!({"rows": 1, "deletions": 1}));
    let run = pair.world.newest_run(JOB);
    pair.world.muster(&["report", &run]).ended(0).says(&["had missed 1 new or changed row and 1 deletion"]);
    pair.world.muster(&["report", &run, "--format", "json"]).ended(0).says(&["\"deletions\": 1"]);
}

#[test]
fn case_d8_where_the_filter_cannot_be_trusted_the_run_goes_complete_by_itself() {
    let pair = Pair::settled(20, "");
    pair.rename("user000001", "Somebody Else");
    for action in ["refuse-filter", "ignore-filter", "empty-filter"] {
        // `lastModified` beside it: a filter by name is another matter.
        pair.idp.faults(json!({"rules": [{"prefix": "/Users", "contains": "filter=", "action": action}]}));
        let said = pair.world.muster(&["--verbose", "run", JOB]).ended(3);
        if action != "ignore-filter" {
            said.says(&["idp was read completely", "cannot be asked for changes alone"]);
            assert_eq!(pair.exported()["mode"], "complete", "{action}");
        }
        assert_eq!(pair.exported()["rows"], 20, "{action}");
        assert_eq!(pair.exported()["completeness"]["verdict"], "complete");
    }
    pair.idp.faults(json!({"rules": []}));
    pair.world.muster(&["run", JOB]).ended(3);
    assert_eq!(pair.exported()["mode"], "incremental", "once the server is well again");
}

#[test]
fn case_x2_a_change_dated_in_the_future_hides_none_that_comes_before_that() {
    let pair = Pair::settled(20, "");
    let confirm = || {
        pair.world.muster(&["approve", JOB, "--all", "--comment", "seen"]).ended(0);
        pair.world.muster(&["apply", JOB]).ended(0);
    };
    // The provider's clock was a year ahead for one change.
    pair.rename("user000001", "Odd Clock");
    let idp = Connection::open(pair.world.path().join("idp.db")).unwrap();
    let id = pair.idp.user("user000001").unwrap()["id"].as_str().unwrap().to_owned();
    let ahead = format!("{}-01-01T00:00:00.000Z", chrono::Utc::now().year() + 2);
    assert_eq!(idp.execute("UPDATE resource SET modified = ? WHERE id = ?", [&ahead, &id]).unwrap(), 1);
    pair.world.muster(&["run", JOB]).ended(3);
    confirm();
    pair.rename("user000002", "Right Clock");
    pair.world.muster(&["run", JOB]).ended(3);
    assert_eq!(pair.exported()["mode"], "incremental", "{}", pair.exported());
    assert_eq!(pair.orders().len(), 1, "{:?}", pair.orders());
    confirm();
    // Or it was for all that it said: the next run cannot go on from there.
    let muster = Connection::open(pair.world.state().join("muster.db")).unwrap();
    let later = ahead.replace("-01-01", "-02-01");
    muster.execute("UPDATE baselines SET cursor = ? WHERE resource = 'idp.users'", [&later]).unwrap();
    pair.rename("user000003", "Right Again");
    let said = pair.world.muster(&["--verbose", "run", JOB]).ended(3);
    said.says(&["idp was read completely", "the server's clock says", "one of them was wrong"]);
    assert_eq!(pair.exported()["mode"], "complete");
    assert_eq!(pair.orders().len(), 1, "{:?}", pair.orders());
    confirm();
    pair.rename("user000004", "Right From Then On");
    pair.world.muster(&["run", JOB]).ended(3);
    assert_eq!(pair.exported()["mode"], "incremental", "{}", pair.exported());
}

#[test]
fn what_muster_itself_did_is_nothing_that_increments_missed() {
    let company = Company::of(30);
    let on = "on = { orphan = \"delete\" }\nrequired =";
    company.world.write("jobs/corp.toml", company.job_text("").replacen("required =", on, 1));
    company.settle();
    company.world.muster(&["run", "corp"]).ended(0);
    company.hr(&people(29));
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "left"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert!(company.vault.user("user0030@corp.example").is_none());
    let missed = |company: &Company| {
        let run = company.world.newest_run("corp");
        let report = company.world.muster(&["report", &run, "--format", "json"]).json();
        let of = |name: &str| {
            let exports = report["exports"].as_array().unwrap();
            exports.iter().find(|export| export["resource"] == name).unwrap()["missed"].clone()
        };
        (of("vault.users"), of("vault.memberships"))
    };
    let none = json!({"rows": 0, "deletions": 0});
    company
        .world
        .muster(&["--verbose", "run", "corp", "--mode", "complete"])
        .ended(0)
        .never_says(&["had missed 0 new", "1 deletion"]);
    assert_eq!(missed(&company), (none.clone(), none));
    // What somebody else deletes is told as before.
    company.world.muster(&["run", "corp"]).ended(0);
    let user = company.vault.user("user0029@corp.example").unwrap();
    assert_eq!(company.vault.send("DELETE", &format!("/Users/{}", user["id"].as_str().unwrap()), None).0, 204);
    company.vault.faults(json!({"rules": [no_ids()]}));
    company.world.muster(&["run", "corp", "--mode", "complete"]).says(&["vault.users had missed", "1 deletion"]);
}
