//! Members whose changes are done and not answered, or cannot be read back: nothing is lost, and nothing is done twice.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::company::{Company, people};
use support::gateway::{Does, Fault, Gateway};
use support::orders::{approve, planned};

/// Names of the groups with who is in them.
fn held(company: &Company) -> BTreeSet<(String, usize)> {
    let members = |group: &Value| group["members"].as_array().map_or(0, Vec::len);
    company
        .vault
        .all("Groups")
        .iter()
        .map(|one| (one["displayName"].as_str().unwrap().to_owned(), members(one)))
        .collect()
}

#[test]
fn a_removal_of_members_whose_answer_or_reading_is_lost_is_looked_up_and_not_sent_again() {
    let patch = |does| Fault { method: "PATCH", path: "/Groups/", once: None, times: 1, does };
    let read =
        Fault { method: "GET", path: "/Groups/", once: Some(("PATCH", "/Groups/")), times: 99, does: Does::Fails };
    // By the path, by a list of values after the path was refused, and by a list of values alone.
    // (Where a refusal of the path is lost, it is sent again, which did nothing.)
    for (dialect, patches) in [("generic", 1..=1), ("entra", 2..=4), ("entra-known", 1..=1)] {
        let cases = [
            (vec![read], "cannot be read back"),
            (vec![patch(Does::FailsAfter)], "is answered with 500"),
            (vec![patch(Does::CutsAfter)], "is cut off"),
            (vec![patch(Does::FailsAfter), read], "is answered with 500 and cannot be read"),
        ];
        let how_many = if dialect == "generic" { cases.len() } else { 2 };
        for (faults, name) in cases.into_iter().take(how_many) {
            let world = support::World::new();
            let vault = world.server_with(&["--dialect", dialect.trim_end_matches("-known")]);
            let company = Company { world, vault };
            let gateway = Gateway::unreliable(company.vault.address());
            company.hr(&people(6));
            let job = company.job_text("[apply]\nretry_budget = \"1s\"\nwaves = [99]\n");
            let job = job.replace(company.vault.address(), &gateway.address.to_string());
            let known =
                if dialect == "entra-known" { "kind = \"scim\"\ndialect = \"entra\"\n" } else { "kind = \"scim\"\n" };
            company.world.write("jobs/corp.toml", job.replace("kind = \"scim\"\n", known));
            company.settle();
            // Both who are in Network leave it.
            let rows = company.world.read("hr/memberships.csv");
            let rows: Vec<&str> = rows.lines().filter(|row| !row.starts_with("T1,")).collect();
            company.world.write("hr/memberships.csv", rows.join("\n") + "\n");
            let orders = planned(&company);
            assert_eq!(orders.len(), 2, "{orders:#?}");
            approve(&company).ended(0);
            gateway.set(&faults);
            let said = company.world.muster(&["apply", "corp"]);
            assert!(gateway.played() > 0, "{dialect}: {name}");
            let first = gateway.heard("PATCH", "");
            gateway.set(&[]);
            // What was left open is looked up; what was not sent is sent.
            let again = company.world.muster(&["apply", "corp"]);
            let rest = gateway.heard("PATCH", "");
            let expected = [("Databases".to_owned(), 2), ("Network".to_owned(), 0), ("Payments".to_owned(), 2)];
            assert_eq!(held(&company), BTreeSet::from(expected), "{dialect}: {name}\n{said:?}\n{again:?}");
            assert!(patches.contains(&(first + rest)), "{dialect}: {name}: {first}, {rest}\n{said:?}\n{again:?}");
            company.world.muster(&["run", "corp", "--mode", "complete"]).ended(0);
            assert!(company.world.orders("corp", &company.world.newest_run("corp")).is_empty(), "{dialect}: {name}");
        }
    }
}
