//! `cargo +nightly fuzz run approval fuzz/corpus/approval fuzz/seeds/approval` from the package's folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../approval.rs"]
mod approval;

fuzz_target!(|input: &[u8]| approval::check(input));
