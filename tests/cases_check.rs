//! What operators run into before anything is read: reach, credentials, configuration.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::Said;
use support::World;
use support::company::Company;
use support::nobody::nobody;

/// A job between two servers, by the addresses of their interfaces.
fn job(world: &World, idp: &str, vault: &str, further: &str) {
    world.write(
        "jobs/corp.toml",
        format!(
            "name = \"corp\"\n\
             [systems.idp]\nkind = \"scim\"\nurl = \"{idp}\"\nauth = {{ bearer = \"env:VAULT_TOKEN\" }}\n\
             [systems.vault]\nkind = \"scim\"\nurl = \"{vault}\"\nauth = {{ bearer = \"env:VAULT_TOKEN\" }}\n{further}\n\
             [[sync]]\nfrom = \"idp.users\"\nto = \"vault.users\"\n\
             match = [{{ source = \"userName\", target = \"userName\" }}]\n\
             [sync.attributes]\nuserName = \"userName\"\n"
        ),
    );
}

/// The steps of one system.
fn steps(said: &Said, system: &str) -> Vec<Value> {
    let all = said.json();
    all.as_array().unwrap().iter().filter(|step| step["system"] == system).cloned().collect()
}

/// The one step of a system that failed: those before it did not, and those after it are told as not tried.
#[track_caller]
fn failed(said: &Said, system: &str) -> Value {
    let steps = steps(said, system);
    let at = steps.iter().position(|step| step["ok"] == false).unwrap();
    let failed = &steps[at];
    assert_eq!(failed["tried"], true, "{failed}");
    assert!(steps[at + 1..].iter().all(|step| step["tried"] == false && step["ok"] == false), "{steps:#?}");
    assert_eq!(steps.last().unwrap()["stage"], "capacity", "no stage is left out: {steps:#?}");
    failed["failure"].clone()
}

/// The stages of a system after the one that failed.
fn untried(said: &Said, system: &str) -> Vec<Value> {
    steps(said, system).iter().filter(|step| step["tried"] == false).map(|step| step["stage"].clone()).collect()
}

#[test]
fn case_n1_an_idp_that_cannot_be_reached_is_named_with_its_address_and_the_stage() {
    let world = World::new();
    let vault = world.server();
    let nobody = nobody();
    job(&world, &format!("http://{nobody}/scim/v2"), &vault.url, "");
    let said = world.muster(&["check", "corp"]).ended(1);
    said.says(&["idp", &nobody, "connect", "connection", "firewall", "proxy", "FAILED"]);
    // The other side is tried all the same, to its end.
    let said = world.muster(&["check", "corp", "--format", "json"]).ended(1);
    let failure = failed(&said, "idp");
    assert_eq!((&failure["class"], &failure["stage"]), (&json!("connection"), &json!("connect")), "{failure}");
    let vault = steps(&said, "vault");
    assert!(vault.iter().all(|step| step["ok"] == true), "{vault:#?}");
    assert_eq!(vault.last().unwrap()["stage"], "capacity");
    // A run says the same, and that nothing was planned.
    world.write("jobs/quick.toml", world.read("jobs/corp.toml") + "[apply]\nretry_budget = \"1s\"\n");
    world.muster(&["run", "jobs/quick.toml"]).ended(1).says(&["idp", &nobody, "connection", "nothing was planned"]);
}

#[test]
fn case_n2_a_vault_that_cannot_be_reached_hides_nothing_of_the_other_side() {
    let world = World::new();
    let idp = world.server();
    let nobody = nobody();
    job(&world, &idp.url, &format!("http://{nobody}/scim/v2"), "");
    let said = world.muster(&["check", "corp", "--format", "json"]).ended(1);
    let failure = failed(&said, "vault");
    assert_eq!((&failure["class"], &failure["stage"]), (&json!("connection"), &json!("connect")), "{failure}");
    assert!(steps(&said, "idp").iter().all(|step| step["ok"] == true));
    said.says(&[&nobody, "firewall"]);
    // Both at once: two failures, two different ones.
    job(&world, "https://idp.invalid/scim", &format!("http://{nobody}/scim/v2"), "");
    let said = world.muster(&["check", "corp", "--format", "json"]).ended(1);
    assert_eq!(failed(&said, "idp")["stage"], "resolve");
    assert_eq!(failed(&said, "vault")["stage"], "connect");
    said.says(&["idp.invalid:443", &nobody]);
}

#[test]
fn case_n2_the_stage_that_failed_is_told_apart_from_those_before_it() {
    let world = World::new();
    let idp = world.server();
    // Something answers there, but no TLS.
    job(&world, &idp.url, &idp.url.replace("http://", "https://"), "");
    let said = world.muster(&["check", "corp", "--format", "json"]).ended(1);
    let failure = failed(&said, "vault");
    assert_eq!(failure["stage"], "tls", "{failure}");
    let stages: Vec<Value> = steps(&said, "vault").iter().map(|step| step["stage"].clone()).collect();
    assert_eq!(stages, ["resolve", "connect", "tls", "http", "login", "permission", "schema", "proof", "capacity"]);
    assert_eq!(untried(&said, "vault"), stages[3..]);
    said.says(&[idp.address()]);
    // The proxy on the way is a stage of its own, and its address is the one that is named.
    let nobody = nobody();
    job(&world, &idp.url, &idp.url, &format!("proxy = \"http://{nobody}\""));
    let said = world.muster(&["check", "corp", "--format", "json"]).ended(1);
    let failure = failed(&said, "vault");
    assert_eq!((&failure["class"], &failure["stage"]), (&json!("connection"), &json!("proxy")), "{failure}");
    let said = said.says(&[&nobody, "no_proxy"]);
    assert_eq!(untried(&said, "vault"), ["http", "login", "permission", "schema", "proof", "capacity"]);
}

#[test]
fn case_n3_web_services_that_are_off_are_a_matter_of_configuration() {
    let company = Company::of(1);
    for code in [200, 404] {
        company.vault.faults(json!({"rules": [{"action": {"html": {"code": code}}}]}));
        let said = company.world.muster(&["check", "corp", "--format", "json"]).ended(1);
        let failure = failed(&said, "vault");
        assert_eq!((&failure["class"], &failure["stage"]), (&json!("configuration"), &json!("http")), "{failure}");
        let cause = failure["cause"].as_str().unwrap();
        assert!(cause.contains("API is disabled") && cause.contains("host itself is up"), "{cause}");
        assert_eq!(untried(&said, "vault"), ["login", "permission", "schema", "proof", "capacity"]);
    }
}

#[test]
fn case_c1_a_refused_credential_is_named_by_where_it_lies_and_never_by_its_value() {
    let company = Company::of(1);
    let check = |token: &str, format: &str| -> Said {
        let mut command = company.world.command(&["--verbose", "check", "corp", "--format", format]);
        command.env("VAULT_TOKEN", token).output().unwrap().into()
    };
    let wrong = "hunter2-was-the-token";
    let said = check(wrong, "table").ended(1).never_says(&[wrong]);
    let said = said.says(&["vault", "login", "credential", "env:VAULT_TOKEN", "401"]);
    // The stages are told apart: what HTTP proved, the credential that fails, and what was not tried after it.
    let line = |stage: &str| -> String {
        let mut lines = said.out.lines().filter(|line| line.starts_with("vault") && line.contains(stage));
        let line = lines.next().unwrap_or_else(|| panic!("no {stage} in\n{}", said.out)).to_owned();
        assert!(lines.next().is_none(), "{stage} is told twice:\n{}", said.out);
        line
    };
    assert!(line(" http ").contains("  ok  ") && line(" http ").contains("a server answers over HTTP"));
    assert!(line(" login ").contains("  FAILED  ") && line(" login ").contains("env:VAULT_TOKEN"));
    assert!(
        [" permission ", " schema ", " proof ", " capacity "].iter().all(|stage| line(stage).ends_with("  not tried"))
    );
    let said = check(wrong, "json").ended(1).never_says(&[wrong]);
    let failure = failed(&said, "vault");
    assert_eq!((&failure["class"], &failure["stage"]), (&json!("credential"), &json!("login")), "{failure}");
    assert!(!failure["remedy"].as_str().unwrap().is_empty());
    // One that is not there at all is no other matter, and the other side is still tried.
    let mut command = company.world.command(&["check", "corp", "--format", "json"]);
    let said = Said::from(command.env_remove("VAULT_TOKEN").output().unwrap()).ended(1);
    let failure = failed(&said, "vault");
    assert_eq!(failure["class"], "credential", "{failure}");
    let cause = "the credential cannot be had: env:VAULT_TOKEN: the environment variable is not set";
    assert_eq!(failure["cause"], cause, "what to do is the remedy's to say");
    assert_eq!(failure["stage"], "login", "{failure}");
    assert!(steps(&said, "hr").iter().all(|step| step["ok"] == true));
    // A file is named by its path.
    company.world.write("token", wrong);
    let by_file = company.job_text("").replace("env:VAULT_TOKEN", "file:../token");
    company.world.write("jobs/corp.toml", by_file);
    let said = company.world.muster(&["check", "corp"]).ended(1);
    said.says(&["credential", "file:../token"]).never_says(&[wrong]);
    // Neither a run's log nor its error has it.
    company.world.muster(&["--verbose", "run", "corp"]).ended(1).says(&["file:../token"]).never_says(&[wrong]);
    let run = company.world.newest_run("corp");
    for entry in std::fs::read_dir(company.world.run_file("corp", &run, "")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(wrong), "{text}");
    }
}

#[test]
fn case_k2_check_is_the_button_that_tests_the_connection() {
    let company = Company::of(2);
    let said = company.world.muster(&["check", "corp"]).ended(0);
    let said = said.says(&["hr", "vault", "connect", "http", "login", "permission", "schema", "env:VAULT_TOKEN"]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines.iter().all(|line| line.contains("  ok  ")), "one line a step:\n{}", said.out);
    let said = company.world.muster(&["check", "corp", "--format", "json"]).ended(0);
    assert_eq!(said.json().as_array().unwrap().len(), lines.len());
    assert!(company.vault.all("Users").is_empty(), "nothing is changed");
    assert!(company.world.runs("corp").is_empty(), "no run is made");
    // One step that fails, and the status is no longer 0: a file without a column that the job reads.
    company.world.write("hr/users.csv", "id,login,mail,family,enabled\n");
    let said = company.world.muster(&["check", "corp"]).ended(1);
    said.says(&["hr", "schema", "email", "`mail`", "configuration"]);
    // It hides nothing of the files beside it.
    company.world.write("hr/groups.csv", "id,title\nT0,Databases\n");
    company.world.muster(&["check", "corp"]).ended(1).says(&["`mail`", "it has: id, title"]);
}

#[test]
fn case_k2_one_list_that_may_not_be_read_hides_nothing_of_the_others() {
    let company = Company::of(2);
    let forbidden = json!({"rules": [{"prefix": "/Groups", "action": {"status": {"code": 403}}}]});
    company.vault.faults(forbidden);
    let said = company.world.muster(&["check", "corp", "--format", "json"]).ended(1);
    let steps = steps(&said, "vault");
    let of = |stage: &str| -> Vec<&Value> { steps.iter().filter(|step| step["stage"] == stage).collect() };
    assert_eq!(of("login").iter().map(|step| &step["ok"]).collect::<Vec<_>>(), [true]);
    let read = of("permission").into_iter().filter(|step| step["what"].as_str().unwrap().starts_with("GET"));
    let permission: Vec<(&Value, &Value)> = read.map(|step| (&step["what"], &step["ok"])).collect();
    let (groups, users) = (json!("GET /Groups?count=1"), json!("GET /Users?count=1"));
    assert_eq!(permission, [(&groups, &json!(false)), (&users, &json!(true))]);
    assert_eq!(of("permission")[0]["failure"]["class"], "permission");
    assert_eq!(of("schema")[0]["ok"], true);
    // A server that fails at the list says nothing about the credential.
    company.vault.faults(json!({"rules": [{"prefix": "/Groups", "action": {"status": {"code": 500}}}]}));
    let said = company.world.muster(&["check", "jobs/corp.toml", "--format", "json"]).ended(1);
    assert_eq!(failed(&said, "vault")["class"], "server");
    assert_eq!(untried(&said, "vault"), ["login", "permission", "schema", "proof", "capacity"]);
}

#[test]
fn case_c3_each_right_that_the_job_needs_is_told_with_whether_it_is_granted() {
    let company = Company::of(2);
    let said = company.world.muster(&["check", "corp", "--json"]).ended(0);
    let rights = |said: &Said| -> Vec<(String, bool, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lines = steps(said, "vault").into_iter().filter(|step| step["stage"] == "permission");
        lines.map(|step| (text(&step["what"]), step["ok"] == true, text(&step["told"]))).collect()
    };
    let of = |said: &Said, what: &str| rights(said).into_iter().find(|right| right.0 == what).unwrap();
    assert!(of(&said, "update users").2.contains("needed and granted"));
    assert!(of(&said, "change memberships").2.contains("needed and granted"));
    assert!(of(&said, "create users").2.contains("not probed"), "what cannot be probed is said");
    assert!(company.vault.all("Users").is_empty(), "nothing is changed");
    company
        .vault
        .faults(json!({"rules": [{"method": "PATCH", "prefix": "/Users", "action": {"status": {"code": 403}}}]}));
    let said = company.world.muster(&["check", "corp", "--json"]).ended(1);
    assert!(!of(&said, "update users").1 && of(&said, "change memberships").1, "{:?}", rights(&said));
    said.says(&["`update users` is needed and not granted", "permission"]);
}

#[test]
fn case_n4_what_changed_since_it_last_worked_is_told() {
    let company = Company::of(1);
    company.world.muster(&["check", "corp"]).ended(0).never_says(&["last passed"]);
    company.world.muster(&["check", "corp"]).ended(0).never_says(&["last passed"]);
    let wrong = "hunter2-was-the-token";
    let mut command = company.world.command(&["check", "corp"]);
    let said = Said::from(command.env("VAULT_TOKEN", wrong).output().unwrap()).ended(1);
    let said = said.says(&[
        "it last passed at 20",
        "credential: env:VAULT_TOKEN (",
        " → env:VAULT_TOKEN (",
        "status: it answers → 401",
    ]);
    said.never_says(&[wrong, support::TOKEN]);
    let kept = company.world.read("state/checks/corp.json");
    assert!(!kept.contains(support::TOKEN) && !kept.contains(wrong));
    // Another address where nobody is.
    let nobody = nobody();
    let moved = company.job_text("").replace(company.vault.address(), &nobody);
    company.world.write("jobs/corp.toml", moved);
    company.world.muster(&["check", "corp"]).ended(1).says(&["address: scim http://", &nobody, "no answer"]);
    // A slip in the job file is looked for in the job file.
    company.world.write("jobs/corp.toml", company.job_text("").replace("path = \"../hr\"", "path = \"../hrr\""));
    company.world.muster(&["check", "corp"]).ended(1).says(&["last passed", "the job file was edited since (SHA-256"]);
    // Nothing changed here: then it did there.
    company.job("");
    company.vault.faults(json!({"rules": [{"action": "drop-before"}]}));
    company.world.muster(&["check", "corp"]).ended(1).says(&["it last passed at 20", "status: it answers → no answer"]);
}

#[test]
fn case_i9_changes_made_at_the_target_are_said_to_come_out_as_drift() {
    let company = Company::of(1);
    company.world.muster(&["check", "--help"]).ended(0).says(&["drift"]);
    let said = company.world.muster(&["check", "corp"]).ended(0);
    said.says(&["drift"]);
}

#[test]
fn a_rehearsal_is_told_where_its_data_lies_and_who_shares_it() {
    let world = World::new();
    world.write("hr/users.csv", "id,login\nE1,ada@corp.example\n");
    let job = |name: &str, further: &str| {
        let text = format!(
            "name = \"{name}\"\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n[systems.vault]\nkind = \"sandbox\"\n{further}\n\
             [[sync]]\nfrom = \"hr.users\"\nto = \"vault.users\"\nmatch = [{{ source = \"id\", target = \"externalId\" }}]\n\
             attributes = {{ externalId = \"id\", userName = \"login\" }}\n"
        );
        world.write(&format!("jobs/{name}.toml"), text);
    };
    job("first", "");
    job("second", "");
    job("third", "database = \"own.db\"");
    world
        .muster(&["check", "first"])
        .ended(0)
        .says(&["sandbox/vault.db", "shared by every job here with a sandbox `vault`"]);
    world.muster(&["check", "third"]).ended(0).says(&["own.db", "shared by every job that names this `database`"]);
    world.settle("first");
    // The second job finds what the first one made; the third has a vault of its own.
    world.muster(&["run", "second"]).ended(0);
    world.muster(&["run", "third"]).ended(3);
}
