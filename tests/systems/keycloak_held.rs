//! Changes of a realm that its administrators' own API does not tell of, and memberships that are held back while users and
//! groups move on: nothing is missed.

use serde_json::{Value, json};

use crate::exported::{mode, rows};
use crate::keycloak_scim::realm_with;
use crate::ldap_loop::into_scim;
use crate::realm::Realm;
use crate::stages::brought_into_step;
use crate::support::{Server, World};

const RESOURCES: [&str; 3] = ["users", "groups", "memberships"];
const HELD: &str = "idp.memberships/deleted/count";

/// A realm of six who are all in two groups, in step with a vault; memberships are held where three or more go.
struct Held {
    realm: Realm,
    /// The ids of the groups and of the people.
    groups: Vec<String>,
    people: Vec<String>,
    world: World,
    vault: Server,
}

impl Held {
    fn settled() -> Self {
        // They come with the realm, without events.
        let realm = realm_with(|realm| {
            realm["groups"] = json!([{"name": "blue"}, {"name": "red"}]);
            let person = |n: usize| json!({"username": format!("u{n}"), "enabled": true, "groups": ["/blue", "/red"]});
            realm["users"].as_array_mut().unwrap().extend((0..6).map(person));
        });
        let ids = |list: &str| -> Vec<String> {
            realm.all(list).iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
        };
        let (groups, people) = (ids("/groups"), ids("/users"));
        let world = World::new();
        world.write("secret", &realm.secret);
        let vault = world.server();
        let attributes = "\nuserName = \"username\"\nactive = \"enabled\"";
        let job = into_scim("out", &realm.system("idp"), &vault.url, "env:VAULT_TOKEN", attributes, "name");
        let limit = "\n[snapshot.\"idp.memberships\"]\nthresholds = { deleted = { count = 3 } }\n";
        world.write("jobs/out.toml", job + limit);
        world.muster(&["run", "out"]).ended(3);
        world.muster(&["approve", "out", "--all", "--comment", "first load"]).ended(0);
        world.muster(&["apply", "out"]).ended(0);
        Self { realm, groups, people, world, vault }
    }

    /// How the newest run read a resource, and its rows.
    fn exported(&self, resource: &str) -> (String, Vec<String>) {
        let (run, resource) = (self.world.newest_run("out"), ("idp", resource));
        (mode(&self.world, "out", &run, resource), rows(&self.world, "out", &run, resource))
    }

    fn modes(&self) -> [String; 3] {
        RESOURCES.map(|resource| self.exported(resource).0)
    }

    /// What the newest run read is what a complete one reads.
    fn nothing_was_missed(&self) {
        let seen = RESOURCES.map(|resource| self.exported(resource).1);
        let said = self.world.muster(&["run", "out", "--mode", "complete"]);
        assert!([0, 3, 4].contains(&said.status), "{said:?}");
        for (resource, rows) in RESOURCES.into_iter().zip(seen) {
            assert_eq!(rows, self.exported(resource).1, "{resource}");
        }
    }

    fn members(&self) -> usize {
        self.vault.all("Groups").iter().map(|group| group["members"].as_array().map_or(0, Vec::len)).sum()
    }
}

#[test]
fn memberships_that_were_held_back_keep_nobody_whom_users_moved_past() {
    let held = Held::settled();
    for id in &held.people[..3] {
        held.realm.done("DELETE", &format!("/users/{id}/groups/{}", held.groups[0]), None);
    }
    held.realm.over_scim("DELETE", &format!("/Users/{}", held.people[5]), None);
    held.world.muster(&["run", "out", "--mode", "incremental"]).ended(4).says(&[HELD]);
    // Users and groups are settled by now; what was held goes on from where it was.
    let said = held.world.muster(&["--verbose", "run", "out", "--mode", "incremental"]).ended(4);
    let memberships = held.exported("memberships");
    assert!(!memberships.1.iter().any(|row| row.contains(&held.people[5])), "{memberships:?}\n{}", said.err);
    said.says(&[HELD, "idp was read completely", "memberships go on from"]);
    held.nothing_was_missed();
    held.world.muster(&["approve", "out", "--all", "--comment", "they left", "--accept", HELD]);
    brought_into_step(&held.world, "out", "they left");
    assert_eq!(held.members(), 12 - 3 - 2);
    // Nothing is held any more: changes alone will do.
    held.world.muster(&["run", "out", "--mode", "incremental"]).ended(0);
    assert_eq!(held.modes(), ["incremental"; 3].map(str::to_owned));
}

/// Its events name users and groups by other paths, and say nothing of who is in a group.
#[test]
fn what_is_changed_over_the_realms_own_scim_api_is_seen_by_increments() {
    let held = Held::settled();
    let patch = |operation: Value| json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
    let change = patch(json!({"op": "replace", "path": "active", "value": false}));
    held.realm.over_scim("PATCH", &format!("/Users/{}", held.people[1]), Some(change));
    held.realm.over_scim("DELETE", &format!("/Users/{}", held.people[2]), None);
    held.world.muster(&["run", "out", "--mode", "incremental"]).ended(3);
    assert_eq!(held.modes(), ["incremental"; 3].map(str::to_owned));
    held.nothing_was_missed();
    brought_into_step(&held.world, "out", "over SCIM");

    let change = patch(json!({"op": "remove", "path": format!("members[value eq \"{}\"]", held.people[3])}));
    held.realm.over_scim("PATCH", &format!("/Groups/{}", held.groups[1]), Some(change));
    let said = held.world.muster(&["--verbose", "run", "out", "--mode", "incremental"]).ended(3);
    said.says(&["idp was read completely", "whose events do not tell of their members"]);
    held.nothing_was_missed();
    brought_into_step(&held.world, "out", "over SCIM");
    assert_eq!(held.members(), 12 - 2 - 1);
}
