//! What is relied on is proved on the target first, kept by the version of its service, and told by `check`; what does
//! not hold is done without. The built-in server misbehaves in each of these ways.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::World;
use support::company::{Company, people};
use support::orders::{approve, planned, settled};

/// A company in step with a server that writes down what it is asked.
fn company(n: usize, dialect: &str, further: &str) -> Company {
    let world = World::new();
    let log = world.path().join("requests.ndjson");
    let vault = world.server_with(&["--log", log.to_str().unwrap(), "--dialect", dialect]);
    let company = Company { world, vault };
    company.hr(&people(n));
    let named = format!("kind = \"scim\"\ndialect = \"{dialect}\"\n");
    company.world.write("jobs/corp.toml", company.job_text(further).replace("kind = \"scim\"\n", &named));
    company.settle();
    company
}

/// Statuses of the requests of a method below a path since a moment.
fn answers(company: &Company, since: usize, method: &str, path: &str) -> Vec<u64> {
    let log = company.world.read("requests.ndjson");
    let requests = log.lines().skip(since).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let fits = |r: &Value| r["method"] == method && r["path"].as_str().unwrap().contains(path);
    requests.filter(fits).map(|r| r["status"].as_u64().unwrap()).collect()
}

fn asked(company: &Company) -> usize {
    company.world.read("requests.ndjson").lines().count()
}

/// What `check` tells of one thing that it proves.
#[track_caller]
fn told(company: &Company, what: &str) -> String {
    let said = company.world.muster(&["check", "corp", "--json"]).ended(0);
    let steps = said.json();
    let mut steps = steps.as_array().unwrap().iter().filter(|step| step["system"] == "vault");
    let step = steps.find(|step| step["what"] == what).unwrap_or_else(|| panic!("no {what} in {}", said.out));
    step["told"].as_str().unwrap().to_owned()
}

/// Renames somebody, has it approved and applied; how the apply ended.
fn rename(company: &Company, staff: usize, at: usize, family: &str) -> i32 {
    let mut people = people(staff);
    people[at].family = family.to_owned();
    company.hr(&people);
    planned(company);
    approve(company).ended(0);
    company.world.muster(&["apply", "corp"]).status
}

fn errors(company: &Company) -> Vec<Value> {
    let file = company.world.run_file("corp", &company.world.newest_run("corp"), "errors.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn every(method: &str, prefix: &str, action: Value) -> Value {
    json!({"rules": [{"method": method, "prefix": prefix, "action": action}]})
}

#[test]
fn a_tag_is_proved_by_the_first_approved_change_and_kept_for_later_runs() {
    let company = company(4, "generic", "");
    assert!(told(&company, "If-Match on PATCH").contains("not proved yet"));
    let since = asked(&company);
    assert_eq!(rename(&company, 4, 0, "Proof"), 0);
    // The wrong tag is refused, the right one is taken; nothing was done twice.
    assert_eq!(answers(&company, since, "PATCH", "/Users/")[..2], [412, 204]);
    assert_eq!(answers(&company, since, "PATCH", "/Users/").iter().filter(|status| **status == 204).count(), 1);
    assert!(told(&company, "If-Match on PATCH").contains("honoured: PATCH with a wrong tag was refused"));
    assert!(told(&company, "If-Match on DELETE").contains("not proved yet"), "each method for itself");
    // Another run has it from the first one; it is proved anew for another version of the service.
    let since = asked(&company);
    assert_eq!(rename(&company, 4, 0, "Later"), 0);
    assert!(!answers(&company, since, "PATCH", "/Users/").contains(&412));
    let other = json!({"schemas": [], "patch": {"supported": true}, "filter": {"supported": true, "maxResults": 50},
        "etag": {"supported": false}})
    .to_string();
    company.vault.faults(every("GET", "/ServiceProviderConfig", json!({"status": {"code": 200, "body": other}})));
    let said = company.world.muster(&["check", "corp"]).ended(0);
    said.says(&["changed since: version: ", "not proved yet: the first approved change"]);
    // A service that says it has no tags, and has them, is found out too.
    let since = asked(&company);
    assert_eq!(rename(&company, 4, 0, "Anew"), 0);
    assert!(answers(&company, since, "PATCH", "/Users/").contains(&412));
}

#[test]
fn a_tag_that_is_ignored_on_one_method_is_done_without_there() {
    let further = "[apply]\nconcurrency = 1\n";
    let company = company(6, "generic", further);
    let job =
        company.world.read("jobs/corp.toml").replacen("required =", "on = { orphan = \"delete\" }\nrequired =", 1);
    company.world.write("jobs/corp.toml", job);
    company.vault.faults(every("DELETE", "/Users", json!("ignore-preconditions")));
    let since = asked(&company);
    let mut staff = people(4);
    staff[0].family = "Renamed".to_owned();
    company.hr(&staff);
    planned(&company);
    let said = company.world.muster(&["approve", "corp", "--all", "--comment", "left"]);
    assert_eq!(said.status, 0, "{said:?}");
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(answers(&company, since, "DELETE", "/Users/"), [204, 204], "nothing is deleted twice");
    assert!(told(&company, "If-Match on PATCH").contains("honoured"));
    assert!(told(&company, "If-Match on DELETE").contains("ignored: DELETE with a wrong tag was done"));
    assert_eq!(company.vault.all("Users").len(), 4);
}

#[test]
fn what_is_accepted_without_effect_is_an_outcome_of_its_own() {
    let company = company(4, "generic", "[apply]\nconcurrency = 1\n");
    let nothing = json!({"status": {"code": 204, "body": ""}});
    company.vault.faults(every("PATCH", "/Users", nothing.clone()));
    assert_eq!(rename(&company, 4, 0, "Unheard"), 5);
    let failed = errors(&company);
    assert_eq!((failed.len(), &failed[0]["class"]), (1, &json!("unsupported")), "{failed:#?}");
    assert!(
        failed[0]["message"].as_str().unwrap().contains("without effect: name.familyName is `Family1`, not `Unheard`")
    );
    company.vault.faults(json!({"rules": []}));
    // A delete is read back like anything else.
    let job =
        company.world.read("jobs/corp.toml").replacen("required =", "on = { orphan = \"delete\" }\nrequired =", 1);
    company.world.write("jobs/corp.toml", job);
    company.vault.faults(every("DELETE", "/Users", nothing.clone()));
    company.hr(&people(3));
    planned(&company);
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(5);
    let failed = errors(&company);
    let row = failed.iter().find(|row| row["operation"] == "delete").unwrap_or_else(|| panic!("{failed:#?}"));
    assert_eq!(row["class"], "unsupported", "{row:#}");
    assert!(row["message"].as_str().unwrap().contains("accepted delete of E0004 without effect"), "{row:#}");
    assert!(row["remedy"].as_str().unwrap().contains("`disable`"), "{row:#}");
    // And so are members.
    company.vault.faults(json!({"rules": [{"method": "PATCH", "prefix": "/Groups", "action": nothing}]}));
    let mut staff = people(3);
    staff[0].team = "T2".to_owned();
    company.hr(&staff);
    // The delete of before still stands as errored.
    company.world.muster(&["run", "corp"]).ended(5);
    approve(&company);
    company.world.muster(&["apply", "corp"]).ended(5);
    let failed = errors(&company);
    assert!(failed.iter().any(|row| row["operation"] == "add" && row["class"] == "unsupported"), "{failed:#?}");
}

#[test]
fn a_form_of_removal_that_is_answered_with_success_and_not_done_is_given_up_for_the_other() {
    let company = company(6, "generic", "");
    assert!(told(&company, "removal of members").contains("not proved yet"));
    company.vault.faults(every("PATCH", "/Groups", json!("ignore-member-path")));
    for (team, removals) in [("T2", 2), ("T0", 1)] {
        let mut staff = people(6);
        staff[0].team = team.to_owned();
        company.hr(&staff);
        planned(&company);
        approve(&company).ended(0);
        let since = asked(&company);
        company.world.muster(&["apply", "corp"]).ended(0);
        company.world.muster(&["run", "corp"]).ended(0);
        // One row added, one removed: the second time it is known how.
        assert_eq!(answers(&company, since, "PATCH", "/Groups/").len(), 1 + removals, "{team}");
    }
    assert!(told(&company, "removal of members").contains("by a list of values"));
}

#[test]
fn filters_are_proved_with_somebody_and_with_nobody_and_what_holds_is_told() {
    let company = company(4, "generic", "");
    let what = "filter users by userName";
    assert!(told(&company, what).contains("it finds who is there, and nobody"));
    for action in ["ignore-filter", "empty-filter", "refuse-filter"] {
        company.vault.faults(every("GET", "/Users", json!(action)));
        assert!(told(&company, what).contains("everything is read and matched here"), "{action}");
    }
    // What was proved is kept: a run asks no filter that does not work, and makes nobody twice.
    let since = asked(&company);
    company.vault.add_user("user0005@corp.example");
    company.hr(&people(6));
    planned(&company);
    approve(&company);
    company.world.muster(&["apply", "corp"]);
    let log = company.world.read("requests.ndjson");
    let filtered =
        log.lines().skip(since).filter(|line| line.contains("userName%20eq") || line.contains("userName+eq"));
    assert_eq!(filtered.count(), 0);
    assert_eq!(company.vault.all("Users").len(), 6);
    // And proved anew by the next check.
    company.vault.faults(json!({"rules": []}));
    assert!(told(&company, what).contains("it finds who is there, and nobody"));
}

#[test]
fn pages_are_tried_behind_the_first_row_and_behind_the_end() {
    let company = company(4, "generic", "");
    let job = company.world.read("jobs/corp.toml");
    company.world.write("jobs/corp.toml", job.replace("auth =", "paging = \"index\"\nauth ="));
    let what = "pages of users";
    assert!(told(&company, what).contains("by index, as many rows as come; there is nothing behind the end"));
    company.vault.faults(every("GET", "/Users", json!("repeat-page")));
    assert!(told(&company, what).contains("of 4 only the first 1 row can be read"), "{}", told(&company, what));
}

#[test]
fn answers_that_are_written_loosely_are_read_and_changed_all_the_same() {
    let company = settled(4, "");
    company.vault.faults(json!({"rules": [{"action": "loosely"}]}));
    let job = company.world.read("jobs/corp.toml");
    let manager = "[sync.references]\n\"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value\" = { source = \"boss\" }\n";
    company.world.write(
        "jobs/corp.toml",
        job.replacen("[[sync]]\nfrom = \"hr.groups\"", &format!("{manager}\n[[sync]]\nfrom = \"hr.groups\""), 1),
    );
    let rows = |boss: &str| {
        let row = |n: usize, boss: &str| {
            format!("E000{n},user000{n}@corp.example,user000{n}@corp.example,Family{n},true,{boss}\n")
        };
        let all: String = [(1, ""), (2, boss), (3, boss), (4, boss)].iter().map(|(n, boss)| row(*n, boss)).collect();
        format!("id,login,email,family,enabled,boss\n{all}")
    };
    for boss in ["E0001", "E0002"] {
        company.world.write("hr/users.csv", rows(boss).replace("true,E0002\nE0003", "true,\nE0003"));
        for _ in 0..2 {
            if company.world.muster(&["run", "corp"]).status == 0 {
                break;
            }
            approve(&company).ended(0);
            company.world.muster(&["apply", "corp"]).ended(0);
        }
        company.world.muster(&["run", "corp", "--mode", "complete"]).ended(0);
    }
    // An error keeps its words and its class.
    company.vault.faults(json!({"rules": [{"action": "loosely"}, {"method": "PATCH", "prefix": "/Users",
        "action": {"status": {"code": 409, "body": "{\"status\": 409, \"detail\": \"userName is taken\", \"scimType\": \"uniqueness\"}"}}}]}));
    company
        .world
        .write("hr/users.csv", rows("E0002").replace("Family4", "Other").replace("true,E0002\nE0003", "true,\nE0003"));
    planned(&company);
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(5);
    let failed = errors(&company);
    assert_eq!((&failed[0]["class"], &failed[0]["message"]), (&json!("conflict"), &json!("userName is taken")));
}

#[test]
fn a_service_that_switches_itself_off_after_twenty_refusals_never_comes_to_it() {
    let patient =
        "[apply]\nconcurrency = 4\nstop_after = { same_cause = 500, errors = 500, in_a_row = 500 }\nwaves = [100]\n";
    let company = company(30, "delinea", patient);
    // Objects that are gone are no order's fault; each is asked for, and 404 counts there as well.
    let mut staff = people(30);
    staff.iter_mut().for_each(|one| one.family = format!("New{}", one.family));
    company.hr(&staff);
    planned(&company);
    approve(&company).ended(0);
    for user in company.vault.all("Users") {
        company.vault.send("DELETE", &format!("/Users/{}", user["id"].as_str().unwrap()), None);
    }
    let since = asked(&company);
    company.world.muster(&["apply", "corp"]);
    assert!(answers(&company, since, "GET", "/Users/").iter().filter(|status| **status == 404).count() >= 20);
    assert_eq!(company.vault.send("GET", "/Users", None).0, 200, "it is not switched off");
}

#[test]
fn orders_that_fail_in_a_row_stop_well_before_a_service_switches_itself_off() {
    let further = "[apply]\nconcurrency = 4\nstop_after = { same_cause = 500, errors = 500 }\nwaves = [100]\n";
    let company = company(3, "delinea", further);
    company.hr(&people(40));
    let body = json!({"status": "400", "detail": "Attribute 'title' is required."}).to_string();
    company.vault.faults(json!({"rules": [{"method": "POST", "action": {"status": {"code": 400, "body": body}}}]}));
    planned(&company);
    approve(&company);
    let since = asked(&company);
    let said = company.world.muster(&["apply", "corp"]);
    let sent = answers(&company, since, "POST", "/Users").len();
    assert!((10..20).contains(&sent), "{sent} were sent\n{said:?}");
    said.says(&["10 orders in a row failed at vault"]);
    assert_eq!(company.vault.send("GET", "/Users", None).0, 200, "it is not switched off");
}
