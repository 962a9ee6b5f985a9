//! The stages of reaching a folder, for `check`.

use std::time::Instant;

use super::CsvSystem;
use crate::connector::http::reach::step;
use crate::connector::source::{Needs, Step};
use crate::model::failure::{Class, Failure, Stage};
use crate::model::numbers::counted;

impl CsvSystem {
    pub(super) fn probe_steps(&self, needs: &Needs) -> Vec<Step> {
        let mut steps = Vec::new();
        let started = Instant::now();
        let listed = self.resources().map(|names| match names.len() {
            1 => "1 csv file".to_owned(),
            files => format!("{files} csv files"),
        });
        let failed = listed.is_err();
        steps.push(step(Stage::Connect, format!("open {}", self.folder.display()), listed, started));
        if failed {
            return steps;
        }
        for (resource, columns) in &needs.reads {
            let started = Instant::now();
            let opened = match self.open(resource) {
                Ok(opened) => opened,
                Err(failure) => {
                    let stage = failure.stage.unwrap_or(Stage::Permission);
                    steps.push(step(stage, format!("read {resource}.csv"), Err(failure), started));
                    continue;
                }
            };
            let told = format!("may be read, {}", counted(opened.table.bytes(), "byte"));
            steps.push(step(Stage::Permission, format!("read {resource}.csv"), Ok(told), started));
            let started = Instant::now();
            let has = opened.table.columns();
            let result = match self.no_columns(resource, has, columns) {
                Some(failure) => Err(Failure { stage: Some(Stage::Schema), ..failure }),
                None => Ok(format!("{}, key {}", counted(has.len() as u64, "column"), opened.key.join(", "))),
            };
            steps.push(step(Stage::Schema, format!("header of {resource}.csv"), result, started));
        }
        if !needs.writes.is_empty() {
            let started = Instant::now();
            steps.push(step(Stage::Permission, "write work orders".to_owned(), self.may_write(), started));
        }
        steps
    }

    /// Whether work-order files could be written, found out without writing one.
    fn may_write(&self) -> Result<String, Failure> {
        let folder = self.work_orders()?.folder();
        // A folder that is not there yet is made when the first order is written.
        let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(folder);
        rustix::fs::access(existing, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
            .map(|()| format!("may write into {}", folder.display()))
            .map_err(|error| {
                let mut failure = self.failure(
                    Class::Permission,
                    format!("{} cannot be written into: {error}", existing.display()),
                    "give the account that runs muster the right to write there, or set another `orders`",
                );
                failure.stage = Some(Stage::Permission);
                failure
            })
    }
}
