//! `cargo +nightly fuzz run snapshot fuzz/corpus/snapshot fuzz/seeds/snapshot` from the package's folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../snapshot.rs"]
mod snapshot;

fuzz_target!(|input: &[u8]| snapshot::check(input));
