//! The conductor: owns the order of events. It holds no rules and renders nothing.
//!
//! [`Conductor`] carries a job through its stages: `recover` what a crash left open, `export` and `prove` snapshots,
//! `plan` orders from them, and `apply` what is approved.

mod apply;
mod approved;
mod baseline;
mod decidable;
mod demand;
mod earlier_rules;
mod entitlement;
pub mod erase;
mod erase_look;
mod erase_whom;
mod error;
mod explain;
pub mod export;
mod given_group;
mod given_right;
mod given_value;
mod halt;
mod history;
mod incomplete;
mod inventory;
mod invert;
mod journal;
mod kept;
mod landing;
mod lanes;
mod leaving;
mod left;
mod link_check;
mod links;
mod links_ahead;
mod live;
mod live_look;
mod lockout;
mod lost;
mod misfits;
mod offers;
mod offload;
mod outage;
mod past;
mod plan;
mod plan_input;
mod precondition;
mod prove;
mod recall;
mod recover;
mod referred;
mod retention;
mod revert;
mod rows;
mod rule_approval;
mod send;
mod sequence;
mod snapshots;
mod stage;
mod story;
mod tally;
mod undo_guards;
mod unmapped;
mod wave;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::connector::config::SystemConfig;
use crate::connector::registry::{ConnectContext, Registry};
use crate::connector::source::Source;
use crate::connector::target::Target;
use crate::job::Job;
use crate::model::approvers::Zone;
use crate::model::event::Reporter;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::review_terms::ReviewRules;
use crate::store::database::Store;
use crate::store::layout::Layout;

pub use apply::{Applied, ApplyRequest};
pub use decidable::{approvable, thresholds};
pub use erase::{EraseEnd, ErasePlan, EraseRequest, told as told_erased};
pub use error::RunError;
pub use explain::{ExplainEnd, ExplainRequest, KnownObject};
pub use halt::Halt;
pub use history::HistoryEnd;
pub use incomplete::Incomplete;
pub use inventory::{Inventory, Pair};
pub use link_check::LinkReport;
pub use plan::PlanOptions;
pub use revert::{RevertEnd, RevertOptions};
pub use send::Clock;
pub use snapshots::require_current;
pub use stage::{RunEnd, RunOptions, Stage};
pub use story::typed;

/// Carries one job through its stages. Holds the job's lock for as long as it lives.
pub struct Conductor {
    /// The job.
    pub job: Job,
    /// Where things lie.
    pub layout: Layout,
    /// What is remembered.
    pub store: Store,
    /// What makes systems.
    pub registry: Arc<Registry>,
    /// What systems need to know.
    pub connect: ConnectContext,
    /// Who listens.
    pub reporter: Arc<dyn Reporter>,
    /// Bytes of memory that a comparison may take where the job does not say; `None` = no limit.
    pub memory: Option<u64>,
    /// The time.
    pub clock: Clock,
    /// What a time in the approvers file means that names no zone.
    pub zone: Zone,
    /// Who or what started this.
    pub starter: String,
    /// Whether it is to end before its time.
    pub halt: Halt,
}

impl Conductor {
    async fn source(&self, system: &str) -> Result<Arc<dyn Source>, Failure> {
        let config = self.config(system)?;
        self.registry.source(system, &config, &self.context(system)).await.map(Arc::from)
    }

    /// `retry_budget`: how long its questions may be repeated by the connector itself.
    async fn target(&self, system: &str, retry_budget: Duration) -> Result<Arc<dyn Target>, Failure> {
        let config = self.config(system)?;
        let context = ConnectContext { retry_budget, ..self.context(system) };
        self.registry.target(system, &config, &context).await.map(Arc::from)
    }

    /// What one system needs to know: all of it, and the columns that the job reads there.
    fn context(&self, system: &str) -> ConnectContext {
        let columns = demand::columns(&self.job).remove(system).unwrap_or_default();
        ConnectContext { columns, ..self.connect.clone() }
    }

    /// A system's configuration, with what the syncs tell about it.
    fn config(&self, system: &str) -> Result<SystemConfig, Failure> {
        let mut config = self.job.systems.get(system).cloned().ok_or_else(|| {
            Failure::new(
                Class::Configuration,
                Recourse::Stop,
                system,
                format!("the job {} has no system `{system}` any more", self.job.name),
                "put it back into the job file, or reject the orders that need it",
            )
        })?;
        if let SystemConfig::Csv(csv) = &mut config {
            for (resource, ends) in demand::ends(&self.job, system) {
                csv.ends.entry(resource).or_insert(ends);
            }
        }
        Ok(config)
    }

    /// What the job says about reviews, with its approvers as their file is now.
    fn review_rules(&self) -> Result<ReviewRules, RunError> {
        self.job.review_rules(self.zone).map_err(RunError::Here)
    }

    /// Connects every system of the job for reading; a failure of one hides nothing of the others.
    pub async fn sources(&self) -> BTreeMap<String, Result<Arc<dyn Source>, Failure>> {
        let mut sources = BTreeMap::new();
        for system in self.job.systems.keys() {
            sources.insert(system.clone(), self.source(system).await);
        }
        sources
    }

    /// What the job needs of each system, for probing.
    pub fn needs(&self) -> BTreeMap<String, crate::connector::source::Needs> {
        demand::needs(&self.job)
    }
}
