//! The connector `ldap` on a Samba Active Directory domain controller.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use ldap3::Mod;
use muster::connector::config::LdapConfig;
use muster::connector::source::Needs;
use muster::connector::target::{RowChange, Target};
use muster::model::failure::Class;
use muster::model::order::Operation;
use muster::model::outcome::Effected;
use muster::model::value::Value;

use crate::connector_renamed::{Names, Renamed};
use crate::connector_sink::{export, export_since};
use crate::connector_subject::Subject;
use crate::connector_suite::CHECKS;
use crate::directory::Directory;

const NAMES: Names = &[
    ("userName", "userPrincipalName"),
    ("active", "enabled"),
    ("emails", "otherMailbox"),
    ("name.givenName", "givenName"),
    ("displayName", "sAMAccountName"),
];

/// The domain with two empty containers.
pub(crate) async fn emptied() -> Directory {
    let directory = Directory::active_directory();
    for ou in ["groups", "people"] {
        let dn = format!("OU={ou},{}", directory.base);
        if directory.search(&directory.base, &format!("(ou={ou})"), &["1.1"]).await.is_empty() {
            directory.add(&dn, &[("objectClass", &["organizationalUnit"]), ("ou", &[ou])]).await;
        }
        directory.empty(&dn, "(|(objectClass=user)(objectClass=group))").await;
    }
    directory
}

fn config(directory: &Directory) -> LdapConfig {
    LdapConfig { ca_file: Some(directory.ca_file.clone().into()), ..directory.config() }
}

async fn plain() -> (Directory, Subject) {
    let directory = emptied().await;
    let target = directory.target(config(&directory)).await;
    (directory, Subject::foreign(target, tempfile::tempdir().unwrap()))
}

/// Logins and titles are short here, and some characters are forbidden: the hostile values are for servers without such
/// rules.
#[tokio::test]
async fn active_directory_conforms() {
    for (name, check) in CHECKS.iter().filter(|(name, _)| !name.starts_with("hostile")) {
        println!("{name}");
        let directory = emptied().await;
        let mut config = LdapConfig { page_size: 4, ..config(&directory) };
        config.resources.get_mut("users").unwrap().lists = vec!["otherMailbox".to_owned()];
        let target = directory.target(config).await;
        let needed: &[(&str, &str, &str)] = &[("users", "cn", "n{n}"), ("groups", "cn", "g{n}")];
        let renamed = Renamed { target, names: NAMES, needed, creates: AtomicU64::new(1) };
        check(&Subject::foreign(Box::new(renamed), tempfile::tempdir().unwrap())).await;
    }
}

async fn person(subject: &Subject, login: &str) -> String {
    let attributes = [("cn", login), ("sAMAccountName", login), ("sn", "Doe")];
    let created = subject.target.apply(&subject.change(Operation::Create, "users", None, &attributes)).await;
    created.unwrap_or_else(|failure| panic!("{failure}")).id.unwrap()
}

async fn read(target: &dyn Target, id: &str, name: &str) -> Option<Value> {
    target.get("users", id).await.unwrap().unwrap().attributes.get(name).cloned()
}

#[tokio::test]
async fn accounts_are_made_switched_renamed_and_found_by_their_guid() {
    let (directory, subject) = plain().await;
    let target = subject.target.as_ref();
    let id = person(&subject, "jane").await;
    assert_eq!(uuid::Uuid::try_parse(&id).unwrap().to_string(), id);
    assert_eq!(read(target, &id, "enabled").await, Value::text("true"));
    assert_eq!(read(target, &id, "userAccountControl").await, Value::text("512"));
    // What others set among the bits stays.
    let dn = format!("CN=jane,OU=people,{}", directory.base);
    directory.modify(&dn, vec![Mod::Replace("userAccountControl", ["66048"].into())]).await;
    target.apply(&subject.change(Operation::Disable, "users", Some(&id), &[])).await.unwrap();
    assert_eq!(read(target, &id, "userAccountControl").await, Value::text("66050"));
    let again = target.apply(&subject.change(Operation::Disable, "users", Some(&id), &[])).await.unwrap();
    assert_eq!(again.effected, Effected::AlreadySo);
    target.apply(&subject.change(Operation::Enable, "users", Some(&id), &[("title", "Boss")])).await.unwrap();
    assert_eq!(read(target, &id, "userAccountControl").await, Value::text("66048"));

    let rename = subject.change(Operation::Update, "users", Some(&id), &[("cn", "Doe, Jane"), ("sn", "Roe")]);
    target.apply(&rename).await.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(read(target, &id, "cn").await, Value::text("Doe, Jane"));
    assert_eq!(target.find("users", "sAMAccountName", "JANE").await.unwrap().remove(0).id, id);

    let taken = [("cn", "other"), ("sAMAccountName", "jane")];
    let refused = target.apply(&subject.change(Operation::Create, "users", None, &taken)).await.unwrap_err();
    assert_eq!(refused.class, Class::Conflict, "{refused}");
    let weak = [("cn", "weak"), ("sAMAccountName", "weak"), ("unicodePwd", "a")];
    let refused = target.apply(&subject.change(Operation::Create, "users", None, &weak)).await.unwrap_err();
    assert_eq!(refused.class, Class::Data, "{refused}");
    assert!(!refused.sentence().contains("\"a\""), "{refused}");
}

#[tokio::test]
async fn large_groups_are_read_in_ranges_and_changed_in_batches() {
    let (directory, subject) = plain().await;
    let mut people = Vec::new();
    for n in 0..130 {
        people.push(person(&subject, &format!("r{n:03}")).await);
    }
    let team = subject.change(Operation::Create, "groups", None, &[("cn", "team"), ("sAMAccountName", "team")]);
    let group = subject.target.apply(&team).await.unwrap().id.unwrap();
    let first = [subject.row(&group, &people[7])];
    subject.target.apply_rows("memberships", Operation::Add, &first).await.remove(0).unwrap();
    let rows: Vec<_> = people.iter().map(|id| subject.row(&group, id)).collect();
    for (at, result) in subject.target.apply_rows("memberships", Operation::Add, &rows).await.iter().enumerate() {
        let expected = if at == 7 { Effected::AlreadySo } else { Effected::Sent };
        assert_eq!(result.as_ref().unwrap().effected, expected, "{at}");
    }
    let ranged = directory.target(LdapConfig { member_range: Some(50), ..config(&directory) }).await;
    let mut expected = people.clone();
    expected.sort();
    let exported = export(ranged.as_ref(), &["memberships", "users"]).await.unwrap();
    assert_eq!(exported["memberships"].column("user"), expected);
    assert_eq!(ranged.members("memberships", "group", &group).await.unwrap(), expected);
    for _ in 0..2 {
        let removed = subject.target.apply_rows("memberships", Operation::Remove, &rows[..20]).await;
        assert!(removed.iter().all(Result::is_ok), "{removed:?}");
    }
    let exported = export(ranged.as_ref(), &["memberships"]).await.unwrap();
    assert_eq!(exported["memberships"].rows.len(), 110);
}

/// Whoever is in a group through other groups, as the server finds them; nobody is written that way.
#[tokio::test]
async fn the_server_resolves_groups_in_groups_where_the_job_says_so() {
    let (directory, subject) = plain().await;
    let (ann, bob) = (person(&subject, "ann").await, person(&subject, "bob").await);
    let group = async |name: &str| {
        let made = subject.change(Operation::Create, "groups", None, &[("cn", name), ("sAMAccountName", name)]);
        subject.target.apply(&made).await.unwrap().id.unwrap()
    };
    let (inner, outer) = (group("inner").await, group("outer").await);
    let nested = RowChange {
        ends: BTreeMap::from([("parent".to_owned(), outer.clone()), ("child".to_owned(), inner.clone())]),
        ..subject.row(&outer, &inner)
    };
    subject.target.apply_rows("nestings", Operation::Add, &[nested]).await.remove(0).unwrap();
    let rows = [subject.row(&inner, &ann), subject.row(&outer, &bob)];
    subject
        .target
        .apply_rows("memberships", Operation::Add, &rows)
        .await
        .into_iter()
        .for_each(|row| drop(row.unwrap()));
    // A loop ends.
    let dn = |name: &str| format!("CN={name},OU=groups,{}", directory.base);
    directory.modify(&dn("inner"), vec![Mod::Add("member", [dn("outer").as_str()].into())]).await;

    let mut config = config(&directory);
    config.resources.get_mut("groups").unwrap().in_chain = true;
    let resolved = directory.target(config).await;
    let exported = export(resolved.as_ref(), &["users", "groups", "memberships", "nestings"]).await.unwrap();
    let mut found = exported["memberships"].rows.clone();
    found.sort();
    let mut expected = Vec::new();
    for group in [&inner, &outer] {
        expected.extend([&ann, &bob].map(|user| vec![group.clone(), user.clone()]));
    }
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(exported["nestings"].rows.len(), 2);
    let mut both = vec![ann.clone(), bob];
    both.sort();
    assert_eq!(resolved.members("memberships", "group", &outer).await.unwrap(), both);
    let mut groups = vec![inner, outer.clone()];
    groups.sort();
    assert_eq!(resolved.members("memberships", "user", &ann).await.unwrap(), groups);
    assert_eq!(resolved.holds("memberships", &[subject.row(&outer, &ann).ends]).await.unwrap(), [true]);
    let offered = resolved.capabilities().await.unwrap();
    assert_eq!(offered.resources["memberships"].operations, []);
}

#[tokio::test]
async fn increments_count_changes_and_tell_who_is_there() {
    let (directory, subject) = plain().await;
    let mut people = Vec::new();
    for n in 0..5 {
        people.push(person(&subject, &format!("u{n}")).await);
    }
    let target = subject.target.as_ref();
    let whole = export(target, &["users"]).await.unwrap();
    let cursor = whole["users"].ended().cursor.clone().unwrap();
    assert!(cursor.starts_with("usn:"), "{cursor}");
    // A fresh connection, as the next run has.
    let next = directory.target(config(&directory)).await;
    directory
        .modify(&format!("CN=u1,OU=people,{}", directory.base), vec![Mod::Replace("title", ["Boss"].into())])
        .await;
    directory.delete(&format!("CN=u2,OU=people,{}", directory.base)).await;
    let changed = export_since(next.as_ref(), &["users"], Some(&cursor)).await.unwrap();
    let users = &changed["users"];
    assert_eq!(users.column("sAMAccountName"), ["u1"]);
    assert!(!users.only["id"].contains(&people[2]) && users.only["id"].contains(&people[3]), "{:?}", users.only);
    assert_eq!((users.ended().evidence.total_end, users.ended().proves_absence), (Some(4), true));
    let elsewhere = cursor.replace("CN=", "CN=other");
    assert!(export_since(next.as_ref(), &["users"], Some(&elsewhere)).await.is_err(), "another controller counts anew");
}

#[tokio::test]
async fn the_domain_says_why_nobody_gets_in() {
    let directory = emptied().await;
    let mut wrong = config(&directory);
    wrong.auth.as_mut().unwrap().user = "nobody@samdom.example.com".to_owned();
    let steps = directory.target(wrong).await.probe(&Needs::default()).await;
    let failure = steps.last().unwrap().result.clone().unwrap_err();
    assert_eq!(failure.class, Class::Credential, "{failure}");
    let plain = LdapConfig { url: "ldap://localhost:389".to_owned(), ca_file: None, ..config(&directory) };
    let steps = directory.target(plain).await.probe(&Needs::default()).await;
    let failure = steps.last().unwrap().result.clone().unwrap_err();
    assert!(failure.status == Some(8) && failure.remedy.contains("ldaps://"), "{failure}");
    let steps = directory.target(config(&directory)).await.probe(&Needs::default()).await;
    assert!(steps.iter().all(|step| step.result.is_ok()), "{steps:?}");
}
