//! The connector `ldap` on OpenLDAP.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use ldap3::Mod;
use muster::connector::config::LdapConfig;
use muster::connector::source::{ExportError, Needs};
use muster::model::failure::{Class, Recourse, Stage};
use muster::model::order::Operation;
use muster::model::outcome::Effected;
use muster::model::value::Value;

use crate::connector_renamed::{Names, Renamed};
use crate::connector_sink::{export, export_since};
use crate::connector_subject::Subject;
use crate::connector_suite::CHECKS;
use crate::directory::Directory;

pub(crate) const PEOPLE: &str = "ou=people,dc=example,dc=com";
pub(crate) const GROUPS: &str = "ou=groups,dc=example,dc=com";

/// The suite's names, and those of inetOrgPerson and groupOfNames.
pub(crate) const NAMES: Names = &[
    ("userName", "uid"),
    ("active", "enabled"),
    ("emails", "mail"),
    ("name.givenName", "givenName"),
    ("displayName", "cn"),
];

/// The conformance suite's subject: people are named by a number, because hostile logins are longer than a name may be.
async fn subject() -> Subject {
    let directory = Directory::emptied().await;
    let mut config = LdapConfig { page_size: 4, ..directory.config() };
    let users = config.resources.get_mut("users").unwrap();
    users.rdn = Some("cn".to_owned());
    users.lists = vec!["mail".to_owned()];
    let target = directory.target(config).await;
    let needed: &[(&str, &str, &str)] = &[("users", "cn", "n{n}"), ("users", "sn", "x")];
    let renamed = Renamed { target, names: NAMES, needed, creates: AtomicU64::new(1) };
    Subject::foreign(Box::new(renamed), tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn openldap_conforms() {
    for (name, check) in CHECKS {
        println!("{name}");
        check(&subject().await).await;
    }
}

pub(crate) async fn add_person(directory: &Directory, uid: &str, further: &[(&str, &[&str])]) -> String {
    let dn = format!("uid={uid},{PEOPLE}");
    let mut attributes: Vec<(&str, &[&str])> = vec![("objectClass", &["inetOrgPerson"])];
    let uids = [uid];
    attributes.extend([("uid", &uids[..]), ("cn", &uids[..]), ("sn", &uids[..])]);
    attributes.extend(further);
    directory.add(&dn, &attributes).await;
    dn
}

/// A truncated list is never a short one: what came is kept as what it is, with what to do.
#[tokio::test]
async fn a_list_that_the_server_cuts_off_says_so_and_so_do_memberships() {
    let directory = Directory::emptied().await;
    for n in 0..520 {
        add_person(&directory, &format!("p{n:04}"), &[]).await;
    }
    let member = format!("uid=p0001,{PEOPLE}");
    let team: &[(&str, &[&str])] = &[("objectClass", &["groupOfNames"]), ("cn", &["team"]), ("member", &[&member])];
    directory.add(&format!("cn=team,{GROUPS}"), team).await;
    // In pages, everything comes where only single answers are limited.
    let paged = LdapConfig { page_size: 200, ..directory.config() };
    let exported = export(directory.target(paged).await.as_ref(), &["users", "memberships"]).await.unwrap();
    assert_eq!(exported["users"].rows.len(), 520);
    assert_eq!(exported["users"].ended().evidence.pages_received, 3);
    assert!(exported.values().all(|resource| resource.ended().evidence.cut_off.is_none()));

    let mut config = LdapConfig { page_size: 200, ..directory.config() };
    config.auth.as_mut().unwrap().user = "cn=clipped,ou=services,dc=example,dc=com".to_owned();
    let clipped = directory.target(config).await;
    let exported = export(clipped.as_ref(), &["users", "groups", "memberships"]).await.unwrap();
    let (users, groups) = (exported["users"].ended(), exported["groups"].ended());
    assert_eq!((exported["users"].rows.len(), users.cursor.as_deref()), (300, None));
    let why = users.evidence.cut_off.clone().unwrap();
    assert!(why.contains("300 entries had come") && why.contains("prtotal=unlimited"), "{why}");
    assert_eq!((exported["groups"].rows.len(), &groups.evidence.cut_off), (1, &None));
    assert_eq!(exported["memberships"].ended().evidence.cut_off, Some(why), "who is missing may be a member");
    // A question about one entry has no half an answer.
    let told = clipped.find("users", "dn", &format!("uid=p0519,{PEOPLE}")).await.unwrap_err();
    assert_eq!((told.class, told.recourse, told.status), (Class::Configuration, Recourse::Stop, Some(4)), "{told}");
    // More than the server gives at once.
    let large = LdapConfig { page_size: 2000, ..directory.config() };
    let told = match export(directory.target(large).await.as_ref(), &["users"]).await {
        Err(ExportError::System(failure)) => failure,
        other => panic!("{other:?}"),
    };
    assert!(told.status == Some(11) && told.remedy.contains("page_size"), "{told}");
}

#[tokio::test]
async fn sessions_are_safe_with_an_own_authority_and_only_with_it() {
    let directory = Directory::openldap();
    let port: u16 = directory.url.rsplit(':').next().unwrap().parse().unwrap();
    let starttls = LdapConfig {
        url: format!("ldap://localhost:{port}"),
        starttls: true,
        ca_file: Some(directory.ca_file.clone().into()),
        ..directory.config()
    };
    let ldaps = LdapConfig { url: format!("ldaps://localhost:{}", port + 1), starttls: false, ..starttls.clone() };
    let needs = Needs { reads: BTreeMap::from([("users".to_owned(), vec!["uid".to_owned()])]), ..Needs::default() };
    for config in [starttls, ldaps] {
        let steps = directory.target(config.clone()).await.probe(&needs).await;
        let stages: Vec<Stage> = steps.iter().map(|step| step.stage).collect();
        use Stage::{Connect, Login, Permission, Resolve, Schema, Tls};
        assert_eq!(stages, [Resolve, Connect, Tls, Login, Permission, Schema], "{steps:?}");
        assert!(steps.iter().all(|step| step.result.is_ok()), "{steps:?}");

        let untrusted = LdapConfig { ca_file: None, ..config };
        let steps = directory.target(untrusted).await.probe(&needs).await;
        let failure = steps.last().unwrap().result.clone().unwrap_err();
        assert_eq!((failure.stage, failure.recourse), (Some(Tls), Recourse::Stop), "{failure}");
        assert!(failure.remedy.contains("ca_file"), "{failure}");
    }
    let mut wrong = directory.config();
    wrong.auth.as_mut().unwrap().user = "cn=nobody,dc=example,dc=com".to_owned();
    let steps = directory.target(wrong).await.probe(&needs).await;
    let failure = steps.last().unwrap().result.clone().unwrap_err();
    assert_eq!((failure.class, failure.stage), (Class::Credential, Some(Stage::Login)), "{failure}");
    assert!(!failure.sentence().contains(&directory.password));
    // What is not there is named, with what may be meant.
    let needs =
        Needs { reads: BTreeMap::from([("users".to_owned(), vec!["giveName".to_owned()])]), ..Needs::default() };
    let steps = directory.target(directory.config()).await.probe(&needs).await;
    let failure = steps.last().unwrap().result.clone().unwrap_err();
    assert!(failure.stage == Some(Stage::Schema) && failure.remedy.contains("`givenName`"), "{failure}");
}

#[tokio::test]
async fn values_come_with_their_options_in_base64_and_as_lists_where_there_are_several() {
    let directory = Directory::emptied().await;
    let further: &[(&str, &[&str])] =
        &[("cn;lang-de", &["Jürgen"]), ("mail", &["b@x", "a@x"]), ("title", &["Chef"]), ("employeeNumber", &["007"])];
    let dn = add_person(&directory, "j", further).await;
    directory.modify(&dn, vec![Mod::Add("pwdAccountLockedTime", ["000001010000Z"].into())]).await;
    let mut ldap = directory.session().await;
    let photo = Mod::Replace(b"jpegPhoto".to_vec(), [vec![0xff, 0xd8, 0xff, 0x00]].into());
    ldap.modify(&dn, vec![photo]).await.unwrap().success().unwrap();

    let mut config = directory.config();
    let named = ["cn;lang-de", "jpegPhoto", "modifyTimestamp"].map(str::to_owned);
    config.resources.get_mut("users").unwrap().attributes.extend(named);
    let target = directory.target(config).await;
    let exported = export(target.as_ref(), &["users"]).await.unwrap();
    let row = exported["users"].row("uid", "j").unwrap();
    assert_eq!((row["cn"], row["cn;lang-de"], row["dn"]), ("j", "Jürgen", dn.as_str()));
    assert_eq!((row["mail"], row["title"], row["employeeNumber"]), (r#"["a@x","b@x"]"#, "Chef", "007"));
    assert_eq!((row["jpegPhoto"], row["enabled"]), ("/9j/AA==", "false"));
    assert!(row["modifyTimestamp"].ends_with('Z') && row["modifyTimestamp"].contains('T'), "{row:?}");
    assert_eq!(uuid::Uuid::try_parse(row["id"]).unwrap().to_string(), row["id"]);
}

/// The id stays, the name goes along; other entries are never hit under a name that moved on.
#[tokio::test]
async fn entries_are_renamed_and_moved_and_found_by_their_id_under_any_name() {
    let directory = Directory::emptied().await;
    let target = directory.target(directory.config()).await;
    let subject = Subject::foreign(target, tempfile::tempdir().unwrap());
    let target = &subject.target;
    let create = |uid: &str| {
        subject.change(
            Operation::Create,
            "users",
            None,
            &[("uid", uid), ("cn", "Jane"), ("sn", "Doe"), ("enabled", "true")],
        )
    };
    let id = target.apply(&create("jane, o+x")).await.unwrap().id.unwrap();
    let rename = subject.change(Operation::Update, "users", Some(&id), &[("uid", "jane.#roe"), ("sn", "Roe")]);
    assert_eq!(target.apply(&rename).await.unwrap().effected, Effected::Sent);
    let read = target.get("users", &id).await.unwrap().unwrap();
    assert_eq!(read.attributes["dn"], Value::Text(format!("uid=jane.#roe,{PEOPLE}")));
    assert_eq!(
        (&read.attributes["sn"], &read.attributes["uid"]),
        (&Value::Text("Roe".into()), &Value::Text("jane.#roe".into()))
    );

    let away = format!("uid=jane.roe,ou=leavers,{PEOPLE}");
    let moved = subject.change(Operation::Update, "users", Some(&id), &[("dn", &away)]);
    assert_eq!(target.apply(&moved).await.unwrap().effected, Effected::Sent);
    assert_eq!(target.apply(&moved).await.unwrap().effected, Effected::AlreadySo);
    let read = target.get("users", &id).await.unwrap().unwrap();
    assert_eq!(
        (&read.attributes["dn"], &read.attributes["uid"]),
        (&Value::Text(away.clone()), &Value::Text("jane.roe".into()))
    );

    // Somebody moves the entry, and puts another one in its place: the delete goes to the id, whatever its name.
    let mut ldap = directory.session().await;
    ldap.modifydn(&away, "uid=jane.moved", true, Some(PEOPLE)).await.unwrap().success().unwrap();
    let usurper: &[(&str, &[&str])] =
        &[("objectClass", &["inetOrgPerson"]), ("uid", &["jane.roe"]), ("cn", &["x"]), ("sn", &["x"])];
    directory.add(&away, usurper).await;
    let delete = subject.change(Operation::Delete, "users", Some(&id), &[]);
    assert_eq!(target.apply(&delete).await.unwrap().effected, Effected::Sent);
    let left: Vec<String> =
        directory.search(PEOPLE, "(objectClass=inetOrgPerson)", &["1.1"]).await.into_iter().map(|(dn, _)| dn).collect();
    assert_eq!(left, [away]);

    // What changed after it was read is not overwritten.
    let id = target.apply(&create("x")).await.unwrap().id.unwrap();
    let version = target.get("users", &id).await.unwrap().unwrap().version;
    assert!(version.is_some());
    directory.modify(&format!("uid=x,{PEOPLE}"), vec![Mod::Replace("title", ["Boss"].into())]).await;
    let mut late = subject.change(Operation::Update, "users", Some(&id), &[("title", "Clerk")]);
    late.version = version;
    let refused = target.apply(&late).await.unwrap_err();
    assert_eq!((refused.class, refused.status), (Class::Stale, Some(122)), "{refused}");
}

#[tokio::test]
async fn members_are_changed_in_batches_and_a_group_is_never_without_one() {
    let directory = Directory::emptied().await;
    let target = directory.target(LdapConfig { member_batch: 50, ..directory.config() }).await;
    let subject = Subject::foreign(target, tempfile::tempdir().unwrap());
    let target = &subject.target;
    let mut people = Vec::new();
    for n in 0..120 {
        let uid = format!("m{n:03}");
        let person = [("uid", uid.as_str()), ("cn", &uid), ("sn", &uid)];
        let created = target.apply(&subject.change(Operation::Create, "users", None, &person)).await.unwrap();
        people.push(created.id.unwrap());
    }
    let made = subject.change(Operation::Create, "groups", None, &[("cn", "team"), ("description", "a team")]);
    let group = target.apply(&made).await.unwrap().id.unwrap();
    // Two are there already, one is nobody: they stand in the way of no other.
    let first: Vec<_> = people[..2].iter().map(|id| subject.row(&group, id)).collect();
    target.apply_rows("memberships", Operation::Add, &first).await.into_iter().for_each(|row| drop(row.unwrap()));
    let nobody = "00000000-0000-4000-8000-000000000000";
    let mut rows: Vec<_> = people.iter().map(|id| subject.row(&group, id)).collect();
    rows.insert(60, subject.row(&group, nobody));
    let results = target.apply_rows("memberships", Operation::Add, &rows).await;
    for (at, result) in results.iter().enumerate() {
        match (at, result) {
            (60, Err(failure)) => assert_eq!(failure.class, Class::Stale, "{failure}"),
            (0 | 1, Ok(applied)) => assert_eq!(applied.effected, Effected::AlreadySo),
            (_, Ok(applied)) => assert_eq!(applied.effected, Effected::Sent, "{at}"),
            (_, Err(failure)) => panic!("{at}: {failure}"),
        }
    }
    let exported = export(target.as_ref(), &["memberships", "nestings"]).await.unwrap();
    let mut all = people.clone();
    all.sort();
    assert_eq!(exported["memberships"].column("user"), all);
    assert!(exported["nestings"].rows.is_empty());
    assert_eq!(exported["memberships"].ended().evidence.notes, Vec::<String>::new());

    let rows: Vec<_> = people.iter().map(|id| subject.row(&group, id)).collect();
    let removed = target.apply_rows("memberships", Operation::Remove, &rows).await;
    assert!(removed.iter().all(Result::is_ok), "{removed:?}");
    assert!(export(target.as_ref(), &["memberships"]).await.unwrap()["memberships"].rows.is_empty());

    // A group that somebody else made has nobody to stand in for its last member.
    let (_, attributes) = directory.search(PEOPLE, "(uid=m000)", &["entryUUID"]).await.remove(0);
    let last = format!("uid=m000,{PEOPLE}");
    directory
        .add(
            &format!("cn=theirs,{GROUPS}"),
            &[("objectClass", &["groupOfNames"]), ("cn", &["theirs"]), ("member", &[&last])],
        )
        .await;
    let theirs = target.find("groups", "cn", "theirs").await.unwrap().remove(0).id;
    let row = [subject.row(&theirs, &attributes["entryUUID"][0])];
    target.apply_rows("memberships", Operation::Remove, &row).await.remove(0).unwrap();
    let (_, left) = directory.search(GROUPS, "(cn=theirs)", &["member"]).await.remove(0);
    assert_eq!(left["member"], [""]);
}

#[tokio::test]
async fn increments_bring_what_changed_and_count_what_there_is() {
    let directory = Directory::emptied().await;
    for n in 0..30 {
        add_person(&directory, &format!("i{n:02}"), if n == 6 { &[("title", &["Guest"])] } else { &[] }).await;
    }
    let mut config = directory.config();
    let users = config.resources.get_mut("users").unwrap();
    users.filter = Some("(&(objectClass=inetOrgPerson)(!(title=Guest)))".to_owned());
    let target = directory.target(config).await;
    let all = ["users", "groups", "memberships"];
    let whole = export(target.as_ref(), &all).await.unwrap();
    let cursor = whole["users"].ended().cursor.clone().unwrap();
    assert!(whole["groups"].ended().cursor.is_none(), "nothing there, nothing to go on from");
    let earlier = [6, 7].map(|n| format!("uid=i{n:02},{PEOPLE}"));
    directory
        .add(
            &format!("cn=old,{GROUPS}"),
            &[("objectClass", &["groupOfNames"]), ("cn", &["old"]), ("member", &[&earlier[0], &earlier[1]])],
        )
        .await;

    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    // A later time than the overlap reaches back to: the cursor is moved on by hand.
    let soon = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    directory.modify(&format!("uid=i03,{PEOPLE}"), vec![Mod::Replace("title", ["Boss"].into())]).await;
    directory.delete(&format!("uid=i04,{PEOPLE}")).await;
    let changed = export_since(target.as_ref(), &["users"], Some(&soon)).await.unwrap();
    let users = &changed["users"];
    assert_eq!(users.column("uid"), ["i03"]);
    let ids = target.find("users", "uid", "i05").await.unwrap().remove(0).id;
    assert!(users.only["id"].contains(&ids), "{:?}", users.only);
    assert_eq!((users.only["id"].len(), users.ended().evidence.total_end), (28, Some(28)));
    assert!(users.ended().proves_absence);
    assert!(users.ended().cursor.clone().unwrap() >= cursor);
    // A clock that was ahead hides nothing: the run goes complete.
    let told = match export_since(target.as_ref(), &["users"], Some("2099-01-01T00:00:00Z")).await {
        Err(ExportError::System(failure)) => failure,
        other => panic!("{other:?}"),
    };
    assert_eq!(told.class, Class::Unsupported, "{told}");

    let members = [format!("uid=i05,{PEOPLE}")];
    directory
        .add(
            &format!("cn=g,{GROUPS}"),
            &[("objectClass", &["groupOfNames"]), ("cn", &["g"]), ("member", &[&members[0]])],
        )
        .await;
    // A guest who stays is in a group that does not change for that.
    directory.modify(&earlier[0], vec![Mod::Replace("title", ["Clerk"].into())]).await;
    let id = async |resource, attribute, value| {
        let found = target.find(resource, attribute, value).await.unwrap();
        found.into_iter().next().unwrap_or_else(|| panic!("no {value}")).id
    };
    let (old, new) = (id("groups", "cn", "old").await, id("groups", "cn", "g").await);
    let changed = export_since(target.as_ref(), &["memberships"], Some(&soon)).await.unwrap();
    let memberships = &changed["memberships"];
    let rows = [[old, id("users", "uid", "i06").await], [new.clone(), id("users", "uid", "i05").await]];
    assert_eq!(memberships.rows, rows);
    assert!(memberships.replaced.contains(&("group".to_owned(), new)));
    let whole = memberships.replaced.iter().filter(|(end, _)| end == "user").count();
    assert_eq!((whole, memberships.replaced.len()), (2, 3), "everybody who changed, and one group");
    assert_eq!((memberships.only["user"].len(), memberships.only["group"].len()), (29, 2));
    assert!(memberships.ended().proves_absence);
}

/// A group of logins is not told that one of them has another owner, or none.
#[tokio::test]
async fn whoever_gets_another_login_leaves_the_groups_of_the_old_one_in_increments_too() {
    let directory = Directory::emptied().await;
    directory.empty(GROUPS, "(objectClass=posixGroup)").await;
    for n in 0..3 {
        add_person(&directory, &format!("i{n:02}"), &[]).await;
    }
    let attributes: &[(&str, &[&str])] = &[
        ("objectClass", &["posixGroup"]),
        ("gidNumber", &["7"]),
        ("cn", &["staff"]),
        ("memberUid", &["i01", "i02", "i09"]),
    ];
    directory.add(&format!("cn=staff,{GROUPS}"), attributes).await;
    let mut config = directory.config();
    let groups = config.resources.get_mut("groups").unwrap();
    (groups.classes, groups.member) = (vec!["posixGroup".to_owned()], Some("memberUid".to_owned()));
    let target = directory.target(config).await;
    assert_eq!(export(target.as_ref(), &["memberships"]).await.unwrap()["memberships"].rows.len(), 2);

    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let soon = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let mut ldap = directory.session().await;
    for (old, new) in [("i01", "elsewhere"), ("i00", "i09")] {
        ldap.modifydn(&format!("uid={old},{PEOPLE}"), &format!("uid={new}"), true, None)
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    let id = async |login| target.find("users", "uid", login).await.unwrap().remove(0).id;
    let (gone, come) = (id("elsewhere").await, id("i09").await);
    let changed = export_since(target.as_ref(), &["memberships"], Some(&soon)).await.unwrap();
    let memberships = &changed["memberships"];
    assert_eq!(memberships.column("user"), [come.as_str()]);
    for id in [gone, come] {
        assert!(memberships.replaced.contains(&("user".to_owned(), id)), "{:?}", memberships.replaced);
    }
    directory.empty(GROUPS, "(objectClass=posixGroup)").await;
}
