//! `cargo +nightly fuzz run job_file fuzz/corpus/job_file fuzz/seeds/job_file` from the package's folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../job_file.rs"]
mod job_file;

fuzz_target!(|input: &[u8]| job_file::check(input));
