//! The connector `openbao` on OpenBao: how muster logs in, what it may, where it looks, and what it never asks for.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::connector_renamed::{Names, Renamed};
use crate::connector_subject::Subject;
use crate::connector_suite::CHECKS;
use crate::support::gateway::Gateway;
use crate::support::{World, files_below};
use crate::vault_admin::Vault;

const NAMES: Names = &[
    ("userName", "name"),
    ("displayName", "name"),
    ("emails", "policies"),
    ("title", "metadata.title"),
    ("name.givenName", "metadata.given"),
];

/// Who muster is has the rights of the documentation, and no others.
fn subject(vault: &Vault) -> (Runtime, Subject) {
    vault.empty();
    let runtime = Runtime::new().unwrap();
    let token = vault.documented_token(&[]);
    for policy in ["a@x.example", "b@x.example", "c@x.example"] {
        vault.policy(policy, "path \"nowhere\" { capabilities = [\"deny\"] }");
    }
    let columns: &[(&str, &[&str])] = &[("users", &["metadata.title", "metadata.given"])];
    let target = runtime.block_on(vault.target(&token, columns));
    let renamed = Renamed { target, names: NAMES, needed: &[], creates: AtomicU64::new(1) };
    (runtime, Subject::of_lists(Box::new(renamed), tempfile::tempdir().unwrap()))
}

/// An entry of the metadata has 512 bytes at most, fewer than the hostile values of the suite: they come further down.
#[test]
fn openbao_conforms() {
    let vault = Vault::emptied();
    for (name, check) in CHECKS.iter().filter(|(name, _)| !name.starts_with("hostile")) {
        println!("{name}");
        let (runtime, subject) = subject(&vault);
        runtime.block_on(check(&subject));
    }
}

/// A job that keeps people in step; `settings` stand in the target's table.
fn job(vault: &Vault, settings: &str) -> String {
    format!(
        r#"name = "corp"
[systems.hr]
kind = "csv"
path = "../hr"
[systems.vault]
kind = "openbao"
url = "{}"
{settings}
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{{ source = "id", target = "metadata.employee" }}]
[sync.attributes]
name = "login"
"metadata.employee" = "id"
"metadata.title" = "title"
active = "enabled"
"#,
        vault.url
    )
}

const BY_TOKEN: &str = "auth = { token = \"file:../token\" }";

/// A world with the job, a token, and some people at HR.
fn world(vault: &Vault, token: &str, settings: &str, people: usize) -> World {
    let world = World::new();
    world.write("token", token);
    world.write("jobs/corp.toml", job(vault, settings));
    let rows: Vec<String> = (0..people).map(|n| format!("E{n:04},e{n:04},,true\n")).collect();
    world.write("hr/users.csv", format!("id,login,title,enabled\n{}", rows.concat()));
    world
}

/// The paths that were asked for in all requests of a world.
fn requests(world: &World) -> Vec<String> {
    let files = files_below(&world.state());
    let logs = files.iter().filter(|file| file.ends_with("requests.ndjson"));
    let lines = logs.flat_map(|log| {
        let text = std::fs::read_to_string(log).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["request"].clone()).collect::<Vec<_>>()
    });
    lines.map(|request| request.as_str().unwrap().to_owned()).collect()
}

#[test]
fn hostile_values_come_back_as_they_were_written() {
    let vault = Vault::emptied();
    let world = world(&vault, &vault.documented_token(&[]), BY_TOKEN, 0);
    let hostile = [
        r#"O"Brien"#,
        r"back\slash",
        "two\nlines",
        "*",
        "Ünïcödé 木 🦀",
        "tab\there",
        "%2F&?#=+",
        "..",
        "a/b",
        "null",
        "true",
        "12",
        "{{identity.entity.name}}",
        &"x".repeat(500),
    ];
    let mut file = csv::Writer::from_path(world.path().join("hr/users.csv")).unwrap();
    file.write_record(["id", "login", "title", "enabled"]).unwrap();
    for (n, value) in hostile.iter().enumerate() {
        file.write_record([&format!("E{n}"), *value, *value, "true"]).unwrap();
    }
    file.flush().unwrap();
    world.settle("corp");
    let people: BTreeMap<String, String> = vault
        .all("entity")
        .iter()
        .map(|one| [&one["name"], &one["metadata"]["title"]].map(|text| text.as_str().unwrap().to_owned()))
        .map(|[name, title]| (name, title))
        .collect();
    assert_eq!(people, hostile.iter().map(|value| ((*value).to_owned(), (*value).to_owned())).collect());
}

/// 60 requests a second, so that reading 300 people takes five seconds: longer than any token of this test lasts.
const SLOWLY: &str = "[apply]\nrate = \"60/s\"\n";

fn slow_world(vault: &Vault, token: &str, auth: &str) -> World {
    let world = world(vault, token, auth, 1);
    let text = world.read("jobs/corp.toml");
    world.write("jobs/corp.toml", format!("{text}{SLOWLY}"));
    world
}

#[test]
fn a_token_is_renewed_before_it_ends_and_one_that_cannot_be_is_told_with_what_to_do() {
    let vault = Vault::emptied();
    for n in 0..300 {
        vault.done("POST", "identity/entity", json!({ "name": format!("p{n}") }));
    }
    drop(vault.documented_token(&[]));
    let token = vault.token(&json!({ "policies": ["muster"], "ttl": "3s", "renewable": true }));
    let world = slow_world(&vault, &token, BY_TOKEN);
    let began = Instant::now();
    world.muster(&["export", "corp"]).ended(0);
    assert!(began.elapsed() > Duration::from_secs(4), "it would have ended before");
    let renewals = requests(&world).iter().filter(|request| request.contains("renew-self")).count();
    assert!((1..=5).contains(&renewals), "{renewals}");

    // One that may not be renewed, and one that reaches the end of its longest life.
    for how in [json!({ "renewable": false }), json!({ "renewable": true, "explicit_max_ttl": "3s" })] {
        let mut request = json!({ "policies": ["muster"], "ttl": "3s" });
        request.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
        let world = slow_world(&vault, &vault.token(&request), BY_TOKEN);
        let told = ["credential", "the token of file:../token ended", "bao token create -period", "AppRole"];
        world.muster(&["export", "corp"]).ended(1).says(&told);
    }
    // A good one that is taken away while it is used.
    let token = vault.token(&json!({ "policies": ["muster"], "ttl": "1h" }));
    let world = slow_world(&vault, &token, BY_TOKEN);
    let export = world.command(&["export", "corp"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    vault.done("POST", "auth/token/revoke", json!({ "token": token }));
    let said = String::from_utf8(export.wait_with_output().unwrap().stderr).unwrap();
    assert!(said.contains("the token of file:../token was revoked") && said.contains("[credential"), "{said}");
    // What never was one.
    let wrong = slow_world(&vault, "s.nonsense", BY_TOKEN);
    wrong
        .muster(&["check", "corp"])
        .ended(1)
        .says(&["file:../token is refused", "credential"])
        .never_says(&["nonsense"]);
}

#[test]
fn an_approle_logs_in_and_again_before_its_token_ends() {
    let vault = Vault::emptied();
    vault.method("approle");
    for n in 0..300 {
        vault.done("POST", "identity/entity", json!({ "name": format!("p{n}") }));
    }
    drop(vault.documented_token(&[]));
    let role = json!({ "token_policies": ["muster"], "token_ttl": "3s", "token_max_ttl": "3s" });
    vault.done("POST", "auth/approle/role/muster", role);
    let id = vault.done("GET", "auth/approle/role/muster/role-id", Value::Null);
    let secret = vault.done("POST", "auth/approle/role/muster/secret-id", json!({}))["data"]["secret_id"].clone();
    let auth = format!("auth = {{ role_id = {}, secret_id = \"file:../token\" }}", id["data"]["role_id"]);
    let world = slow_world(&vault, secret.as_str().unwrap(), &auth);
    world.muster(&["check", "corp"]).ended(0);
    world.muster(&["export", "corp"]).ended(0);
    let logins = requests(&world).iter().filter(|request| request.contains("auth/approle/login")).count();
    assert!(logins >= 2, "{logins}");
    world.write("token", "not-the-secret-id");
    world.muster(&["check", "corp"]).ended(1).says(&["credential file:../token is refused", "credential"]);
}

#[test]
fn a_sealed_vault_is_told_as_that_and_an_apply_goes_on_when_it_is_unsealed() {
    let vault = Vault::emptied();
    let world = world(&vault, &vault.documented_token(&[]), BY_TOKEN, 400);
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    let mut apply = world.command(&["apply", "corp"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while vault.list("identity/entity/id").len() < 50 {
        assert!(apply.try_wait().unwrap().is_none(), "it ended before");
    }
    vault.seal();
    let ended = apply.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("the vault is sealed") && said.contains("bao operator unseal"), "{said}");
    assert_eq!(ended.status.code(), Some(1), "{said}");
    let told = ["the vault is sealed", "[connection", "bao operator unseal"];
    world.muster(&["check", "corp"]).ended(1).says(&told);
    world.muster(&["run", "corp"]).ended(1).says(&told);
    vault.unseal();
    world.muster(&["check", "corp"]).ended(0).says(&["unsealed, version"]);
    world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(vault.list("identity/entity/id").len(), 400);
    world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn check_names_each_right_that_is_missing_and_how_to_give_it() {
    let vault = Vault::emptied();
    let world = world(&vault, &vault.documented_token(&[]), BY_TOKEN, 1);
    world.muster(&["check", "corp"]).ended(0).says(&["create, update on identity/entity", "granted: "]);
    for (path, right) in [
        ("\"identity/entity/id/\"", "list on identity/entity/id/"),
        ("\"identity/entity/id/*\"", "read, update, delete on identity/entity/id/any"),
        ("\"identity/entity\" ", "create, update on identity/entity"),
        ("\"identity/entity/name/*\"", "read on identity/entity/name/any"),
    ] {
        world.write("token", vault.documented_token(&[path]));
        let said = world.muster(&["check", "corp"]).ended(1);
        let lines: Vec<&str> = said.out.lines().filter(|line| line.contains("FAILED")).collect();
        assert_eq!(lines.len(), 1, "{}", said.out);
        assert!(lines[0].contains(right) && lines[0].contains("[permission"), "{}", lines[0]);
        assert!(lines[0].contains(&format!("add it to the token's policy: path {}", path.trim())), "{}", lines[0]);
    }
    // And whoever goes on all the same is told so, and is not taken for somebody whose token is no good.
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "try"]).ended(0);
    world.muster(&["apply", "corp"]).says(&["permission"]).never_says(&["credential"]);
}

#[test]
fn what_is_done_in_a_namespace_is_done_nowhere_else() {
    let vault = Vault::emptied();
    let team = vault.within("team-a");
    let settings = format!("{BY_TOKEN}\nnamespace = \"team-a\"");
    let world = world(&team, &team.documented_token(&[]), &settings, 3);
    world.muster(&["check", "corp"]).ended(0);
    world.settle("corp");
    assert_eq!((team.list("identity/entity/id").len(), vault.list("identity/entity/id").len()), (3, 0));
    // One that is not there is no empty one, in which everybody would have to be made anew.
    world.write("jobs/corp.toml", job(&team, &settings.replace("team-a", "team-b")));
    let told = ["no namespace `team-b`", "[configuration", "bao namespace list"];
    world.muster(&["check", "corp"]).ended(1).says(&told);
    world.muster(&["run", "corp"]).ended(1).says(&told);

    // A server that takes no notice of namespaces, as HashiCorp's free edition: nobody is made at its root.
    let deaf = Gateway::deaf_to(vault.url.trim_start_matches("http://"), "x-vault-namespace");
    let world = self::world(&vault, &vault.documented_token(&[]), &settings, 3);
    let text = world.read("jobs/corp.toml").replace(&vault.url, &format!("http://{}", deaf.address));
    world.write("jobs/corp.toml", text);
    let told = ["the server takes no notice of namespaces", "[configuration"];
    world.muster(&["check", "corp"]).ended(1).says(&told);
    world.muster(&["run", "corp"]).ended(1).says(&told);
    world.muster(&["apply", "corp"]);
    assert!(vault.list("identity/entity/id").is_empty());
}

#[test]
fn containers_are_folders_and_nothing_of_a_secret_is_asked_for() {
    let vault = Vault::emptied();
    vault.store("secret");
    for path in ["team/red/db-password-of-red", "team/blue/api-key-of-blue", "top-key"] {
        vault.done("POST", &format!("secret/data/{path}"), json!({ "data": { "value": "hunter2-hunter2" } }));
    }
    let token = vault.documented_token(&[]);
    let world = World::new();
    world.write("token", &token);
    let systems = format!(
        "[systems.vault]\nkind = \"openbao\"\nurl = \"{}\"\nkv = [\"secret\"]\n{BY_TOKEN}\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\norders = \"../orders\"\n",
        vault.url
    );
    let sync = "[[sync]]\nfrom = \"vault.containers\"\nto = \"hr.safes\"\nmatch = [{ source = \"id\", target = \"name\" }]\nattributes = { name = \"id\" }\n";
    world.write("jobs/corp.toml", format!("name = \"corp\"\n{systems}{sync}"));
    world.write("hr/safes.csv", "id,name\nS1,secret/team/red/\n");
    let before = vault.audit_length();
    world.muster(&["check", "corp"]).ended(0).says(&["list on secret/metadata/"]);
    world.muster(&["run", "corp"]).ended(3);
    let wanted: Vec<String> = world
        .orders("corp", &world.newest_run("corp"))
        .iter()
        .map(|order| order["key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(wanted.len(), 3, "{wanted:?}");
    assert!(
        ["secret/", "secret/team/", "secret/team/blue/"].iter().all(|folder| wanted.contains(&(*folder).to_owned()))
    );
    // By what muster wrote down, by what lies in its folders, and by what the server wrote down.
    let asked = requests(&world);
    assert!(asked.iter().any(|request| request.contains("/v1/secret/metadata/team")), "{asked:?}");
    assert!(asked.iter().all(|request| !request.contains("/data/") && !request.contains("-of-")), "{asked:?}");
    for file in files_below(world.path()) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        for secret in ["hunter2", "password-of-red", "key-of-blue", "top-key"] {
            assert!(!text.contains(secret), "{secret} in {}", file.display());
        }
    }
    let audited = vault.audited(before);
    let reads = |(operation, path): &&(String, String)| operation != "list" && path.starts_with("secret/");
    assert_eq!(audited.iter().find(reads), None);
    assert!(audited.contains(&("list".to_owned(), "secret/metadata/team/".to_owned())), "{audited:?}");
    // Nor may it: the rights that are documented as enough do not let it.
    assert_eq!(vault.send_as(&token, "GET", "secret/data/top-key", None).0, 403);
}

/// People with their logins, groups of the vault's own and of a login method, and what groups may do.
const WHOLE: &str = r#"
[[sync]]
from = "hr.logins"
to = "vault.aliases"
match = [{ source = "mount + '/' + name", target = "login" }]
on = { orphan = "delete" }
[sync.attributes]
name = "name"
mount = "mount"
[sync.references]
user = { source = "user", from = "hr.users", to = "vault.users" }

[[sync]]
from = "hr.groups"
to = "vault.groups"
match = [{ source = "name", target = "name" }]
on = { orphan = "delete" }
[sync.attributes]
name = "name"
type = "type"

[[sync]]
from = "hr.claims"
to = "vault.groupAliases"
match = [{ source = "'oidc/' + claim", target = "login" }]
on = { orphan = "delete" }
[sync.attributes]
name = "claim"
mount = "'oidc'"
[sync.references]
group = { source = "group", from = "hr.groups", to = "vault.groups" }

[[sync]]
from = "hr.policies"
to = "vault.policies"
match = [{ source = "id", target = "id" }]
attributes = { id = "id" }

[[sync]]
from = "hr.permissions"
to = "vault.groupPolicies"
ends = { group = ["hr.groups", "vault.groups"], policy = ["hr.policies", "vault.policies"] }

[snapshot."hr.permissions"]
thresholds = { deleted = "off", inserted = "off" }
"#;

#[test]
fn aliases_external_groups_and_policies_of_groups_are_kept_in_step() {
    let vault = Vault::emptied();
    for (path, kind) in [("userpass", "userpass"), ("staff/login", "userpass"), ("oidc", "userpass")] {
        vault.done("POST", &format!("sys/auth/{path}"), json!({ "type": kind }));
    }
    for (policy, path) in [("red-reader", "red/*"), ("red-writer", "red/*"), ("blue-reader", "blue/*")] {
        vault.policy(policy, &format!("path \"secret/data/{path}\" {{ capabilities = [\"read\"] }}"));
    }
    let world = world(&vault, &vault.documented_token(&[]), BY_TOKEN, 2);
    let text = world.read("jobs/corp.toml");
    world.write("jobs/corp.toml", format!("{text}{WHOLE}"));
    let logins = |rows: &str| world.write("hr/logins.csv", format!("id,mount,name,user\n{rows}"));
    let permissions = |rows: &str| world.write("hr/permissions.csv", format!("group,policy\n{rows}"));
    logins("L1,userpass,e0000,E0000\nL2,staff/login,e0000,E0000\nL3,userpass,e0001,E0001\n");
    world.write("hr/groups.csv", "id,name,type\nG1,red,internal\nG2,claimed,external\n");
    world.write("hr/claims.csv", "id,claim,group\nC1,vault-admins,G2\n");
    world.write("hr/policies.csv", "id\nred-reader\nred-writer\nblue-reader\n");
    permissions("G1,red-reader\nG1,red-writer\nG2,blue-reader\n");
    // Somebody's own policy of that group is nobody else's business.
    world.muster(&["check", "corp"]).ended(0);
    world.settle("corp");
    let policies = |group: &str| {
        let mut names: Vec<String> =
            serde_json::from_value(vault.named("group", group).unwrap()["policies"].clone()).unwrap();
        names.sort();
        names
    };
    assert_eq!(
        (policies("red"), policies("claimed")),
        (vec!["red-reader".into(), "red-writer".into()], vec!["blue-reader".to_owned()])
    );
    let claimed = vault.named("group", "claimed").unwrap();
    assert_eq!((&claimed["type"], &claimed["alias"]["name"]), (&json!("external"), &json!("vault-admins")));
    let held = |vault: &Vault| -> Vec<(String, String)> {
        let mut held: Vec<(String, String)> = vault
            .all("entity-alias")
            .iter()
            .map(|one| {
                (
                    format!("{}{}", one["mount_path"].as_str().unwrap(), one["name"].as_str().unwrap()),
                    one["canonical_id"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        held.sort();
        held
    };
    let id = |name: &str| vault.named("entity", name).unwrap()["id"].as_str().unwrap().to_owned();
    let wanted =
        |rows: &[(&str, &str)]| rows.iter().map(|(login, of)| ((*login).to_owned(), id(of))).collect::<Vec<_>>();
    assert_eq!(
        held(&vault),
        wanted(&[
            ("auth/staff/login/e0000", "e0000"),
            ("auth/userpass/e0000", "e0000"),
            ("auth/userpass/e0001", "e0001")
        ])
    );

    // One login goes, one is called otherwise; a right goes, and what somebody gave by hand stays.
    vault.done(
        "POST",
        &format!("identity/group/id/{}", vault.named("group", "red").unwrap()["id"].as_str().unwrap()),
        json!({ "policies": ["red-reader", "red-writer", "default"] }),
    );
    logins("L1,userpass,e0000x,E0000\nL3,userpass,e0001,E0001\n");
    permissions("G1,red-reader\nG2,blue-reader\nG2,red-reader\n");
    world.write("hr/claims.csv", "id,claim,group\nC1,vault-bosses,G2\n");
    world.settle("corp");
    assert_eq!(held(&vault), wanted(&[("auth/userpass/e0000x", "e0000"), ("auth/userpass/e0001", "e0001")]));
    assert_eq!(
        (policies("red"), policies("claimed")),
        (vec!["default".to_owned(), "red-reader".into()], vec!["blue-reader".into(), "red-reader".into()])
    );
    assert_eq!(vault.named("group", "claimed").unwrap()["alias"]["name"], "vault-bosses");

    // The server would give an alias that is there to whomever it is asked for, and a group another one.
    let elsewhere = vault.done("GET", "sys/auth/userpass", Value::Null)["data"]["accessor"].clone();
    logins("L1,userpass,e0000x,E0000\nL3,userpass,e0001,E0001\nL4,userpass,taken,E0000\n");
    vault.done("POST", "identity/entity", json!({ "name": "stranger" }));
    let of = json!({ "name": "taken", "mount_accessor": elsewhere, "canonical_id": id("stranger") });
    world.muster(&["run", "corp"]).ended(3);
    vault.done("POST", "identity/entity-alias", of);
    world.muster(&["approve", "corp", "--all", "--comment", "x"]).ended(0);
    world.muster(&["apply", "corp"]);
    let taken = held(&vault).into_iter().find(|(login, _)| login == "auth/userpass/taken").unwrap();
    assert_eq!(taken.1, id("stranger"));
}

/// The server takes any name for a policy.
#[test]
fn a_policy_that_is_not_there_is_found_when_it_is_planned_with_the_nearest_names() {
    let vault = Vault::emptied();
    vault.policy("red-reader", "path \"secret/data/red/*\" { capabilities = [\"read\"] }");
    let world = world(&vault, &vault.documented_token(&[]), BY_TOKEN, 1);
    let groups = "[[sync]]\nfrom = \"hr.groups\"\nto = \"vault.groups\"\nmatch = [{ source = \"name\", target = \"name\" }]\nattributes = { name = \"name\", policies = \"policies\" }\n";
    let text = world.read("jobs/corp.toml");
    world.write("jobs/corp.toml", format!("{text}{groups}"));
    world.write("hr/groups.csv", "id,name,policies\nG1,red,red-reder\nG2,blue,Red-Reader\n");
    world.muster(&["check", "corp"]).ended(0).says(&["list on sys/policies/acl/"]);
    world.muster(&["run", "corp"]).ended(3);
    let orders = world.orders("corp", &world.newest_run("corp"));
    let block = |key: &str| orders.iter().find(|order| order["key"] == key).unwrap()["block"].clone();
    assert_eq!(block("G1")["reason"], "missing-reference", "{orders:?}");
    let told = "`policies` gives `red-reder`, which vault.policies does not have (nearest there: `red-reader`)";
    assert!(block("G1")["detail"].as_str().unwrap().contains(told), "{}", block("G1"));
    assert!(block("G2").is_null(), "names of policies know no letter case: {}", block("G2"));
    world.muster(&["approve", "corp", "--all", "--comment", "x"]);
    world.muster(&["apply", "corp"]);
    assert!(vault.named("group", "red").is_none() && vault.named("group", "blue").is_some());
    // Made at the vault, it is free by itself.
    vault.policy("red-reder", "path \"secret/data/red/*\" { capabilities = [\"read\"] }");
    world.settle("corp");
    assert_eq!(vault.named("group", "red").unwrap()["policies"], json!(["red-reder"]));
}
