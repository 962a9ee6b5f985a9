//! muster reconciles identity systems and privileged-account vaults as a batch job.
//!
//! The pipeline: `job` reads a job file; `run` exports a snapshot of each system through `connector` into files that
//! `snapshot` writes and proves; `rules` say what the target should hold; `reconcile` finds what differs and decides
//! what is to be done; the plan is reviewed and sealed; `run` applies the sealed orders, journalled in `store`;
//! `report` tells people. `docs/architecture.md` has the table of who may import whom; `tests/architecture.rs`
//! enforces it.

pub mod cli;
pub mod connector;
pub mod disk;
pub mod job;
pub mod model;
pub mod notify;
pub mod reconcile;
pub mod report;
pub mod rules;
pub mod run;
pub mod sandbox;
pub mod scim;
pub mod serve;
pub mod snapshot;
pub mod store;
