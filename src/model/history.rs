//! What happened to one object: its values over the runs, and who or what changed them.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::order::{OrderId, OrderState};
use super::run::RunId;
use super::situation::{Cause, words};

/// What kind of change an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryKind {
    /// The job file was changed.
    JobFile,
    /// A person linked it, or forgot its link.
    Link,
    /// A column of its row, as a snapshot shows it.
    Source,
    /// An order was raised for it.
    Order,
    /// An attribute at the target, as a snapshot shows it.
    Target,
}

words!(HistoryKind { JobFile => "job-file", Link => "link", Source => "source", Order => "order", Target => "target" });

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// When: an export's start, an order's last change of state, a run's start.
    pub at: DateTime<Utc>,
    /// The run that saw or ordered it; `None` where a person did it by a command of its own.
    pub run: Option<RunId>,
    /// What kind of change.
    pub kind: HistoryKind,
    /// The column, the attribute, the operation, or the part of the job file.
    pub what: String,
    /// What it was; `None` = absent.
    pub before: Option<String>,
    /// What it became; `None` = absent.
    pub after: Option<String>,
    /// Why, where that is known: of an order its cause; of what the target shows, what carried it.
    pub cause: Option<Cause>,
    /// The order that carried it.
    pub order: Option<OrderId>,
    /// Where that order stands.
    pub state: Option<OrderState>,
    /// Who approved it; of a job file who started the run, of a link who made it. Empty where nobody knows.
    pub who: String,
}

/// The history of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// What it is, in words: `vault.users E0004`.
    pub about: String,
    /// The changes, the newest last.
    pub entries: Vec<HistoryEntry>,
    /// From which run on snapshots are kept; `None` where none is.
    pub snapshots_since: Option<RunId>,
}
