//! What a job file says about running it for years: when, how long things are kept, who is told.

use schemars::JsonSchema;
use serde::Deserialize;

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
}

/// Who is told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportFile {
    /// Mail.
    pub(super) email: Option<EmailFile>,
}

/// Mail.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailFile {
    /// Addresses.
    #[schemars(required)]
    pub(super) to: Option<Vec<String>>,
    /// When a mail goes out. Default on-errors.
    pub(super) when: Option<WhenWord>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WhenWord {
    Daily,
    OnErrors,
    Never,
}
