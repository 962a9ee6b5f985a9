//! The checks that every connector has to pass. What differs is only how a change is seen: read back, or in the
//! work-order file.

use futures::future::BoxFuture;
use muster::model::failure::Class;
use muster::model::order::Operation;
use muster::model::outcome::Effected;
use muster::model::value::Value;

use crate::connector_sink::export;
use crate::connector_subject::{Subject, ends};

/// A check against a fresh subject.
pub(crate) type Check = for<'a> fn(&'a Subject) -> BoxFuture<'a, ()>;

/// All of them, by name.
pub(crate) const CHECKS: &[(&str, Check)] = &[
    ("export equals what was put in, over several pages", |s| Box::pin(export_is_whole(s))),
    ("objects are got by id, absent ones are none", |s| Box::pin(get_and_absent(s))),
    ("hostile values survive storing, reading and searching", |s| Box::pin(hostile_values(s))),
    ("memberships are exported and asked for row by row", |s| Box::pin(memberships(s))),
    ("a change of an object takes effect once", |s| Box::pin(object_changes(s))),
    ("a change of rows takes effect once", |s| Box::pin(row_changes(s))),
    ("what does not exist is named with what does", |s| Box::pin(wrong_names(s))),
    ("capabilities agree with exports", |s| Box::pin(capabilities(s))),
];

fn users(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("user{number}@example.com")).collect()
}

async fn put_users(subject: &Subject, names: &[String]) -> Vec<String> {
    let objects: Vec<Vec<(&str, &str)>> = names
        .iter()
        .map(|name| {
            vec![
                ("userName", name.as_str()),
                ("active", "true"),
                ("title", "Clerk"),
                ("emails", r#"["b@x.example","a@x.example"]"#),
            ]
        })
        .collect();
    subject.put("users", &objects).await
}

async fn export_is_whole(subject: &Subject) {
    let mut names = users(11);
    put_users(subject, &names).await;
    names.sort();
    let exported = export(subject.target.as_ref(), &["users"]).await.expect("an export");
    let users = &exported["users"];
    assert_eq!((users.column("userName"), users.key.clone()), (names, vec!["id".to_owned()]));
    let row = users.row("userName", "user7@example.com").expect("the row");
    assert_eq!((row["active"], row["title"], row["emails"]), ("true", "Clerk", r#"["a@x.example","b@x.example"]"#));
    let evidence = &users.ended().evidence;
    assert_eq!(evidence.rows_received, 11);
    assert_eq!(evidence.pages_asked, evidence.pages_received);
    assert!(evidence.anomalies.is_empty(), "{:?}", evidence.anomalies);
    if subject.is_live() {
        let total = subject.tells_totals().then_some(11);
        let told = (evidence.total_start, evidence.total_end, evidence.pages_received);
        assert_eq!(told, (total, total, subject.pages()));
        assert_eq!(users.ended().cursor.is_some(), subject.has_increments());
    }
}

async fn get_and_absent(subject: &Subject) {
    let ids = put_users(subject, &users(3)).await;
    let found = subject.target.get("users", &ids[1]).await.expect("an answer").expect("the object");
    assert_eq!(found.id, ids[1]);
    assert_eq!(found.attributes["userName"], Value::Text("user2@example.com".to_owned()));
    for absent in ["nobody", "", "..", "a/b?c#d", "x y", "ü"] {
        assert_eq!(subject.target.get("users", absent).await.expect("an answer"), None, "{absent}");
    }
    assert!(subject.target.find("users", "userName", "nobody@example.com").await.expect("an answer").is_empty());
    assert!(subject.target.find("users", "userName", "").await.expect("an answer").is_empty());
}

async fn hostile_values(subject: &Subject) {
    let long = "x".repeat(10_000);
    let hostile = [
        r#"O"Brien"#,
        r"back\slash",
        "two\nlines",
        "*",
        ")(",
        "a\" or userName pr or title eq \"",
        "Ünïcödé 木 🦀",
        "tab\there",
        " blanks ",
        "%2F&?#=+",
        "[\"no list",
        "null",
        "true",
        "12",
        &long,
    ];
    let objects: Vec<Vec<(&str, &str)>> =
        hostile.iter().map(|value| vec![("userName", *value), ("title", *value)]).collect();
    let ids = subject.put("users", &objects).await;
    let exported = export(subject.target.as_ref(), &["users"]).await.expect("an export");
    let mut expected: Vec<String> = hostile.iter().map(|value| (*value).to_owned()).collect();
    expected.sort();
    assert_eq!(exported["users"].column("title"), expected);
    for (value, id) in hostile.iter().zip(&ids) {
        for attribute in ["userName", "title"] {
            let found = subject.target.find("users", attribute, value).await.expect("an answer");
            let found: Vec<&str> = found.iter().map(|object| object.id.as_str()).collect();
            assert_eq!(found, [id.as_str()], "{attribute} {}", value.chars().take(20).collect::<String>());
        }
    }
}

async fn memberships(subject: &Subject) {
    let people = put_users(subject, &users(3)).await;
    let names: Vec<Vec<(&str, &str)>> =
        ["a", "b", "c", "d", "e"].iter().map(|name| vec![("displayName", *name)]).collect();
    let groups = subject.put("groups", &names).await;
    subject.put_members(&[(&groups[0], &people[0]), (&groups[0], &people[1]), (&groups[4], &people[2])]).await;
    let exported = export(subject.target.as_ref(), &["memberships", "groups"]).await.expect("an export");
    assert_eq!(exported["groups"].rows.len(), 5);
    let found = &exported["memberships"];
    assert_eq!(
        (found.columns.clone(), found.key.clone()),
        (vec!["group".to_owned(), "user".to_owned()], found.columns.clone())
    );
    let mut rows = found.rows.clone();
    rows.sort();
    let mut expected = vec![
        vec![groups[0].clone(), people[0].clone()],
        vec![groups[0].clone(), people[1].clone()],
        vec![groups[4].clone(), people[2].clone()],
    ];
    expected.sort();
    assert_eq!(rows, expected);
    assert_eq!(found.ended().evidence.rows_received, 3);
    let asked = [
        ends(&groups[0], &people[1]),
        ends(&groups[1], &people[1]),
        ends("no such group", &people[1]),
        ends(&groups[4], &people[2]),
    ];
    let held = subject.target.holds("memberships", &asked).await.expect("answers");
    assert_eq!(held, [true, false, false, true]);
    // By either end; by that of the one who is in a group also where their own resource does not say.
    let mut of_group = vec![people[0].clone(), people[1].clone()];
    of_group.sort();
    let mut looks = vec![
        ("memberships", "group", groups[0].as_str(), of_group),
        ("memberships", "user", people[0].as_str(), vec![groups[0].clone()]),
        ("memberships", "user", "nobody", Vec::new()),
    ];
    if subject.is_live() && subject.nests {
        subject.put_nested(&groups[1], &groups[2]).await;
        looks.push(("nestings", "child", &groups[2], vec![groups[1].clone()]));
    }
    for (resource, end, id, expected) in looks {
        assert_eq!(subject.target.members(resource, end, id).await.expect("an answer"), expected, "{resource} {end}");
    }
}

async fn object_changes(subject: &Subject) {
    let ids = put_users(subject, &users(2)).await;
    let id = Some(ids[0].as_str());
    let target = &subject.target;
    let steps = [
        (
            subject.change(Operation::Update, "users", id, &[("title", "=Boss"), ("name.givenName", "Jane")]),
            "title",
            "=Boss",
        ),
        (subject.change(Operation::Update, "users", id, &[("title", "")]), "title", ""),
        (subject.change(Operation::Update, "users", id, &[("emails", "c@x.example")]), "emails", r#"["c@x.example"]"#),
        (subject.change(Operation::Disable, "users", id, &[]), "active", "false"),
        (subject.change(Operation::Enable, "users", id, &[]), "active", "true"),
    ];
    for (change, column, cell) in &steps {
        let applied = target.apply(change).await.unwrap_or_else(|failure| panic!("{failure}"));
        if subject.is_live() {
            assert_eq!(applied.effected, Effected::Sent);
            let exported = export(target.as_ref(), &["users"]).await.expect("an export");
            assert_eq!(exported["users"].row("id", &ids[0]).expect("the row")[column], *cell, "{}", change.operation);
        } else {
            assert_eq!(applied.effected, Effected::HandedOver);
            assert_eq!(target.apply(change).await.expect("again").effected, Effected::AlreadySo);
        }
    }
    let create = subject.change(Operation::Create, "users", None, &[("userName", "new@example.com")]);
    let created = target.apply(&create).await.unwrap_or_else(|failure| panic!("{failure}"));
    let delete = subject.change(Operation::Delete, "users", id, &[]);
    target.apply(&delete).await.unwrap_or_else(|failure| panic!("{failure}"));
    // The same delete again: it is absent already, or stands in the file.
    assert_eq!(target.apply(&delete).await.expect("again").effected, Effected::AlreadySo);
    if subject.is_live() {
        let exported = export(target.as_ref(), &["users"]).await.expect("an export");
        assert_eq!(exported["users"].column("userName"), ["new@example.com", "user2@example.com"]);
        assert_eq!(exported["users"].column("id").len(), 2);
        assert!(exported["users"].column("id").contains(&created.id.expect("an id")));
        let again = subject.change(Operation::Create, "users", None, &[("userName", "NEW@example.com")]);
        assert_eq!(target.apply(&again).await.expect_err("the login is taken").class, Class::Conflict);
        let gone = subject.change(Operation::Update, "users", id, &[("title", "x")]);
        assert_eq!(target.apply(&gone).await.expect_err("it is deleted").class, Class::Stale);
        let unknown = subject.change(Operation::Update, "users", Some(&ids[1]), &[("tilte", "x")]);
        let refused = target.apply(&unknown).await.expect_err("no such attribute");
        assert!(refused.class == Class::Configuration && refused.remedy.contains("title`"), "{refused}");
    } else {
        let lines = subject.work_orders("users");
        let expected: Vec<Vec<String>> = [
            [steps[0].0.order.0.as_str(), "update", &ids[0], "someone", "name.givenName", "", "Jane"],
            [steps[0].0.order.0.as_str(), "update", &ids[0], "someone", "title", "", "'=Boss"],
            [steps[1].0.order.0.as_str(), "update", &ids[0], "someone", "title", "", ""],
            [steps[2].0.order.0.as_str(), "update", &ids[0], "someone", "emails", "", "c@x.example"],
            [steps[3].0.order.0.as_str(), "disable", &ids[0], "someone", "active", "", "false"],
            [steps[4].0.order.0.as_str(), "enable", &ids[0], "someone", "active", "", "true"],
            [create.order.0.as_str(), "create", "", "someone", "userName", "", "new@example.com"],
            [delete.order.0.as_str(), "delete", &ids[0], "someone", "", "", ""],
        ]
        .iter()
        .map(|line| line.iter().map(|cell| (*cell).to_owned()).collect())
        .collect();
        assert_eq!(lines, expected);
    }
}

async fn row_changes(subject: &Subject) {
    let people = put_users(subject, &users(5)).await;
    let groups = subject.put("groups", &[vec![("displayName", "vault admins")]]).await;
    subject.put_members(&[(&groups[0], &people[0])]).await;
    let target = &subject.target;
    let adds: Vec<_> = people[1..].iter().map(|person| subject.row(&groups[0], person)).collect();
    let removes = vec![subject.row(&groups[0], &people[0]), subject.row(&groups[0], &people[1])];
    for (operation, rows) in [(Operation::Add, &adds), (Operation::Remove, &removes)] {
        for round in 0..2 {
            let results = target.apply_rows("memberships", operation, rows).await;
            assert_eq!(results.len(), rows.len());
            for result in results {
                let applied = result.unwrap_or_else(|failure| panic!("{operation} {round}: {failure}"));
                if !subject.is_live() {
                    let expected = if round == 0 { Effected::HandedOver } else { Effected::AlreadySo };
                    assert_eq!(applied.effected, expected);
                }
            }
        }
    }
    if subject.is_live() {
        let exported = export(target.as_ref(), &["memberships"]).await.expect("an export");
        let mut left = people[2..].to_vec();
        left.sort();
        assert_eq!(exported["memberships"].column("user"), left);
    } else {
        let lines = subject.work_orders("memberships");
        assert_eq!(lines.len(), 2 * (adds.len() + removes.len()));
        assert_eq!(lines[1][4..], ["user", "", people[1].as_str()]);
        assert_eq!(lines[9][4..], ["user", people[0].as_str(), ""]);
    }
}

async fn wrong_names(subject: &Subject) {
    put_users(subject, &users(1)).await;
    let target = &subject.target;
    let message = match export(target.as_ref(), &["uesrs"]).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("there is no such resource"),
    };
    assert!(message.contains("uesrs") && message.contains("users") && message.contains("configuration"), "{message}");
    assert_eq!(target.get("uesrs", "1").await.expect_err("no such resource").class, Class::Configuration);
    assert_eq!(target.holds("users", &[ends("a", "b")]).await.expect_err("no association").class, Class::Configuration);
}

async fn capabilities(subject: &Subject) {
    let people = put_users(subject, &users(1)).await;
    let groups = subject.put("groups", &[vec![("displayName", "a")]]).await;
    subject.put_members(&[(&groups[0], &people[0])]).await;
    let offered = subject.target.capabilities().await.expect("capabilities");
    assert_eq!(offered.reads_back, subject.is_live());
    let exported = export(subject.target.as_ref(), &["users", "memberships"]).await.expect("an export");
    for (resource, found) in exported {
        let offers = &offered.resources[&resource];
        assert_eq!(offers.key, found.key, "{resource}");
        if offers.ends.is_empty() {
            let known: Vec<&String> = offers.attributes.keys().collect();
            let mut columns: Vec<&String> = found.columns.iter().collect();
            columns.sort();
            assert_eq!(known, columns, "{resource}");
            assert_eq!(offers.enabled.as_deref(), Some("active"));
            assert!(offers.operations.contains(&Operation::Disable));
        } else {
            assert_eq!(offers.ends.keys().collect::<Vec<_>>(), ["group", "user"]);
            assert_eq!(offers.operations, [Operation::Add, Operation::Remove]);
        }
    }
}
