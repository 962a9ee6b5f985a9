//! Where everything lies in the state folder.

use std::path::{Path, PathBuf};

use super::error::StoreError;
use crate::disk::private;
use crate::model::run::RunId;

/// The state folder. Names from outside become parts of paths only through [`escaped`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The state folder itself.
    pub root: PathBuf,
}

impl Layout {
    /// The layout below a state folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// muster.db.
    pub fn db(&self) -> PathBuf {
        self.root.join("muster.db")
    }

    /// Whether there are folders of runs: then the database was written once.
    pub fn has_runs(&self) -> bool {
        let below = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
        let is_run = |name: std::ffi::OsString| name.to_str().is_some_and(RunId::is_id);
        let jobs = below(&self.root.join("runs")).map(|job| job.path());
        jobs.into_iter().any(|job| below(&job).any(|run| is_run(run.file_name())))
    }

    /// The export folders of a job.
    pub fn exports(&self, job: &str) -> PathBuf {
        self.root.join("export").join(escaped(job))
    }

    /// The temporary export folder of a run.
    pub fn export(&self, job: &str, run: &RunId) -> PathBuf {
        self.exports(job).join(escaped(&run.0))
    }

    /// The run folders of a job.
    pub fn runs(&self, job: &str) -> PathBuf {
        self.root.join("runs").join(escaped(job))
    }

    /// The folder that a run can be read back from.
    pub fn run_folder(&self, job: &str, run: &RunId) -> PathBuf {
        self.runs(job).join(escaped(&run.0))
    }

    /// plan.json: the plan's header.
    pub fn plan(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("plan.json")
    }

    /// orders.ndjson: the plan's orders, one a line.
    pub fn orders(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("orders.ndjson")
    }

    /// job.toml: the job file as it was when the run started.
    pub fn job_file(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("job.toml")
    }

    /// targets.json: what the targets offered when the plan was made.
    pub fn targets(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("targets.json")
    }

    /// review.csv: what people review. A plan of over a million orders goes on in review-2.csv, and so on.
    pub fn review(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("review.csv")
    }

    /// approval-N.json.
    pub fn approval(&self, job: &str, run: &RunId, number: u32) -> PathBuf {
        self.run_folder(job, run).join(format!("approval-{number}.json"))
    }

    /// approval-N.json.sig: its signature, where the job asks for one.
    pub fn signature(&self, job: &str, run: &RunId, number: u32) -> PathBuf {
        self.run_folder(job, run).join(format!("approval-{number}.json.sig"))
    }

    /// report.json.
    pub fn report_json(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("report.json")
    }

    /// report.html: what the run did, for people.
    pub fn report_page(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("report.html")
    }

    /// errors.csv: the per-order error report.
    pub fn errors(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("errors.csv")
    }

    /// run.log.
    pub fn run_log(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("run.log")
    }

    /// Who goes by which made name in what was written for a vendor's support: it never leaves the house.
    pub fn names_at_home(&self, job: &str, run: &RunId) -> PathBuf {
        self.support(job).join(format!("{run}.json"))
    }

    /// The folder of what is known of a job's bundles for support.
    pub fn support(&self, job: &str) -> PathBuf {
        self.root.join("support").join(escaped(job))
    }

    /// Which messages of a job were sent, and which wait.
    pub fn notices(&self, job: &str) -> PathBuf {
        self.root.join("notices").join(format!("{}.json", escaped(job)))
    }

    /// requests.ndjson: every request of a run to its systems.
    pub fn request_log(&self, job: &str, run: &RunId) -> PathBuf {
        self.run_folder(job, run).join("requests.ndjson")
    }

    /// The file whose lock says that a job is under way.
    pub fn lock(&self, job: &str) -> PathBuf {
        self.root.join("locks").join(format!("{}.lock", escaped(job)))
    }

    /// The data of a system of kind `sandbox`.
    pub fn sandbox(&self, name: &str) -> PathBuf {
        self.root.join("sandbox").join(format!("{}.db", escaped(name)))
    }

    /// Where a system of kind `csv` as a target puts its work-order files, unless the job says otherwise.
    pub fn work_orders(&self, job: &str) -> PathBuf {
        self.root.join("work-orders").join(escaped(job))
    }

    /// Creates the state folder and the folders in it, for their owner alone (mode 0700).
    ///
    /// # Errors
    /// Names the folder that could not be made.
    pub fn create(&self) -> Result<(), StoreError> {
        create_folder(&self.root)?;
        for folder in ["export", "runs", "locks", "sandbox"] {
            create_folder(&self.root.join(folder))?;
        }
        Ok(())
    }

    /// Creates the export and the run folder of a run.
    ///
    /// # Errors
    /// Names the folder that could not be made.
    pub fn create_run(&self, job: &str, run: &RunId) -> Result<(), StoreError> {
        create_folder(&self.export(job, run))?;
        create_folder(&self.run_folder(job, run))
    }
}

/// Creates a folder and those above it, for their owner alone; an existing folder keeps its mode.
pub(super) fn create_folder(path: &Path) -> Result<(), StoreError> {
    Ok(private::create_folder(path)?)
}

/// A name as one part of a path: letters, digits, `_` and `-` as they are, `.` except in front; each other byte as
/// `%` and two hex digits. Different names give different parts; an empty name gives `%`.
pub fn escaped(name: &str) -> String {
    use std::fmt::Write as _;
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut part = String::with_capacity(name.len());
    for (i, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => part.push(char::from(byte)),
            b'.' if i > 0 => part.push('.'),
            _ => {
                let _ = write!(part, "%{byte:02X}");
            }
        }
    }
    part
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_never_leave_their_folder() {
        let layout = Layout::new("/state");
        let run = RunId("../../../etc".into());
        for job in ["..", ".", "", "a/b", "../../x", "/etc", "a\0b", "ä", "%", "a%2Fb"] {
            let folder = layout.run_folder(job, &run);
            let parts: Vec<_> = folder.components().collect();
            assert_eq!(parts.len(), 5, "{folder:?}");
            assert!(folder.starts_with("/state/runs"), "{folder:?}");
            assert!(parts.iter().all(|p| !matches!(p, std::path::Component::ParentDir)), "{folder:?}");
        }
        assert_ne!(escaped("a/b"), escaped("a%2Fb"));
        assert_eq!(escaped("idp-to-vault.v2"), "idp-to-vault.v2");
    }

    #[test]
    fn folders_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("state"));
        layout.create().unwrap();
        for folder in [layout.root.clone(), layout.root.join("runs")] {
            assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
