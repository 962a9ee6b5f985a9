//! Orders of the small company, as they were planned and as they stand.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may panic"
)]

use serde_json::{Value, json};

use super::Said;
use super::company::Company;

/// A settled company, and from then on these lines at the end of its job file. E0001 and E0004 are in Network.
pub fn settled(n: usize, further: &str) -> Company {
    let company = Company::of(n);
    company.settle();
    company.job(further);
    company
}

/// Runs, and gives the new orders. Where all of them can only be blocked, nothing waits for a person.
#[track_caller]
pub fn planned(company: &Company) -> Vec<Value> {
    let said = company.world.muster(&["run", "corp"]);
    assert!(matches!(said.status, 0 | 3), "{said:#?}");
    company.world.orders("corp", &company.world.newest_run("corp"))
}

#[track_caller]
pub fn order<'o>(orders: &'o [Value], operation: &str, key: &str) -> &'o Value {
    let found = orders.iter().find(|o| o["operation"] == operation && o["key"] == key);
    found.unwrap_or_else(|| panic!("no {operation} of {key} in {orders:#?}"))
}

pub fn id(order: &Value) -> &str {
    order["id"].as_str().unwrap()
}

/// Fails unless an order is blocked for this reason, with these texts in its detail.
#[track_caller]
pub fn is_blocked(order: &Value, reason: &str, texts: &[&str]) {
    assert_eq!(order["block"]["reason"], reason, "{order:#}");
    let detail = order["block"]["detail"].as_str().unwrap();
    for text in texts {
        assert!(detail.contains(text), "`{text}` is not in: {detail}");
    }
}

/// By its id, where each live order of the job stands, and its block's reason.
pub fn standing(company: &Company, order: &Value) -> (String, String) {
    for run in company.world.runs("corp") {
        let listed = company.world.muster(&["review", &run, "--all", "--format", "json"]);
        let rows = listed.json();
        if let Some(row) = rows.as_array().unwrap().iter().find(|row| row["order"] == order["id"]) {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            return (text("state"), text("block"));
        }
    }
    panic!("{order:#} is nowhere");
}

pub fn approve(company: &Company) -> Said {
    company.world.muster(&["approve", "corp", "--all", "--comment", "left"])
}

/// A change by somebody else at the vault.
pub fn by_hand(company: &Company, path: &str, operation: &Value) {
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
    let (status, answer) = company.vault.send("PATCH", path, Some(body));
    assert!(status < 300, "{status} {answer}");
}

pub fn user(company: &Company, number: usize) -> Value {
    company.vault.user(&format!("user{number:04}@corp.example")).unwrap()
}
