//! What the reader of job files has to do with any bytes: give a job, or at least one problem with a place in the text;
//! the same each time.

use std::path::Path;

/// Panics where the reader does something else.
pub fn check(input: &[u8]) {
    // Relative paths of systems and approvers lead nowhere here.
    let path = Path::new("/nowhere/job.toml");
    let read = muster::job::read(input, path);
    match &read {
        Ok(job) => {
            let is_safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
            assert!(!job.name.is_empty() && job.name.chars().all(is_safe), "{:?} names a folder", job.name);
            assert!(!job.syncs.is_empty(), "a job without a sync is none");
        }
        Err(problems) => {
            let lines = input.split(|byte| *byte == b'\n').count();
            assert!(!problems.problems.is_empty(), "a refusal says why");
            assert!(problems.problems.iter().all(|problem| problem.line <= lines && !problem.message.is_empty()));
        }
    }
    let told = |read: Result<muster::job::Job, muster::job::problem::JobProblems>| match read {
        Ok(job) => format!("{job:?}"),
        Err(problems) => problems.to_string(),
    };
    assert_eq!(told(read), told(muster::job::read(input, path)), "the same bytes mean the same");
}
