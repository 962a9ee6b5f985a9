//! Which orders are meant: by what is typed, and by what is chosen.

use std::ops::Range;
use std::thread;

use memchr::memmem::Finder;
use serde::Deserialize;

use super::index::{Entry, Index, Kind, plain};
use super::live::Live;
use crate::model::approval::Decision;
use crate::model::order::{Block, BlockReason, Operation, OrderState};
use crate::model::situation::{Cause, Situation};

/// What a person is looking for; what is left out says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    /// Words, all of which an order has; what stands in quotes is one.
    pub(super) q: String,
    pub(super) operation: Option<Operation>,
    pub(super) resource: Option<String>,
    pub(super) state: Option<OrderState>,
    pub(super) cause: Option<Cause>,
    pub(super) situation: Option<Situation>,
    pub(super) block: Option<BlockReason>,
    pub(super) draft: Option<Drafted>,
    pub(super) only: Option<Only>,
    pub(super) sort: Sort,
}

/// By what is decided on the page and not sealed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Drafted {
    Approve,
    Reject,
    Open,
}

/// What deserves a look of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Only {
    Irreversible,
    Rename,
    Unsure,
    TakesAlong,
}

/// The sequence in which orders are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sort {
    #[default]
    Plan,
    Key,
}

/// So many orders are looked through by one thread; of more, each core takes a share.
const ALONE: usize = 50_000;

/// The places of the orders that are meant, in the sequence that is asked for. `drafted` says what is decided on one.
pub(super) fn find(
    index: &Index,
    live: &Live,
    drafted: impl Fn(usize) -> Option<Decision> + Sync,
    query: &Query,
) -> Vec<u32> {
    let look = Look::of(index, live, query);
    let all = index.entries.len();
    let threads = if all > ALONE { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let share = all.div_ceil(threads).max(1);
    let mut found: Vec<u32> = thread::scope(|scope| {
        let shares: Vec<_> = (0..all)
            .step_by(share)
            .map(|from| {
                let (look, drafted) = (&look, &drafted);
                scope.spawn(move || look.through(from..(from + share).min(all), drafted))
            })
            .collect();
        let ended = |share: thread::ScopedJoinHandle<'_, Vec<u32>>| {
            share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        shares.into_iter().flat_map(ended).collect()
    });
    if query.sort == Sort::Key {
        let ranks = index.by_key();
        found.sort_unstable_by_key(|place| ranks[*place as usize]);
    }
    found
}

/// A query, made ready.
struct Look<'a> {
    index: &'a Index,
    live: &'a Live,
    query: &'a Query,
    /// By the place of each kind of order, whether it is meant.
    kinds: Vec<bool>,
    /// By the place of each block, whether its reason is meant.
    reasons: Vec<bool>,
    words: Vec<Finder<'static>>,
    /// What is said of each block, to be looked through too; none where nothing is looked for.
    blocks: Vec<String>,
}

impl<'a> Look<'a> {
    fn of(index: &'a Index, live: &'a Live, query: &'a Query) -> Self {
        let is_meant = |kind: &Kind| {
            query.operation.is_none_or(|operation| kind.operation == operation)
                && query.resource.as_ref().is_none_or(|resource| kind.resource.to_string() == *resource)
        };
        let mut words = words(&query.q);
        // The longest is found fastest.
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let said = |block: &Block| {
            let mut text = String::new();
            plain(&format!("{} {}", block.reason, block.detail), &mut text);
            text
        };
        Self {
            index,
            live,
            query,
            kinds: index.kinds.iter().map(is_meant).collect(),
            reasons: live.blocks.iter().map(|block| query.block.is_none_or(|reason| block.reason == reason)).collect(),
            blocks: if words.is_empty() { Vec::new() } else { live.blocks.iter().map(said).collect() },
            words: words.iter().map(|word| Finder::new(word.as_bytes()).into_owned()).collect(),
        }
    }

    /// The orders among these that are meant, in the plan's sequence.
    fn through(&self, places: Range<usize>, drafted: &impl Fn(usize) -> Option<Decision>) -> Vec<u32> {
        let candidates = match self.words.first() {
            None => places.map(|place| place as u32).collect(),
            Some(word) if self.blocks.is_empty() => with_word(self.index, word, places),
            // What blocks an order is found too.
            Some(word) => {
                let speaks: Vec<bool> = self.blocks.iter().map(|said| word.find(said.as_bytes()).is_some()).collect();
                let is_said = |place: &usize| self.block(*place).is_some_and(|block| speaks[block]);
                let mut candidates = with_word(self.index, word, places.clone());
                candidates.extend(places.filter(is_said).map(|place| place as u32));
                candidates.sort_unstable();
                candidates.dedup();
                candidates
            }
        };
        let is_meant = |place: &u32| {
            let place = *place as usize;
            let entry = &self.index.entries[place];
            self.is_chosen(place, entry, drafted) && self.has_all(place, entry)
        };
        candidates.into_iter().filter(is_meant).collect()
    }

    fn is_chosen(&self, place: usize, entry: &Entry, drafted: &impl Fn(usize) -> Option<Decision>) -> bool {
        let query = self.query;
        self.kinds[usize::from(entry.kind)]
            && query.state.is_none_or(|state| self.live.stand(place).state == state)
            && query.cause.is_none_or(|cause| entry.cause == cause)
            && query.situation.is_none_or(|situation| entry.situation == situation)
            && (query.block.is_none() || self.block(place).is_some_and(|block| self.reasons[block]))
            && query.only.is_none_or(|only| match only {
                Only::Irreversible => entry.is_irreversible,
                Only::Rename => entry.is_rename,
                Only::Unsure => entry.is_unsure,
                Only::TakesAlong => entry.takes_along,
            })
            && query.draft.is_none_or(|wanted| match (wanted, drafted(place)) {
                (Drafted::Approve, decision) => decision == Some(Decision::Approve),
                (Drafted::Reject, decision) => decision == Some(Decision::Reject),
                (Drafted::Open, decision) => decision.is_none(),
            })
    }

    /// Whether an order, or what blocks it, has every word. Where there is only one, it was found by it.
    fn has_all(&self, place: usize, entry: &Entry) -> bool {
        let rest = self.words.get(1..).unwrap_or_default();
        if rest.is_empty() {
            return true;
        }
        let text = self.index.text_of(entry).as_bytes();
        let said = self.block(place).and_then(|block| self.blocks.get(block)).map_or("", String::as_str).as_bytes();
        rest.iter().all(|word| word.find(text).is_some() || word.find(said).is_some())
    }

    /// The place of what blocks an order now.
    fn block(&self, place: usize) -> Option<usize> {
        let stand = self.live.stand(place);
        stand.block.filter(|_| stand.state == OrderState::Blocked).map(|block| block as usize)
    }
}

/// The orders among some that have a word, in the plan's sequence.
fn with_word(index: &Index, word: &Finder<'_>, places: Range<usize>) -> Vec<u32> {
    let end = index.text_begins(places.end);
    let text = &index.text().as_bytes()[..end];
    let (mut found, mut next) = (Vec::new(), places.start);
    while next < places.end {
        let from = index.text_begins(next);
        let Some(at) = word.find(&text[from..]) else { break };
        let owner = index.owner_of(from + at, next);
        found.push(owner as u32);
        next = owner + 1;
    }
    found
}

/// The orders that have a text in what they are found by.
pub(super) fn with_text(index: &Index, text: &str) -> Vec<u32> {
    with_word(index, &Finder::new(text.as_bytes()), 0..index.entries.len())
}

/// The words of what was typed, in lower case.
fn words(typed: &str) -> Vec<String> {
    let mut text = String::new();
    plain(typed, &mut text);
    let mut words = Vec::new();
    for (number, part) in text.split('"').enumerate() {
        if number % 2 == 1 {
            words.extend((!part.is_empty()).then(|| part.to_owned()));
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    /// Orders whose keys, names and values are made of few words, so that searches find some of them.
    fn orders(number: usize) -> Vec<u8> {
        let words = ["Ada", "Übel", "<b>", "o'brien", "x\u{202e}y", "Vertrieb", "o-00000000000000ff-1"];
        let word = |n: usize| words[n % words.len()];
        let mut lines = Vec::new();
        for n in 0..number {
            let order = serde_json::json!({
                "id": format!("o-{n:016x}-{}", n % 3 + 1), "fingerprint": format!("{n:016x}"),
                "operation": (["create", "update", "delete"][n % 3]), "resource": (["vault.users", "vault.groups"][n % 2]),
                "sync": 0, "object": format!("vault.users#{n}"), "key": format!("{} {n}", word(n)), "name": word(n / 7),
                "changes": [{ "attribute": "urn:x:title", "before": word(n / 3), "after": [word(n / 5), "z"], "cause": "source" }],
                "situation": "changed", "cause": "source", "reason": "moved", "confidence": 100,
            });
            serde_json::to_writer(&mut lines, &order).unwrap();
            lines.push(b'\n');
        }
        lines
    }

    #[test]
    fn what_is_found_is_what_a_look_at_each_order_finds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = orders(700);
        std::fs::write(file.path(), &lines).unwrap();
        let index = Index::read(file.path(), (&Digest::of(&lines), 700), 7, |_| {}).unwrap();
        let live = Live::none();
        let queries = [
            "",
            "ada",
            "ÜBEL",
            "\"ada 1\"",
            "ada vertrieb",
            "o-00000000000000ff-1",
            "nowhere",
            "title",
            "→ z",
            "<b> y",
        ];
        for q in queries {
            for operation in [None, Some(Operation::Delete)] {
                let query = Query { q: q.to_owned(), operation, ..Query::default() };
                let naive = |place: &u32| {
                    let order = index.order(*place).unwrap();
                    let change = &order.changes[0];
                    let (before, after) = (change.before.as_ref().unwrap(), change.after.as_ref().unwrap());
                    let text = format!("{} {} {} title {before} → {after} moved", order.key, order.name, order.id);
                    operation.is_none_or(|wanted| order.operation == wanted)
                        && words(q).iter().all(|word| text.to_lowercase().contains(word.as_str()))
                };
                let wanted: Vec<u32> = (0..700).filter(naive).collect();
                assert_eq!(find(&index, &live, |_| None, &query), wanted, "{q}");
                let mut by_key = find(&index, &live, |_| None, &Query { sort: Sort::Key, ..query });
                let key = |place: &u32| index.order(*place).unwrap().key.to_lowercase();
                assert!(by_key.is_sorted_by_key(key), "{q}");
                by_key.sort_unstable();
                assert_eq!(by_key, wanted, "{q}");
            }
        }
        assert_eq!(index.place_of(&index.entries[699].id()), Some(699));
        // What was edited since is not shown, and what is not the registered file is not read.
        let edited = String::from_utf8(lines.clone()).unwrap().replace("Ada 7", "Eve 7");
        std::fs::write(file.path(), edited).unwrap();
        assert!(index.order(7).is_err() && index.order(8).is_ok());
        assert!(Index::read(file.path(), (&Digest::of(&lines), 700), 7, |_| {}).is_err());
    }

    #[test]
    fn what_stands_in_quotes_is_one_word() {
        assert_eq!(words("  Jane \"Head nurse\" x\"y"), ["jane", "head nurse", "x", "y"]);
        assert!(words(" \"\" ").is_empty());
    }
}
