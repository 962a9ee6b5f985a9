//! The kind `scim` on Keycloak's own SCIM API, which is of another making than any other server here: it shows members on
//! request alone, never moves `lastModified`, and drops what its user profile does not map.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::realm::Realm;
use crate::stages::brought_into_step;
use crate::support::World;

/// A realm whose SCIM API is on, and whose client's tokens are for it.
fn realm() -> Realm {
    realm_with(|_| {})
}

/// The same, changed by hand.
pub(crate) fn realm_with(change: impl FnOnce(&mut Value)) -> Realm {
    let url = crate::told("MUSTER_TEST_KEYCLOAK_URL");
    Realm::made_with(|realm| {
        realm["scimApiEnabled"] = json!(true);
        let audience = format!("{url}/realms/{}/scim/v2", realm["realm"].as_str().unwrap());
        realm["clients"][0]["protocolMappers"] = json!([{
            "name": "scim", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": {"included.custom.audience": audience, "access.token.claim": "true"}
        }]);
        let config = &mut realm["components"]["org.keycloak.userprofile.UserProfileProvider"][0]["config"];
        let mut profile: Value = serde_json::from_str(config["kc.user.profile.config"][0].as_str().unwrap()).unwrap();
        let attributes = profile["attributes"].as_array_mut().unwrap();
        attributes.push(json!({"name": "externalId", "permissions": {"view": ["admin"], "edit": ["admin"]}}));
        for attribute in attributes {
            // Without annotations the server fails inside.
            let mapped = ["externalId", "title"].into_iter().find(|name| attribute["name"] == *name);
            attribute["annotations"] = mapped.map_or(json!({}), |name| json!({"kc.scim.schema.attribute": name}));
        }
        config["kc.user.profile.config"] = json!([profile.to_string()]);
        change(realm);
    })
}

fn scim(realm: &Realm, name: &str) -> String {
    let of_realm = format!("{}/realms/{}", realm.url, realm.name);
    format!(
        "[systems.{name}]\nkind = \"scim\"\ndialect = \"keycloak\"\nurl = \"{of_realm}/scim/v2\"\n\
         auth = {{ client_id = \"muster\", client_secret = \"file:../secret\", \
         token_url = \"{of_realm}/protocol/openid-connect/token\" }}\n"
    )
}

const MAPPED: &str = r#"
[sync.attributes]
externalId = "id"
userName = "login"
"name.familyName" = "family"
title = "title"
active = "enabled"
"#;

#[test]
fn keycloaks_own_scim_api_is_written_and_read() {
    let realm = realm();
    let world = World::new();
    world.write("secret", &realm.secret);
    let people = |family: &str, numbers: &[usize]| {
        let mut users = String::from("id,login,family,title,enabled\n");
        let mut members = String::from("group,user\n");
        for n in numbers {
            writeln!(users, "E{n},e{n:03},{family}{n},Clerk,true").unwrap();
            writeln!(members, "team {},E{n}", n % 3).unwrap();
        }
        world.write("hr/users.csv", users);
        world.write("hr/memberships.csv", members);
    };
    world.write("hr/groups.csv", "id\nteam 0\nteam 1\nteam 2\n");
    people("Family", &(1..=130).collect::<Vec<_>>());
    let job = format!(
        "name = \"in\"\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n{}\n[[sync]]\nfrom = \"hr.users\"\n\
         to = \"vault.users\"\nmatch = [{{ source = \"id\", target = \"externalId\" }}]\non = {{ orphan = \"disable\" }}\n\
         {MAPPED}\n[[sync]]\nfrom = \"hr.groups\"\nto = \"vault.groups\"\n\
         match = [{{ source = \"id\", target = \"displayName\" }}]\n[sync.attributes]\ndisplayName = \"id\"\n\n[[sync]]\n\
         from = \"hr.memberships\"\nto = \"vault.memberships\"\n\
         ends = {{ user = [\"hr.users\", \"vault.users\"], group = [\"hr.groups\", \"vault.groups\"] }}\n",
        scim(&realm, "vault")
    );
    world.write("jobs/in.toml", job);
    world.muster(&["check", "in"]).ended(0);
    brought_into_step(&world, "in", "first load");
    let held = || -> BTreeSet<(String, String, bool)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let users = realm.all("/users");
        users.iter().map(|user| (text(&user["username"]), text(&user["lastName"]), user["enabled"] == true)).collect()
    };
    let expected = |family: &str, enabled: bool, numbers: std::ops::RangeInclusive<usize>| {
        numbers.map(move |n| (format!("e{n:03}"), format!("{family}{n}"), enabled)).collect::<BTreeSet<_>>()
    };
    assert_eq!(held(), expected("Family", true, 1..=130));
    let members: usize = realm.members().values().map(Vec::len).sum();
    assert_eq!(members, 130);
    world.muster(&["run", "in", "--mode", "complete"]).ended(0);

    people("Núñez", &(1..=120).collect::<Vec<_>>());
    brought_into_step(&world, "in", "a day of changes");
    let mut after = expected("Núñez", true, 1..=120);
    after.extend(expected("Family", false, 121..=130));
    assert_eq!(held(), after);
    world.muster(&["run", "in", "--mode", "complete"]).ended(0);

    // As a source: the same people, by another API than the one that they are compared with.
    let out = World::new();
    out.write("secret", &realm.secret);
    let vault = out.server();
    let job = format!(
        "name = \"out\"\n{}\n[systems.vault]\nkind = \"scim\"\nurl = \"{}\"\nauth = {{ bearer = \"env:VAULT_TOKEN\" }}\n\
         [[sync]]\nfrom = \"idp.users\"\nto = \"vault.users\"\nmatch = [{{ source = \"id\", target = \"externalId\" }}]\n\
         [sync.attributes]\nexternalId = \"id\"\nuserName = \"userName\"\n\"name.familyName\" = \"name.familyName\"\n\
         active = \"active\"\n[[sync]]\nfrom = \"idp.groups\"\nto = \"vault.groups\"\n\
         match = [{{ source = \"id\", target = \"externalId\" }}]\n[sync.attributes]\nexternalId = \"id\"\n\
         displayName = \"displayName\"\n[[sync]]\nfrom = \"idp.memberships\"\nto = \"vault.memberships\"\n\
         ends = {{ user = [\"idp.users\", \"vault.users\"], group = [\"idp.groups\", \"vault.groups\"] }}\n",
        scim(&realm, "idp"),
        vault.url
    );
    out.write("jobs/out.toml", job);
    brought_into_step(&out, "out", "first load");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let users = vault.all("Users");
    let read: BTreeSet<(String, String, bool)> = users
        .iter()
        .map(|user| (text(&user["userName"]), text(&user["name"]["familyName"]), user["active"] == true))
        .collect();
    assert_eq!(read, after);
    let groups = vault.all("Groups");
    let rows: usize = groups.iter().map(|group| group["members"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(rows, realm.members().values().map(Vec::len).sum::<usize>());
}
