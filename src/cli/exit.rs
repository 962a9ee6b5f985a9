//! One exit status for each ending: the contract with cron.

use crate::job::problem::JobProblems;

/// How a command ended. The numbers are what cron, systemd and monitoring rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Done, nothing waits.
    Done,
    /// Failed, or an apply that stopped.
    Failed,
    /// The command line or the job file is wrong.
    Usage,
    /// Waits for review, of this run or older ones.
    Waits,
    /// Held by a threshold or a suspicion.
    Held,
    /// Applied, with order errors.
    OrderErrors,
    /// Another run of this job is under way.
    Busy,
}

impl Ending {
    /// Every one, by its status.
    pub(super) const ALL: [Self; 7] =
        [Self::Done, Self::Failed, Self::Usage, Self::Waits, Self::Held, Self::OrderErrors, Self::Busy];

    /// What it means, in a few words.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, nothing waits",
            Self::Failed => "failed, or an apply that stopped",
            Self::Usage => "usage or job file",
            Self::Waits => "waits for review",
            Self::Held => "held by a threshold or a suspicion",
            Self::OrderErrors => "applied, with order errors",
            Self::Busy => "another run of this job is under way",
        }
    }

    /// The exit status.
    pub(super) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Waits => 3,
            Self::Held => 4,
            Self::OrderErrors => 5,
            Self::Busy => 75,
        }
    }

    /// Where several hold, the one that comes first in 2, 75, 1, 4, 5, 3, 0.
    pub(super) fn worst(endings: impl IntoIterator<Item = Ending>) -> Ending {
        const ORDER: [Ending; 7] = [
            Ending::Usage,
            Ending::Busy,
            Ending::Failed,
            Ending::Held,
            Ending::OrderErrors,
            Ending::Waits,
            Ending::Done,
        ];
        let endings: Vec<Ending> = endings.into_iter().collect();
        ORDER.into_iter().find(|e| endings.contains(e)).unwrap_or(Ending::Done)
    }
}

/// A mistake in how a command was called.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub String);

/// Another run of the job holds its lock.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BusyError(pub String);

/// The one place where an error becomes an exit status.
pub(super) fn status_of(error: &anyhow::Error) -> Ending {
    if error.is::<UsageError>() || error.is::<JobProblems>() {
        Ending::Usage
    } else if error.is::<BusyError>() {
        Ending::Busy
    } else {
        Ending::Failed
    }
}
