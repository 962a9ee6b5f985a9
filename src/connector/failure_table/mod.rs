//! What an answer means, as data: one row a meaning, the first row that fits is taken.
//!
//! Rows with a message stand before rows with a scimType, and those before rows with a status alone: what the server
//! says beats the number it says it with.

mod keycloak_messages;
mod ldap_messages;
mod ldap_results;
mod messages;
pub(crate) mod reaches;
mod scim_types;
mod statuses;

use serde::Deserialize;

pub(crate) use self::ldap_results::LAST_MEMBER;
use crate::model::failure::{Class, Recourse};

/// What was asked for: some statuses mean different things for a list and for one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// ServiceProviderConfig, ResourceTypes, Schemas, a token.
    Discovery,
    /// A page of a list or a search.
    List,
    /// One object by its id.
    Object,
    /// A change.
    Write,
    /// That an object goes.
    Delete,
}

/// One meaning.
#[derive(Debug)]
pub struct Row {
    /// Its name, for tests and logs.
    pub name: &'static str,
    /// Only for these questions; empty = any.
    pub asked: &'static [Asked],
    /// Only with these statuses; empty = any that is a refusal.
    pub statuses: &'static [u16],
    /// Only with this scimType (RFC 7644 section 3.12, RFC 9865 section 2).
    pub scim_type: Option<&'static str>,
    /// Only with a message that one of these fits: parts in this order, `*` between them, case ignored; empty = any.
    pub messages: &'static [&'static str],
    /// The class.
    pub class: Class,
    /// What it means for other orders.
    pub recourse: Recourse,
    /// What it means, after "was answered with 400: ".
    pub says: &'static str,
    /// What to do next.
    pub remedy: &'static str,
}

/// A row that fits every refusal and says nothing: what others are written upon.
pub(super) const ANY: Row = Row {
    name: "",
    asked: &[],
    statuses: &[],
    scim_type: None,
    messages: &[],
    class: Class::Server,
    recourse: Recourse::GiveUp,
    says: "",
    remedy: "",
};

/// The table, in the order in which it is searched.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    messages::ROWS.iter().chain(scim_types::ROWS).chain(statuses::ROWS)
}

/// The table of LDAP's result codes, in the order in which it is searched: what the server says beats the number it says
/// it with.
pub fn ldap_rows() -> impl Iterator<Item = &'static Row> {
    ldap_messages::ROWS.iter().chain(ldap_results::ROWS)
}

/// What Keycloak says in words, to be searched before the table of all.
pub(crate) fn keycloak_rows() -> &'static [Row] {
    keycloak_messages::ROWS
}
