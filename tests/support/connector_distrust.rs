//! Service providers that say one thing and do another: nothing may be lost, invented or believed.

use std::sync::{Arc, Mutex};

use muster::connector::config::{Paging, ScimConfig, SystemConfig};
use muster::connector::registry::{ConnectContext, Registry};
use muster::connector::source::ExportError;
use muster::connector::target::Target;
use muster::model::failure::{Class, Effect, Failure};
use muster::model::order::Operation;
use muster::sandbox::{Action, Faults, Rule, When};

use crate::connector_sink::{export, export_since};
use crate::connector_subject::{Subject, context, ends, scim_config};

fn faults(method: &str, prefix: &str, when: When, action: Action) -> Faults {
    let rule = Rule { method: Some(method.into()), prefix: Some(prefix.into()), contains: None, when, action };
    Faults { seed: 0, rules: vec![rule] }
}

async fn with_users(count: usize, paging: Paging) -> (Subject, Vec<String>) {
    let subject = Subject::scim(paging).await;
    let names: Vec<String> = (1..=count).map(|number| format!("user{number:02}")).collect();
    let objects: Vec<Vec<(&str, &str)>> = names.iter().map(|name| vec![("userName", name.as_str())]).collect();
    let ids = subject.put("users", &objects).await;
    (subject, ids)
}

fn misbehave(subject: &Subject, faults: Faults) {
    subject.server.as_ref().expect("a server").set_faults(faults);
}

fn system_failure(error: ExportError) -> Failure {
    match error {
        ExportError::System(failure) => failure,
        ExportError::Disk(text) => panic!("{text}"),
    }
}

#[tokio::test]
async fn pages_that_lie_are_noticed_or_seen_through() {
    for paging in [Paging::Index, Paging::Cursor] {
        let (subject, _) = with_users(10, paging).await;
        let every = |action| faults("GET", "/Users", When::Every, action);
        // Shorter pages than asked for are walked by what came.
        misbehave(&subject, every(Action::ClipPage { max: 3 }));
        let whole = export(subject.target.as_ref(), &["users"]).await.expect("an export");
        assert_eq!(whole["users"].rows.len(), 10, "{paging:?}");
        assert!(whole["users"].ended().evidence.anomalies.is_empty());

        misbehave(&subject, every(Action::WrongTotal { by: 3 }));
        let short = export(subject.target.as_ref(), &["users"]).await.expect("an export");
        let evidence = &short["users"].ended().evidence;
        assert_eq!((evidence.rows_received, evidence.total_end), (10, Some(13)), "{paging:?}");

        misbehave(&subject, every(Action::RepeatPage));
        match export(subject.target.as_ref(), &["users", "memberships"]).await {
            Ok(repeated) => {
                let evidence = &repeated["users"].ended().evidence;
                assert_eq!(evidence.anomalies[0].name, "repeated-page", "{paging:?}");
                assert!(evidence.rows_received < 10);
            }
            Err(error) => assert!(error.to_string().contains("do not end"), "{paging:?}: {error}"),
        }

        misbehave(&subject, every(Action::EndlessPaging));
        match export(subject.target.as_ref(), &["users"]).await {
            Ok(ended) => {
                let evidence = &ended["users"].ended().evidence;
                let unexplained = evidence.total_end != Some(evidence.rows_received);
                assert!(unexplained || !evidence.anomalies.is_empty(), "{paging:?}: {evidence:?}");
            }
            // A cursor that the server invented is not one that it takes.
            Err(error) => assert!(matches!(system_failure(error).class, Class::Server | Class::Stale), "{paging:?}"),
        }
    }
}

#[tokio::test]
async fn rows_behind_a_total_that_is_too_small_are_found() {
    let (subject, _) = with_users(10, Paging::Index).await;
    misbehave(&subject, faults("GET", "/Users", When::Every, Action::WrongTotal { by: -6 }));
    let exported = export(subject.target.as_ref(), &["users"]).await.expect("an export");
    assert_eq!(exported["users"].rows.len(), 10);
    assert!(!exported["users"].ended().evidence.notes.is_empty());
}

#[tokio::test]
async fn a_list_cut_short_never_passes_for_a_whole_one() {
    let (subject, _) = with_users(10, Paging::Auto).await;
    for action in [Action::CutBody, Action::CutConnection, Action::ForeignJson, Action::Html { code: 200 }] {
        misbehave(&subject, faults("GET", "/Users", When::After(1), action.clone()));
        let error = export(subject.target.as_ref(), &["users"]).await.expect_err("no whole export");
        let failure = system_failure(error);
        assert!(failure.sentence().contains("/Users"), "{action:?}: {failure}");
    }
}

#[tokio::test]
async fn filters_are_proved_before_nobody_is_believed() {
    for action in [Action::RefuseFilter, Action::IgnoreFilter, Action::EmptyFilter] {
        let (subject, ids) = with_users(6, Paging::Index).await;
        let told = Arc::new(Mutex::new(Vec::<String>::new()));
        let log = told.clone();
        let context = ConnectContext {
            notice: Arc::new(move |text: &str| log.lock().expect("the log").push(text.to_owned())),
            ..context(subject.folder.path())
        };
        let server = subject.server.as_ref().expect("a server");
        let config = SystemConfig::Scim(scim_config(&server.url));
        let target = Registry::standard().target("vault", &config, &context).await.expect("a target");
        misbehave(&subject, faults("GET", "/Users", When::Every, action.clone()));
        for name in ["user05", "USER05"] {
            let found = target.find("users", "userName", name).await.expect("an answer");
            assert_eq!((found.len(), found[0].id.as_str()), (1, ids[4].as_str()), "{action:?}");
        }
        assert!(target.find("users", "userName", "nobody").await.expect("an answer").is_empty(), "{action:?}");
        let told = told.lock().expect("the log");
        assert_eq!(told.iter().filter(|text| text.contains("filter")).count(), 1, "{action:?}: {told:?}");
    }
}

#[tokio::test]
async fn increments_bring_what_changed_or_say_that_they_cannot() {
    let (subject, ids) = with_users(6, Paging::Auto).await;
    let groups = subject.put("groups", &[vec![("displayName", "a")], vec![("displayName", "b")]]).await;
    let target = subject.target.as_ref();
    let since = (chrono::Utc::now()).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    target.apply(&subject.change(Operation::Update, "users", Some(&ids[2]), &[("title", "Boss")])).await.expect("done");
    subject.put_members(&[(&groups[1], &ids[0])]).await;
    let changed = export_since(target, &["users", "groups", "memberships"], Some(&since)).await.expect("an increment");
    assert!(changed["users"].column("id").contains(&ids[2]) && changed["users"].rows.len() < 6);
    let end = changed["users"].ended();
    assert_eq!((end.evidence.total_start, end.evidence.total_end, end.proves_absence), (Some(6), Some(6), true));
    assert_eq!((changed["users"].only["id"].len(), changed["memberships"].only["group"].len()), (6, 2));
    assert_eq!(changed["memberships"].replaced, [("group".to_owned(), groups[1].clone())]);
    assert_eq!(changed["memberships"].rows, [vec![groups[1].clone(), ids[0].clone()]]);
    // Without the groups, or from another moment than they, it is not known which of them came unnoticed: all are read.
    let alone = export_since(target, &["memberships"], Some(&since)).await.expect("an increment");
    assert_eq!(alone["memberships"].replaced.len(), 2);

    for action in [Action::RefuseFilter, Action::IgnoreFilter, Action::EmptyFilter] {
        misbehave(&subject, faults("GET", "/Users", When::Every, action.clone()));
        let error = export_since(target, &["users"], Some(&since)).await.expect_err("no increment");
        assert_eq!(system_failure(error).class, Class::Unsupported, "{action:?}");
    }
}

#[tokio::test]
async fn a_change_without_an_answer_is_left_open_and_a_refused_one_is_not() {
    let (subject, ids) = with_users(1, Paging::Auto).await;
    subject.target.get("users", &ids[0]).await.expect("discovered");
    let open = [Action::DropAfter, Action::FailAfter { code: 500 }, Action::CutConnection, Action::EndlessBody];
    let server = subject.server.as_ref().expect("a server");
    let config = ScimConfig { timeout_seconds: 1, max_answer_bytes: 4096, ..scim_config(&server.url) };
    let target = crate::connector_subject::connect(&SystemConfig::Scim(config), subject.folder.path()).await;
    for (number, action) in open.into_iter().enumerate() {
        misbehave(&subject, faults("POST", "/Users", When::Every, action.clone()));
        let name = format!("open{number}");
        let change = subject.change(Operation::Create, "users", None, &[("userName", name.as_str())]);
        let failure = target.apply(&change).await.expect_err("no answer");
        assert_eq!(failure.effect, Effect::Unknown, "{action:?}: {failure}");
    }
    misbehave(&subject, faults("POST", "/Users", When::Every, Action::Throttle { retry_after: 7 }));
    let change = subject.change(Operation::Create, "users", None, &[("userName", "late")]);
    let failure = target.apply(&change).await.expect_err("throttled");
    assert_eq!((failure.class, failure.effect), (Class::Throttled, Effect::None));
    assert_eq!(failure.retry_after, Some(std::time::Duration::from_secs(7)));
}

#[tokio::test]
async fn reads_are_repeated_where_that_may_help() {
    let (subject, ids) = with_users(3, Paging::Auto).await;
    for action in [
        Action::Unavailable { retry_after: 0 },
        Action::DropBefore,
        Action::Status { code: 502, body: None, headers: Default::default() },
    ] {
        misbehave(&subject, faults("GET", "/Users", When::First(2), action.clone()));
        assert!(subject.target.get("users", &ids[0]).await.expect("an answer").is_some(), "{action:?}");
    }
}

#[tokio::test]
async fn the_culprit_of_a_refused_batch_is_found_and_the_rest_goes_through() {
    let (subject, ids) = with_users(5, Paging::Auto).await;
    let groups = subject.put("groups", &[vec![("displayName", "a")], vec![("displayName", "b")]]).await;
    let mut rows: Vec<_> = ids.iter().map(|id| subject.row(&groups[0], id)).collect();
    rows.insert(3, subject.row(&groups[0], "no-such-user"));
    let results = subject.target.apply_rows("memberships", Operation::Add, &rows).await;
    let failed: Vec<usize> = (0..results.len()).filter(|at| results[*at].is_err()).collect();
    assert_eq!(failed, [3]);
    let asked: Vec<_> = ids.iter().map(|id| ends(&groups[0], id)).collect();
    assert_eq!(subject.target.holds("memberships", &asked).await.expect("answers"), [true; 5]);
    // A group that is gone: nothing to remove is fine, nothing to add to is not.
    let gone = [subject.row("no-such-group", &ids[0]), subject.row("no-such-group", &ids[1])];
    assert!(subject.target.apply_rows("memberships", Operation::Remove, &gone).await.iter().all(Result::is_ok));
    for result in subject.target.apply_rows("memberships", Operation::Add, &gone).await {
        assert_eq!(result.expect_err("the group is gone").class, Class::Stale);
    }
}

#[tokio::test]
async fn groups_in_groups_are_an_association_of_their_own() {
    let (subject, ids) = with_users(1, Paging::Auto).await;
    let groups = subject.put("groups", &[vec![("displayName", "a")], vec![("displayName", "b")]]).await;
    let nested = muster::connector::target::RowChange {
        order: subject.order(),
        ends: [("parent".to_owned(), groups[0].clone()), ("child".to_owned(), groups[1].clone())].into(),
        name: "b in a".to_owned(),
    };
    let results = subject.target.apply_rows("nestings", Operation::Add, &[nested]).await;
    results.into_iter().for_each(|result| drop(result.expect("added")));
    subject.put_members(&[(&groups[0], &ids[0])]).await;
    let exported = export(subject.target.as_ref(), &["nestings", "memberships"]).await.expect("an export");
    assert_eq!(exported["nestings"].rows, [vec![groups[0].clone(), groups[1].clone()]]);
    assert_eq!(exported["memberships"].rows, [vec![groups[0].clone(), ids[0].clone()]]);
    let batch: (Option<String>, usize) = Target::row_batch(subject.target.as_ref(), "nestings");
    assert_eq!(batch, (Some("parent".to_owned()), 100));
}
