//! A database that is damaged, or is none: told as that, with what to do, and never written to.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::PathBuf;

use support::company::Company;
use support::dice::Dice;
use support::{Said, World};

const PAGE: usize = 4096;

/// A company that has agreed with its vault, with nothing of its database left in a log beside it.
fn settled() -> (Company, PathBuf, Vec<u8>) {
    let company = Company::of(30);
    company.settle();
    let file = company.world.state().join("muster.db");
    let whole = fs::read(&file).unwrap();
    assert!(!beside(&company.world).exists(), "the last command to end empties it");
    (company, file, whole)
}

fn beside(world: &World) -> PathBuf {
    world.state().join("muster.db-wal")
}

/// What operators ask of a job: it is told rightly, or the damage is.
fn asked(company: &Company, run: &str) -> Vec<Said> {
    let ask = |args: &[&str]| company.world.muster(args);
    vec![
        ask(&["status", "corp"]),
        ask(&["review", run]),
        ask(&["report", run]),
        ask(&["log", "corp", "--limit", "0"]),
        ask(&["list", "corp", "--managed"]),
        ask(&["log", "--verify"]),
    ]
}

#[test]
fn noise_in_the_database_is_told_as_damage_and_never_as_what_is_not_there() {
    let (company, file, whole) = settled();
    let run = company.world.runs("corp").remove(0);
    let good: Vec<Said> = asked(&company, &run);
    assert!(good.iter().all(|said| said.status == 0), "{good:?}");
    let pages = whole.len() / PAGE;
    let mut dice = Dice(7);
    let mut told = 0;
    for round in 0..24 {
        let mut noisy = whole.clone();
        // One page after the other, spread over the file; the first one too.
        let page = if round == 0 { 0 } else { dice.below(pages) };
        let from = page * PAGE + if page == 0 { 100 } else { 0 };
        noisy[from..(page + 1) * PAGE].iter_mut().for_each(|byte| *byte = dice.next() as u8);
        fs::write(&file, &noisy).unwrap();
        for (said, good) in asked(&company, &run).into_iter().zip(&good) {
            assert!(!said.err.contains("panicked"), "page {page}: {said:?}");
            let is_told = said.err.contains("muster.db") && said.err.contains("damaged");
            let is_broken = said.err.contains("the log is broken");
            if is_told {
                let said = said.ended(1).says(&["backup", "nothing of this step was recorded"]);
                assert!(!said.err.contains("not known"), "{said:?}");
                told += 1;
            } else if !is_broken {
                // What tells how long ago something was may differ.
                assert_eq!(
                    (said.status, said.out.lines().count()),
                    (0, good.out.lines().count()),
                    "page {page}: {said:?}"
                );
            }
        }
        // Whoever reads all of it finds it, but where the page held nothing.
        let verified = company.world.muster(&["log", "--verify"]);
        assert!(verified.status == 1 || is_unused(&whole, page), "page {page} of {pages}: {verified:?}");
        assert_eq!(fs::read(&file).unwrap(), noisy, "nothing is written to what is damaged");
        assert!(!beside(&company.world).exists());
    }
    assert!(told > 24, "{told}");
    fs::write(&file, &whole).unwrap();
    company.world.muster(&["run", "corp"]).ended(0);
}

/// Whether a page holds nothing but zeros: one that is free.
fn is_unused(whole: &[u8], page: usize) -> bool {
    whole[page * PAGE..(page + 1) * PAGE].iter().all(|byte| *byte == 0)
}

#[test]
fn whatever_stands_in_the_place_of_the_database_is_told_as_what_it_is() {
    let (company, file, whole) = settled();
    let kept = company.world.path().join("kept.db");
    fs::write(&kept, &whole).unwrap();
    let newer = {
        let mut bytes = whole.clone();
        // `user_version`, big-endian.
        bytes[60..64].copy_from_slice(&999_u32.to_be_bytes());
        bytes
    };
    let foreign = {
        let mut bytes = whole.clone();
        bytes[68..72].copy_from_slice(b"GPKG");
        bytes
    };
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        ("nothing", Vec::new(), &["damaged: it is empty", "its runs", "backup"]),
        (
            "half of it",
            whole[..whole.len() / 2 / PAGE * PAGE].to_vec(),
            &["damaged: its parts do not fit together", "backup"],
        ),
        (
            "a page of text",
            b"<html>Sign in</html>".repeat(300),
            &["damaged: it does not begin as a database does", "backup"],
        ),
        ("a newer one", newer, &["written by a newer muster (format 999", "use the newer program"]),
        ("another program's", foreign, &["not one of muster", "left as it is"]),
    ];
    for (what, bytes, words) in cases {
        fs::write(&file, &bytes).unwrap();
        for args in [&["status", "corp"][..], &["run", "corp"], &["apply", "corp"], &["log", "--verify"]] {
            let said = company.world.muster(args).ended(1).says(words);
            assert!(!said.err.contains("not known") && !said.err.contains("no job"), "{what}: {said:?}");
        }
        assert_eq!(fs::read(&file).unwrap(), bytes, "{what} is left as it is");
        let _ = fs::remove_file(beside(&company.world));
        let _ = fs::remove_file(company.world.state().join("muster.db-shm"));
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    for args in [&["status"][..], &["run", "corp"]] {
        company.world.muster(args).ended(1).says(&["muster.db", "a folder stands in its place"]);
    }
    fs::remove_dir(&file).unwrap();
    // Moved away, links are found anew and nothing is repeated; whoever did not move it away is told.
    let missing = ["no muster.db, though folders of runs are there", "backup", "anew"];
    company.world.muster(&["status", "corp"]).ended(1).says(&missing);
    company.world.muster(&["run", "corp"]).ended(0).says(&missing).says(&["is forgotten"]);
    company.world.muster(&["run", "corp"]).ended(0).never_says(&["muster.db"]);
    fs::write(&file, fs::read(&kept).unwrap()).unwrap();
}
