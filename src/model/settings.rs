//! What export, apply, review, report, schedule and retention read from a job.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::notice_settings::{EmailSettings, WebhookSettings};
use super::order::Operation;
use super::review_terms::ReviewTerms;

/// `[export]`: how snapshots are compared with their baselines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSettings {
    /// Bytes of memory that a comparison may take; `None` = a quarter of what there is.
    pub memory: Option<u64>,
}

/// `[apply]`: how orders are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApplySettings {
    /// Requests in flight at once.
    pub concurrency: usize,
    /// Requests a second at most; `None` = no limit.
    pub rate: Option<f64>,
    /// Sizes of the first waves of each kind; then the rest.
    pub waves: Vec<usize>,
    /// Failures of one cause after which the apply stops.
    pub stop_same_cause: u64,
    /// Failures altogether after which the apply stops.
    pub stop_errors: u64,
    /// Orders that fail at one target one after another, after which nothing more is sent there; `None` = 10, or half of
    /// the number at which the target locks out a client, where that is known and less.
    pub stop_in_a_row: Option<u64>,
    /// How long retries of one request may take altogether.
    pub retry_budget: Duration,
    /// Wait between disable and delete, where deletes are allowed.
    pub delete_after: Option<Duration>,
    /// Objects never to be touched: `vault.users/svc-muster`; groups keep a member in use.
    pub protect: BTreeSet<String>,
}

impl Default for ApplySettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            rate: None,
            waves: vec![1, 10, 100],
            stop_same_cause: 5,
            stop_errors: 50,
            stop_in_a_row: None,
            retry_budget: Duration::from_secs(60),
            delete_after: None,
            protect: BTreeSet::new(),
        }
    }
}

/// What needs a person's review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Require {
    /// Every order.
    Always,
    /// Only blocked orders and held runs; the rest is approved by the job's rule.
    BlockedOrHeld,
    /// Orders of these operations; the rest is approved by the job's rule.
    Operations(BTreeSet<Operation>),
}

/// `[review]`: who decides, and for how long a decision holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSettings {
    /// What needs a person.
    pub require: Require,
    /// OpenSSH allowed_signers file; then a signature is required.
    pub approvers: Option<PathBuf>,
    /// How many different people have to approve an order, or to accept a hold.
    pub reviewers: u32,
    /// Whoever started a run approves nothing of it.
    pub four_eyes: bool,
    /// How long an approval holds.
    pub expires: Duration,
}

impl ReviewSettings {
    /// What a review takes.
    pub fn terms(&self) -> ReviewTerms {
        ReviewTerms { signed: self.approvers.is_some(), reviewers: self.reviewers, four_eyes: self.four_eyes }
    }
}

impl Default for ReviewSettings {
    fn default() -> Self {
        let terms = ReviewTerms::default();
        Self {
            require: Require::Always,
            approvers: None,
            reviewers: terms.reviewers,
            four_eyes: terms.four_eyes,
            expires: Duration::from_secs(72 * 3600),
        }
    }
}

/// A time of day, by the machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str, least: u8| part.parse().ok().filter(|n| *n < least && !part.starts_with('+'));
        let parts = text.split_once(':').and_then(|(hour, minute)| {
            Some(Self { hour: part(hour, 24)?, minute: part(minute, 60).filter(|_| minute.len() == 2)? })
        });
        parts.ok_or_else(|| format!("`{text}` is no time of day; write hours and minutes: 03:05"))
    }
}

/// `[schedule]`: when a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSettings {
    /// How often incrementally, counted from midnight; divides an hour or a day. `None`: never.
    pub incremental: Option<Duration>,
    /// When completely, once a day. `None`: never.
    pub complete: Option<TimeOfDay>,
    /// Whether the job file says any of it.
    pub is_stated: bool,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            incremental: Some(Duration::from_secs(15 * 60)),
            complete: Some(TimeOfDay { hour: 3, minute: 5 }),
            is_stated: false,
        }
    }
}

/// `[retention]`: how long things are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionSettings {
    /// Export folders, except those that something still needs.
    pub exports: Duration,
    /// Run folders, at least as long as export folders: as long as there is one, its run can be undone.
    pub runs: Duration,
    /// requests.ndjson and run.log in the folder of each run; at most as long as the folder.
    pub requests: Duration,
    /// What the database remembers of runs whose folders are gone: whom their orders were about, and what was said. At least
    /// as long as these folders; `None` = for ever.
    pub history: Option<Duration>,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        let runs = Duration::from_secs(365 * 86_400);
        Self { exports: Duration::from_secs(14 * 86_400), runs, requests: runs, history: None }
    }
}

/// `[report]`: what is told, and to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportSettings {
    /// Mail; `None` = none.
    pub email: Option<EmailSettings>,
    /// A service of the web that is told; `None` = none.
    pub webhook: Option<WebhookSettings>,
}
