//! The inputs that fuzzing found or began with, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, reason = "a test may panic")]

#[path = "../fuzz/answers.rs"]
mod answers;
#[path = "../fuzz/approval.rs"]
mod approval;
#[path = "../fuzz/filters.rs"]
mod filters;
#[path = "../fuzz/job_file.rs"]
mod job_file;
#[path = "../fuzz/review.rs"]
mod review;
#[path = "../fuzz/scanner.rs"]
mod scanner;
#[path = "../fuzz/snapshot.rs"]
mod snapshot;

/// Gives every kept input of a target to its check, and tells which one it cannot take.
fn every_kept_input(target: &str, least: usize, check: fn(&[u8])) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/").to_owned() + target;
    let mut inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= least, "{} inputs", inputs.len());
    for input in inputs {
        let bytes = std::fs::read(&input).unwrap();
        let outcome = std::panic::catch_unwind(|| check(&bytes));
        assert!(outcome.is_ok(), "{}", input.display());
    }
}

#[test]
fn the_scanner_reads_or_refuses_every_kept_input() {
    every_kept_input("scanner", 20, scanner::check);
}

#[test]
fn job_files_are_read_or_refused() {
    every_kept_input("job_file", 6, job_file::check);
}

#[test]
fn snapshots_are_judged_or_refused() {
    every_kept_input("snapshot", 4, snapshot::check);
}

#[test]
fn review_files_are_read_or_refused() {
    every_kept_input("review", 4, review::check);
}

#[test]
fn approvals_are_read_or_refused() {
    every_kept_input("approval", 4, approval::check);
}

#[test]
fn answers_are_read_or_refused() {
    every_kept_input("answers", 8, answers::check);
}

#[test]
fn filters_paths_and_patches_are_read_or_refused() {
    every_kept_input("filters", 8, filters::check);
}
