//! OpenBao and Keycloak behind a line that loses answers: what was done is found, what was not is sent, and nothing is
//! done twice.

use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::realm::Realm;
use crate::support::World;
use crate::support::gateway::{Does, Fault, Gateway};
use crate::vault_admin::Vault;

const PEOPLE: usize = 3;

/// Losses that are gone through at once: each has a system of its own, and is waited for most of the time.
const AT_ONCE: usize = 6;

static NAMESPACES: AtomicUsize = AtomicUsize::new(1);

type Loss = (&'static str, Vec<Fault>);

/// Goes through losses, some at once.
fn each<T: Send>(losses: impl IntoIterator<Item = T>, goes_through: impl Fn(T) + Sync) {
    let left = Mutex::new(losses.into_iter().collect::<Vec<T>>());
    let next = || left.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(loss) = next() {
                    goes_through(loss);
                }
            });
        }
    });
}

/// The ways in which the answer to a change, or to the reading after it, is lost. `read` is in the path of the readings.
fn losses(method: &'static str, write: &'static str, read: &'static str) -> [Loss; 5] {
    let change = |does| Fault { method, path: write, once: None, times: 1, does };
    let reading = Fault { method: "GET", path: read, once: Some((method, write)), times: 99, does: Does::Fails };
    [
        ("it is not done", vec![change(Does::Fails)]),
        ("it is done and answered with 500", vec![change(Does::FailsAfter)]),
        ("it is done and cut off", vec![change(Does::CutsAfter)]),
        ("it cannot be read afterwards", vec![reading]),
        ("it is cut off and cannot be read afterwards", vec![change(Does::CutsAfter), reading]),
    ]
}

/// Plans and approves, applies over a line that fails so, and goes on over a good one: whatever is wanted is there in the
/// end, nothing is uncertain, and each change reached the server as often as it is `expected`, told by `sent`.
fn survives(
    world: &World,
    gateway: &Gateway,
    (name, faults): &Loss,
    sent: impl Fn(&Gateway) -> usize,
    expected: RangeInclusive<usize>,
) {
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    let run = world.newest_run("corp");
    gateway.set(faults);
    let mut said = vec![world.muster(&["apply", "corp"])];
    assert!(gateway.played() > 0, "{name}: {said:?}");
    let mut times = sent(gateway);
    gateway.set(&[]);
    // What was left open is looked up; what was refused is tried again, by itself never.
    said.push(world.muster(&["apply", "corp"]));
    let report = world.muster(&["report", &run, "--format", "json"]).json();
    let states = &report["orders_by_state"];
    assert!(states["uncertain"].is_null() && states["in-flight"].is_null(), "{name}: {states}\n{said:?}");
    for _ in 0..3 {
        world.muster(&["retry", "corp"]);
        world.muster(&["apply", "corp"]);
        let again = world.muster(&["run", "corp", "--mode", "complete"]);
        if again.status == 0 {
            break;
        }
        world.muster(&["approve", "corp", "--all", "--comment", "again"]);
        said.extend([again, world.muster(&["apply", "corp"])]);
    }
    times += sent(gateway);
    assert!(expected.contains(&times), "{name}: {times}, not {expected:?}: {said:?}");
    world.muster(&["run", "corp", "--mode", "complete"]).ended(0);
    assert_eq!(world.orders("corp", &world.newest_run("corp")), Vec::<Value>::new(), "{name}");
}

/// A world with what HR has: people, a team, and who is in it.
fn world(job: &str, system: &str) -> World {
    let world = World::new();
    world.write("jobs/corp.toml", job.replace("SYSTEM", system));
    hr(&world, "Clerk", "1");
    world
}

fn hr(world: &World, title: &str, parent: &str) {
    let rows: Vec<String> = (0..PEOPLE).map(|n| format!("E{n},e{n},{title}\n")).collect();
    world.write("hr/users.csv", format!("id,login,title\n{}", rows.concat()));
    world.write(
        "hr/groups.csv",
        format!("id,name,text,parent\nG1,one,{title},\nG2,two,{title},\nG3,team,{title},G{parent}\n"),
    );
    let rows: Vec<String> = (0..PEOPLE).map(|n| format!("G3,E{n}\n")).collect();
    world.write("hr/memberships.csv", format!("group,user\n{}", rows.concat()));
}

const VAULT: &str = r#"name = "corp"
[systems.hr]
kind = "csv"
path = "../hr"
[systems.vault]
kind = "openbao"
SYSTEM
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{ source = "id", target = "metadata.employee" }]
on = { orphan = "delete" }
attributes = { name = "login", "metadata.employee" = "id", "metadata.title" = "title" }
[[sync]]
from = "hr.users"
to = "vault.aliases"
match = [{ source = "'userpass/' + login", target = "login" }]
on = { orphan = "delete" }
attributes = { name = "login", mount = "'userpass'" }
[sync.references]
user = { source = "id", from = "hr.users", to = "vault.users" }
[[sync]]
from = "hr.groups"
to = "vault.groups"
match = [{ source = "name", target = "name" }]
attributes = { name = "name", "metadata.text" = "text" }
[[sync]]
from = "hr.memberships"
to = "vault.memberships"
ends = { user = ["hr.users", "vault.users"], group = ["hr.groups", "vault.groups"] }
[apply]
retry_budget = "1s"
concurrency = 1
waves = [99]
"#;

/// A namespace of a vault behind a gateway, and a job that fills it.
fn vault(server: &Vault) -> (Vault, Gateway, World) {
    let namespace = format!("lost{}", NAMESPACES.fetch_add(1, Ordering::Relaxed));
    let vault = server.within(&namespace);
    vault.method("userpass");
    let gateway = Gateway::unreliable(vault.url.trim_start_matches("http://"));
    let auth = "auth = { token = \"file:../token\" }";
    let system = format!("url = \"http://{}\"\nnamespace = \"{namespace}\"\n{auth}", gateway.address);
    let world = world(VAULT, &system);
    world.write("token", vault.documented_token(&[]));
    (vault, gateway, world)
}

fn in_the_vault(vault: &Vault, title: &str) {
    let titles: Vec<Value> = vault.all("entity").iter().map(|one| one["metadata"]["title"].clone()).collect();
    assert_eq!(titles, vec![json!(title); PEOPLE]);
    assert_eq!(vault.all("entity-alias").len(), PEOPLE);
    assert_eq!(vault.named("group", "team").unwrap()["member_entity_ids"].as_array().unwrap().len(), PEOPLE);
}

#[test]
fn what_openbao_did_without_an_answer_is_found_and_done_once() {
    let server = Vault::emptied();
    let made = [
        ("/identity/entity", "/identity/entity/id/", PEOPLE),
        ("/identity/entity-alias", "/identity/entity-alias/id/", PEOPLE),
        ("/identity/group", "/identity/group/id/", 3),
    ];
    let made =
        made.into_iter().flat_map(|(write, read, times)| losses("POST", write, read).map(|loss| (loss, write, times)));
    each(made, |(loss, write, times)| {
        let (vault, gateway, world) = vault(&server);
        survives(&world, &gateway, &loss, |gateway| gateway.heard("POST", write), times..=times);
        in_the_vault(&vault, "Clerk");
    });
    // Who is in a group is written with the group, as a whole: by its id.
    each(losses("POST", "/identity/group/id/", "/identity/group/id/"), |loss| {
        let (vault, gateway, world) = vault(&server);
        let members = |gateway: &Gateway| gateway.heard_with("POST", "/identity/group/id/");
        // Those that were not written together are written in halves.
        survives(&world, &gateway, &loss, members, 1..=2);
        in_the_vault(&vault, "Clerk");
    });
    // Somebody goes; what was done is looked for, and found gone.
    each(losses("DELETE", "/identity/entity/id/", "/identity/entity/id/").into_iter().skip(1), |loss| {
        let (vault, gateway, world) = vault(&server);
        world.settle("corp");
        for file in ["users", "memberships"] {
            let rows = world.read(&format!("hr/{file}.csv"));
            let rows: Vec<&str> = rows.lines().filter(|row| !row.contains("E2")).collect();
            world.write(&format!("hr/{file}.csv"), rows.join("\n") + "\n");
        }
        let deletes = |gateway: &Gateway| gateway.heard_with("DELETE", "/identity/entity/id/");
        survives(&world, &gateway, &loss, deletes, 1..=1);
        assert_eq!((vault.all("entity").len(), vault.all("entity-alias").len()), (PEOPLE - 1, PEOPLE - 1));
    });
    each(losses("POST", "/identity/entity/id/", "/identity/entity/id/"), |loss| {
        let (vault, gateway, world) = vault(&server);
        world.settle("corp");
        hr(&world, "Chief", "1");
        let changes = |gateway: &Gateway| gateway.heard_with("POST", "/identity/entity/id/");
        survives(&world, &gateway, &loss, changes, PEOPLE..=PEOPLE);
        in_the_vault(&vault, "Chief");
    });
}

const REALM: &str = r#"name = "corp"
[systems.hr]
kind = "csv"
path = "../hr"
[systems.realm]
kind = "keycloak"
SYSTEM
[[sync]]
from = "hr.users"
to = "realm.users"
match = [{ source = "login", target = "username" }]
attributes = { username = "login", lastName = "title" }
[[sync]]
from = "hr.groups"
to = "realm.groups"
match = [{ source = "name", target = "name" }]
attributes = { name = "name", "attributes.text" = "text" }
[sync.references]
parent = { source = "parent", from = "hr.groups", to = "realm.groups" }
[[sync]]
from = "hr.memberships"
to = "realm.memberships"
ends = { user = ["hr.users", "realm.users"], group = ["hr.groups", "realm.groups"] }
[apply]
retry_budget = "1s"
concurrency = 1
waves = [99]
"#;

/// A realm behind a gateway, and a job that fills it.
fn realm() -> (Realm, Gateway, World) {
    let realm = Realm::made();
    let gateway = Gateway::unreliable(realm.url.trim_start_matches("http://"));
    let auth = "auth = { client_id = \"muster\", client_secret = \"file:../secret\" }";
    let system = format!("url = \"http://{}\"\nrealm = \"{}\"\n{auth}", gateway.address, realm.name);
    let world = world(REALM, &system);
    world.write("secret", &realm.secret);
    (realm, gateway, world)
}

fn in_the_realm(realm: &Realm, title: &str, parent: &str) {
    let users = realm.all("/users?briefRepresentation=false");
    let titles: Vec<Value> = users.iter().map(|one| one["lastName"].clone()).collect();
    assert_eq!(titles, vec![json!(title); PEOPLE]);
    let top = realm.all("/groups?briefRepresentation=false");
    assert_eq!(top.len(), 2, "{top:?}");
    let holder = top.iter().find(|one| one["name"] == parent).unwrap();
    let below = realm.all(&format!("/groups/{}/children?briefRepresentation=false", holder["id"].as_str().unwrap()));
    assert_eq!((below.len(), &below[0]["name"], &below[0]["attributes"]["text"]), (1, &json!("team"), &json!([title])));
    let members = realm.all(&format!("/groups/{}/members?briefRepresentation=true", below[0]["id"].as_str().unwrap()));
    assert_eq!(members.len(), PEOPLE);
}

#[test]
fn what_keycloak_did_without_an_answer_is_found_and_done_once() {
    // Created, and no Location says as what; then not even a look helps for a while.
    let hidden = Fault { method: "POST", path: "/users", once: None, times: 99, does: Does::Hides("location") };
    let unread = Fault { method: "GET", path: "/users", once: Some(("POST", "/users")), times: 99, does: Does::Fails };
    let nameless = [("no location", vec![hidden]), ("no location, and no look", vec![hidden, unread])];
    each(losses("POST", "/users", "/users").into_iter().chain(nameless), |loss| {
        let (realm, gateway, world) = realm();
        survives(&world, &gateway, &loss, |gateway| gateway.heard("POST", "/users"), PEOPLE..=PEOPLE);
        in_the_realm(&realm, "Clerk", "one");
    });
    each(losses("PUT", "/groups/", "/groups"), |loss| {
        let (realm, gateway, world) = realm();
        let joins = |gateway: &Gateway| gateway.heard_with("PUT", "/users/");
        survives(&world, &gateway, &loss, joins, PEOPLE..=PEOPLE);
        in_the_realm(&realm, "Clerk", "one");
    });
    // A group that goes elsewhere and is changed: two requests, of which the second is lost.
    each(losses("PUT", "/groups/", "/groups/"), |loss| {
        let (realm, gateway, world) = realm();
        world.settle("corp");
        let users = world.read("hr/users.csv");
        hr(&world, "Chief", "2");
        world.write("hr/users.csv", users);
        survives(&world, &gateway, &loss, |gateway| gateway.heard("POST", "/children"), 1..=1);
        in_the_realm_moved(&realm);
    });
}

fn in_the_realm_moved(realm: &Realm) {
    let top = realm.all("/groups?briefRepresentation=false");
    let two = top.iter().find(|one| one["name"] == "two").unwrap();
    let below = realm.all(&format!("/groups/{}/children?briefRepresentation=false", two["id"].as_str().unwrap()));
    assert_eq!((below.len(), &below[0]["attributes"]["text"]), (1, &json!(["Chief"])), "{below:?}");
}
