//! Memory: the state folder and the database in it.
//!
//! [`layout`] says where everything lies. [`database::Store`] is the one door to the database; what it can do stands
//! by subject in [`runs`], [`baselines`], [`bygone`], [`raise`], [`orders`], [`stands`], [`live_kinds`], [`seal`], [`approvals`],
//! [`journal`], [`apply_ends`], [`lapses`] and [`links`]. Whatever changes also goes into the hash-chained log of [`chain`], in the
//! same transaction. [`erasure`] takes somebody's personal data out of all of it, [`old_history`] what is old.
//! [`plan_files`] and [`review_file`] write and read what people review.

mod age;
mod alike;
pub mod apply_ends;
pub mod approvals;
pub mod around;
pub mod baselines;
pub mod bygone;
pub mod chain;
pub mod chain_check;
mod chain_erased;
pub mod chain_query;
pub mod database;
mod database_file;
pub mod erased_files;
mod erased_rows;
pub mod erasure;
pub mod error;
pub mod first_orders;
pub mod given_up;
mod graces;
pub mod journal;
pub mod lapses;
pub mod layout;
#[cfg(test)]
mod lifecycle;
pub mod links;
pub mod links_of_moment;
pub mod live_kinds;
mod needs;
pub mod old_history;
mod one_link;
pub mod orders;
pub mod outcomes_since;
pub mod plan_files;
pub mod raise;
pub mod retention;
mod reverts;
pub mod review_cell;
pub mod review_file;
pub mod review_problem;
pub mod review_table;
pub mod runs;
mod schema;
pub mod seal;
mod sealing;
pub mod since;
pub mod stands;
pub mod transition;
pub mod verified;
mod whole_file;
