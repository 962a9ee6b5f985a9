//! What a job file says about running it for years: when, how long things are kept, who is told.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::connector::secret::SecretRef;

/// When it runs: `muster schedule` writes timers of it, `muster status` says when the next run is due.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleFile {
    /// How often what changed is exported and compared: minutes that divide an hour, or hours that divide a day. `off` =
    /// only complete runs. Default 15m.
    pub(super) incremental: Option<String>,
    /// When everything is, once a day, local time: `HH:MM`. `off` = never by the clock. Default 03:05.
    pub(super) complete: Option<String>,
}

/// How long things are kept.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionFile {
    /// Export folders, except the last accepted snapshots and what waits. Default 14d.
    pub(super) exports: Option<String>,
    /// Run folders, with plans, approvals and reports: as long as there is one, its run can be undone. Default 1y.
    pub(super) runs: Option<String>,
    /// requests.ndjson and run.log of each run. Default: as long as `runs`.
    pub(super) requests: Option<String>,
    /// What muster.db remembers of runs whose folders are gone: whom their orders were about, what servers said, what the log
    /// tells. At least as long as `runs`. Default `forever`.
    pub(super) history: Option<String>,
}

/// Who is told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportFile {
    /// Mail.
    pub(super) email: Option<EmailFile>,
    /// A service of the web that takes signed messages.
    pub(super) webhook: Option<WebhookFile>,
}

/// Mail.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailFile {
    /// Addresses.
    #[schemars(required)]
    pub(super) to: Option<Vec<String>>,
    /// When a mail goes out: `daily` = a summary once a day, and what failed or is held at once; `on-errors` = the latter
    /// alone; `never`. Default on-errors.
    pub(super) when: Option<WhenWord>,
    /// The sender's address. Default: muster at this machine's name.
    pub(super) from: Option<String>,
    /// The server that takes the mail: `smtp://HOST:PORT` or `smtps://HOST:PORT`. Default smtp://localhost:25.
    pub(super) server: Option<String>,
    /// Whether an smtp:// server has to be encrypted by STARTTLS. Default: true, unless it is this machine.
    pub(super) starttls: Option<bool>,
    /// Who muster is there: `{ user = "muster", password = "credential:smtp" }`. Default: nobody.
    pub(super) auth: Option<EmailAuthFile>,
    /// PEM certificates of an own certificate authority, trusted beside those of the machine.
    pub(super) ca_file: Option<PathBuf>,
}

/// Who muster is at a mail server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailAuthFile {
    /// The login.
    #[schemars(required)]
    pub(super) user: Option<String>,
    /// Where the password lies.
    #[schemars(required)]
    pub(super) password: Option<SecretRef>,
}

/// A service of the web that takes signed messages.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookFile {
    /// The address that messages are posted to.
    #[schemars(required)]
    pub(super) url: Option<String>,
    /// Where the key lies that messages are signed with.
    #[schemars(required)]
    pub(super) secret: Option<SecretRef>,
    /// When a message goes out, as for mail. Default on-errors.
    pub(super) when: Option<WhenWord>,
    /// PEM certificates of an own certificate authority, trusted beside those of the machine.
    pub(super) ca_file: Option<PathBuf>,
    /// The proxy on the way: `http://proxy.example.com:3128`. The environment's proxy variables are never used.
    pub(super) proxy: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WhenWord {
    Daily,
    OnErrors,
    Never,
}
