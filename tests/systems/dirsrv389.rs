//! The connector `ldap` on 389 Directory Server.

use std::sync::atomic::AtomicU64;

use ldap3::Mod;
use muster::connector::config::LdapConfig;
use muster::connector::source::Needs;
use muster::model::failure::Stage;
use muster::model::order::Operation;
use muster::model::outcome::Effected;
use muster::model::value::Value;

use crate::connector_renamed::Renamed;
use crate::connector_sink::{export, export_since};
use crate::connector_subject::Subject;
use crate::connector_suite::CHECKS;
use crate::directory::Directory;
use crate::ldap::{GROUPS, NAMES, PEOPLE, add_person};

/// The server without people and groups.
async fn emptied() -> Directory {
    let directory = Directory::dirsrv389();
    directory.empty(GROUPS, "(objectClass=groupOfNames)").await;
    directory.empty(PEOPLE, "(objectClass=inetOrgPerson)").await;
    directory
}

async fn plain(config: impl FnOnce(&mut LdapConfig)) -> (Directory, Subject) {
    let directory = emptied().await;
    let mut made = directory.config();
    config(&mut made);
    let target = directory.target(made).await;
    (directory, Subject::foreign(target, tempfile::tempdir().unwrap()))
}

#[tokio::test]
async fn dirsrv_389_conforms() {
    for (name, check) in CHECKS {
        println!("{name}");
        let directory = emptied().await;
        let mut config = LdapConfig { page_size: 4, ..directory.config() };
        let users = config.resources.get_mut("users").unwrap();
        users.rdn = Some("cn".to_owned());
        users.lists = vec!["mail".to_owned()];
        let target = directory.target(config).await;
        let needed: &[(&str, &str, &str)] = &[("users", "cn", "n{n}"), ("users", "sn", "x")];
        let renamed = Renamed { target, names: NAMES, needed, creates: AtomicU64::new(1) };
        check(&Subject::foreign(Box::new(renamed), tempfile::tempdir().unwrap())).await;
    }
}

#[tokio::test]
async fn accounts_are_locked_renamed_and_found_by_both_kinds_of_id() {
    for key in [None, Some("nsUniqueId")] {
        let (directory, subject) =
            plain(|config| config.resources.get_mut("users").unwrap().key = key.map(str::to_owned)).await;
        let target = subject.target.as_ref();
        let jane = [("uid", "jane"), ("cn", "Jane"), ("sn", "Doe"), ("enabled", "true")];
        let id = target.apply(&subject.change(Operation::Create, "users", None, &jane)).await.unwrap().id.unwrap();
        let (_, found) = directory.search(PEOPLE, "(uid=jane)", &[key.unwrap_or("entryUUID")]).await.remove(0);
        assert_eq!(found.into_values().next().unwrap(), [id.as_str()]);
        for (operation, locked) in [(Operation::Disable, Some("true")), (Operation::Enable, None)] {
            let switched = subject.change(operation, "users", Some(&id), &[]);
            assert_eq!(target.apply(&switched).await.unwrap().effected, Effected::Sent);
            assert_eq!(target.apply(&switched).await.unwrap().effected, Effected::AlreadySo);
            let (_, found) = directory.search(PEOPLE, "(uid=jane)", &["nsAccountLock"]).await.remove(0);
            assert_eq!(found.get("nsAccountLock").map(|values| values[0].as_str()), locked);
            let read = target.get("users", &id).await.unwrap().unwrap();
            assert_eq!(read.attributes["enabled"], Value::Text(locked.is_none().to_string()));
        }
        let rename = subject.change(Operation::Update, "users", Some(&id), &[("uid", "jane, o+x"), ("sn", "Roe")]);
        target.apply(&rename).await.unwrap();
        let read = target.get("users", &id).await.unwrap().unwrap();
        assert_eq!(
            (&read.attributes["uid"], &read.attributes["sn"]),
            (&Value::Text("jane, o+x".into()), &Value::Text("Roe".into()))
        );
        target.apply(&subject.change(Operation::Delete, "users", Some(&id), &[])).await.unwrap();
        assert_eq!(target.get("users", &id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn increments_bring_what_changed_and_who_is_there() {
    let (directory, subject) = plain(|_| {}).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        add_person(&directory, &format!("i{n}"), &[]).await;
        let found = directory.search(PEOPLE, &format!("(uid=i{n})"), &["entryUUID"]).await.remove(0);
        ids.push(found.1["entryUUID"][0].clone());
    }
    let members = [4, 5].map(|n| format!("uid=i{n},{PEOPLE}"));
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    directory
        .add(
            &format!("cn=team,{GROUPS}"),
            &[("objectClass", &["groupOfNames"]), ("cn", &["team"]), ("member", &members)],
        )
        .await;
    let whole = export(subject.target.as_ref(), &["users", "memberships"]).await.unwrap();
    assert_eq!((whole["users"].rows.len(), whole["memberships"].rows.len()), (10, 2));
    assert!(whole["users"].ended().cursor.is_some());

    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    // A later time than the overlap reaches back to.
    let soon = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    directory.modify(&format!("uid=i3,{PEOPLE}"), vec![Mod::Replace("title", ["Boss"].into())]).await;
    directory.delete(&format!("uid=i4,{PEOPLE}")).await;
    let target = directory.target(directory.config()).await;
    let changed = export_since(target.as_ref(), &["users", "memberships"], Some(&soon)).await.unwrap();
    let (users, memberships) = (&changed["users"], &changed["memberships"]);
    assert_eq!((users.column("uid"), users.ended().evidence.total_end), (vec!["i3".to_owned()], Some(9)));
    ids.remove(4);
    ids.sort();
    for (exported, column) in [(users, "id"), (memberships, "user")] {
        let mut there = exported.only[column].clone();
        there.sort();
        assert_eq!(there, ids, "{column}");
        assert!(exported.ended().proves_absence);
    }
    // The server took the member out, and so the group changed; besides it somebody who is in none.
    assert_eq!((memberships.rows.len(), memberships.replaced.len()), (1, 2));
}

#[tokio::test]
async fn the_server_says_what_it_is_and_is_reached_by_tls_with_its_own_authority() {
    let directory = emptied().await;
    let port: u16 = directory.url.rsplit(':').next().unwrap().parse().unwrap();
    for (url, starttls) in
        [(format!("ldaps://localhost:{}", port + 1), false), (format!("ldap://localhost:{port}"), true)]
    {
        let config =
            LdapConfig { url, starttls, ca_file: Some(directory.ca_file.clone().into()), ..directory.config() };
        let steps = directory.target(config).await.probe(&Needs::default()).await;
        assert!(steps.iter().all(|step| step.result.is_ok()), "{steps:?}");
        assert!(steps.iter().any(|step| step.stage == Stage::Tls), "{steps:?}");
        assert!(format!("{steps:?}").contains("389 Directory Server"), "{steps:?}");
    }
}
