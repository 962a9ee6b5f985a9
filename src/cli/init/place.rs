//! Paths: a person types them as they see them, a job file has them relative to itself.

use std::path::{Component, Path, PathBuf};

/// Where a command stands, and where the job file will.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The folder that the command was typed in.
    pub(super) here: PathBuf,
    /// The folder of job files.
    pub(super) jobs: PathBuf,
}

impl Places {
    /// What a path means: as typed here, else, where that is not there and the other is, relative to the job file.
    pub(super) fn absolute(&self, typed: &str) -> PathBuf {
        let (here, beside) = (plain(&self.here.join(typed)), plain(&self.jobs.join(typed)));
        if !here.exists() && beside.exists() { beside } else { here }
    }

    /// The same as a job file has it.
    pub(super) fn written(&self, typed: &str) -> String {
        let absolute = self.absolute(typed);
        if Path::new(typed).is_absolute() {
            return absolute.display().to_string();
        }
        let (mut to, mut from) = (absolute.components().peekable(), self.jobs.components().peekable());
        while to.peek().is_some() && to.peek() == from.peek() {
            to.next();
            from.next();
        }
        let mut path: PathBuf = from.map(|_| Component::ParentDir).collect();
        path.extend(to);
        if path.as_os_str().is_empty() { ".".to_owned() } else { path.display().to_string() }
    }
}

/// A path without `.` and `..`, by its text alone: the folder of job files may not be there yet.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}
