//! Mistakes in a job file, each with its place; all of them at once.

use std::fmt;
use std::path::PathBuf;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The key's path: `sync[0].from`; empty for the whole file.
    pub path: String,
    /// The cause, in lower case.
    pub message: String,
    /// What to do next, where the message alone does not say it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// Why a job file is not a job: every mistake, sorted by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobProblems {
    /// The job file, as it was named.
    pub path: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl JobProblems {
    pub(super) fn new(path: PathBuf, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { path, problems }
    }
}

impl fmt::Display for JobProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            if problem.line == 0 {
                write!(f, "{}: {problem}", self.path.display())?;
            } else {
                write!(f, "{}:{}:{}: {problem}", self.path.display(), problem.line, problem.column)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for JobProblems {}
