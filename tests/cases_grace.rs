//! Deletes that wait: first out of use, then gone, unless the object comes back. The first weeks pass inside this process,
//! on a clock of their own; the program is asked as an operator asks it, today.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/house.rs"]
mod house;
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use house::{House, lasting_address, muster};
use muster::model::approval::Decision;
use muster::model::order::{Operation, Order};
use muster::run::Stage;
use serde_json::{Value, json};
use support::company::{Company, people};

const GRACE: &str = "[apply]\ndelete_after = \"30d\"\n";

/// From now on it is so many hours before, or after, the present.
fn at(house: &House, hours: i64) {
    house.ahead.store(hours, Ordering::SeqCst);
}

/// What a run plans, of users.
async fn plan(house: &House) -> Vec<Order> {
    let run = house.run(Stage::Plan).await.unwrap().run;
    let orders = house.store().read_orders(&run).unwrap().map(Result::unwrap);
    orders.filter(|order| order.resource.resource == "users").collect()
}

/// Approves and applies what the newest run planned.
async fn carry_out(house: &House) {
    let run = house.store().newest_run("corp").unwrap().unwrap().id;
    house.review(&run, |_| Some(Decision::Approve));
    let applied = house.apply(Duration::ZERO).await.unwrap();
    assert_eq!((applied.errored, applied.stale, applied.untried), (0, 0, 0), "{applied:?}");
}

/// A company from which the last so many of six people are gone, and out of use, for 30 days and an hour.
async fn left(gone: usize) -> House {
    let house = House::found(&people(6), GRACE, lasting_address()).await;
    at(&house, -46 * 24);
    house.settle().await;
    house.hr(&people(6)[..6 - gone]);
    at(&house, -30 * 24 - 1);
    let orders = plan(&house).await;
    assert_eq!(orders.iter().map(|order| order.operation).collect::<Vec<_>>(), vec![Operation::Disable; gone]);
    let reason = &orders[0].reason;
    assert!(reason.contains("disabled now, its delete becomes due 30 days later, as an order of its own"), "{reason}");
    carry_out(&house).await;
    for days in [-16, -2] {
        at(&house, days * 24);
        assert_eq!(plan(&house).await, []);
    }
    house
}

async fn active(house: &House, login: &str) -> Option<Value> {
    let (_, list) = house.ask("GET", "/Users?count=200", None).await;
    let users = list["Resources"].as_array().cloned().unwrap_or_default();
    users.into_iter().find(|user| user["userName"] == login).map(|user| user["active"].clone())
}

/// Changes a user, or who is in a group, by hand.
async fn patch(house: &House, path: &str, change: Value) {
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [change]});
    let (status, answer) = house.ask("PATCH", path, Some(body)).await;
    assert!(status < 300, "{answer}");
}

async fn id_of(house: &House, endpoint: &str, attribute: &str, value: &str) -> String {
    let (_, list) = house.ask("GET", &format!("/{endpoint}?count=200"), None).await;
    let found = list["Resources"].as_array().unwrap().iter().find(|one| one[attribute] == value).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_grace_is_shown_with_when_it_becomes_due() {
    let house = House::found(&people(6), GRACE, lasting_address()).await;
    at(&house, -12 * 24);
    house.settle().await;
    house.hr(&people(6)[..5]);
    at(&house, -10 * 24);
    plan(&house).await;
    carry_out(&house).await;
    let due = (chrono::Utc::now() + chrono::Duration::days(20)).format("%Y-%m-%d").to_string();
    // As soon as the disable is applied, before any run sees it.
    let listed = muster(&house, &["list", "corp", "--grace", "--format", "csv"]).ended(0);
    listed.says(&["E0006", "disable applied since", &due]);

    muster(&house, &["run", "corp"]).ended(0);
    let text = format!("1 object waits for its delete; the first becomes due {due}");
    muster(&house, &["status", "corp"]).ended(0).says(&["in grace", &text]);
    let listed = muster(&house, &["list", "corp", "--grace", "--format", "json"]).ended(0).json();
    let one = &listed.as_array().unwrap()[..];
    assert_eq!((one.len(), &one[0]["key"], &one[0]["situation"]), (1, &json!("E0006"), &json!("orphan")), "{listed:#}");
    assert!(one[0]["delete_due"].as_str().unwrap().starts_with(&due), "{listed:#}");
    muster(&house, &["list", "corp", "--orphans", "--format", "csv"]).ended(0).says(&[
        "disabled since",
        "its delete becomes due",
        &due,
    ]);
    muster(&house, &["review", "corp"]).ended(0).says(&["no new orders", &text]);
    // A few seconds later nothing of it is another: the plan names the instant on record.
    muster(&house, &["run", "corp"]).ended(0);
    let runs = house.store().runs("corp", 0).unwrap();
    assert_eq!(runs[0].plan_digest, runs[1].plan_digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_d7_a_delete_after_its_grace_is_reviewed_by_itself_with_what_it_takes_along() {
    let house = left(2).await;
    // By hand, one of them is in a group again: muster did not put it there, and does not take it out.
    let (user, group) = (
        id_of(&house, "Users", "userName", "user0006@corp.example").await,
        id_of(&house, "Groups", "displayName", "Network").await,
    );
    let members = json!({"op": "add", "path": "members", "value": [{"value": user}]});
    patch(&house, &format!("/Groups/{group}"), members).await;
    muster(&house, &["run", "corp"]).ended(3);
    muster(&house, &["review", "corp"]).ended(0).says(&[
        "delete vault.users  E0005",
        "delete vault.users  E0006",
        "its grace of 30 days is over",
        "active: \"false\" → (absent)",
        "takes along: 1 row of vault.memberships",
        "orders wait for review",
    ]);
    assert_eq!(active(&house, "user0006@corp.example").await, Some(json!(false)), "nothing goes without a review");

    // One of them comes back: the delete is cancelled by itself.
    let back: Vec<_> = people(6).into_iter().filter(|person| person.id != "E0006").collect();
    house.hr(&back);
    muster(&house, &["run", "corp"]).ended(3);
    let said = muster(&house, &["review", "corp", "--where", "key == 'E0005'", "--format", "json"]).ended(0).json();
    let open = |one: &Value| one["state"] == "pending-review";
    let open: Vec<&Value> =
        said.as_array().unwrap().iter().filter(|one| open(one)).map(|one| &one["operation"]).collect();
    assert_eq!(open, ["enable"], "{said:#}");
    muster(&house, &["approve", "corp", "--all", "--comment", "ticket 4711"]).ended(0);
    muster(&house, &["apply", "corp"]).ended(0);
    assert_eq!(active(&house, "user0005@corp.example").await, Some(json!(true)));
    assert_eq!(active(&house, "user0006@corp.example").await, None);
    muster(&house, &["run", "corp"]).ended(0);
    muster(&house, &["status", "corp"]).never_says(&["in grace"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_enabled_after_the_review_is_not_deleted() {
    let house = left(1).await;
    muster(&house, &["run", "corp"]).ended(3);
    muster(&house, &["approve", "corp", "--all", "--comment", "gone"]).ended(0);
    let user = id_of(&house, "Users", "userName", "user0006@corp.example").await;
    patch(&house, &format!("/Users/{user}"), json!({"op": "replace", "path": "active", "value": true})).await;
    muster(&house, &["apply", "corp"]).ended(0).says(&["stale"]);
    assert_eq!(active(&house, "user0006@corp.example").await, Some(json!(true)));
    // It is out of grace, and begins with a disable.
    muster(&house, &["run", "corp"]).ended(3);
    muster(&house, &["review", "corp"]).says(&["disable vault.users  E0006", "its delete becomes due 30 days later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_leaps_makes_nothing_due() {
    let house = House::found(&people(6), GRACE, lasting_address()).await;
    at(&house, -400 * 24);
    house.settle().await;
    house.hr(&people(6)[..5]);
    plan(&house).await;
    carry_out(&house).await;
    // 400 days without a run, or a clock that was 400 days behind: nobody can tell.
    muster(&house, &["run", "corp"]).ended(0);
    muster(&house, &["review", "corp"]).says(&["no new orders", "or the clock leapt", "half of the grace of 30 days"]);
    // And one that goes back begins it anew.
    at(&house, -10 * 24);
    let run = house.run(Stage::Plan).await.unwrap().run.0;
    muster(&house, &["review", &run]).says(&["no new orders", "the clock went back by 10 days", "begins anew"]);
    muster(&house, &["run", "corp"]).ended(0);
    assert_eq!(active(&house, "user0006@corp.example").await, Some(json!(false)));
}

/// The company's job with these lines for its groups, and these at its end.
fn groups(company: &Company, on: &str, further: &str) {
    let text = company.job_text(further);
    let to = "to = \"vault.groups\"\n";
    company.world.write("jobs/corp.toml", text.replacen(to, &format!("{to}{on}\n"), 1));
}

#[test]
fn case_d7_what_cannot_be_disabled_first_is_deleted_only_where_the_job_says_so() {
    let company = Company::of(6);
    company.settle();
    company.world.write("hr/groups.csv", "id,name\nT0,Databases\nT1,Network\n");
    groups(&company, "on = { orphan = \"delete\" }", GRACE);
    company.world.muster(&["run", "corp"]);
    company.world.muster(&["review", "corp"]).ended(0).says(&[
        "delete vault.groups  T2",
        "blocked, delete-disallowed",
        "vault.groups does not offer one",
        "on.no_disable = \"wait\"",
    ]);
    let refused = company.world.muster(&["approve", "corp", "--where", "operation == 'delete'", "--comment", "go"]);
    assert_ne!(refused.status, 0, "{refused:?}");

    groups(&company, "on = { orphan = \"delete\", no_disable = \"wait\" }", GRACE);
    company.world.muster(&["run", "corp"]);
    company.world.muster(&["list", "corp", "--grace", "--format", "csv"]).ended(0).says(&[
        "T2",
        "not to be disabled",
        "becomes due",
    ]);
    company.world.muster(&["review", "corp"]).never_says(&["delete vault.groups"]);

    // Without a grace it goes at once, and its rows with it: they are no orders.
    groups(&company, "on = { orphan = \"delete\" }", "");
    company.world.muster(&["run", "corp"]).ended(3);
    company
        .world
        .muster(&["review", "corp"])
        .ended(0)
        .says(&["delete vault.groups  T2", "takes along: 2 rows of vault.memberships"]);
    let csv = company.world.read(&format!("state/runs/corp/{}/review.csv", company.world.newest_run("corp")));
    assert!(csv.contains("2 rows of vault.memberships") && !csv.contains(",remove,"), "{csv}");
}
