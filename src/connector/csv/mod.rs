//! Folders of CSV files: read as snapshots are, written to as work orders for people.

mod folder;
mod orders;
mod probe;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;

use self::orders::WorkOrders;
use super::config::{CsvConfig, SystemConfig};
use super::registry::ConnectContext;
use super::source::{ExportError, ExportRequest, ExportSink, Needs, Source, Step};
use super::target::{Applied, ObjectChange, RowChange, Target};
use crate::model::capabilities::Capabilities;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::object::Object;
use crate::model::order::Operation;

/// A folder with one `<resource>.csv` for each resource type or association.
pub struct CsvSystem {
    name: String,
    config: CsvConfig,
    folder: PathBuf,
    orders: Option<WorkOrders>,
}

impl CsvSystem {
    /// Prepares access to a folder; nothing is read yet.
    ///
    /// # Errors
    /// Class `configuration` for an unusable setting.
    pub fn new(name: &str, config: &CsvConfig, context: &ConnectContext) -> Result<Self, Failure> {
        if let Some((field, problem)) = SystemConfig::Csv(config.clone()).problems().into_iter().next() {
            let cause = format!("{field}: {problem}");
            return Err(Failure::new(Class::Configuration, Recourse::Stop, name, cause, "correct the job file"));
        }
        let orders = config.orders.as_ref().map(|folder| WorkOrders::new(context.base.join(folder), &context.run));
        Ok(Self { name: name.to_owned(), folder: context.base.join(&config.path), config: config.clone(), orders })
    }

    fn failure(&self, class: Class, cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
        let recourse = if class == Class::Configuration { Recourse::Stop } else { Recourse::GiveUp };
        Failure::new(class, recourse, &self.name, cause, remedy)
    }

    fn work_orders(&self) -> Result<&WorkOrders, Failure> {
        self.orders.as_ref().ok_or_else(|| {
            self.failure(
                Class::Unsupported,
                "this folder is read only: no folder for work orders is set",
                "set `orders` to the folder that work-order files are to be written into",
            )
        })
    }
}

#[async_trait]
impl Source for CsvSystem {
    fn system(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        format!("csv {}", self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone()).display())
    }

    async fn capabilities(&self) -> Result<Capabilities, Failure> {
        self.read_capabilities()
    }

    async fn probe(&self, needs: &Needs) -> Vec<Step> {
        self.probe_steps(needs)
    }

    async fn export(&self, request: &ExportRequest, sink: &mut dyn ExportSink) -> Result<(), ExportError> {
        request.resources.iter().try_for_each(|resource| self.export_resource(resource, sink))
    }

    async fn get(&self, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
        self.get_row(resource, id)
    }

    async fn find(&self, resource: &str, attribute: &str, value: &str) -> Result<Vec<Object>, Failure> {
        self.find_rows(resource, attribute, value)
    }

    async fn holds(&self, resource: &str, rows: &[BTreeMap<String, String>]) -> Result<Vec<bool>, Failure> {
        self.holds_rows(resource, rows)
    }

    async fn members(&self, resource: &str, end: &str, id: &str) -> Result<Vec<String>, Failure> {
        self.member_ids(resource, end, id)
    }
}

#[async_trait]
impl Target for CsvSystem {
    async fn apply(&self, change: &ObjectChange) -> Result<Applied, Failure> {
        let enabled = self.config.enabled.as_deref().unwrap_or(folder::ENABLED);
        self.work_orders()?.object(self, change, enabled)
    }

    async fn apply_rows(
        &self,
        resource: &str,
        operation: Operation,
        rows: &[RowChange],
    ) -> Vec<Result<Applied, Failure>> {
        match self.work_orders() {
            Ok(orders) => orders.rows(self, resource, operation, rows),
            Err(failure) => rows.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    fn row_batch(&self, _: &str) -> (Option<String>, usize) {
        (None, 100)
    }
}
