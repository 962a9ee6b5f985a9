//! Memberships: each user in ten groups, a few groups large and most small.

use std::io::Write;

use super::{Draw, uuid};

pub(crate) const HEADER: &str = "groupId,userId";

/// Groups of one user.
pub(crate) const PER_USER: u64 = 10;

/// One line. An association row has nothing but its key, so nothing of it can change.
pub(crate) fn row(out: &mut Vec<u8>, draw: Draw, number: u64, users: u64, _change: Option<u64>) -> bool {
    row_of(out, draw, number, users, [2, 1]);
    false
}

/// How many groups there are for so many users.
pub(crate) fn groups(users: u64) -> u64 {
    groups_a_turn(users) * (PER_USER + 1)
}

fn groups_a_turn(users: u64) -> u64 {
    (users / 200).max(10)
}

/// One line, with ids of these kinds: of groups, of users.
pub(crate) fn row_of(out: &mut Vec<u8>, draw: Draw, number: u64, users: u64, [of_groups, of_users]: [u64; 2]) {
    // Rows beyond the first file's are the same users in an eleventh group.
    let extra = number / (users * PER_USER);
    let (user, turn) = match extra {
        0 => (number / PER_USER, number % PER_USER),
        _ => ((number - users * PER_USER) % users, PER_USER),
    };
    // Each turn has groups of its own, so no pair repeats; the cube makes the first of them large.
    let groups = groups_a_turn(users);
    let part = draw.pick(1, 1 << 20) as f64 / f64::from(1 << 20);
    let group = turn * groups + (part * part * part * groups as f64) as u64;
    let written =
        uuid(out, of_groups, group).and_then(|()| out.write_all(b",")).and_then(|()| uuid(out, of_users, user));
    // Writing to a Vec cannot fail.
    let _ = written.and_then(|()| out.write_all(b"\n"));
}
