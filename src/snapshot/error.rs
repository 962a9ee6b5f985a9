//! What goes wrong with snapshot files.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::disk::DiskError;

/// Why a snapshot file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Not even a header.
    #[error("{} is empty: a snapshot has at least a header row with the names of its columns", .0.display())]
    Empty(PathBuf),
    /// The header cannot be used.
    #[error("{}: {}", path.display(), problems.join("; "))]
    Header {
        /// The file.
        path: PathBuf,
        /// Every problem of the header, with its place and what to do.
        problems: Vec<String>,
    },
    /// Rows that are not CSV.
    #[error("{}: {problems}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The problems of all rows.
        problems: Problems,
    },
    /// The file is not the one that was opened.
    #[error("{} changed while it was read; export it again and do not write to it meanwhile", .0.display())]
    Changed(PathBuf),
    /// A row given to a writer does not fit its columns.
    #[error("{}: row {row} {cause}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Its number, the header being row 1.
        row: u64,
        /// What is wrong with it.
        cause: String,
    },
}

impl SnapshotError {
    /// For `map_err`: a failed read.
    pub(super) fn reading(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let wrap = DiskError::of("read", path);
        move |source| Self::Disk(wrap(source))
    }
}

/// How many problems of one file are told one by one.
pub const PROBLEMS_SHOWN: usize = 20;

/// What is wrong with the rows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// How many there are.
    pub count: u64,
    /// The first twenty.
    pub first: Vec<Problem>,
}

impl Problems {
    pub(super) fn add(&mut self, problem: impl FnOnce() -> Problem) {
        self.count += 1;
        if self.first.len() < PROBLEMS_SHOWN {
            self.first.push(problem());
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.first.iter().enumerate() {
            if i > 0 {
                f.write_str("\n  ")?;
            }
            write!(f, "{problem}")?;
        }
        if self.count > self.first.len() as u64 {
            write!(f, "\n  … and {} more", self.count - self.first.len() as u64)?;
        }
        Ok(())
    }
}

/// One place in a file that is not CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The row, counted as spreadsheets do: the header is row 1.
    pub row: u64,
    /// The line of the file, from 1; differs from the row where cells hold line breaks.
    pub line: u64,
    /// The column's name, or its number from 1 where the header has none for it.
    pub column: String,
    /// What is wrong, and what would be right.
    pub cause: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}, line {}, column {}: {}", self.row, self.line, self.column, self.cause)
    }
}
