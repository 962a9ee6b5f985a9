//! report.json: the record of a run for programs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error_groups::{ErrorGroup, groups_sentence};
use super::safe_text;
use crate::model::apply_end::KindLeft;
use crate::model::evidence::{Completeness, Missed, Mode};
use crate::model::exchange::Traffic;
use crate::model::order::{Operation, OrderState};
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};
use crate::model::threshold::Excess;

/// What a run did, as report.json holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Readers refuse what they do not know.
    pub format_version: u32,
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: String,
    /// How much was exported.
    pub mode: Mode,
    /// The run that it undoes, where it does: nothing was exported then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<RunId>,
    /// Where the run stands.
    pub state: RunState,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When this report was made; `None` while the run is under way.
    pub ended: Option<DateTime<Utc>>,
    /// The exit status of the command that made this report.
    pub exit_status: u8,
    /// What was exported.
    pub exports: Vec<Export>,
    /// What the requests to each system came to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traffic: BTreeMap<String, Traffic>,
    /// Orders of this run's plan by state.
    pub orders_by_state: BTreeMap<OrderState, u64>,
    /// Orders of this run's plan by resource type and operation.
    pub orders_by_operation: BTreeMap<ResourceName, BTreeMap<Operation, u64>>,
    /// Orders in effect at the target, by resource type and operation.
    pub applied_by_operation: BTreeMap<ResourceName, BTreeMap<Operation, u64>>,
    /// Thresholds that hold the run.
    pub holds: Vec<Excess>,
    /// The errors in a few words: `1 cause, 1 order failed, 149 not tried`; empty where there are none.
    pub errors: String,
    /// Failed orders by cause.
    pub error_groups: Vec<ErrorGroup>,
    /// Orders that stay approved because the last apply stopped before them.
    pub untried: u64,
    /// Why the last apply stopped before its end, where it did and orders are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The kinds that these are of, in the sequence in which they would have been sent.
    #[serde(default)]
    pub left: Vec<KindLeft>,
    /// What a person should know, in sentences.
    pub warnings: Vec<String>,
}

/// One exported resource type or association.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Export {
    /// Which.
    pub resource: ResourceName,
    /// Its rows.
    pub rows: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// When it was exported.
    pub at: DateTime<Utc>,
    /// How much was read.
    pub mode: Mode,
    /// What the increments had missed, told by a complete export; `None` where there was nothing to compare.
    pub missed: Option<Missed>,
    /// Pages that were received.
    #[serde(default)]
    pub pages: u64,
    /// The server's own total at the end, where it says one.
    #[serde(default)]
    pub total: Option<u64>,
    /// Why the list was read twice; `None` where one look was enough.
    #[serde(default)]
    pub read_again: Option<String>,
    /// What it proves.
    #[serde(flatten)]
    pub verdict: Completeness,
}

impl RunReport {
    /// The format that this version writes.
    pub const FORMAT: u32 = 1;

    /// A report of a run about which nothing more is known yet.
    pub fn new(run: RunId, job: impl Into<String>, mode: Mode, state: RunState, started: DateTime<Utc>) -> Self {
        Self {
            format_version: Self::FORMAT,
            run,
            job: job.into(),
            mode,
            undoes: None,
            state,
            started,
            ended: None,
            exit_status: 0,
            exports: Vec::new(),
            traffic: BTreeMap::new(),
            orders_by_state: BTreeMap::new(),
            orders_by_operation: BTreeMap::new(),
            applied_by_operation: BTreeMap::new(),
            holds: Vec::new(),
            errors: String::new(),
            error_groups: Vec::new(),
            untried: 0,
            stopped: None,
            left: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Takes the failed orders, and says them in a few words.
    pub fn with_errors(mut self, groups: Vec<ErrorGroup>) -> Self {
        self.errors = if groups.is_empty() { String::new() } else { groups_sentence(&groups) };
        self.error_groups = groups;
        self
    }

    /// The text of report.json.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        safe_text::json(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::error_groups::error_groups;
    use super::super::errors_csv::tests::row;
    use super::*;

    #[test]
    fn a_report_reads_back_and_holds_its_errors_by_cause() {
        let started = "2026-11-22T15:04:05Z".parse().unwrap();
        let run = RunId("20261122T150405Z-7f3a".to_owned());
        let mut report = RunReport::new(run, "idp-to-vault", Mode::Complete, RunState::Planned, started).with_errors(
            error_groups(&RunId("r".to_owned()), &[row(1, "taken \u{1b}[2J"), row(2, "taken \u{1b}[2J")], &[]),
        );
        report.exit_status = 5;
        report.orders_by_state.insert(OrderState::Errored, 2);
        let users = ResourceName::new("vault", "users");
        report.orders_by_operation.entry(users.clone()).or_default().insert(Operation::Create, 2);
        report.exports.push(Export {
            resource: users,
            rows: 2,
            bytes: 80,
            at: started,
            mode: Mode::Complete,
            missed: None,
            pages: 1,
            total: None,
            read_again: None,
            verdict: Completeness::Partial { cause: "page 3 is missing".to_owned() },
        });
        let text = report.to_json();
        assert_eq!(serde_json::from_str::<RunReport>(&text).unwrap(), report);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["format_version"], 1);
        assert_eq!(json["errors"], "1 cause, 2 orders failed");
        assert_eq!(json["orders_by_state"]["errored"], 2);
        assert_eq!(json["orders_by_operation"]["vault.users"]["create"], 2);
        assert_eq!(json["error_groups"][0]["cause"]["class"], "conflict");
        assert_eq!(json["exports"][0]["verdict"], "partial");
    }
}
