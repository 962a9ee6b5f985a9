//! What the engine tells while it works. Reporters consume events; the engine never prints.

use super::evidence::{Completeness, Missed, Mode};
use super::exchange::Exchange;
use super::failure::Failure;
use super::order::{Operation, OrderId};
use super::outcome::Outcome;
use super::resource::ResourceName;
use super::run::RunId;
use super::threshold::Excess;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A run began.
    RunStarted {
        /// The run.
        run: RunId,
        /// The job.
        job: String,
        /// How much is exported.
        mode: Mode,
        /// Why the mode is not the one asked for.
        because: Option<String>,
        /// The run that it undoes, where it does: nothing is exported then.
        undoes: Option<RunId>,
    },
    /// Orders whose outcome a crash left open were found.
    Recovering {
        /// How many.
        orders: u64,
    },
    /// A system was asked something, and answered or did not.
    Exchanged(Exchange),
    /// Rows of a resource arrived.
    ExportProgress {
        /// Which resource.
        resource: ResourceName,
        /// Rows so far.
        rows: u64,
        /// The server's total, where known.
        total: Option<u64>,
    },
    /// A resource was exported.
    Exported {
        /// Which resource.
        resource: ResourceName,
        /// Its rows.
        rows: u64,
        /// Rows that the increments had missed, told by a complete export.
        missed: Option<Missed>,
        /// Why it was read twice, where it was.
        read_again: Option<String>,
        /// What it proves.
        verdict: Completeness,
    },
    /// A system could not be exported.
    ExportFailed {
        /// Which system.
        system: String,
        /// The cause, whose side it is on, and what to do next.
        why: String,
    },
    /// A plan comes to its next stage.
    Planning {
        /// What is done now, in a word or two: `compare`.
        stage: &'static str,
        /// Of how many rows, where that is known.
        rows: Option<u64>,
    },
    /// The plan is written.
    Planned {
        /// The run.
        run: RunId,
        /// New orders.
        orders: u64,
        /// Live orders of earlier runs that stay where they are.
        kept: u64,
        /// Live orders that are no longer wanted or were replaced.
        superseded: u64,
        /// Orders of this plan that are blocked.
        blocked: u64,
    },
    /// A threshold tripped.
    Exceeded(Excess),
    /// An apply begins.
    Applying {
        /// Orders that are to be sent, in all its waves.
        orders: u64,
    },
    /// An apply entered a wave.
    Wave {
        /// What kind of orders.
        kind: String,
        /// The wave's number, from 1.
        number: usize,
        /// Orders in it.
        orders: usize,
    },
    /// An order's request is about to leave.
    Sending {
        /// The order.
        order: OrderId,
        /// What it does.
        operation: Operation,
        /// To what.
        resource: ResourceName,
        /// Which object.
        key: String,
    },
    /// A request failed and will be tried again.
    Retrying {
        /// The order, where it was sent for one.
        order: Option<OrderId>,
        /// Why.
        failure: Failure,
        /// Which try the next one is: 2 after the first failure.
        attempt: u32,
        /// After how long.
        wait: std::time::Duration,
    },
    /// An order ended.
    Ended(Box<Outcome>),
    /// The apply, or one kind of its orders, stopped before its end.
    Stopped {
        /// The kind, where the others go on.
        kind: Option<String>,
        /// Why, and what to do next.
        why: String,
        /// Orders that stay approved.
        untried: u64,
    },
    /// Something that a person should know.
    Warning(String),
    /// Something for the log only.
    Note(String),
}

/// Consumes events. A reporter that fails keeps it to itself: it never stops the engine.
pub trait Reporter: Send + Sync {
    /// Takes note of an event.
    fn event(&self, event: &Event);
}

/// A reporter that tells nobody.
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: &Event) {}
}
