//! `cargo +nightly fuzz run answers fuzz/corpus/answers fuzz/seeds/answers` from the package's folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../answers.rs"]
mod answers;

fuzz_target!(|input: &[u8]| answers::check(input));
