//! What is decided on the page: drafts, and their way to the seal.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::app::{App, Refusal, Which, locked, read_index, still_reading, whole};
use super::draft::Acceptance;
use super::filter::Query;
use super::sheet::{Face, Sheet};
use super::{orders, overview};
use crate::report::figures::count;

/// The longest reason or comment, in bytes.
const LONGEST: usize = 10_000;

/// A decision on some orders.
#[derive(Debug, Deserialize)]
struct Decide {
    run: String,
    plan: String,
    decision: Option<String>,
    /// These orders.
    places: Option<Vec<u32>>,
    /// Or all that this means, which were so many.
    query: Option<Query>,
    count: Option<u64>,
}

/// A hold is accepted; without a reason that is taken back.
#[derive(Debug, Deserialize)]
struct Accept {
    run: String,
    name: String,
    figure: String,
    reason: Option<String>,
}

/// The draft is to be sealed, as it was shown.
#[derive(Debug, Deserialize)]
struct Seal {
    run: String,
    revision: u64,
    comment: String,
}

impl App {
    /// Decides on orders.
    pub(super) fn decide(&self, body: &[u8]) -> Result<Json, Refusal> {
        let asked: Decide = parse(body)?;
        let sheet = self.sheet(&asked.run)?;
        if sheet.digest.as_ref().is_none_or(|digest| digest.as_str() != asked.plan) {
            return Err((409, "this run has another plan now; look at it anew".to_owned()));
        }
        let decision = orders::decision(asked.decision.as_deref()).map_err(|why| (400, why))?;
        let mut face = sheet.face();
        free(&face)?;
        let index = read_index(&sheet)?.ok_or_else(still_reading)?;
        let (places, is_wide) = match (asked.places, asked.query) {
            (Some(places), None) => (Arc::new(places), false),
            (None, Some(query)) => {
                let found = sheet.find(&mut face, index, &query);
                let number = found.places.len() as u64;
                if asked.count != Some(number) {
                    let were = count(asked.count.unwrap_or(0));
                    let text = format!(
                        "{were} orders matched when this was shown, and {} do now; nothing was decided: look again",
                        count(number)
                    );
                    return Err((409, text));
                }
                (found.places, true)
            }
            _ => return Err((400, "say which orders".to_owned())),
        };
        let Face { live, draft, .. } = &mut *face;
        let done = draft.decide(live, &places, decision, is_wide);
        let named = places.len() as u64;
        if !is_wide && done == 0 && decision.is_some() {
            let state = places.first().map(|place| live.stand(*place as usize).state.word()).unwrap_or_default();
            let text = format!("it cannot be decided like this as it stands ({state}); its details say what it takes");
            return Err((409, text));
        }
        Ok(json!({ "decided": done, "left_out": named - done, "draft": overview::drafted(&face) }))
    }

    /// Accepts what holds a run, in the draft.
    pub(super) fn accept(&self, body: &[u8]) -> Result<Json, Refusal> {
        let asked: Accept = parse(body)?;
        let sheet = self.sheet(&asked.run)?;
        whole(&sheet)?;
        let mut face = sheet.face();
        free(&face)?;
        let Face { live, draft, .. } = &mut *face;
        let is_open = live.open.contains(&asked.name);
        let held = live.holds.iter().find(|hold| hold.name == asked.name && is_open);
        let Some(hold) = held.filter(|hold| hold.figure == asked.figure) else {
            return Err((409, "it does not hold the run any more as it was shown; look again".to_owned()));
        };
        let acceptance = match asked.reason.as_deref().map(str::trim) {
            None => None,
            Some("") => {
                return Err((400, "say in a few words why: it stands in the log for good".to_owned()));
            }
            Some(reason) if reason.len() > LONGEST => return Err((400, "the reason is too long".to_owned())),
            Some(reason) => Some(Acceptance { figure: hold.figure.clone(), reason: reason.to_owned() }),
        };
        let fallen = draft.accept(live, &asked.name, acceptance);
        Ok(json!({ "fallen": fallen, "draft": overview::drafted(&face) }))
    }

    /// What sealing the draft means, to be confirmed.
    pub(super) fn summary(&self, which: &Which) -> Result<Json, Refusal> {
        let sheet = self.sheet(&which.run)?;
        let reader = locked(&self.reader);
        let face = sheet.face();
        Ok(overview::before_the_seal(&sheet, &face, &reader, &*self.desk))
    }

    /// Seals the draft, or gives what is to be signed of it.
    pub(super) fn seal(&self, body: &[u8], only_prepare: bool) -> Result<Json, Refusal> {
        let asked: Seal = parse(body)?;
        if asked.comment.trim().is_empty() {
            return Err((
                400,
                "the comment is empty; say in a few words why: it stands in the log for good".to_owned(),
            ));
        }
        if asked.comment.len() > LONGEST {
            return Err((400, "the comment is too long".to_owned()));
        }
        let sheet = self.sheet(&asked.run)?;
        whole(&sheet)?;
        let (record, decided) = {
            let mut face = sheet.face();
            free(&face)?;
            if face.draft.revision != asked.revision {
                let text = "what is decided changed since it was shown; nothing was sealed: look at it again";
                return Err((409, text.to_owned()));
            }
            if face.draft.is_empty() {
                return Err((409, "nothing is decided yet".to_owned()));
            }
            face.is_sealing = true;
            (face.live.record.clone(), sheet.decided(&face, &asked.comment))
        };
        let sealing = Sealing(&sheet);
        let done = {
            let mut store = locked(&self.store);
            if only_prepare {
                self.desk.prepare(&mut store, &record, decided).map(|prepared| {
                    json!({
                        "review": String::from_utf8_lossy(&prepared.bytes),
                        "lines": prepared.lines,
                        "next": prepared.next,
                    })
                })
            } else {
                self.desk
                    .seal(&mut store, &record, decided)
                    .map(|told| json!({ "lines": told.lines, "next": told.next }))
            }
        };
        if done.is_ok() && !only_prepare {
            sheet.face().draft.clear();
        }
        drop(sealing);
        if !only_prepare {
            self.follow();
        }
        done.map_err(|why| (409, orders::safe(&why)))
    }
}

/// A review that is being sealed, until that ended, however it did.
struct Sealing<'a>(&'a Sheet);

impl Drop for Sealing<'_> {
    fn drop(&mut self) {
        let mut face = self.0.face();
        face.is_sealing = false;
        let Face { live, draft, .. } = &mut *face;
        draft.follow(live);
    }
}

/// Refuses what comes while the review is being sealed.
fn free(face: &Face) -> Result<(), Refusal> {
    if face.is_sealing { Err((409, "this review is being sealed; in a moment again".to_owned())) } else { Ok(()) }
}

fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|why| (400, format!("this is not what the page sends: {why}")))
}
