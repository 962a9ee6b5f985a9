//! Memberships: each user in ten groups, a few groups large and most small.

use std::io::Write;

use super::{Draw, uuid};

pub(crate) const HEADER: &str = "groupId,userId";

/// Groups of one user.
pub(crate) const PER_USER: u64 = 10;

/// One line. An association row has nothing but its key, so nothing of it can change.
pub(crate) fn row(out: &mut Vec<u8>, draw: Draw, number: u64, users: u64, _change: Option<u64>) -> bool {
    // Rows beyond the first file's are the same users in an eleventh group.
    let extra = number / (users * PER_USER);
    let (user, turn) = match extra {
        0 => (number / PER_USER, number % PER_USER),
        _ => ((number - users * PER_USER) % users, PER_USER),
    };
    // Each turn has groups of its own, so no pair repeats; the cube makes the first of them large.
    let groups = (users / 200).max(10);
    let part = draw.pick(1, 1 << 20) as f64 / f64::from(1 << 20);
    let group = turn * groups + (part * part * part * groups as f64) as u64;
    let written = uuid(out, 2, group).and_then(|()| out.write_all(b",")).and_then(|()| uuid(out, 1, user));
    // Writing to a Vec cannot fail.
    let _ = written.and_then(|()| out.write_all(b"\n"));
    false
}
