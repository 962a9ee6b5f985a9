//! `cargo +nightly fuzz run filters fuzz/corpus/filters fuzz/seeds/filters` from the package's folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../filters.rs"]
mod filters;

fuzz_target!(|input: &[u8]| filters::check(input));
