//! Lists by `first` and `max`. Keycloak states neither a total nor a next page: the walk goes by the rows that came, and
//! ends at a page that brings no more. Each page begins with the last row of the one before: where another row stands there,
//! the list moved in between, and rows may have slipped from one page to the other.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;

use super::KeycloakSystem;
use super::ask::id_of;
use crate::connector::http::Answer;
use crate::model::evidence::Evidence;
use crate::model::failure::{Class, Failure};
use crate::model::numbers::counted;

/// Pages in a row that bring nothing new, after which the server is taken not to page at all.
const MOST_REPEATED: u32 = 3;

/// A walk through one list.
pub(super) struct Pager<'a> {
    system: &'a KeycloakSystem,
    path: Vec<&'a str>,
    query: Vec<(&'a str, &'a str)>,
    /// How many rows there are, as far as the server said so before: no more pages than these are asked for ahead.
    expected: u64,
    /// Pages that came before their turn, with the number of rows before them.
    ahead: VecDeque<(u64, Vec<Json>, Answer)>,
    /// Rows before the next page.
    received: u64,
    /// The hash of the last id of the page before, which the next page begins with.
    last: Option<u64>,
    /// Hashes of the ids that came: a list that moves brings some twice.
    seen: HashSet<u64>,
    hasher: RandomState,
    repeated: u32,
    /// A page that is not full is taken for the last.
    ends_short: bool,
    has_ended: bool,
    pub(super) evidence: Evidence,
}

impl<'a> Pager<'a> {
    pub(super) fn new(
        system: &'a KeycloakSystem,
        path: &[&'a str],
        query: &[(&'a str, &'a str)],
        expected: u64,
    ) -> Self {
        Self {
            system,
            path: path.to_vec(),
            query: query.to_vec(),
            expected,
            ahead: VecDeque::new(),
            received: 0,
            last: None,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            repeated: 0,
            ends_short: false,
            has_ended: false,
            evidence: Evidence::default(),
        }
    }

    /// For lists that are looked at and not exported: a page that is not full is taken for the last one, which saves a
    /// question.
    pub(super) fn ending_short(mut self) -> Self {
        self.ends_short = true;
        self
    }

    /// The next rows, each id once; `None` behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Json>>, Failure> {
        if self.has_ended {
            return Ok(None);
        }
        // A page that was asked for ahead is of use only where the pages before it were full.
        while self.ahead.front().is_some_and(|(before, ..)| *before != self.received) {
            self.ahead.pop_front();
        }
        if self.ahead.is_empty() {
            self.fetch().await?;
        }
        let Some((before, mut rows, answer)) = self.ahead.pop_front() else { return Ok(None) };
        self.evidence.pages_asked += 1;
        self.evidence.pages_received += 1;
        for status in answer.refused.iter().chain([&answer.status]) {
            *self.evidence.statuses.entry(*status).or_default() += 1;
        }
        let has_overlap = before > 0;
        let came = (rows.len() as u64).saturating_sub(u64::from(has_overlap));
        if has_overlap {
            // The last row of the page before comes again, unless rows came or went before it: then some slipped through.
            match rows.first().and_then(id_of).map(|id| self.hasher.hash_one(id)) {
                Some(first) if self.last == Some(first) => drop(rows.remove(0)),
                _ => self.evidence.shifted_rows += 1,
            }
        }
        if came == 0 {
            // The end is a question of its own, and none of the list's.
            self.evidence.pages_asked -= 1;
            self.evidence.pages_received -= 1;
            self.has_ended = true;
            return Ok(None);
        }
        self.has_ended = self.ends_short && came < self.system.config.page_size;
        self.received += came;
        self.last = rows.last().and_then(id_of).map(|id| self.hasher.hash_one(id));
        rows.retain(|row| id_of(row).is_none_or(|id| self.seen.insert(self.hasher.hash_one(id))));
        let fresh = rows.len() as u64;
        self.evidence.rows_received += fresh;
        self.evidence.shifted_rows += came.saturating_sub(fresh);
        self.repeated = if fresh == 0 { self.repeated + 1 } else { 0 };
        if self.repeated >= MOST_REPEATED {
            return Err(self.system.failure(
                Class::Server,
                format!(
                    "the list {} does not end: {} in a row brought nothing new after {}",
                    self.path.join("/"),
                    counted(u64::from(MOST_REPEATED), "page"),
                    counted(self.evidence.rows_received, "row")
                ),
                "see whether something between this machine and Keycloak drops the parameters `first` and `max`",
            ));
        }
        Ok(Some(rows))
    }

    /// All rows that are left, in memory.
    pub(super) async fn all(mut self) -> Result<Vec<Json>, Failure> {
        let mut all = Vec::new();
        while let Some(mut rows) = self.next().await? {
            all.append(&mut rows);
        }
        Ok(all)
    }

    async fn fetch(&mut self) -> Result<(), Failure> {
        let max = self.system.config.page_size;
        let left = self.expected.saturating_sub(self.received).div_ceil(max).max(1);
        let pages = left.min(self.system.config.reads_in_flight as u64);
        let (system, path, query) = (self.system, &self.path, &self.query);
        let starts = (0..pages).map(|page| self.received + page * max);
        let fetched = stream::iter(starts)
            .map(|before| async move {
                let overlap = u64::from(before > 0);
                let (first, size) = ((before - overlap).to_string(), (max + overlap).to_string());
                let query = [query.as_slice(), &[("first", first.as_str()), ("max", size.as_str())]].concat();
                system.list(path, &query).await.map(|(rows, answer)| (before, rows, answer))
            })
            .buffered(self.system.config.reads_in_flight);
        self.ahead = fetched.try_collect().await?;
        Ok(())
    }
}
