//! A company on two sides: a source on two days, and a target that holds what the source held on the first.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::memberships::PER_USER;
use super::{CHANGED, Draw, EXTRA, MISSING, memberships, shuffled, users, uuid};

/// Kinds of ids: those of the source, then those of the target.
const SOURCE: [u64; 2] = [1, 2];
const TARGET: [u64; 2] = [3, 4];

/// Writes `first/`, `second/` and `target/`, each with `users.csv`, `groups.csv` and `memberships.csv`; and `across/` with
/// what users and memberships of the target are in the source's terms, in the target's order. From the first
/// day to the second about 0.5 % of the users left with their memberships, as many came, 0.9 % changed in one column;
/// 0.5 % of the memberships of those who stayed ended, as many began.
pub(crate) fn company(count: u64, seed: u64, folder: &Path) -> io::Result<()> {
    for day in ["first", "second", "target"] {
        std::fs::create_dir_all(folder.join(day))?;
        groups(count, if day == "target" { TARGET } else { SOURCE }, &folder.join(day))?;
    }
    let came = count / EXTRA;
    let draw = |i: u64| Draw::new(seed, i);
    let lot = |i: u64| Draw::new(!seed, i).pick(1, 1_000);
    let left = |user: u64| user < count && lot(user) < MISSING;

    let rows = count * PER_USER;
    let ended = |i: u64| i < rows && (left(i / PER_USER) || lot(i + (count << 1)) < MISSING);
    let pair = |out: &mut Vec<u8>, i: u64, [user_kind, group_kind]: [u64; 2]| {
        memberships::row_of(out, draw(i), i, count, [group_kind, user_kind]);
    };

    let mut day = begin(&folder.join("first"), "users", users::HEADER)?;
    each(0..count, &mut day, |out, i| {
        users::row(out, draw(i), i, None);
    })?;
    let mut day = begin(&folder.join("first"), "memberships", memberships::HEADER)?;
    each(0..rows, &mut day, |out, i| pair(out, i, SOURCE))?;

    let mut day = begin(&folder.join("second"), "users", users::HEADER)?;
    each(shuffled(count + came, seed).filter(|i| !left(*i)), &mut day, |out, i| {
        let change = (i < count && lot(i) < MISSING + CHANGED).then(|| Draw::new(!seed, i).number(2));
        users::row(out, draw(i), i, change);
    })?;
    let mut day = begin(&folder.join("second"), "memberships", memberships::HEADER)?;
    // Memberships that began are of the users at the end of the list, in an eleventh group.
    let began = |i: &u64| *i < rows || !left((*i - rows) % count);
    each(shuffled(rows + rows / EXTRA, seed).filter(|i| !ended(*i)).filter(began), &mut day, |out, i| {
        pair(out, i, SOURCE);
    })?;

    let mut day =
        begin(&folder.join("target"), "users", &format!("id,{}", users::HEADER.replacen("id", "externalId", 1)))?;
    each(shuffled(count, seed ^ 1), &mut day, |out, i| {
        // Writing to a Vec cannot fail.
        let _ = uuid(out, TARGET[0], i).and_then(|()| out.write_all(b","));
        users::row(out, draw(i), i, None);
    })?;
    let mut day = begin(&folder.join("target"), "memberships", memberships::HEADER)?;
    each(shuffled(rows, seed ^ 2), &mut day, |out, i| pair(out, i, TARGET))?;

    std::fs::create_dir_all(folder.join("across"))?;
    let mut terms = begin(&folder.join("across"), "users", users::HEADER)?;
    each(shuffled(count, seed ^ 1), &mut terms, |out, i| {
        users::row(out, draw(i), i, None);
    })?;
    let mut terms = begin(&folder.join("across"), "memberships", memberships::HEADER)?;
    each(shuffled(rows, seed ^ 2), &mut terms, |out, i| pair(out, i, SOURCE))
}

/// Every group that a membership may name.
fn groups(users: u64, [_, kind]: [u64; 2], folder: &Path) -> io::Result<()> {
    let mut file = begin(folder, "groups", "id,displayName")?;
    each(0..memberships::groups(users), &mut file, |out, group| {
        let _ = uuid(out, kind, group).and_then(|()| writeln!(out, ",Group {group}"));
    })
}

fn begin(folder: &Path, name: &str, header: &str) -> io::Result<BufWriter<File>> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(folder.join(format!("{name}.csv")))?);
    writeln!(out, "{header}")?;
    Ok(out)
}

fn each(
    numbers: impl Iterator<Item = u64>,
    out: &mut BufWriter<File>,
    row: impl Fn(&mut Vec<u8>, u64),
) -> io::Result<()> {
    let mut line = Vec::with_capacity(512);
    for i in numbers {
        line.clear();
        row(&mut line, i);
        out.write_all(&line)?;
    }
    out.flush()
}
