//! `cargo +nightly fuzz run scanner fuzz/corpus/scanner fuzz/seeds/scanner` from the package's folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../scanner.rs"]
mod scanner;

fuzz_target!(|input: &[u8]| scanner::check(input));
