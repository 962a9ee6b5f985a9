//! What went wrong at the edge to a system: whose side it is on, and what to do next.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::situation::words;

/// The class of a failure: stable words, used in every report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The system cannot be reached.
    ///
    /// The network's side, or the system's: `muster check JOB` says at which stage the way ends. The next run tries again.
    Connection,
    /// The credential is wrong, expired or inactive.
    ///
    /// Yours: renew it where its reference points to, then `muster check JOB`. What was not sent stays approved.
    Credential,
    /// The credential may not do this.
    ///
    /// The system's administrators: have granted what the message names.
    Permission,
    /// One of the two sides is set up wrongly.
    ///
    /// Yours, or the system's: correct what the message names, in the job file or there.
    Configuration,
    /// The data of this object is refused.
    ///
    /// The source's, or the job's: correct the value, or the rule that makes it.
    Data,
    /// A unique value is taken, or the object is there already.
    ///
    /// The data's: find the other object; `muster link` it, or correct one of the two values.
    Conflict,
    /// No seats, licences or room left.
    ///
    /// The system's: free some, or buy more.
    Capacity,
    /// The system asks to slow down.
    ///
    /// The system's: muster waits and tries again by itself; where that does not do, set `apply.rate`.
    Throttled,
    /// The system cannot do this at all.
    ///
    /// The system's: leave it out of the job, or do it by hand.
    Unsupported,
    /// The object changed or vanished since the plan.
    ///
    /// Nobody's: nothing is to be done.
    Stale,
    /// The system failed inside.
    ///
    /// The system's: look into its log; `muster support-bundle RUN` is for its vendor.
    Server,
}

words!(Class {
    Connection => "connection", Credential => "credential", Permission => "permission",
    Configuration => "configuration", Data => "data", Conflict => "conflict", Capacity => "capacity",
    Throttled => "throttled", Unsupported => "unsupported", Stale => "stale", Server => "server",
});

impl Class {
    /// Whether it is what the request asks for that is refused: sent again, the same fails again. Once it is corrected at
    /// the source, in the job or by a link, a run plans it anew. What failed for another cause can be sent again as it is.
    pub fn is_about_content(self) -> bool {
        matches!(self, Self::Data | Self::Conflict | Self::Unsupported | Self::Stale)
    }
}

/// What a failure means for the other orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recourse {
    /// Trying again later may help.
    Retry,
    /// This one is lost, the others go on.
    GiveUp,
    /// It concerns everything: stop, what was not sent stays approved.
    Stop,
}

/// Whether a failed request may have taken effect at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It certainly did not.
    None,
    /// Nobody can tell from the answer: look before anything is sent again.
    Unknown,
}

/// The stage of a connection that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The proxy refused or was not reached.
    Proxy,
    /// The host name has no address.
    Resolve,
    /// No TCP connection.
    Connect,
    /// No trusted TLS session.
    Tls,
    /// No usable HTTP answer.
    Http,
    /// The credential was refused.
    Login,
    /// The credential may not read or write what the job needs.
    Permission,
    /// The system does not have what the job names.
    Schema,
    /// What muster relies on was tried on this system.
    Proof,
    /// Whether there is room for what is created.
    Capacity,
}

words!(Stage {
    Proxy => "proxy", Resolve => "resolve", Connect => "connect", Tls => "tls", Http => "http",
    Login => "login", Permission => "permission", Schema => "schema",
    Proof => "proof", Capacity => "capacity",
});

/// A failed request or export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Failure {
    /// Whose side, and what kind.
    pub class: Class,
    /// What it means for the other orders.
    pub recourse: Recourse,
    /// Whether the request may have taken effect.
    pub effect: Effect,
    /// The system's name in the job file.
    pub system: String,
    /// The stage that failed, where it is about reaching the system.
    pub stage: Option<Stage>,
    /// What muster found, lower case: the object, the place.
    pub cause: String,
    /// The server's own message, verbatim.
    pub message: Option<String>,
    /// HTTP status or the protocol's result code.
    pub status: Option<u16>,
    /// SCIM's scimType (RFC 7644 section 3.12).
    pub scim_type: Option<String>,
    /// What to do next.
    pub remedy: String,
    /// The server's id of the request, where it sent one.
    pub request_id: Option<String>,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with only what every failure has.
    pub fn new(
        class: Class,
        recourse: Recourse,
        system: &str,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            class,
            recourse,
            effect: Effect::None,
            system: system.to_owned(),
            stage: None,
            cause: cause.into(),
            message: None,
            status: None,
            scim_type: None,
            remedy: remedy.into(),
            request_id: None,
            retry_after: None,
        }
    }

    /// The same, of what failed after a change was sent that may have taken effect: it is looked for before anything is
    /// sent again.
    pub fn once_sent(self) -> Self {
        Self { effect: Effect::Unknown, ..self }
    }

    /// System, stage, cause, server's message and remedy in one line.
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.system, self.account())
    }

    /// The same without the system, for those who named it already.
    pub fn account(&self) -> String {
        use std::fmt::Write as _;
        let mut line = self.cause.clone();
        if let Some(message) = self.message.as_deref().filter(|m| !m.is_empty()) {
            let _ = write!(line, " (the server says: {message})");
        }
        let _ = write!(line, " [{}", self.class);
        if let Some(stage) = self.stage {
            let _ = write!(line, ", stage {stage}");
        }
        if let Some(status) = self.status {
            let _ = write!(line, ", status {status}");
        }
        line.push(']');
        if !self.remedy.is_empty() {
            let _ = write!(line, "; {}", self.remedy);
        }
        line
    }
}

/// One stage of reaching a system, a mail server or a webhook, as `check` reports it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which stage.
    pub stage: Stage,
    /// What was tried: `tcp 127.0.0.1:8080`, `GET /ServiceProviderConfig`.
    pub what: String,
    /// How it ended.
    pub result: Result<String, Failure>,
    /// How long it took.
    pub took: Duration,
}
