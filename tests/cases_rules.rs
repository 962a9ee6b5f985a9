//! Rules: values from other snapshots, values that the target does not take, logins that are made, parts of attributes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::company::systems;
use support::{Said, Server, World};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// An HR drop, a vault on the built-in server, and a job whose rules matter.
struct Office {
    world: World,
    vault: Server,
}

impl Office {
    /// `rules` are the lines after the sync's match rule.
    fn with(rules: &str) -> Self {
        let world = World::new();
        let vault = world.server();
        let office = Self { world, vault };
        office.job(rules);
        office
    }

    fn job(&self, rules: &str) {
        let systems = systems("hr", &self.vault.url);
        let text = format!(
            "name = \"office\"\n\n{systems}\n[[sync]]\nfrom = \"hr.users\"\nto = \"vault.users\"\nmatch = [{{ source = \
             \"id\", target = \"externalId\" }}]\n{rules}\n"
        );
        self.world.write("jobs/office.toml", text);
    }

    /// A file of the drop, from its header and its rows.
    fn hr(&self, name: &str, header: &str, rows: &[&str]) {
        self.world.write(&format!("hr/{name}.csv"), format!("{header}\n{}\n", rows.join("\n")));
    }

    #[track_caller]
    fn run(&self, status: i32) -> Said {
        self.world.muster(&["run", "office"]).ended(status)
    }

    /// The order of a key in the newest run.
    #[track_caller]
    fn order(&self, key: &str) -> Value {
        let orders = self.orders();
        orders.iter().find(|order| order["key"] == key).cloned().unwrap_or_else(|| panic!("{key}: {orders:#?}"))
    }

    fn orders(&self) -> Vec<Value> {
        self.world.orders("office", &self.world.newest_run("office"))
    }

    #[track_caller]
    fn approve_and_apply(&self) {
        self.world.muster(&["approve", "office", "--all", "--comment", "looked at"]).ended(0);
        self.world.muster(&["apply", "office"]).ended(0);
    }

    /// The user with an external id.
    #[track_caller]
    fn user(&self, key: &str) -> Value {
        self.vault.all("Users").into_iter().find(|user| user["externalId"] == key).unwrap()
    }

    fn login(&self, key: &str) -> String {
        self.user(key)["userName"].as_str().unwrap().to_owned()
    }
}

/// What an attribute of an order changes to.
fn after(order: &Value, attribute: &str) -> Value {
    let changes = order["changes"].as_array().unwrap();
    changes
        .iter()
        .find(|change| change["attribute"] == attribute)
        .map(|change| change["after"].clone())
        .unwrap_or_default()
}

#[track_caller]
fn blocked(order: &Value, reason: &str, texts: &[&str]) {
    assert_eq!(order["block"]["reason"], reason, "{order:#}");
    let detail = order["block"]["detail"].as_str().unwrap();
    for text in texts {
        assert!(detail.contains(text), "`{text}` is not in: {detail}");
    }
}

const SITES: &str = r#"scope = ["lookup('hr.sites', 'code', site, 'open').default('yes') == 'yes'"]
[sync.attributes]
externalId = "id"
userName = "login"
active = "enabled"
"addresses[type eq \"work\"].locality" = "lookup('hr.sites', 'code', site, 'city')"
"#;
const LOCALITY: &str = "addresses[type eq \"work\"].locality";

#[test]
fn a_value_of_another_snapshot_is_looked_up_and_nobody_guesses_which_of_two() {
    let office = Office::with(SITES);
    let users = ["E1,ann@x,ULM,true", "E2,bob@x,NOWHERE,true", "E3,cleo@x,TWIN,true", "E4,dan@x,SHUT,true"];
    office.hr("users", "id,login,site,enabled", &users);
    let sites = ["1,ULM,Ulm,yes", "2,TWIN,Lyon,yes", "3,TWIN,Nice,yes", "4,SHUT,Bonn,no"];
    office.hr("sites", "id,code,city,open", &sites);
    office.run(3);
    assert_eq!(after(&office.order("E1"), LOCALITY), "Ulm");
    // No such site: nothing, and no word of the attribute.
    assert_eq!(after(&office.order("E2"), LOCALITY), Value::Null);
    let texts = [
        "lookup('hr.sites', 'code', site, 'city')",
        "2 rows of hr.sites have code `TWIN`",
        "`Lyon` in `2`",
        "`Nice` in `3`",
        "site = `TWIN`",
        "run again",
    ];
    blocked(&office.order("E3"), "incomplete", &texts);
    assert_eq!(office.orders().len(), 3, "one site is shut");
    office.approve_and_apply();
    assert_eq!(office.user("E1")["addresses"], json!([{"type": "work", "locality": "Ulm"}]));
    let explained = office.world.muster(&["explain", "office", "E4"]).ended(0);
    explained.says(&["out of scope", "open of hr.sites by code `SHUT` = `no`"]);

    // The site moves, the person's row does not: that is the source's doing, and no rule's.
    let moved = ["1,ULM,Neu-Ulm,yes", "2,TWIN,Lyon,yes", "4,SHUT,Bonn,no"];
    office.hr("sites", "id,code,city,open", &moved);
    office.run(3);
    let order = office.order("E1");
    assert_eq!((order["cause"].as_str(), after(&order, LOCALITY)), (Some("source"), json!("Neu-Ulm")));
    // The rows agree again, and its block cleared itself.
    assert!(office.order("E3")["block"].is_null());
    office.approve_and_apply();
    office.run(0);
    // Where its key is what is looked up, rows that say the same may repeat it.
    office.hr("sites", "code,city,open", &["ULM,Neu-Ulm,yes", "ULM,Neu-Ulm,yes", "TWIN,Lyon,yes", "SHUT,Bonn,no"]);
    // Other columns of another key are another file: that is asked first.
    let held = office.run(4).never_says(&["duplicate-keys"]);
    held.says(&["hr.sites/baseline", "its rows go by `code` now, they went by `id`"]);
    let run = office.world.newest_run("office");
    let accept = ["--accept", "hr.sites/baseline", "--comment", "a new list"];
    office.world.muster(&[&["approve", run.as_str()][..], &accept].concat()).ended(0);
    office.run(0);
}

#[test]
fn a_snapshot_that_is_only_looked_up_is_proved_and_holds_the_sync() {
    let office = Office::with(SITES);
    office.hr("users", "id,login,site,enabled", &["E1,ann@x,ULM,true"]);
    office.hr("sites", "id,code,city,open", &["1,ULM,Ulm,yes"]);
    office.run(3);
    office.approve_and_apply();
    // Nobody's city is cleared because a file came empty.
    office.hr("users", "id,login,site,enabled", &["E1,ann@x,ULM,true", "E2,bob@x,ULM,true"]);
    office.world.write("hr/sites.csv", "id,code,city,open\n");
    office.run(4).says(&["hr.sites/empty"]);
    office.world.write("hr/sites.csv", "id,code,city,open\n1,ULM,Ulm,yes\n");
    office.run(3);
    assert_eq!(after(&office.order("E2"), LOCALITY), "Ulm");
    // A column that is not there is told, with the nearest one.
    office.job(&SITES.replace("'city')", "'citty')"));
    office.run(1).says(&["has no column `citty`", "did you mean `city`?"]);
    office.world.write("jobs/office.toml", office.world.read("jobs/office.toml").replace("'hr.sites'", "'hrr.sites'"));
    office.run(2).says(&["office.toml:", "no system `hrr`", "did you mean `hr.sites`?"]);
}

#[test]
fn a_value_that_the_target_does_not_take_blocks_its_order_alone() {
    let rules = r#"[sync.attributes]
externalId = "id"
userName = "login"
active = "state"
title = "titles"
addresses = "city"
"emails[type eq \"work\"].primary" = "first"
"#;
    let office = Office::with(rules);
    let rows = [
        "E1,ann@x,true,Clerk,,true",
        "E2,bob@x,maybe,Clerk,,true",
        "E3,cleo@x,TRUE,\"[\"\"Clerk\"\",\"\"Owner\"\"]\",,",
        "E4,dan@x,true,Clerk,Ulm,true",
        "E5,eve@x,true,Clerk,,first",
    ];
    office.hr("users", "id,login,state,titles,city,first", &rows);
    office.run(3);
    assert!(office.order("E1")["block"].is_null());
    let texts =
        ["`active` would be `maybe`", "rule `state`", "state = `maybe`", "takes true or false", "`E2` of hr.users"];
    blocked(&office.order("E2"), "incomplete", &texts);
    blocked(&office.order("E3"), "incomplete", &["`title`", "takes one value, and these are 2"]);
    blocked(&office.order("E4"), "incomplete", &["`addresses` would be `Ulm`", "an object of several parts"]);
    blocked(&office.order("E5"), "incomplete", &["emails[type eq \"work\"].primary", "takes true or false"]);
    office.world.muster(&["explain", "office", "E2"]).ended(0).says(&["takes true or false"]);
    // What fits goes; what does not waits for its cause to be gone.
    office.approve_and_apply();
    assert_eq!(office.vault.all("Users").len(), 1);
}

/// Who leaves does not keep access because of a value that has nothing to do with it.
#[test]
fn a_leaver_is_disabled_though_another_value_cannot_be_sent() {
    let rules = r#"[sync.attributes]
externalId = "id"
userName = "login"
active = "state"
title = "title"
nickName = "since.parseDate('%d.%m.%Y')"
"#;
    let office = Office::with(rules);
    let header = "id,login,state,title,since";
    office.hr("users", header, &["E1,ann@x,true,Clerk,", "E2,bob@x,true,Clerk,", "E3,cleo@x,true,Clerk,"]);
    office.run(3);
    office.approve_and_apply();
    let rows =
        ["E1,ann@x,false,\"[\"\"Clerk\"\",\"\"Owner\"\"]\",", "E2,bob@x,false,Clerk,soon", "E3,cleo@x,maybe,Clerk,"];
    office.hr("users", header, &rows);
    office.run(3);
    for (key, why) in [("E1", "takes one value, and these are 2"), ("E2", "`soon` is not a date")] {
        let order = office.order(key);
        assert!(order["block"].is_null(), "{order:#}");
        assert_eq!((&order["operation"], after(&order, "active")), (&json!("disable"), json!("false")));
        assert_eq!(order["changes"].as_array().unwrap().len(), 1, "{order:#}");
        let reason = order["reason"].as_str().unwrap();
        assert!(
            reason.contains("nothing else of it is changed now (incomplete:") && reason.contains(why),
            "{key}: {reason}"
        );
    }
    blocked(&office.order("E3"), "incomplete", &["takes true or false"]);
    office.approve_and_apply();
    for key in ["E1", "E2"] {
        assert_eq!(office.user(key)["active"], false, "{key}");
        assert_eq!(office.user(key)["title"], "Clerk", "{key}");
    }
    // What is left over waits for its cause to be gone.
    office.run(0);
    blocked(&office.order("E1"), "incomplete", &["takes one value"]);
}

#[test]
fn an_attribute_that_the_target_does_not_have_is_told_with_the_nearest_and_its_line() {
    let rules = "[sync.attributes]\nexternalId = \"id\"\nuserName = \"login\"\nnickname = \"login\"\n\
                 \"name.familyNam\" = \"login\"\n\"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:dept\" = \"login\"";
    let office = Office::with(rules);
    office.hr("users", "id,login", &["E1,ann@x"]);
    let said = office.run(3);
    let line = office.world.read("jobs/office.toml").lines().position(|l| l.contains("familyNam\"")).unwrap() + 1;
    let place = format!("`name.familyNam`; did you mean `name.familyName`? (line {line} of the job file)");
    said.says(&[&place, "User:dept`", "its rule is ignored"]).never_says(&["`nickname`"]);
    let order = office.order("E1");
    assert_eq!(after(&order, "nickname"), "ann@x", "names of attributes are the same in any case");
    assert_eq!(order["changes"].as_array().unwrap().len(), 3);
    office.approve_and_apply();
    assert_eq!(office.user("E1")["nickName"], "ann@x");
    office.run(0);
}

#[test]
fn a_rule_that_fails_on_a_row_blocks_its_order_and_stops_nothing_else() {
    let rules = "[sync.attributes]\nexternalId = \"id\"\nuserName = \"login\"\n\
                 title = \"started.parseDate('%d.%m.%Y').formatDate('%Y')\"";
    let office = Office::with(rules);
    office.hr("users", "id,login,started", &["E1,ann@x,31.01.2020", "E2,bob@x,2020-01-31", "E3,cleo@x,"]);
    office.run(3);
    assert_eq!(after(&office.order("E1"), "title"), "2020");
    assert!(office.order("E3")["block"].is_null());
    let texts = [
        "`title`",
        "started.parseDate",
        "`2020-01-31` is not a date of the format `%d.%m.%Y`",
        "started = `2020-01-31`",
        "run again",
    ];
    blocked(&office.order("E2"), "incomplete", &texts);
    office.approve_and_apply();
    assert_eq!(office.vault.all("Users").len(), 2);
    // Once it is there, a failing rule leaves it as it is.
    office.hr("users", "id,login,started", &["E1,ann@x,soon", "E2,bob@x,31.01.2021", "E3,cleo@x,"]);
    office.run(3);
    blocked(&office.order("E1"), "incomplete", &["`soon` is not a date"]);
    assert!(office.order("E2")["block"].is_null());
}

const LOGINS: &str = r#"required = ["userName"]
unique = ["userName"]
[sync.attributes]
externalId = "id"
"name.familyName" = "last"
active = "enabled"

[sync.generate]
userName = { rule = "(first.substring(0, 1) + last).ascii().lowerAscii()", on_collision = "{value}{n}", from = 2 }
"#;
const PEOPLE: &str = "id,first,last,enabled";

#[test]
fn logins_are_made_once_unique_and_the_same_at_every_run() {
    let office = Office::with(LOGINS);
    let local = office.vault.add_user("JDoe");
    let first = ["E5,John,Doe,true", "E6,Jane,Doe,true", "E7,Жанна,Мюллер,true", "E8,,Nobody,true"];
    office.hr("users", PEOPLE, &first);
    office.run(3);
    let logins = |office: &Office| -> Vec<(String, Value, Value)> {
        let told = |order: &Value| {
            (order["key"].as_str().unwrap().to_owned(), after(order, "userName"), order["order"].clone())
        };
        office.orders().iter().map(told).collect()
    };
    let of =
        |office: &Office, key: &str| logins(office).into_iter().find(|(of, ..)| of == key).map(|(_, login, _)| login);
    assert_eq!(of(&office, "E5"), Some(json!("jdoe2")), "`JDoe` is somebody's, in another case");
    assert_eq!(of(&office, "E6"), Some(json!("jdoe3")));
    assert_eq!(of(&office, "E7"), Some(json!("zhmyuller")));
    blocked(&office.order("E8"), "incomplete", &["`userName`", "substring"]);
    let order = office.order("E5");
    assert_eq!(order["name"], "jdoe2");
    assert!(order["reason"].as_str().unwrap().contains("userName `jdoe` is taken, so it is `jdoe2`"), "{order:#}");

    // Nothing is raised anew while these wait; a newcomer whose key comes before them takes nothing of theirs, though
    // the number that they would have got is promised.
    office.run(3);
    assert_eq!(logins(&office), []);
    office.hr("users", PEOPLE, &[&["E1,Jim,Doe,true"], &first[..]].concat());
    office.run(3);
    assert_eq!(
        logins(&office).into_iter().map(|(key, login, _)| (key, login)).collect::<Vec<_>>(),
        [("E1".to_owned(), json!("jdoe4"))]
    );
    office.approve_and_apply();
    let now = |office: &Office| ["E1", "E5", "E6", "E7"].map(|key| office.login(key));
    assert_eq!(now(&office), ["jdoe4", "jdoe2", "jdoe3", "zhmyuller"]);
    assert_eq!(office.vault.user("JDoe").unwrap()["id"], local.as_str());

    // A login is kept, whatever becomes of the name, and though the one that was wanted first is free now.
    office.vault.send("DELETE", &format!("/Users/{local}"), None);
    office.hr("users", PEOPLE, &["E1,Jim,Smith,true", "E5,John,Doe,true", "E6,Jane,Doe,true", "E7,Жанна,Мюллер,true"]);
    office.run(3);
    let order = office.order("E1");
    assert_eq!((after(&order, "userName"), after(&order, "name.familyName")), (Value::Null, json!("Smith")));
    office.approve_and_apply();
    office.run(0);
    assert_eq!(now(&office), ["jdoe4", "jdoe2", "jdoe3", "zhmyuller"]);
    let explained = office.world.muster(&["explain", "office", "E1"]).ended(0);
    explained.says(&["`jdoe4`: the object keeps what it holds; the rule yields `jsmith`"]);

    // Where the job lets it follow its rule, who married gets another one, and who only has a number keeps that.
    office.job(&LOGINS.replace("from = 2", "from = 2, follow = true"));
    office.run(3);
    assert_eq!(office.orders().len(), 1);
    assert_eq!(after(&office.order("E1"), "userName"), "jsmith");
    office.approve_and_apply();
    office.run(0);
    assert_eq!(now(&office), ["jsmith", "jdoe2", "jdoe3", "zhmyuller"]);
}

#[test]
fn one_object_alone_gets_the_login_that_a_plan_of_all_gives_it() {
    let office = Office::with(LOGINS);
    office.vault.add_user("jdoe");
    office.hr("users", PEOPLE, &["E5,John,Doe,true", "E6,Jane,Doe,true"]);
    office.world.muster(&["plan", "office", "--only", "E6"]).ended(3);
    assert_eq!(after(&office.order("E6"), "userName"), "jdoe3", "E5 comes first");
    office.run(3);
    assert_eq!(after(&office.order("E5"), "userName"), "jdoe2");
    let explained = office.world.muster(&["explain", "office", "E6"]).ended(0);
    explained.says(&["made from `jdoe`, with a number where that is taken"]);
    office.approve_and_apply();
    office.run(0);
    assert_eq!((office.login("E5").as_str(), office.login("E6").as_str()), ("jdoe2", "jdoe3"));
    // Whoever has a login goes by it, and not by what it was made from.
    office.world.muster(&["explain", "office", "jdoe2"]).ended(0).says(&["vault.users `E5`"]);
    let explained = office.world.muster(&["explain", "office", "jdoe"]).ended(0);
    explained.says(&["(jdoe)", "unmanaged"]);
}

#[test]
fn one_element_of_a_list_is_set_and_the_others_are_left_alone() {
    let rules = format!(
        "clear = ['emails[type eq \"work\"].value']\n[sync.attributes]\nexternalId = \"id\"\nuserName = \"login\"\n\
         \"name.givenName\" = \"first\"\n'emails[type eq \"work\"].value' = \"mail\"\n\
         'addresses[type eq \"work\"].locality' = \"city\"\n'addresses[type eq \"work\"].postalCode' = \"code\"\n\
         \"{ENTERPRISE}:department\" = \"department\"\n"
    );
    let office = Office::with(&rules);
    let home = json!({"value": "ann@home.example", "type": "home", "primary": true});
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE], "userName": "ann", "externalId": "E1",
        "name": {"familyName": "Lovelace"}, "emails": [home], "addresses": [{"type": "home", "locality": "Rome"}],
        (ENTERPRISE): {"costCenter": "007"},
    });
    let (status, body) = office.vault.send("POST", "/Users", Some(user));
    assert_eq!(status, 201, "{body}");
    let header = "id,login,first,mail,city,code,department";
    let other = "E9,zoe,Zoe,zoe@work.example,Ulm,9,Legal";
    office.hr("users", header, &["E1,ann,Ada,ann@work.example,Ulm,089,Sales", other]);
    office.run(3);
    office.approve_and_apply();
    let user = office.user("E1");
    let sorted = |list: &Value| {
        let mut all: Vec<Value> = list.as_array().unwrap().clone();
        all.sort_by_key(|one| one["type"].to_string());
        Value::Array(all)
    };
    assert_eq!(sorted(&user["emails"]), json!([home, {"type": "work", "value": "ann@work.example"}]));
    let work = json!({"type": "work", "locality": "Ulm", "postalCode": "089"});
    assert_eq!(sorted(&user["addresses"]), json!([{"type": "home", "locality": "Rome"}, work]));
    assert_eq!(user["name"], json!({"familyName": "Lovelace", "givenName": "Ada"}));
    assert_eq!(user[ENTERPRISE], json!({"costCenter": "007", "department": "Sales"}));
    office.run(0);

    // One part changes, one value goes.
    office.hr("users", header, &["E1,ann,Ada,,Bonn,089,Sales", other]);
    office.run(3);
    office.approve_and_apply();
    let user = office.user("E1");
    assert_eq!(user["emails"], json!([home]));
    let work = json!({"type": "work", "locality": "Bonn", "postalCode": "089"});
    assert_eq!(sorted(&user["addresses"]), json!([{"type": "home", "locality": "Rome"}, work]));
    office.run(0);

    // Who was new got all of it at once.
    let user = office.user("E9");
    assert_eq!(user["addresses"], json!([{"type": "work", "locality": "Ulm", "postalCode": "9"}]));
    assert_eq!(user["emails"], json!([{"type": "work", "value": "zoe@work.example"}]));
}

#[test]
fn what_the_target_never_shows_is_sent_when_it_changes_and_an_address_finds_its_owner() {
    let rules =
        "[sync.attributes]\nexternalId = \"id\"\nuserName = \"login\"\npassword = \"secret\"\nemails = \"mail\"\n";
    let office = Office::with(rules);
    let person =
        |secret: &str| office.hr("users", "id,login,secret,mail", &[&format!("E1,ann,{secret},ann@work.example")]);
    person("first-one");
    office.run(3);
    office.approve_and_apply();
    office.run(0);
    office.world.muster(&["explain", "office", "ann@work.example"]).ended(0).says(&["vault.users `E1`"]);
    person("second-one");
    office.run(3);
    let order = office.order("E1");
    assert_eq!((order["cause"].as_str(), order["changes"].as_array().unwrap().len()), (Some("source"), 1), "{order}");
    office.approve_and_apply();
    office.run(0);
    // An attribute that is not there was asked for; that it is asked for no more is no loss.
    office.job(&format!("{rules}titel = \"login\"\n"));
    office.run(0).says(&["has no attribute `titel`"]);
    office.job(rules);
    office.run(0).never_says(&["header"]);
    // The whole and a part would undo each other.
    office.job(&format!("{rules}'emails[type eq \"work\"].value' = \"mail\"\n"));
    office.run(2).says(&["`emails` is mapped as a whole", "is a part of it"]);
    office.job(rules);
    office
        .world
        .muster(&["explain", "office", "E1", "--resource", "vault.usrs"])
        .ended(1)
        .says(&["name one of hr.users"]);
}

#[test]
fn a_rejected_joiner_stays_rejected_though_somebody_else_takes_the_login() {
    let office = Office::with(LOGINS);
    office.vault.add_user("jdoe");
    office.hr("users", PEOPLE, &["E5,John,Doe,true"]);
    office.run(3);
    office.world.muster(&["reject", "office", "--all", "--comment", "contract cancelled"]).ended(0);
    office.hr("users", PEOPLE, &["E1,Jim,Doe,true", "E5,John,Doe,true"]);
    office.run(3);
    let told: Vec<(Value, Value)> =
        office.orders().iter().map(|order| (order["key"].clone(), after(order, "userName"))).collect();
    assert_eq!(told, [(json!("E1"), json!("jdoe2"))]);
}

#[test]
fn names_that_protect_nothing_and_values_by_parts_that_are_not_there_are_told() {
    let office = Office::with(
        &LOGINS.replace("[sync.generate]", "\"emails[typ eq \\\"work\\\"].value\" = \"id\"\n[sync.generate]"),
    );
    office.hr("users", PEOPLE, &["E5,John,Doe,true"]);
    office.world.muster(&["check", "office"]).says(&["has no attribute `emails[typ eq \"work\"].value`"]);
    office.job(&format!("{LOGINS}\n[apply]\nprotect = [\"vault.users/nobody-goes-by-it\"]\n"));
    office.run(3);
    office.world.muster(&["review", "office"]).says(&["nothing there goes by `nobody-goes-by-it`"]);
    office.job(&format!("{LOGINS}\n[apply]\nprotect = [\"vault.usrs/x\"]\n"));
    office.world.muster(&["check", "office"]).ended(2).says(&["no sync writes to vault.usrs", "`vault.users`"]);
}
