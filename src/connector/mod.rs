//! The edge to systems: everything that speaks to one lives here.
//!
//! A job file's `[systems.NAME]` becomes a [`config::SystemConfig`]; [`registry::Registry`] makes a
//! [`source::Source`] or a [`target::Target`] of it.

pub mod backoff;
mod by_modules;
pub mod classify;
pub mod config;
pub mod csv;
pub mod failure_table;
pub mod http;
pub mod keycloak;
pub mod ldap;
pub mod limit;
pub mod openbao;
pub mod proofs;
pub mod registry;
pub mod scim;
mod second_look;
pub mod secret;
pub mod source;
pub mod target;
