//! A company in OpenLDAP: everybody is in some groups, by a rule, so that a test can say who is where.

use crate::directory::Directory;

pub(crate) const USERS: usize = 500;
pub(crate) const GROUPS: usize = 50;
pub(crate) const GROUPS_OF_A_USER: usize = 6;

pub(crate) fn login(n: usize) -> String {
    format!("e{n:04}")
}

pub(crate) fn dn(n: usize) -> String {
    format!("uid={},ou=people,dc=example,dc=com", login(n))
}

pub(crate) fn group_dn(name: &str) -> String {
    format!("cn={name},ou=groups,dc=example,dc=com")
}

/// The groups of somebody, by number.
pub(crate) fn groups_of(n: usize) -> impl Iterator<Item = usize> {
    (0..GROUPS_OF_A_USER).map(move |step| (n + 7 * step) % GROUPS)
}

/// Adds somebody who is in no group yet.
pub(crate) async fn hire(directory: &Directory, n: usize) {
    let (login, family, number) = (login(n), format!("Family{n}"), format!("{n:05}"));
    let attributes: [(&str, &[&str]); 5] = [
        ("objectClass", &["inetOrgPerson"]),
        ("uid", &[&login]),
        ("cn", &[&family]),
        ("sn", &[&family]),
        ("employeeNumber", &[&number]),
    ];
    directory.add(&dn(n), &attributes).await;
}

/// Puts everybody into the directory, and the groups, whose names are by number.
pub(crate) async fn fill(directory: &Directory, group_name: fn(usize) -> String) {
    for n in 1..=USERS {
        hire(directory, n).await;
    }
    for group in 0..GROUPS {
        let members: Vec<String> = (1..=USERS).filter(|n| groups_of(*n).any(|of| of == group)).map(dn).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let name = group_name(group);
        let attributes: [(&str, &[&str]); 3] =
            [("objectClass", &["groupOfNames"]), ("cn", &[&name]), ("member", &members)];
        directory.add(&group_dn(&name), &attributes).await;
    }
}
