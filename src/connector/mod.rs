//! The edge to systems: everything that speaks to one lives here.
//!
//! A job file's `[systems.NAME]` becomes a [`config::SystemConfig`]; [`registry::Registry`] makes a
//! [`source::Source`] or a [`target::Target`] of it.

#![allow(
    clippy::result_large_err,
    reason = "a failure is made where a request to a system failed; beside that its 170 bytes cost nothing"
)]

pub mod backoff;
pub mod classify;
pub mod config;
pub mod csv;
pub mod failure_table;
pub mod http;
pub mod limit;
pub mod registry;
pub mod scim;
pub mod secret;
pub mod source;
pub mod target;
