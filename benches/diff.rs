//! How fast `muster diff` compares two snapshots, and in how much memory.
//!
//! `cargo bench --bench diff` compares pairs of 100,000 and 1,000,000 users and of 1,000,000 memberships, each with one
//! thread and with two; `cargo bench --bench diff -- users 5000000` one pair of that kind and size (memberships: ten
//! for each user). `--rounds` and `--keep` are those of all benches.
//! `cargo bench --bench diff -- generate users 1000000 42 FOLDER` only writes a pair, and says how it differs.
//!
//! A measurement is the program itself from start to exit, which writes the list of differences to a file. The files
//! are in the cache after the first round, so that the disk is not measured. Each list is counted and held against
//! what the generator planted.

mod generate;
mod measure;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use generate::{Pair, Planted};
use measure::sample::program;
use measure::{Asked, Outcome, Results, Sample};

fn main() -> Outcome<()> {
    let asked = Asked::read()?;
    let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate", kind, count, seed, folder] => {
            let pair = generated(kind, count.parse()?, seed.parse()?, Path::new(folder))?;
            let Planted { removed, added, changed } = pair.planted;
            println!("{} {}", pair.old.display(), pair.new.display());
            println!("removed {removed} added {added} changed {changed}");
            Ok(())
        }
        [] => measure(&asked, &[("users", 100_000), ("users", 1_000_000), ("memberships", 100_000)]),
        [kind, count] => measure(&asked, &[(kind, count.parse()?)]),
        _ => Err("usage: [users|memberships COUNT] | generate users|memberships COUNT SEED FOLDER".into()),
    }
}

fn generated(kind: &str, count: u64, seed: u64, folder: &Path) -> io::Result<Pair> {
    match kind {
        "users" => generate::users(count, seed, folder),
        "memberships" => generate::memberships(count, seed, folder),
        other => Err(io::Error::other(format!("`{other}` is neither users nor memberships"))),
    }
}

fn measure(asked: &Asked, pairs: &[(&str, u64)]) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut results = Results::new("diff", "MB", asked);
    let mut one_against_two = Vec::new();
    for (kind, count) in pairs {
        let pair = generated(kind, *count, 42, folder.path())?;
        let megabytes = (fs::metadata(&pair.old)?.len() + fs::metadata(&pair.new)?.len()) as f64 / 1e6;
        let key = if *kind == "users" { "id" } else { "groupId,userId" };
        let name =
            |threads: usize| format!("{kind} of {count}, {threads} thread{}", if threads == 1 { "" } else { "s" });
        asked.in_turn(2, |case, counted| {
            let threads = case + 1;
            let sample = compare(&pair, key, threads, &folder.path().join("differences.csv"))?;
            if counted {
                results.add(&name(threads), megabytes, sample);
            }
            Ok(())
        })?;
        let ratio = results.wall(&name(1)).as_secs_f64() / results.wall(&name(2)).as_secs_f64();
        one_against_two.push(format!("{kind} of {count}: two threads are {ratio:.2} × as fast as one"));
        [&pair.old, &pair.new].into_iter().try_for_each(fs::remove_file)?;
    }
    results.end()?;
    one_against_two.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Compares one pair, and counts what was found.
fn compare(pair: &Pair, key: &str, threads: usize, output: &Path) -> Outcome<Sample> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .arg("diff")
        .args([&pair.old, &pair.new])
        .args(["--key", key, "--format", "csv", "--output"])
        .arg(output)
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdin(Stdio::null());
    let (status, sample) = program(&mut command)?;
    if !status.success() {
        return Err(format!("muster diff ended with {status}").into());
    }
    let list = fs::read_to_string(output)?;
    let count = |change: &str| list.lines().filter(|line| line.starts_with(change)).count() as u64;
    let found = Planted { removed: count("removed,"), added: count("added,"), changed: count("changed,") };
    if found == pair.planted { Ok(sample) } else { Err(format!("found {found:?}, planted {:?}", pair.planted).into()) }
}
