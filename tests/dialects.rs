//! Each product that the built-in server plays: its quirks over HTTP, its messages letter by letter, and what the program
//! makes of them with `dialect = …`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::company::{Company, people};
use support::orders::{approve, is_blocked, order, planned};
use support::{Server, World};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PAM: &str = "urn:ietf:params:scim:schemas:pam:1.0:";

fn played(dialect: &str) -> (World, Server) {
    let world = World::new();
    let server = world.server_with(&["--dialect", dialect]);
    (world, server)
}

/// A company whose vault is a product, and whose job says so.
fn company(dialect: &str, staff: usize) -> Company {
    let world = World::new();
    let vault = world.server_with(&["--dialect", dialect]);
    let company = Company { world, vault };
    company.hr(&people(staff));
    let job = company.job_text("").replace("kind = \"scim\"\n", &format!("kind = \"scim\"\ndialect = \"{dialect}\"\n"));
    company.world.write("jobs/corp.toml", job);
    company
}

fn post(server: &Server, endpoint: &str, body: Value) -> (u16, Value) {
    server.send("POST", &format!("/{endpoint}"), Some(body))
}

/// The id of what is created.
#[track_caller]
fn made(server: &Server, endpoint: &str, body: Value) -> String {
    let (status, body) = post(server, endpoint, body);
    assert_eq!(status, 201, "{body}");
    body["id"].as_str().unwrap().to_owned()
}

fn user(login: &str) -> Value {
    json!({"schemas": [USER], "userName": login, "emails": [{"value": format!("{login}@corp.example")}], "active": true,
        "displayName": login, "name": {"givenName": "G", "familyName": "F"}})
}

fn change(server: &Server, path: &str, operation: Value) -> (u16, Value) {
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
    server.send("PATCH", path, Some(body))
}

#[track_caller]
fn says(answer: (u16, Value), status: u16, detail: &str) {
    assert_eq!((answer.0, answer.1["detail"].as_str().unwrap_or_default()), (status, detail), "{}", answer.1);
}

#[test]
fn an_unknown_dialect_is_refused_with_the_nearest_name() {
    let world = World::new();
    world.muster(&["sandbox", "--dialect", "delina"]).ended(2).says(&["`delina`", "did you mean `delinea`?"]);
    let company = Company::of(1);
    let job = company.job_text("").replace("kind = \"scim\"\n", "kind = \"scim\"\ndialect = \"delina\"\n");
    company.world.write("jobs/corp.toml", job);
    company.world.muster(&["check", "corp"]).ended(2).says(&["`delina`", "did you mean `delinea`?", "secret-server"]);
}

#[test]
fn delinea_refuses_in_its_own_words() {
    let (_world, server) = played("delinea");
    let jane = made(&server, "Users", user("jane"));
    says(server.send("GET", "/Users/nobody", None), 404, "Resource 'nobody' not found.");
    says(server.send("DELETE", "/Users/nobody", None), 404, "Resource 'nobody' not found.");
    says(post(&server, "Users", user("JANE")), 409, "Attribute 'userName' MUST be unique.");
    says(post(&server, "Users", json!({"schemas": [USER]})), 400, "Attribute 'userName' is required.");
    let rename = json!({"op": "replace", "path": "userName", "value": "joan"});
    let immutable = "Attribute 'userName' is immutable and cannot be changed.";
    says(change(&server, &format!("/Users/{jane}"), rename), 400, immutable);
    let list = |filter: &str| server.send("GET", &format!("/Users?filter={filter}"), None);
    assert_eq!(list("userName%20eq%20%22jane%22").1["totalResults"], 1);
    says(list("title%20eq%20%22x%22"), 400, "Filter string 'title eq \"x\"' is not supported by Delinea.");
    says(list("userName%20eq"), 400, "Filter string 'userName eq' is not in proper format.");
    let comparison = "Specified attribute and filter comparison combination is not supported.";
    says(list("userName%20co%20%22x%22"), 400, comparison);
    assert_eq!(server.send("POST", "/Bulk", Some(json!({}))).0, 501);
    server.faults(json!({"rules": [{"action": {"unavailable": {"retry_after": 0}}}]}));
    says(server.send("GET", "/Users", None), 503, "Secret Server service unavailable.");
    server.faults(json!({"rules": [{"action": {"status": {"code": 500}}}]}));
    says(server.send("GET", "/Users", None), 500, "Internal Server Error.");
}

#[test]
fn delinea_does_not_create_privileged_data_and_a_delete_takes_permissions_along() {
    let (_world, server) = played("delinea");
    let data = json!({"schemas": [format!("{PAM}PrivilegedData")], "name": "root", "type": "password"});
    assert_eq!(post(&server, "PrivilegedData", data).0, 405);
    let jane = made(&server, "Users", user("jane"));
    let safe = made(&server, "Containers", json!({"schemas": [format!("{PAM}Container")], "name": "Safe"}));
    let grant = json!({"schemas": [format!("{PAM}ContainerPermission")], "container": {"value": safe},
        "user": {"value": jane}, "rights": ["View"]});
    made(&server, "ContainerPermissions", grant.clone());
    assert_eq!(post(&server, "ContainerPermissions", grant).0, 409, "the same user on the same container");
    let team = made(&server, "Groups", json!({"schemas": [GROUP], "displayName": "T", "members": [{"value": jane}]}));
    assert_eq!(server.send("DELETE", &format!("/Users/{jane}"), None).0, 204);
    assert!(server.all("ContainerPermissions").is_empty());
    assert!(server.send("GET", &format!("/Groups/{team}"), None).1["members"].is_null());
    assert_eq!(server.send("GET", &format!("/Users/{jane}"), None).0, 404, "for good");
}

#[test]
fn delinea_shows_a_container_to_its_owner_only() {
    let world = World::new();
    let server = world.server_with(&["--dialect", "delinea", "--me", "svc"]);
    let safe = json!({"schemas": [format!("{PAM}Container")], "name": "Safe", "owner": {"display": "somebody"}});
    let id = made(&server, "Containers", safe);
    says(server.send("GET", &format!("/Containers/{id}"), None), 403, "Owner permission on 'Safe' is required.");
}

#[test]
fn delinea_switches_itself_off_after_twenty_refusals_in_a_row() {
    let (_world, server) = played("delinea");
    for _ in 0..20 {
        assert_eq!(server.send("GET", "/Users/nobody", None).0, 404);
    }
    let (status, body) = server.send("GET", "/Users", None);
    assert_eq!(status, 403);
    assert!(body["detail"].as_str().unwrap().contains("SCIM_Threshold"), "{body}");
}

#[test]
fn a_whole_loop_on_delinea_needs_nothing_that_it_does_not_have() {
    let company = company("delinea", 6);
    company.settle();
    assert_eq!(company.vault.all("Users").len(), 6);
    let mut staff = people(6);
    staff[0].family = "Renamed".into();
    company.hr(&staff);
    planned(&company);
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn secret_server_disables_instead_of_deleting_and_falls_back_to_the_email() {
    let (_world, server) = played("secret-server");
    let jane = made(&server, "Users", user("jane"));
    let other = json!({"schemas": [USER], "userName": "jane", "emails": [{"value": "jane2@corp.example"}]});
    let (status, stored) = post(&server, "Users", other);
    assert_eq!((status, &stored["userName"]), (201, &json!("jane2@corp.example")));
    assert_eq!(server.send("DELETE", &format!("/Users/{jane}"), None).0, 204);
    assert_eq!(server.send("GET", &format!("/Users/{jane}"), None).1["active"], false);
    assert_eq!(server.send("DELETE", &format!("/Users/{jane}"), None).0, 404);
    let safe = made(&server, "Containers", json!({"schemas": [format!("{PAM}Container")], "name": "Safe"}));
    let grant = |user: &str, right: &str| {
        json!({"schemas": [format!("{PAM}ContainerPermission")], "container": {"value": safe}, "user": {"value": user},
            "rights": [right]})
    };
    let (status, body) = post(&server, "ContainerPermissions", grant(&jane, "View"));
    assert_eq!((status, body["detail"].as_str().unwrap().contains("is disabled")), (400, true), "{body}");
    let stored = stored["id"].as_str().unwrap();
    says(
        post(&server, "ContainerPermissions", grant(stored, "view")),
        400,
        "could not find mapping for right value 'view'",
    );
}

#[test]
fn secret_server_is_never_asked_to_delete() {
    let company = company("secret-server", 3);
    let job =
        company.world.read("jobs/corp.toml").replacen("required =", "on = { orphan = \"delete\" }\nrequired =", 1);
    company.world.write("jobs/corp.toml", &job);
    company.settle();
    company.hr(&people(2));
    let orders = planned(&company);
    let gone = orders.iter().find(|order| order["key"] == "E0003" && order["resource"] == "vault.users").unwrap();
    assert!(gone["operation"] == "disable" || gone["block"]["reason"] == "unsupported", "{gone:#}");
    // The job's own word goes before the dialect's.
    let job = job.replace("kind = \"scim\"\n", "kind = \"scim\"\nrefuses = { users = [\"create\"] }\n");
    company.world.write("jobs/corp.toml", job);
    company.hr(&people(4));
    is_blocked(order(&planned(&company), "create", "E0004"), "unsupported", &["does not offer `create`", "delete"]);
}

#[test]
fn cato_needs_an_email_and_takes_over_five_changes_alone() {
    let (_world, server) = played("cato");
    let (status, body) = post(&server, "Users", json!({"schemas": [USER], "userName": "jane"}));
    assert_eq!((status, body["detail"].as_str().unwrap().contains("mandatory email")), (400, true));
    let jane = format!("/Users/{}", made(&server, "Users", user("jane")));
    assert_eq!(change(&server, &jane, json!({"op": "replace", "path": "title", "value": "Countess"})).0, 204);
    assert!(server.send("GET", &jane, None).1["title"].is_null(), "accepted without effect");
    change(&server, &jane, json!({"op": "replace", "path": "name.familyName", "value": "Doe"}));
    assert_eq!(server.send("GET", &jane, None).1["name"]["familyName"], "Doe");
    let inner = made(&server, "Groups", json!({"schemas": [GROUP], "displayName": "Inner"}));
    let outer = json!({"schemas": [GROUP], "displayName": "Outer", "members": [{"value": inner}]});
    says(post(&server, "Groups", outer), 400, "Nested groups are not supported: add each group by itself.");
    assert_eq!(server.send("DELETE", &jane, None).0, 204);
    assert_eq!(server.send("GET", &jane, None).1["active"], false);
}

#[test]
fn cato_is_not_sent_what_it_ignores() {
    let company = company("cato", 3);
    let with_title =
        company.world.read("jobs/corp.toml").replace("active = \"enabled\"", "active = \"enabled\"\ntitle = \"team\"");
    company.world.write("jobs/corp.toml", &with_title);
    company.world.write("hr/users.csv", "id,login,email,family,team,enabled\nE0001,a@corp.example,a@corp.example,A,T1,true\nE0002,b@corp.example,,B,T1,true\n");
    company.world.write("hr/memberships.csv", "group,user\nT1,E0001\n");
    let orders = planned(&company);
    is_blocked(order(&orders, "create", "E0002"), "incomplete", &["emails"]);
    approve(&company);
    company.world.muster(&["apply", "corp"]).ended(0);
    company
        .world
        .write("hr/users.csv", "id,login,email,family,team,enabled\nE0001,a@corp.example,a@corp.example,A,T2,true\n");
    let orders = planned(&company);
    is_blocked(order(&orders, "update", "E0001"), "unsupported", &["takes over changes of", "ignores title"]);
}

#[test]
fn incydr_knows_roles_and_organizations_by_name() {
    let (_world, server) = played("incydr");
    let jane = made(&server, "Users", user("jane"));
    let role = json!({"op": "add", "path": "roles", "value": [{"value": "Admin"}]});
    says(change(&server, &format!("/Users/{jane}"), role.clone()), 400, "Unable to update user's role");
    let path = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization";
    let organization = json!({"op": "add", "path": path, "value": "Default"});
    let refused = "Unable to move existing user to an organization";
    says(change(&server, &format!("/Users/{jane}"), organization), 400, refused);
    made(&server, "Groups", json!({"schemas": [GROUP], "displayName": "Admin"}));
    assert_eq!(change(&server, &format!("/Users/{jane}"), role).0, 204);
}

#[test]
fn aws_shows_no_members_and_takes_a_hundred_at_once() {
    let (_world, server) = played("aws");
    let ids: Vec<String> = (0..101).map(|n| made(&server, "Users", user(&format!("u{n}")))).collect();
    let team = made(&server, "Groups", json!({"schemas": [GROUP], "displayName": "T"}));
    let path = format!("/Groups/{team}");
    let elements: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    let (status, body) = change(&server, &path, json!({"op": "add", "path": "members", "value": elements}));
    assert_eq!((status, body["detail"].as_str().unwrap().contains("exceeds 100")), (400, true));
    assert_eq!(change(&server, &path, json!({"op": "add", "path": "members", "value": elements[..100]})).0, 204);
    assert_eq!(change(&server, &path, json!({"op": "replace", "path": "members", "value": []})).0, 400);
    assert_eq!(change(&server, &path, json!({"op": "remove", "path": "members"})).0, 400);
    assert!(server.send("GET", &path, None).1["members"].is_null());
    let (_, list) = server.send("GET", "/Users?count=200", None);
    assert_eq!(list["Resources"].as_array().unwrap().len(), 50);
    let count = |query: &str| server.send("GET", &format!("/Groups?filter={query}"), None).1["totalResults"].clone();
    assert_eq!(count(&format!("members%20eq%20%22{}%22", ids[0])), 1);
    assert_eq!(count(&format!("id%20eq%20%22{team}%22%20and%20members%20eq%20%22{}%22", ids[100])), 0);
    assert_eq!(server.send("GET", "/Users?filter=userName%20co%20%22u%22", None).0, 400);
}

#[test]
fn memberships_of_aws_are_asked_for_user_by_user() {
    let company = company("aws", 60);
    let job = company.world.read("jobs/corp.toml");
    let job = job.replace(
        "\"name.familyName\" = \"family\"",
        "\"name.familyName\" = \"family\"\n\"name.givenName\" = \"family\"\ndisplayName = \"family\"",
    );
    company.world.write("jobs/corp.toml", job);
    company.settle();
    let mut staff = people(60);
    staff[0].team = "T2".into();
    company.hr(&staff);
    let orders = planned(&company);
    assert_eq!(orders.len(), 2, "one row added, one removed: {orders:#?}");
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn entra_s_services_remove_members_by_values_alone() {
    let company = company("entra", 6);
    let job = company.world.read("jobs/corp.toml");
    company.settle();
    company.world.write("jobs/corp.toml", job);
    let mut staff = people(6);
    staff[0].team = "T2".into();
    company.hr(&staff);
    planned(&company);
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn okta_s_services_are_not_asked_to_delete_users() {
    let (_world, server) = played("okta");
    assert_eq!(server.send("GET", "/Users?filter=userName%20sw%20%22u%22", None).0, 400);
    let company = company("okta", 2);
    company.settle();
    let run = company.world.newest_run("corp");
    let offered = std::fs::read_to_string(company.world.run_file("corp", &run, "targets.json")).unwrap();
    let offered: Value = serde_json::from_str(&offered).unwrap();
    let operations = &offered.pointer("/vault/resources/users/operations").unwrap_or(&Value::Null).to_string();
    assert!(!operations.contains("delete"), "{offered:#}");
}

#[test]
fn a_rehearsal_of_kind_sandbox_plays_a_dialect_too() {
    let world = World::new();
    world.write("hr/users.csv", "id,login,mail\nE1,ada@corp.example,\n");
    let job = |dialect: &str| {
        format!(
            "name = \"quick\"\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n[systems.vault]\nkind = \"sandbox\"\ndialect = \"{dialect}\"\n\
             [[sync]]\nfrom = \"hr.users\"\nto = \"vault.users\"\nmatch = [{{ source = \"id\", target = \"externalId\" }}]\n\
             attributes = {{ externalId = \"id\", userName = \"login\", emails = \"mail\" }}\n"
        )
    };
    world.write("jobs/quick.toml", job("cato"));
    world.muster(&["run", "quick"]);
    let orders = world.orders("quick", &world.newest_run("quick"));
    is_blocked(&orders[0], "incomplete", &["emails"]);
    world.write("jobs/quick.toml", job("katoo"));
    world.muster(&["check", "quick"]).ended(2).says(&["did you mean `cato`?"]);
}
