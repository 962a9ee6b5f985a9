//! Pairs of snapshots that look like those of an identity provider and its target, the same for the same seed.
//!
//! Of the second file about 0.9 % of the rows are changed in one column, 0.5 % are missing and 0.5 % are extra; its
//! rows are shuffled. The exact numbers are counted while it is written.
#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod company;
mod memberships;
mod users;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What was planted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Planted {
    /// Rows that only the first file has.
    pub(crate) removed: u64,
    /// Rows that only the second file has.
    pub(crate) added: u64,
    /// Rows with another cell.
    pub(crate) changed: u64,
}

/// A pair of files.
pub(crate) struct Pair {
    /// The first.
    pub(crate) old: PathBuf,
    /// The second, shuffled.
    pub(crate) new: PathBuf,
    /// How they differ.
    pub(crate) planted: Planted,
}

/// Writes `users_old.csv` and `users_new.csv`: 14 columns, about 236 bytes a row.
pub(crate) fn users(rows: u64, seed: u64, folder: &Path) -> io::Result<Pair> {
    write(folder, "users", users::HEADER, seed, rows, users::row)
}

/// Writes `memberships_old.csv` and `memberships_new.csv`: ten groups for each of `users` users.
pub(crate) fn memberships(users: u64, seed: u64, folder: &Path) -> io::Result<Pair> {
    let rows = users * memberships::PER_USER;
    write(folder, "memberships", memberships::HEADER, seed, rows, |out, draw, i, change| {
        memberships::row(out, draw, i, users, change)
    })
}

/// In each thousand rows of the first file: missing from the second.
const MISSING: u64 = 5;
/// In each thousand rows of the first file: changed in the second.
const CHANGED: u64 = 9;
/// One extra row in the second file for so many rows.
const EXTRA: u64 = 200;

/// Writes a pair with rows from `row(out, draw, number, change)`; `change` picks what differs, and a row that has
/// nothing to change (an association) says `false`.
fn write(
    folder: &Path,
    name: &str,
    header: &str,
    seed: u64,
    rows: u64,
    row: impl Fn(&mut Vec<u8>, Draw, u64, Option<u64>) -> bool,
) -> io::Result<Pair> {
    std::fs::create_dir_all(folder)?;
    let old = folder.join(format!("{name}_old.csv"));
    let new = folder.join(format!("{name}_new.csv"));
    let draw = |i: u64| Draw::new(seed, i);
    let mut planted = Planted { added: rows / EXTRA, ..Planted::default() };
    let mut line = Vec::with_capacity(512);

    let mut out = BufWriter::with_capacity(1 << 20, File::create(&old)?);
    writeln!(out, "{header}")?;
    for i in 0..rows {
        line.clear();
        row(&mut line, draw(i), i, None);
        out.write_all(&line)?;
    }
    out.into_inner()?.sync_all()?;

    let mut out = BufWriter::with_capacity(1 << 20, File::create(&new)?);
    writeln!(out, "{header}")?;
    for i in shuffled(rows + planted.added, seed) {
        line.clear();
        let lot = Draw::new(!seed, i).pick(1, 1_000);
        if i < rows && lot < MISSING {
            planted.removed += 1;
            continue;
        }
        let change = (i < rows && lot < MISSING + CHANGED).then(|| Draw::new(!seed, i).number(2));
        planted.changed += u64::from(row(&mut line, draw(i), i, change) && change.is_some());
        out.write_all(&line)?;
    }
    out.into_inner()?.sync_all()?;
    Ok(Pair { old, new, planted })
}

/// The numbers below `count` in an order that only the seed decides.
fn shuffled(count: u64, seed: u64) -> impl Iterator<Item = u64> {
    let mut order: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
    let draw = Draw::new(seed ^ 0x5eed, 0);
    for i in (1..order.len()).rev() {
        order.swap(i, draw.pick(i as u64, i as u64 + 1) as usize);
    }
    order.into_iter().map(u64::from)
}

/// Numbers that belong to one row: the same question has the same answer.
#[derive(Clone, Copy)]
pub(crate) struct Draw(u64);

impl Draw {
    fn new(seed: u64, row: u64) -> Self {
        Self(scramble(seed.rotate_left(17) ^ scramble(row.wrapping_add(0x1234_5678))))
    }

    /// 64 bits.
    pub(crate) fn number(self, question: u64) -> u64 {
        scramble(self.0.wrapping_add(question.wrapping_mul(0xa24b_aed4_963e_e407)))
    }

    /// A number below `below`.
    pub(crate) fn pick(self, question: u64, below: u64) -> u64 {
        ((u128::from(self.number(question)) * u128::from(below)) >> 64) as u64
    }
}

/// A bijection in which every input bit reaches every output bit.
fn scramble(mut bits: u64) -> u64 {
    for multiplier in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        bits = (bits ^ bits >> 33).wrapping_mul(multiplier);
    }
    bits ^ bits >> 33
}

/// A UUID of version 4's shape for the numbered thing of a kind.
pub(crate) fn uuid(out: &mut Vec<u8>, kind: u64, number: u64) -> io::Result<()> {
    let draw = Draw::new(kind, number);
    let (a, b) = (draw.number(1), draw.number(2));
    let (time, mid) = (a >> 32, a >> 16 & 0xffff);
    write!(out, "{time:08x}-{mid:04x}-4{:03x}-{:04x}-{:012x}", a & 0xfff, 0x8000 | b >> 50, b & 0xffff_ffff_ffff)
}
