//! A system at one moment: files of rows, their digests, and the proof that they are whole.

pub mod row;
