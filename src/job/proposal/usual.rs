//! What systems of a kind usually offer, for those that were not asked.

use std::collections::BTreeMap;

use crate::model::capabilities::{AttributeType, Capabilities, ResourceCapabilities};
use crate::model::order::Operation;

/// Users, groups and memberships as systems of this kind usually have them.
pub fn usual(kind: &str) -> Capabilities {
    use Operation::{Create, Delete, Disable, Enable, Update};
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let (department, number) = (format!("{enterprise}:department"), format!("{enterprise}:employeeNumber"));
    let of_scim = [
        "externalId",
        "userName",
        "displayName",
        "name.givenName",
        "name.familyName",
        "emails",
        "title",
        &department,
        &number,
    ];
    let (people, groups, enabled, required): (&[&str], &[&str], _, &[&str]) = match kind {
        "csv" => (&["login", "email", "firstName", "lastName", "department"], &["name"], "enabled", &[]),
        "ldap" => (
            &["uid", "cn", "sn", "givenName", "mail", "title", "employeeNumber", "departmentNumber"],
            &["cn", "description"],
            "enabled",
            &["uid", "cn", "sn"],
        ),
        "keycloak" => (
            &["username", "email", "firstName", "lastName"],
            &["name", "path", "description"],
            "enabled",
            &["username"],
        ),
        "openbao" => (&["name"], &["name"], "active", &["name"]),
        _ => (&of_scim, &["displayName", "externalId"], "active", &["userName"]),
    };
    let of = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), AttributeType::Text)).collect();
    let is_there = kind != "csv";
    let users = ResourceCapabilities {
        operations: vec![Create, Update, Disable, Enable, Delete],
        attributes: of(&[people, &["id", enabled]].concat()),
        read_only: is_there.then(|| "id".to_owned()).into_iter().collect(),
        required: required.iter().map(|name| (*name).to_owned()).collect(),
        key: vec!["id".to_owned()],
        enabled: Some(enabled.to_owned()),
        ..ResourceCapabilities::default()
    };
    let groups = ResourceCapabilities {
        operations: vec![Create, Update, Delete],
        attributes: of(&[groups, &["id"]].concat()),
        read_only: is_there.then(|| "id".to_owned()).into_iter().collect(),
        key: vec!["id".to_owned()],
        ..ResourceCapabilities::default()
    };
    let memberships = ResourceCapabilities {
        operations: vec![Operation::Add, Operation::Remove],
        key: vec!["group".to_owned(), "user".to_owned()],
        ends: [("group", "groups"), ("user", "users")].map(|(end, of)| (end.to_owned(), vec![of.to_owned()])).into(),
        ..ResourceCapabilities::default()
    };
    let mut resources: BTreeMap<String, ResourceCapabilities> = [("users".to_owned(), users)].into();
    // Which files a folder has nobody knows; people it will have.
    if is_there {
        resources.extend([("groups".to_owned(), groups), ("memberships".to_owned(), memberships)]);
    }
    Capabilities { resources, ..Capabilities::default() }
}
