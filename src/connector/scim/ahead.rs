//! Pages of a list that are asked for before their turn: a few, each on its own task, so that one is parsed while
//! another is on its way and the one before them goes to the disk. No more are held than are in flight.

use std::collections::VecDeque;

use tokio::task::JoinHandle;
use url::Url;

use super::ScimSystem;
use super::pager::read_list;
use crate::connector::http::Answer;
use crate::model::failure::Failure;
use crate::scim::list::ListResponse;

type Page = Result<(ListResponse, Answer), Failure>;

/// The pages asked for, in the sequence of the list.
pub(super) struct Ahead {
    pages: VecDeque<Asked>,
    most: usize,
}

/// One page; nobody waits for it any more when this is dropped.
struct Asked {
    start: u64,
    task: JoinHandle<Page>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ahead {
    /// So many pages in flight, the one that is waited for included.
    pub(super) fn new(in_flight: usize) -> Self {
        Self { pages: VecDeque::new(), most: in_flight }
    }

    /// The page that begins at a row, where it was asked for.
    pub(super) async fn take(&mut self, start: u64) -> Option<Page> {
        let mut front = self.pages.pop_front().filter(|front| front.start == start)?;
        // A task that broke is no answer: the page is asked for again.
        (&mut front.task).await.ok()
    }

    /// Whether the next page was expected to begin elsewhere than at a row. Then no further page is asked for ahead.
    pub(super) fn misses(&mut self, start: u64) -> bool {
        let misses = self.pages.front().is_some_and(|front| front.start != start);
        if misses {
            self.pages.clear();
            self.most = 1;
        }
        misses
    }

    /// Where the next page to be asked for begins, where there is room for one and the total reaches so far.
    pub(super) fn room(&self, next: u64, length: u64, total: u64) -> Option<u64> {
        if self.most < 2 || self.pages.len() >= self.most {
            return None;
        }
        let start = match self.pages.back() {
            Some(last) => last.start.checked_add(length)?,
            None => next,
        };
        (start <= total).then_some(start)
    }

    /// Asks for a page.
    pub(super) fn ask(&mut self, system: &ScimSystem, start: u64, url: Url) {
        let http = system.http.clone();
        self.pages.push_back(Asked { start, task: tokio::spawn(async move { read_list(&http, url).await }) });
    }
}
