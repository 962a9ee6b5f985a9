//! The connector `keycloak` on Keycloak.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use muster::connector::config::KeycloakConfig;
use muster::connector::source::{ExportError, Needs};
use muster::connector::target::Target;
use muster::model::failure::{Class, Failure, Recourse, Stage};
use muster::model::order::Operation;
use muster::model::outcome::Effected;
use muster::model::value::Value;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::connector_renamed::{Names, Renamed};
use crate::connector_sink::{Exported, export, export_since};
use crate::connector_subject::{Subject, ends};
use crate::connector_suite::CHECKS;
use crate::realm::Realm;
use crate::support::World;

/// The suite's names, and those of a realm whose user profile declares `title` and `mails`.
const NAMES: Names = &[
    ("userName", "username"),
    ("active", "enabled"),
    ("title", "attributes.title"),
    ("emails", "attributes.mails"),
    ("name.givenName", "firstName"),
    ("displayName", "name"),
];

fn block_on<T>(future: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(future)
}

/// Logins have 255 characters at most: the hostile values have a test of their own.
#[test]
fn keycloak_conforms() {
    for (name, check) in CHECKS.iter().filter(|(name, _)| !name.starts_with("hostile")) {
        println!("{name}");
        let realm = Realm::made();
        block_on(async {
            let config = KeycloakConfig { page_size: 4, ..realm.config("muster") };
            let target = realm.target(config).await;
            let renamed = Renamed { target, names: NAMES, needed: &[], creates: AtomicU64::new(1) };
            let subject = Subject::foreign(Box::new(renamed), tempfile::tempdir().unwrap());
            check(&subject.telling_totals().without_nested_members()).await;
        });
    }
}

fn plain(target: Box<dyn Target>) -> Subject {
    Subject::foreign(target, tempfile::tempdir().unwrap())
}

fn system_failure(result: Result<BTreeMap<String, Exported>, ExportError>) -> Failure {
    match result {
        Err(ExportError::System(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hostile_values_survive_storing_reading_and_searching() {
    let realm = Realm::made();
    let long = "ü".repeat(4_000);
    let hostile = [
        "o\"brien",
        "back\\slash",
        "end\\",
        "a\\\"b",
        "two\nlines",
        "*",
        ")(",
        "a:b",
        "title:\"x\" title:y",
        "%",
        "_",
        "ünïcödé 木 🦀",
        "tab\there",
        " blanks ",
        "%2f&?#=+",
        "[\"no list",
        "null",
        "true",
        "12",
        "..",
        "service-account",
        &long,
    ];
    block_on(async {
        let subject = plain(realm.target(realm.config("muster")).await);
        let mut ids = Vec::new();
        for (at, value) in hostile.iter().enumerate() {
            let login = if value.len() > 255 { format!("long{at}") } else { (*value).to_owned() };
            let attributes = [("username", login.as_str()), ("attributes.title", value)];
            let create = subject.change(Operation::Create, "users", None, &attributes);
            ids.push((login.clone(), subject.target.apply(&create).await.unwrap().id.unwrap()));
        }
        let exported = export(subject.target.as_ref(), &["users"]).await.unwrap();
        let mut expected: Vec<String> = hostile.iter().map(|value| (*value).to_owned()).collect();
        expected.sort();
        assert_eq!(exported["users"].column("attributes.title"), expected);
        for (value, (login, id)) in hostile.iter().zip(&ids) {
            for (attribute, asked) in [("username", login.as_str()), ("attributes.title", value)] {
                let found = subject.target.find("users", attribute, asked).await.unwrap();
                let found: Vec<&str> = found.iter().map(|object| object.id.as_str()).collect();
                assert_eq!(found, [id.as_str()], "{attribute} {}", asked.chars().take(20).collect::<String>());
            }
        }
        let found = subject.target.find("users", "username", "O\"BRIEN").await.unwrap();
        assert_eq!(found.len(), 1, "letter case tells no logins apart");
    });
}

fn failed(steps: &[muster::connector::source::Step]) -> Failure {
    steps.iter().find_map(|step| step.result.clone().err()).unwrap_or_else(|| panic!("{steps:?}"))
}

/// Each way in which nobody gets in is told apart, and a right that is missing has a name.
#[test]
fn check_says_who_may_not_do_what_and_which_role_is_missing() {
    let realm = Realm::made();
    let reads = |columns: &[&str]| {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        BTreeMap::from([("users".to_owned(), columns), ("groups".to_owned(), Vec::new())])
    };
    let needs =
        Needs { reads: reads(&["email", "attributes.title"]), writes: vec!["users".to_owned()], ..Needs::default() };
    block_on(async {
        let probe = async |config: KeycloakConfig, needs: &Needs| realm.target(config).await.probe(needs).await;
        let steps = probe(realm.config("muster"), &needs).await;
        assert!(steps.iter().all(|step| step.result.is_ok()), "{steps:?}");
        let stages: Vec<Stage> = steps.iter().map(|step| step.stage).collect();
        use Stage::{Connect, Http, Login, Permission, Resolve, Schema};
        let expected = [Resolve, Connect, Http, Login, Permission, Permission, Permission, Permission, Schema];
        assert_eq!(stages, expected, "{steps:?}");

        let with = |change: &dyn Fn(&mut KeycloakConfig)| {
            let mut config = realm.config("muster");
            change(&mut config);
            config
        };
        let wrong_secret = with(&|config| config.auth.client_secret = "env:WRONG".parse().unwrap());
        let told = failed(&probe(wrong_secret, &needs).await);
        assert_eq!((told.class, told.stage), (Class::Credential, Some(Login)), "{told}");
        assert!(told.cause.contains("env:WRONG") && told.cause.contains("secret is another"), "{told}");
        assert!(!told.sentence().contains("not-the-secret"), "{told}");
        let told = failed(&probe(with(&|config| config.auth.client_id = "mustre".to_owned()), &needs).await);
        assert!(told.class == Class::Credential && told.cause.contains("no such client"), "{told}");
        let told = failed(&probe(realm.config("no-service-account"), &needs).await);
        assert!(told.class == Class::Configuration && told.remedy.contains("Service accounts roles"), "{told}");
        let told = failed(&probe(with(&|config| config.realm = "nowhere".to_owned()), &needs).await);
        assert_eq!((told.class, told.stage), (Class::Configuration, Some(Http)), "{told}");
        assert!(told.cause.contains("no realm of this name"), "{told}");

        let told = failed(&probe(realm.config("muster-nobody"), &needs).await);
        assert_eq!((told.class, told.stage, told.recourse), (Class::Permission, Some(Permission), Recourse::Stop));
        assert!(told.cause.contains("`view-users`") && told.remedy.contains("`muster-nobody`"), "{told}");
        let steps = probe(realm.config("muster-reader"), &needs).await;
        let told = failed(&steps);
        assert!(told.cause.contains("`manage-users`") && told.cause.contains("view-users"), "{told}");
        assert_eq!(steps.iter().filter(|step| step.result.is_err()).count(), 1, "{steps:?}");
        let reader = Needs { writes: Vec::new(), ..needs.clone() };
        let steps = probe(realm.config("muster-reader"), &reader).await;
        assert!(steps.iter().all(|step| step.result.is_ok()), "{steps:?}");

        // What is not there is named, with what may be meant.
        let misspelt = Needs { reads: reads(&["emial", "attributes.tilte"]), ..Needs::default() };
        let steps = probe(realm.config("muster"), &misspelt).await;
        let told: Vec<String> =
            steps.iter().filter_map(|step| step.result.clone().err()).map(|f| f.sentence()).collect();
        assert!(told.len() == 2 && told[0].contains("`email`") && told[1].contains("User profile"), "{told:?}");

        // A change without the role concerns every order.
        let subject = plain(realm.target(realm.config("muster-reader")).await);
        let create = subject.change(Operation::Create, "users", None, &[("username", "x")]);
        let refused = subject.target.apply(&create).await.unwrap_err();
        assert_eq!((refused.class, refused.recourse), (Class::Permission, Recourse::Stop), "{refused}");
        assert!(refused.cause.contains("`manage-users`"), "{refused}");
    });
}

/// Groups below groups by their paths, roles and what they carry, links to other providers; clients' own accounts stay
/// out of all of it.
#[test]
fn the_tree_the_roles_and_the_links_are_exported() {
    let realm = Realm::made();
    let top = realm.make("/groups", json!({"name": "top", "attributes": {"cost": ["1", "2"], "boss": ["ann"]}}));
    let mut parent = top.clone();
    for depth in 1..4 {
        parent = realm.make(&format!("/groups/{parent}/children"), json!({"name": format!("level {depth}")}));
    }
    for n in 0..7 {
        realm.make(&format!("/groups/{top}/children"), json!({"name": format!("team {n}")}));
    }
    let ann = realm.make("/users", json!({"username": "ann", "enabled": true}));
    realm.done("PUT", &format!("/users/{ann}/groups/{parent}"), None);
    let account = realm.get("/users?username=service-account-muster&exact=true")[0]["id"].as_str().unwrap().to_owned();
    realm.done("PUT", &format!("/users/{account}/groups/{parent}"), None);
    realm.done(
        "POST",
        "/identity-provider/instances",
        Some(json!({"alias": "hub", "providerId": "oidc", "config": {
        "clientId": "x", "authorizationUrl": "http://127.0.0.1:1/a", "tokenUrl": "http://127.0.0.1:1/t"}})),
    );
    realm.done(
        "POST",
        &format!("/users/{ann}/federated-identity/hub"),
        Some(json!({"identityProvider": "hub", "userId": "77", "userName": "ann@hub"})),
    );
    for name in ["part/1", "whole"] {
        realm.done("POST", "/roles", Some(json!({"name": name, "description": "a role"})));
    }
    let part = realm.get("/roles/part%2F1");
    realm.done("POST", "/roles/whole/composites", Some(json!([part])));
    let client = realm.get("/clients?clientId=muster-reader")[0]["id"].as_str().unwrap().to_owned();
    realm.done("POST", &format!("/clients/{client}/roles"), Some(json!({"name": "of a client"})));

    block_on(async {
        let config =
            KeycloakConfig { clients: vec!["muster-reader".to_owned()], page_size: 3, ..realm.config("muster") };
        let subject = plain(realm.target(config).await);
        let target = subject.target.as_ref();
        let resources =
            ["users", "groups", "memberships", "nestings", "roles", "composites", "assignments", "identities"];
        let exported = export(target, &resources).await.unwrap();
        assert_eq!(exported["users"].column("username"), ["ann"]);
        let groups = &exported["groups"];
        assert_eq!(groups.rows.len(), 11);
        let deepest = groups.row("id", &parent).unwrap();
        assert_eq!((deepest["path"], deepest["name"]), ("/top/level 1/level 2/level 3", "level 3"));
        let evidence = &groups.ended().evidence;
        assert_eq!((evidence.total_start, evidence.total_end, evidence.rows_received), (Some(11), Some(11), 11));
        assert_eq!(exported["nestings"].rows.len(), 10);
        assert_eq!(exported["memberships"].rows, [vec![parent.clone(), ann.clone()]]);
        assert!(exported["memberships"].ended().evidence.notes[0].contains("clients' own accounts"));
        let roles = &exported["roles"];
        let of_client = roles.row("name", "of a client").unwrap();
        assert_eq!((of_client["client"], of_client["composite"]), ("muster-reader", "false"));
        let (part, whole) = (roles.row("name", "part/1").unwrap(), roles.row("name", "whole").unwrap());
        let carried = vec![whole["id"].to_owned(), part["id"].to_owned()];
        assert!(exported["composites"].rows.contains(&carried), "{:?}", exported["composites"].rows);
        let identity = exported["identities"].row("user", &ann).unwrap();
        assert_eq!((identity["provider"], identity["userId"], identity["userName"]), ("hub", "77", "ann@hub"));

        // Roles are given and taken, twice without harm.
        for role in [part["id"], of_client["id"]] {
            let row = [muster::connector::target::RowChange {
                order: subject.order(),
                ends: BTreeMap::from([("role".to_owned(), role.to_owned()), ("user".to_owned(), ann.clone())]),
                name: "a role of ann".to_owned(),
            }];
            for (operation, wanted) in [(Operation::Add, true), (Operation::Remove, false)] {
                for _ in 0..2 {
                    target.apply_rows("assignments", operation, &row).await.remove(0).unwrap();
                }
                assert_eq!(target.holds("assignments", &[row[0].ends.clone()]).await.unwrap(), [wanted]);
            }
        }
        // A group goes elsewhere with all that is below it, and is not deleted with it.
        let team = target.find("groups", "name", "team 3").await.unwrap().remove(0);
        let moved =
            subject.change(Operation::Update, "groups", Some(&team.id), &[("parent", &parent), ("description", "d")]);
        target.apply(&moved).await.unwrap();
        let path = target.get("groups", &team.id).await.unwrap().unwrap().attributes["path"].clone();
        assert_eq!(path, Value::Text("/top/level 1/level 2/level 3/team 3".to_owned()));
        let delete = subject.change(Operation::Delete, "groups", Some(&top), &[]);
        let refused = target.apply(&delete).await.unwrap_err();
        assert!(refused.class == Class::Conflict && refused.cause.contains("/top"), "{refused}");
        let to_top = subject.change(Operation::Update, "groups", Some(&team.id), &[("parent", "")]);
        target.apply(&to_top).await.unwrap();
        assert_eq!(realm.get_async(&format!("/groups/{}", team.id)).await["path"], "/team 3");
    });
}

/// A change takes along what it does not name, and what the server refuses is told by what it means.
#[test]
fn changes_keep_what_they_do_not_name_and_refusals_have_a_meaning() {
    let realm = Realm::made();
    block_on(async {
        let subject = plain(realm.target(realm.config("muster")).await);
        let target = subject.target.as_ref();
        let jane = [
            ("username", "Jane"),
            ("email", "Jane@x.example"),
            ("firstName", "Jane"),
            ("emailVerified", "true"),
            ("attributes.title", "Clerk"),
            ("attributes.mails", r#"["b@x","a@x"]"#),
        ];
        let id = target.apply(&subject.change(Operation::Create, "users", None, &jane)).await.unwrap().id.unwrap();
        let held = realm.get_async(&format!("/users/{id}")).await;
        assert_eq!((&held["enabled"], &held["username"]), (&json!(true), &json!("jane")), "{held}");
        let update = subject.change(Operation::Update, "users", Some(&id), &[("lastName", "Roe"), ("firstName", "")]);
        assert_eq!(target.apply(&update).await.unwrap().effected, Effected::Sent);
        assert_eq!(target.apply(&update).await.unwrap().effected, Effected::AlreadySo);
        let held = realm.get_async(&format!("/users/{id}")).await;
        assert_eq!(
            (&held["lastName"], &held["email"], &held["emailVerified"]),
            (&json!("Roe"), &json!("jane@x.example"), &json!(true))
        );
        assert_eq!(held["attributes"], json!({"title": ["Clerk"], "mails": ["a@x", "b@x"]}), "{held}");
        assert!(held["firstName"].is_null(), "{held}");

        let refused = async |attributes: &[(&str, &str)]| {
            target.apply(&subject.change(Operation::Create, "users", None, attributes)).await.unwrap_err()
        };
        for (attributes, class, says) in [
            ([("username", "JANE"), ("email", "other@x.example")], Class::Conflict, "this login"),
            ([("username", "other"), ("email", "JANE@x.example")], Class::Conflict, "this e-mail address"),
            ([("username", "other"), ("email", "no address")], Class::Data, "user profile refuses"),
            ([("username", "other"), ("attributes.title", r#"["a","b"]"#)], Class::Data, "number of values"),
            ([("username", "other"), ("enabled", "perhaps")], Class::Data, "true or false"),
            ([("username", "other"), ("createdTimestamp", "2026-01-01T00:00:00Z")], Class::Unsupported, "server alone"),
        ] {
            let failure = refused(&attributes).await;
            assert!(failure.class == class && failure.cause.contains(says), "{failure}");
        }
        let failure = refused(&[("username", "other"), ("attributes.employeeNumber", &"1".repeat(30))]).await;
        assert!(failure.message.as_deref().is_some_and(|said| said.contains("employeeNumber")), "{failure}");

        let group = subject.change(Operation::Create, "groups", None, &[("name", "a/b"), ("attributes.cost", "7")]);
        let group_id = target.apply(&group).await.unwrap().id.unwrap();
        let failure = target.apply(&group).await.unwrap_err();
        assert!(failure.class == Class::Conflict && failure.cause.contains("same place"), "{failure}");
        let described = subject.change(Operation::Update, "groups", Some(&group_id), &[("description", "d")]);
        target.apply(&described).await.unwrap();
        let renamed = subject.change(Operation::Update, "groups", Some(&group_id), &[("name", "c")]);
        target.apply(&renamed).await.unwrap();
        let held = realm.get_async(&format!("/groups/{group_id}")).await;
        assert_eq!((&held["description"], &held["attributes"]), (&json!("d"), &json!({"cost": ["7"]})), "{held}");
        let long = subject.change(Operation::Create, "groups", None, &[("name", &"x".repeat(300))]);
        let failure = target.apply(&long).await.unwrap_err();
        assert!(failure.status == Some(500) && failure.remedy.contains("shorten"), "{failure}");

        // Nobody and nothing: a row that cannot be is stale, one that need not be is so already.
        let nobody = "00000000-0000-4000-8000-000000000000";
        let rows = [subject.row(&group_id, nobody), subject.row(nobody, &id), subject.row(&group_id, &id)];
        let added = target.apply_rows("memberships", Operation::Add, &rows).await;
        assert_eq!(added[0].as_ref().unwrap_err().class, Class::Stale);
        assert_eq!(added[1].as_ref().unwrap_err().class, Class::Stale);
        assert_eq!(added[2].as_ref().unwrap().effected, Effected::Sent);
        let removed = target.apply_rows("memberships", Operation::Remove, &rows).await;
        assert!(removed.iter().all(Result::is_ok), "{removed:?}");
        assert_eq!(target.holds("memberships", &[ends(&group_id, &id)]).await.unwrap(), [false]);
    });
}

/// Attributes that the user profile does not declare are dropped without a word, or kept, as the realm says.
#[test]
fn attributes_that_nobody_declared_are_kept_or_told() {
    let world = World::new();
    let dropping = Realm::made();
    world.write("secret", &dropping.secret);
    world.write("hr/users.csv", "id,login,desk\nE1,ann,12\n");
    let job = |realm: &Realm| {
        format!(
            "name = \"corp\"\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n{}\n[[sync]]\nfrom = \"hr.users\"\n\
             to = \"idp.users\"\nmatch = [{{ source = \"login\", target = \"username\" }}]\n[sync.attributes]\n\
             username = \"login\"\n\"attributes.desk\" = \"desk\"\n",
            realm.system("idp")
        )
    };
    world.write("jobs/corp.toml", job(&dropping));
    world.muster(&["check", "corp"]).ended(1).says(&["does not declare `desk`", "unmanagedAttributePolicy"]);

    // Kept, as the realm says.
    let keeping = Realm::made();
    let mut profile = keeping.get("/users/profile");
    profile["unmanagedAttributePolicy"] = json!("ENABLED");
    keeping.done("PUT", "/users/profile", Some(profile.clone()));
    world.write("jobs/corp.toml", job(&keeping));
    world.muster(&["check", "corp"]).ended(0);
    world.settle("corp");
    assert_eq!(keeping.get("/users?username=ann&exact=true")[0]["attributes"], json!({"desk": ["12"]}));

    // Dropped from now on: the order is accepted, and a part of it has no effect.
    world.write("hr/users.csv", "id,login,desk\nE1,ann,12\nE2,bob,13\n");
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "a newcomer"]).ended(0);
    profile.as_object_mut().unwrap().remove("unmanagedAttributePolicy");
    keeping.done("PUT", "/users/profile", Some(profile));
    let said = world.muster(&["apply", "corp"]);
    assert_ne!(said.status, 0, "{said:?}");
    let report = world.read(&format!("state/runs/corp/{}/errors.csv", world.newest_run("corp")));
    for text in ["without effect", "unsupported", "declare `desk` under Realm settings, User profile"] {
        assert!(report.contains(text), "{text}: {report}\n{said:?}");
    }
}

/// What administrators changed comes by itself; what events do not tell makes the run read everything.
#[test]
fn increments_go_by_admin_events_and_end_where_those_do() {
    let realm = Realm::made();
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(realm.make("/users", json!({"username": format!("u{n}"), "enabled": true})));
    }
    let team = realm.make("/groups", json!({"name": "team"}));
    let all = ["users", "groups", "memberships", "nestings", "roles"];
    let runtime = Runtime::new().unwrap();
    let (target, whole) = runtime.block_on(async {
        let target = realm.target(realm.config("muster")).await;
        assert!(target.capabilities().await.unwrap().incremental);
        let whole = export(target.as_ref(), &all).await.unwrap();
        (target, whole)
    });
    let cursor = whole["users"].ended().cursor.clone().unwrap();
    let since =
        |resources: &[&str], cursor: &str| runtime.block_on(export_since(target.as_ref(), resources, Some(cursor)));
    // The overlap brings all of the last two minutes again.
    let first = since(&["users", "groups", "memberships"], &cursor).unwrap();
    assert_eq!(first["users"].rows.len(), 6);

    realm.done("PUT", &format!("/users/{}/groups/{team}", ids[0]), None);
    realm.done("DELETE", &format!("/users/{}", ids[1]), None);
    realm.done("PUT", &format!("/users/{}", ids[2]), Some(json!({"username": "u2", "enabled": false})));
    let changed = since(&["users", "groups", "memberships"], &cursor).unwrap();
    let users = &changed["users"];
    assert_eq!(users.gone, [vec![ids[1].clone()]]);
    assert_eq!(users.row("username", "u2").unwrap()["enabled"], "false");
    let evidence = &users.ended().evidence;
    assert_eq!((evidence.total_start, evidence.total_end), (Some(5), Some(5)));
    assert!(users.ended().cursor.clone().unwrap() > cursor);
    let memberships = &changed["memberships"];
    assert_eq!(memberships.rows, [vec![team.clone(), ids[0].clone()]]);
    assert!(memberships.replaced.contains(&("user".to_owned(), ids[1].clone())), "who is gone is in no group");

    let unsupported = |resources: &[&str], cursor: &str, says: &str| {
        let told = system_failure(since(resources, cursor));
        assert!(told.class == Class::Unsupported && told.cause.contains(says), "{told}");
    };
    unsupported(&["groups", "nestings"], &cursor, "nestings changed");
    unsupported(&["users", "memberships"], &cursor, "groups are not read");
    let after = users.ended().cursor.clone().unwrap();
    unsupported(&["users"], &format!("{}/00000000", after.split('/').next().unwrap()), "expired or were cleared");
    unsupported(&["users"], "2026-11-22T11:58:00Z", "no cursor");
    realm.done("DELETE", &format!("/groups/{team}"), None);
    unsupported(&["users", "groups", "memberships"], &after, "groups were deleted");
    realm.done("PUT", "/", Some(json!({"realm": realm.name, "adminEventsEnabled": false})));
    unsupported(&["users"], &after, "keeps no admin events");
    realm.done("PUT", "/", Some(json!({"realm": realm.name, "adminEventsEnabled": true})));
    unsupported(&["users"], &after, "events may have been off");
    realm.done("DELETE", "/admin-events", None);
    unsupported(&["users"], &after, "expired or were cleared");
}

/// A token of a minute is renewed while one run goes on, and none of them is told.
#[test]
fn tokens_end_while_a_run_goes_on_and_are_told_nowhere() {
    let realm = Realm::made_with(|realm| realm["accessTokenLifespan"] = json!(3));
    let world = World::new();
    world.write("secret", &realm.secret);
    realm.import((0..400).map(|n| json!({"username": format!("u{n:03}"), "enabled": true})).collect());
    let job = format!(
        "name = \"corp\"\n{}\n[systems.out]\nkind = \"csv\"\npath = \"../out\"\norders = \"../orders\"\n[[sync]]\n\
         from = \"idp.users\"\nto = \"out.users\"\nmatch = [{{ source = \"id\", target = \"id\" }}]\n\
         [sync.attributes]\nlogin = \"username\"\n[apply]\nrate = \"15/s\"\n",
        realm.system("idp").replace("kind = \"keycloak\"", "kind = \"keycloak\"\npage_size = 5")
    );
    world.write("out/users.csv", "id,login\n");
    world.write("jobs/corp.toml", job);
    let said = world.muster(&["export", "corp"]).ended(0);
    let log: String = crate::support::files_below(&world.state())
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .collect();
    assert!(log.matches("openid-connect/token").count() >= 3, "the token was renewed: {}", log.len());
    for text in [log.as_str(), said.err.as_str(), said.out.as_str()] {
        assert!(!text.contains("eyJ") && !text.contains(&realm.secret), "a token or the secret is told");
    }
}
