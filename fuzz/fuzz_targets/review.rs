//! `cargo +nightly fuzz run review fuzz/corpus/review fuzz/seeds/review` from the package's folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../review.rs"]
mod review;

fuzz_target!(|input: &[u8]| review::check(input));
