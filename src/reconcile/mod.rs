//! What differs between source and target, and what is to be done about it. Pure and deterministic.
//!
//! [`plan::assemble`] is the door: snapshots, links and live orders in; a draft of orders, supersessions, link changes
//! and tripped thresholds out. `derived` finds out what rules want to know of a source row besides its cells (`groups`,
//! `joined`), `scan` reads rows into digests, `target_columns`
//! knows which names are attributes of the target, `correlate` pairs them (`weighing` by several rules at once), `objects`
//! decides about each that is not confirmed, `references` finds out whom its attributes refer to, `settling` orders what
//! is created by that and `untying` opens circles of what is deleted, `taken_back` leaves out what a person had undone,
//! `associations` does the same for pairs, `standing` sets the result against what earlier runs ordered, `ground` says
//! what a rejection was about, `lapse` finds what need not be withheld any more, `lockout` and `seats` find what cannot
//! go together (`kept_now` and `uncounted` where no snapshot can be counted), `scoped` marks which orders a part's limits
//! count, `threshold` judges the whole. `usage` tells of rules that nothing came of; `link_check` holds links against
//! today's rules. `revert` makes a plan that undoes what was applied; `undo` says what can be undone at all.

mod assign;
#[cfg(test)]
mod association_tests;
mod associations;
pub mod backtest;
pub mod broken;
pub mod canonical;
mod cause;
#[cfg(test)]
mod cause_tests;
mod compare;
mod correlate;
mod dangling;
mod decide;
pub mod derived;
pub mod draft;
mod earlier;
mod ends;
mod error;
pub mod explanation;
mod fit;
pub mod generate;
mod given;
#[cfg(test)]
mod grace_tests;
mod ground;
pub mod groups;
mod guard;
mod in_grace;
mod index;
pub mod input;
pub mod joined;
pub mod kept_now;
mod lapse;
#[cfg(test)]
mod lapse_tests;
pub mod link_check;
mod lockout;
mod look_alikes;
mod nesting;
mod objects;
mod pair_join;
mod pairs;
pub mod plan;
pub mod policy;
#[cfg(test)]
mod property_tests;
mod reason;
#[cfg(test)]
mod reference_tests;
mod references;
mod removal;
mod rename;
#[cfg(test)]
mod rename_tests;
mod repeated;
#[cfg(test)]
mod rerun_tests;
pub mod revert;
mod rivals;
mod row_digest;
mod rows;
mod scan;
mod scoped;
pub mod seats;
mod settling;
pub mod single;
#[cfg(test)]
mod situation_tests;
mod sorting;
mod standing;
pub mod suggestion;
mod switch;
mod taken_back;
pub mod target_columns;
pub mod threshold;
mod uncounted;
pub mod undo;
pub mod unique;
mod untying;
mod usage;
mod waiting_undo;
mod weighing;
#[cfg(test)]
mod world;

pub use draft::PlanDraft;
pub(crate) use ends::NAMES;
pub use error::ReconcileError;
pub use input::{
    AssociationInput, BygoneOrders, LiveOrder, Memory, ObjectInput, Past, PlanInput, Prior, SyncInput, Wishes,
};
pub use plan::assemble;
