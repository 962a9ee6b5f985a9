//! Reads a list page by page, by index (RFC 7644 section 3.4.2.4) or by cursor (RFC 9865), and distrusts it: walks by
//! the rows that came, notices pages that repeat, and looks past the end before it believes a total.
//!
//! By index the pages behind the one at hand are asked for ahead; they are handed out in their sequence, and one that
//! does not begin where the rows before it end is asked for anew.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::Value as Json;
use url::Url;

use super::ahead::Ahead;
use super::{ScimSystem, bad_answer, id_of};
use crate::connector::config::Paging;
use crate::connector::failure_table::Asked;
use crate::connector::http::{Answer, Http, Request};
use crate::model::evidence::{Evidence, Suspicion};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::numbers::{count, counted};
use crate::scim::list::ListResponse;

/// Pages without a single row in a row, after which a walk is taken for endless.
const EMPTY_PAGES: u32 = 100;

enum Place {
    Index(u64),
    /// Everything that the total speaks of has come; is there more?
    PastEnd(u64),
    Cursor(String),
    End,
}

/// A walk through one list.
pub(super) struct Pager<'a> {
    system: &'a ScimSystem,
    address: Url,
    parameters: Vec<(&'static str, String)>,
    count: u64,
    place: Place,
    /// Pages that were asked for before their turn.
    ahead: Ahead,
    /// Rows of the last page that was read by index.
    page_length: Option<u64>,
    first_ids: HashSet<String>,
    /// The ids of the last page: where they come again on the next, the list moved meanwhile.
    last_ids: HashSet<String>,
    cursors: HashSet<String>,
    largest_total: u64,
    empty_pages: u32,
    looks_past_end: bool,
    /// What was seen so far; whole when the walk has ended.
    pub(super) evidence: Evidence,
    /// The server's own time on the first page.
    pub(super) date: Option<DateTime<Utc>>,
}

impl<'a> Pager<'a> {
    /// A walk through an endpoint. `parameters` are the same for all of its pages.
    pub(super) async fn new(
        system: &'a ScimSystem,
        endpoint: &str,
        parameters: Vec<(&'static str, String)>,
    ) -> Result<Self, Failure> {
        let provider = &system.discovery().await?.provider;
        let by_cursor = match system.ways.paging {
            Paging::Auto => provider.cursor || !provider.index,
            Paging::Index => false,
            Paging::Cursor => true,
        };
        Ok(Self {
            system,
            address: system.http.address(&[endpoint.trim_matches('/')]),
            parameters,
            count: system.ways.page_size.min(provider.max_page_size.filter(|size| *size > 0).unwrap_or(u64::MAX)),
            place: if by_cursor { Place::Cursor(String::new()) } else { Place::Index(1) },
            ahead: Ahead::new(system.ways.pages_in_flight),
            page_length: None,
            first_ids: HashSet::new(),
            last_ids: HashSet::new(),
            cursors: HashSet::new(),
            largest_total: 0,
            empty_pages: 0,
            looks_past_end: true,
            evidence: Evidence::default(),
            date: None,
        })
    }

    /// The same, believing the total: for searches, where one request has to do.
    pub(super) fn without_last_look(mut self) -> Self {
        self.looks_past_end = false;
        self
    }

    /// How many rows there are, as the server says; `None` where it does not.
    pub(super) fn total(&self) -> Option<u64> {
        Some(self.largest_total).filter(|total| *total > 0)
    }

    /// The rows of the next page that has any; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Json>>, Failure> {
        loop {
            let rows = match std::mem::replace(&mut self.place, Place::End) {
                Place::Index(start) => self.index_page(start).await?,
                Place::PastEnd(start) => self.past_end(start).await?,
                Place::Cursor(cursor) => self.cursor_page(cursor).await?,
                Place::End => return Ok(None),
            };
            if rows.is_empty() {
                continue;
            }
            self.evidence.rows_received += rows.len() as u64;
            if self.looks_past_end {
                let ids: HashSet<String> = rows.iter().filter_map(id_of).collect();
                self.evidence.shifted_rows += ids.intersection(&self.last_ids).count() as u64;
                self.last_ids = ids;
            }
            let limit = self.largest_total.saturating_mul(2).saturating_add(self.count);
            if self.largest_total > 0 && self.evidence.rows_received > limit {
                return Err(self.endless("the server goes on far behind its own total"));
            }
            return Ok(Some(rows));
        }
    }

    async fn index_page(&mut self, start: u64) -> Result<Vec<Json>, Failure> {
        self.evidence.pages_asked += 1;
        if self.ahead.misses(start) {
            self.note("the pages vary in length: they are read one after the other".to_owned());
        }
        // Whoever comes back for a second page is taken to want them all.
        if let Some(length) = self.page_length {
            self.ask_ahead(start, length);
        }
        let asked = match self.ahead.take(start).await {
            Some(asked) => asked,
            None => list(self.system, &self.address, &self.parameters, &index_parameters(start, self.count)).await,
        };
        let list = self.seen(asked)?;
        self.evidence.pages_received += 1;
        self.note_total(&list);
        if let Some(echoed) = list.start_index.filter(|echoed| *echoed != start && !list.resources.is_empty()) {
            self.note(format!("asked for the rows from {start}, the server says that it answers from {echoed}"));
        }
        if list.resources.is_empty() {
            self.read_total_again(list.total.filter(|_| start > 1)).await;
            return Ok(Vec::new());
        }
        if self.is_repeated(&list.resources) {
            self.repeated_page(start, list.resources.len());
            self.read_total_again(list.total).await;
            return Ok(Vec::new());
        }
        let after = self.evidence.rows_received + list.resources.len() as u64;
        self.place = match list.next_cursor {
            Some(cursor) if self.system.ways.paging != Paging::Index => Place::Cursor(cursor),
            _ if list.total.is_some_and(|total| after >= total) && !self.looks_past_end => Place::End,
            _ if list.total.is_some_and(|total| after >= total) => Place::PastEnd(after + 1),
            _ => {
                let length = list.resources.len() as u64;
                if self.page_length.replace(length).is_some() {
                    self.ask_ahead(after + 1, length);
                }
                Place::Index(after + 1)
            }
        };
        Ok(list.resources)
    }

    /// Asks for the pages from a row on, as long as the last one was, up to the total.
    fn ask_ahead(&mut self, next: u64, length: u64) {
        // A search wants one page.
        if !self.looks_past_end {
            return;
        }
        while let Some(start) = self.ahead.room(next, length, self.largest_total) {
            let url = list_address(&self.address, &self.parameters, &index_parameters(start, length));
            self.ahead.ask(self.system, start, url);
        }
    }

    /// One look behind the last row: most servers answer with no rows and the total as it is now.
    async fn past_end(&mut self, start: u64) -> Result<Vec<Json>, Failure> {
        match self.ask(&index_parameters(start, self.count)).await {
            Ok(list) if list.resources.is_empty() || self.is_repeated(&list.resources) => {
                self.read_total_again(list.total).await;
                Ok(Vec::new())
            }
            Ok(list) => {
                self.note(format!(
                    "{} more rows came from behind the total of {}",
                    list.resources.len(),
                    self.largest_total
                ));
                self.evidence.pages_asked += 1;
                self.evidence.pages_received += 1;
                self.note_total(&list);
                self.place = Place::Index(start + list.resources.len() as u64);
                Ok(list.resources)
            }
            // Some refuse a start behind the end.
            Err(failure) if failure.recourse != Recourse::Retry => {
                self.read_total_again(None).await;
                Ok(Vec::new())
            }
            Err(failure) => Err(failure),
        }
    }

    async fn cursor_page(&mut self, cursor: String) -> Result<Vec<Json>, Failure> {
        let is_first = cursor.is_empty();
        self.evidence.pages_asked += 1;
        let list = match self.ask(&[("cursor", cursor), ("count", self.count.to_string())]).await {
            Ok(list) => list,
            Err(failure)
                if is_first
                    && self.system.ways.paging == Paging::Auto
                    && matches!(failure.status, Some(400 | 404 | 405 | 501)) =>
            {
                self.note(format!("paging by cursor is refused ({}): read by index", failure.cause));
                self.evidence.pages_asked -= 1;
                self.place = Place::Index(1);
                return Ok(Vec::new());
            }
            Err(failure) if !is_first && failure.class == Class::Stale => return Err(self.lost_cursor(failure)),
            Err(failure) => return Err(failure),
        };
        self.evidence.pages_received += 1;
        self.note_total(&list);
        if !list.resources.is_empty() && self.is_repeated(&list.resources) {
            self.repeated_page(self.evidence.rows_received + 1, list.resources.len());
            self.read_total_by_cursor().await;
            return Ok(Vec::new());
        }
        self.empty_pages = if list.resources.is_empty() { self.empty_pages + 1 } else { 0 };
        match list.next_cursor {
            Some(next) if !self.cursors.insert(next.clone()) => {
                return Err(self.endless("the server sent a cursor that it had sent before"));
            }
            Some(_) if self.empty_pages > EMPTY_PAGES => {
                return Err(self.endless(&format!("{EMPTY_PAGES} pages in a row had no rows")));
            }
            Some(next) => self.place = Place::Cursor(next),
            // A server that does not know cursors ignores them and answers as it does to any list.
            None if is_first && list.total.is_some_and(|total| total > list.resources.len() as u64) => {
                self.note("paging by cursor is ignored: read by index".to_owned());
                self.place = Place::Index(list.resources.len() as u64 + 1);
            }
            None => self.read_total_by_cursor().await,
        }
        Ok(list.resources)
    }

    async fn ask(&mut self, place: &[(&'static str, String)]) -> Result<ListResponse, Failure> {
        let asked = list(self.system, &self.address, &self.parameters, place).await;
        self.seen(asked)
    }

    /// Takes the evidence of an answer.
    fn seen(&mut self, asked: Result<(ListResponse, Answer), Failure>) -> Result<ListResponse, Failure> {
        let (list, answer) = asked.inspect_err(|failure| {
            if let Some(status) = failure.status {
                *self.evidence.statuses.entry(status).or_default() += 1;
            }
        })?;
        for status in answer.refused.iter().chain([&answer.status]) {
            *self.evidence.statuses.entry(*status).or_default() += 1;
        }
        self.date = self.date.or_else(|| answer.date());
        Ok(list)
    }

    fn note_total(&mut self, list: &ListResponse) {
        if self.evidence.pages_received == 1 {
            self.evidence.total_start = list.total;
        }
        self.largest_total = self.largest_total.max(list.total.unwrap_or(0));
    }

    fn note(&mut self, note: String) {
        if !self.evidence.notes.contains(&note) && self.evidence.notes.len() < 20 {
            self.evidence.notes.push(note);
        }
    }

    /// Whether a page begins as an earlier one did.
    fn is_repeated(&mut self, rows: &[Json]) -> bool {
        rows.first().and_then(id_of).is_some_and(|id| !self.first_ids.insert(id))
    }

    fn repeated_page(&mut self, start: u64, rows: usize) {
        self.evidence.anomalies.push(Suspicion {
            name: "repeated-page".to_owned(),
            detail: format!(
                "asked for the rows from {start}, the server sent {} of an earlier page again: it does not page, and \
                 what lies behind was not read",
                counted(rows as u64, "row")
            ),
            figure: start.to_string(),
        });
    }

    /// The total at the end: as it just came, else asked for with one row more.
    async fn read_total_again(&mut self, just_read: Option<u64>) {
        self.evidence.total_end = match just_read {
            Some(total) => Some(total),
            None if self.evidence.total_start.is_none() || !self.looks_past_end => None,
            None => self.ask(&index_parameters(1, 1)).await.ok().and_then(|list| list.total),
        };
    }

    async fn read_total_by_cursor(&mut self) {
        if self.evidence.total_start.is_some() && self.looks_past_end {
            let parameters = [("cursor", String::new()), ("count", "1".to_owned())];
            self.evidence.total_end = self.ask(&parameters).await.ok().and_then(|list| list.total);
        }
    }

    fn endless(&self, what: &str) -> Failure {
        self.system.failure(
            Class::Server,
            format!("the pages of {} do not end: {what}; {}", self.address, self.so_far()),
            "the server's paging is broken; try another `paging` (index, cursor) or page_size for this system",
        )
    }

    /// What it means that the server does not know a cursor any more that it gave itself.
    fn lost_cursor(&self, refused: Failure) -> Failure {
        let has_all = self.largest_total > 0 && self.evidence.rows_received >= self.largest_total;
        let told = if has_all {
            self.endless("all rows came, and then a cursor of a further page that the server itself refuses")
        } else {
            Failure { cause: format!("{}; {}", refused.cause, self.so_far()), ..refused.clone() }
        };
        Failure { message: refused.message, status: refused.status, scim_type: refused.scim_type, ..told }
    }

    /// How far the walk came.
    fn so_far(&self) -> String {
        let came = format!(
            "{} with {} came",
            counted(self.evidence.pages_received, "page"),
            counted(self.evidence.rows_received, "row")
        );
        match self.largest_total {
            0 => format!("{came}, the server states no total"),
            total => format!("{came}, the server's own total is {}", count(total)),
        }
    }
}

fn index_parameters(start: u64, count: u64) -> [(&'static str, String); 2] {
    [("startIndex", start.to_string()), ("count", count.to_string())]
}

/// The address of one page.
fn list_address(address: &Url, parameters: &[(&'static str, String)], place: &[(&'static str, String)]) -> Url {
    let mut url = address.clone();
    {
        let mut query = url.query_pairs_mut();
        for (name, value) in parameters.iter().chain(place) {
            query.append_pair(name, value);
        }
    }
    url
}

/// One row of a list, from a place on.
pub(super) async fn page(
    system: &ScimSystem,
    endpoint: &str,
    parameters: &[(&'static str, String)],
    start: u64,
) -> Result<ListResponse, Failure> {
    let address = system.http.address(&[endpoint.trim_matches('/')]);
    list(system, &address, parameters, &index_parameters(start, 1)).await.map(|(list, _)| list)
}

/// One list answer.
async fn list(
    system: &ScimSystem,
    address: &Url,
    parameters: &[(&'static str, String)],
    place: &[(&'static str, String)],
) -> Result<(ListResponse, Answer), Failure> {
    read_list(&system.http, list_address(address, parameters, place)).await
}

/// The list at an address.
pub(super) async fn read_list(http: &Http, url: Url) -> Result<(ListResponse, Answer), Failure> {
    let request = Request::new(Method::GET, url, Asked::List);
    let mut answer = http.read(&request).await?;
    match ListResponse::parse(&std::mem::take(&mut answer.body)) {
        Ok(list) => Ok((list, answer)),
        Err(error) => {
            // A query may hold personal data.
            let mut address = request.url;
            address.set_query(None);
            Err(bad_answer(http.system(), &format!("GET {address}"), error, &answer, Effect::None))
        }
    }
}

/// How many resources the server says there are, with a filter or without.
pub(super) async fn total(
    system: &ScimSystem,
    endpoint: &str,
    parameters: &[(&'static str, String)],
) -> Result<Option<u64>, Failure> {
    page(system, endpoint, parameters, 1).await.map(|list| list.total)
}
