//! What the readers of SCIM filters, paths and PATCH requests have to do with any text: refuse it, or mean the same by
//! what they write of it. A value in a filter ends where it ends, whatever it holds; a request is applied whole or not.
//!
//! An input is a filter, a path and a PATCH request, one a line.

use std::sync::LazyLock;

use muster::scim::path::Path;
use muster::scim::schema::Definition;
use muster::scim::validate::conform;
use muster::scim::{filter, patch};
use serde_json::{Value, json};

static USERS: LazyLock<Definition> = LazyLock::new(Definition::user);

fn user() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "jane@corp.example", "active": true, "title": "Lead",
        "name": {"familyName": "O'Hara", "givenName": "Jane"},
        "emails": [{"type": "work", "value": "w@x", "primary": true}, {"type": "home", "value": "h@x"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "007"}
    })
}

/// Panics where they do something else.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (filter, path, request) = (line(), line(), line());
    let user = user();
    filtered(filter, &USERS, &user);
    quoted(filter);
    placed(path, &user);
    applied(request, &USERS, &user);
}

fn filtered(text: &str, definition: &Definition, user: &Value) {
    let Ok(read) = filter::parse(text) else { return };
    let _ = filter::check(&read, definition);
    let written = read.to_string();
    let again = filter::parse(&written).unwrap_or_else(|error| panic!("{text:?} is written as {written:?}: {error}"));
    let holds = filter::matches(&read, user, definition);
    assert_eq!(holds, filter::matches(&again, user, definition), "{text:?} is written as {written:?}");
}

/// A value is one term, however it looks.
fn quoted(value: &str) {
    let read = filter::parse(&filter::eq("userName", value)).expect("a value can be asked for");
    let of = |name: &str| json!({"userName": name});
    assert!(filter::matches(&read, &of(value), &USERS));
    assert!(!filter::matches(&read, &of(&format!("{value}x")), &USERS));
    let member = patch::request(vec![patch::remove_member(value)]);
    assert_eq!(patch::parse(&member).map(|operations| operations.len()), Ok(1), "{member}");
}

fn placed(text: &str, user: &Value) {
    let Ok(path) = Path::parse(text) else { return };
    let again = Path::parse(&path.to_string()).unwrap_or_else(|error| panic!("{text:?} is written as {error}"));
    assert_eq!(path.select(user), again.select(user), "{text:?} is written as `{path}`");
    let mut changed = user.clone();
    path.set(&mut changed, json!("set"));
    path.set(&mut changed, Value::Null);
}

fn applied(text: &str, definition: &Definition, user: &Value) {
    let Ok(request) = serde_json::from_str::<Value>(text) else { return };
    let Ok(operations) = patch::parse(&request) else { return };
    let before = conform(user, definition).expect("the user conforms");
    let mut after = before.clone();
    match patch::apply(&mut after, operations, definition) {
        Ok(changed) => {
            assert_eq!(changed, after != before);
            assert_eq!(conform(&after, definition).as_ref(), Ok(&after), "what is applied conforms");
        }
        Err(_) => assert_eq!(after, before, "a request that is refused changes nothing"),
    }
}
