//! Runs of a job: their ids and how they end.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A run's id: its UTC start and four characters, `20261122T150405Z-7f3a`. Sorts by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl RunId {
    /// The id of a run that starts at `start`, told apart by `salt`.
    pub fn new(start: DateTime<Utc>, salt: u16) -> Self {
        Self(format!("{}-{salt:04x}", start.format("%Y%m%dT%H%M%SZ")))
    }

    /// Whether a text has the shape of a run id; such a text is safe as a file name.
    pub fn is_id(text: &str) -> bool {
        let bytes = text.as_bytes();
        bytes.len() == 21
            && bytes.iter().enumerate().all(|(i, b)| match i {
                8 => *b == b'T',
                15 => *b == b'Z',
                16 => *b == b'-',
                17.. => b.is_ascii_hexdigit(),
                _ => b.is_ascii_digit(),
            })
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Under way, or killed before it could say more.
    Started,
    /// The export failed or a snapshot is partial.
    Failed,
    /// A snapshot is suspect or exceeds a synchronization threshold: nothing is planned from it before a person accepts.
    HeldSnapshot,
    /// The plan exceeds a provisioning threshold: nothing of it is applied before a person accepts.
    HeldPlan,
    /// The plan is written; its orders live their own lives from here.
    Planned,
    /// A held run that a newer one replaced, or that repeats an older hold; or one that was to plan an object which is in no
    /// snapshot.
    Replaced,
}

super::situation::words!(RunState {
    Started => "started", Failed => "failed", HeldSnapshot => "held-snapshot", HeldPlan => "held-plan",
    Planned => "planned", Replaced => "replaced",
});

impl RunState {
    /// Whether a person has to accept something before the run goes on.
    pub fn is_held(self) -> bool {
        matches!(self, Self::HeldSnapshot | Self::HeldPlan)
    }
}
