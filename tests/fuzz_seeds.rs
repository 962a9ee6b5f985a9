//! The inputs that fuzzing found or began with, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, reason = "a test may panic")]

#[path = "../fuzz/scanner.rs"]
mod scanner;

#[test]
fn the_scanner_reads_or_refuses_every_kept_input() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/scanner");
    let mut inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 20, "{} inputs", inputs.len());
    for input in inputs {
        let bytes = std::fs::read(&input).unwrap();
        let outcome = std::panic::catch_unwind(|| scanner::check(&bytes));
        assert!(outcome.is_ok(), "{}", input.display());
    }
}
