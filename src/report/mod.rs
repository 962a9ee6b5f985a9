//! The telling: model in, text out.
//!
//! Reporters ([`console::Console`], [`run_log::RunLog`], [`tee::Tee`]) take the engine's events; the other modules turn
//! plans, orders, errors and a job's status into text, CSV and JSON. Nothing here reads a clock, the environment or a
//! system, and everything that comes from outside goes through [`safe_text`] before a person sees it.

pub mod bundle_readme;
pub mod cell;
pub mod console;
pub mod difference;
pub mod error_groups;
pub mod errors_csv;
pub mod event_line;
pub mod explained_text;
pub mod explanation;
pub mod figures;
pub mod json_log;
pub mod log_entry;
pub mod metrics;
pub mod next_steps;
pub mod page_text;
pub mod period;
pub mod progress;
pub mod pseudonyms;
pub mod report_json;
pub mod request_log;
pub mod review;
pub mod run_log;
pub mod run_page;
pub mod run_text;
pub mod safe_text;
pub mod screen;
pub mod section;
pub mod status;
pub mod summary;
pub mod table;
pub mod tee;
pub mod trend_page;
pub mod units;
mod value_change;
pub mod wrap;
