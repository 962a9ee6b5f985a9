//! Lists of Keycloak that move while they are read: a row that goes before the place of the reading makes the next one slip
//! onto a page that was read already.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use muster::connector::config::KeycloakConfig;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::connector_sink::export;
use crate::realm::Realm;
use crate::support::gateway::Gateway;

#[test]
fn rows_that_slip_between_two_pages_are_not_lost() {
    let realm = Realm::made();
    let team = realm.make("/groups", json!({"name": "team"}));
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(realm.make("/users", json!({"username": format!("u{n:02}"), "enabled": true, "groups": ["/team"]})));
    }
    let server = realm.url.trim_start_matches("http://").to_owned();
    let config = realm.config("muster");
    let realm = Arc::new(Mutex::new(realm));
    let (deleted, left) = (AtomicBool::new(false), AtomicBool::new(false));
    let (by_hand, of, team_id) = (realm.clone(), ids.clone(), team.clone());
    // Between the first page and the second, once each.
    let gateway = Gateway::with(&server, move |what| {
        let is_second = |list: &str| what.contains(list) && what.contains("first=6&");
        if is_second("/users?") && !deleted.swap(true, Ordering::SeqCst) {
            by_hand.lock().unwrap().done("DELETE", &format!("/users/{}", of[0]), None);
        }
        if is_second("/members?") && !left.swap(true, Ordering::SeqCst) {
            by_hand.lock().unwrap().done("DELETE", &format!("/users/{}/groups/{team_id}", of[1]), None);
        }
    });
    let config =
        KeycloakConfig { url: format!("http://{}", gateway.address), page_size: 7, reads_in_flight: 1, ..config };
    let runtime = Runtime::new().unwrap();
    let target = runtime.block_on(realm.lock().unwrap().target(config));
    let exported = runtime.block_on(export(target.as_ref(), &["memberships", "users"])).unwrap();
    let users = &exported["users"];
    let mut expected = ids[1..].to_vec();
    expected.sort();
    assert_eq!(users.column("id"), expected);
    let evidence = &users.ended().evidence;
    assert!(evidence.first_look.as_ref().is_some_and(|first| first.shifted_rows == 1), "{evidence:?}");
    assert_eq!((evidence.rows_received, evidence.total_end, evidence.shifted_rows), (29, Some(29), 0));
    let members: BTreeSet<String> = exported["memberships"].column("user").into_iter().collect();
    let expected: BTreeSet<String> =
        ids.iter().enumerate().filter(|(n, _)| *n != 1).map(|(_, id)| id.clone()).collect();
    assert_eq!(members, expected);
    assert!(exported["memberships"].ended().evidence.anomalies.is_empty());
}
