//! A system at one moment: files of rows, their digests, and the proof that they are whole.
//!
//! `writer` makes a file; `table` reads it, in parallel (`chunks`, `stream`, `record`, `mask`) or by place; `problems`
//! explains a file that cannot be read. `diff` says what differs between two tables, `completeness` whether one is
//! whole, `merge` puts an incremental export into its baseline, and `manifest` binds all of it. `sidecar` keeps digests
//! beside their file, `sharing` gives a file that did not change a second name, and `widened` adds to rows what else is
//! known of them, and `dispute` marks what cannot be told.

mod as_written;
mod chunks;
pub mod completeness;
pub mod diff;
pub mod digest;
pub mod directory;
pub mod dispute;
pub mod error;
mod excerpt;
mod hashing;
pub mod kept_pairs;
pub mod manifest;
pub mod markup;
mod mask;
pub mod merge;
pub(crate) mod partition;
mod problems;
mod record;
pub mod row;
pub mod sharing;
pub mod sidecar;
mod spill;
mod stream;
pub mod table;
pub mod widened;
pub mod writer;
