//! How a service is asked: as the job says, else as the dialect does, else as most services take it.

use std::collections::BTreeMap;

use super::dialect::Dialect;
use crate::connector::config::{Paging, Refused, ScimConfig};

/// Rows of a page, where nobody says otherwise.
const PAGE_SIZE: u64 = 200;
/// Pages that are asked for at once.
const PAGES_IN_FLIGHT: usize = 4;
/// Members of one request.
const MEMBER_BATCH: usize = 100;

/// The settings that hold.
#[derive(Debug)]
pub(super) struct Ways {
    pub(super) page_size: u64,
    pub(super) paging: Paging,
    pub(super) pages_in_flight: usize,
    pub(super) member_batch: usize,
    /// The attribute of users by which groups call their members; `None` = as the members show.
    pub(super) members_by: Option<String>,
    /// By resource, what the service does not do.
    pub(super) refuses: BTreeMap<String, Vec<Refused>>,
}

impl Ways {
    pub(super) fn of(job: &ScimConfig, dialect: &Dialect) -> Self {
        let mut refuses = dialect.refuses.clone();
        refuses.extend(job.refuses.clone());
        Self {
            page_size: job.page_size.or(dialect.page_size).unwrap_or(PAGE_SIZE),
            paging: job.paging.or(dialect.paging).unwrap_or_default(),
            pages_in_flight: job.pages_in_flight.or(dialect.pages_in_flight).unwrap_or(PAGES_IN_FLIGHT),
            members_by: job.members_by.clone().or_else(|| dialect.members_by.clone()),
            member_batch: job.member_batch.or(dialect.member_batch).unwrap_or(MEMBER_BATCH),
            refuses,
        }
    }
}
