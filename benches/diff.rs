//! How fast two snapshots are compared, and in how much memory.
//!
//! `cargo bench --bench diff` compares pairs of 100,000 and 1,000,000 users and of 1,000,000 memberships;
//! `cargo bench --bench diff -- 5000000 9` of 5,000,000 users and as many memberships, in 9 rounds.
//! `cargo bench --bench diff -- generate users 1000000 42 FOLDER` only writes a pair (`users` or `memberships`).
//!
//! Every measurement is a process of its own, so that its peak memory is its own; files are read once before, so that
//! the disk is not measured. Whatever is printed as a figure was checked against what the generator planted.

mod generate;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use generate::{Pair, Planted};
use muster::snapshot::diff::{DiffOptions, diff};
use muster::snapshot::table::Table;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    // cargo bench adds its own flag.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate", kind, rows, seed, folder] => {
            let pair = generated(kind, rows.parse()?, seed.parse()?, Path::new(folder))?;
            println!("{} {} {:?}", pair.old.display(), pair.new.display(), pair.planted);
            Ok(())
        }
        ["once", old, new, key @ ..] => once(Path::new(old), Path::new(new), key),
        [] => measure(&[("users", 100_000), ("users", 1_000_000), ("memberships", 100_000)], 5),
        [rows] => measure(&[("users", rows.parse()?), ("memberships", rows.parse::<u64>()? / 10)], 5),
        [rows, rounds] => {
            measure(&[("users", rows.parse()?), ("memberships", rows.parse::<u64>()? / 10)], rounds.parse()?)
        }
        _ => Err("usage: [ROWS [ROUNDS]] | generate users|memberships COUNT SEED FOLDER".into()),
    }
}

fn generated(kind: &str, count: u64, seed: u64, folder: &Path) -> io::Result<Pair> {
    match kind {
        "users" => generate::users(count, seed, folder),
        "memberships" => generate::memberships(count, seed, folder),
        other => Err(io::Error::other(format!("`{other}` is neither users nor memberships"))),
    }
}

/// Compares one pair, writes the list of differences, and prints seconds, KiB of peak memory, and what was found.
fn once(old: &Path, new: &Path, key: &[&str]) -> Outcome<()> {
    let start = Instant::now();
    let key: Vec<String> = key.iter().map(|k| (*k).to_owned()).collect();
    let (old, new) = (Table::open(old, &key)?, Table::open(new, &key)?);
    let difference = diff(&old, &new, &DiffOptions::default())?;
    let mut out = BufWriter::with_capacity(256 << 10, tempfile::tempfile()?);
    let keys = &difference.keys;
    for (word, keys) in [("added", &keys.added), ("removed", &keys.removed), ("changed", &keys.changed)] {
        for key in keys {
            writeln!(out, "{word},{key}")?;
        }
    }
    out.flush()?;
    let seconds = start.elapsed().as_secs_f64();
    let counts = difference.counts();
    println!("{seconds} {} {} {} {}", peak_kib()?, counts.removed, counts.added, counts.changed);
    Ok(())
}

/// The largest memory that this process ever had, in KiB.
fn peak_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

struct Round {
    seconds: f64,
    kib: u64,
}

fn measure(pairs: &[(&str, u64)], rounds: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    println!("{:<24} {:>9} {:>9} {:>8} {:>12}", "pair", "1 thread", "2 threads", "MiB", "MB/s");
    for (kind, count) in pairs {
        let pair = generated(kind, *count, 42, folder.path())?;
        let bytes = std::fs::metadata(&pair.old)?.len() + std::fs::metadata(&pair.new)?.len();
        let key: &[&str] = if *kind == "users" { &["id"] } else { &["groupId", "userId"] };
        let one = median(&pair, key, 1, rounds)?;
        let two = median(&pair, key, 2, rounds)?;
        println!(
            "{:<24} {:>8.3}s {:>8.3}s {:>8.0} {:>12.0}",
            format!("{count} {kind}"),
            one.seconds,
            two.seconds,
            two.kib as f64 / 1024.0,
            bytes as f64 / two.seconds / 1e6,
        );
        remove(&[&pair.old, &pair.new])?;
    }
    Ok(())
}

fn remove(files: &[&PathBuf]) -> io::Result<()> {
    files.iter().try_for_each(std::fs::remove_file)
}

/// The median of several rounds, after one that is thrown away.
fn median(pair: &Pair, key: &[&str], threads: usize, rounds: usize) -> Outcome<Round> {
    let mut seen: Vec<Round> = Vec::new();
    for round in 0..=rounds.max(1) {
        let output = Command::new(std::env::current_exe()?)
            .arg("once")
            .args([&pair.old, &pair.new])
            .args(key)
            .env("RAYON_NUM_THREADS", threads.to_string())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let words: Vec<&str> = text.split_whitespace().collect();
        let [seconds, kib, removed, added, changed] = words.as_slice() else {
            return Err(format!("a round failed: {}", String::from_utf8_lossy(&output.stderr)).into());
        };
        let found = Planted { removed: removed.parse()?, added: added.parse()?, changed: changed.parse()? };
        if found != pair.planted {
            return Err(format!("found {found:?}, planted {:?}", pair.planted).into());
        }
        if round > 0 {
            seen.push(Round { seconds: seconds.parse()?, kib: kib.parse()? });
        }
    }
    seen.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let middle = seen.len() / 2;
    Ok(seen.swap_remove(middle))
}
