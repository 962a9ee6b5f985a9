//! The journal's own thread: intents and outcomes of many orders share one commit, and so one fsync.
//!
//! No record, no action: a request leaves only after its intent was acknowledged.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::error::RunError;
use super::send::Clock;
use crate::model::order::OrderId;
use crate::store::database::Store;
use crate::store::journal::{Begun, Finished, Refused};
use crate::store::layout::Layout;
use crate::store::verified::ApprovedPlan;

/// Orders that are to be begun, by the verified plan that they stand in.
type Intents = Vec<(Arc<ApprovedPlan>, Vec<OrderId>)>;

/// What of a turn is on the disk.
#[derive(Default)]
pub(super) struct Turned {
    /// The requests of these may leave.
    pub(super) begun: HashSet<OrderId>,
    /// The requests of these must not.
    pub(super) refused: Vec<Refused>,
    /// Orders whose outcome could not be recorded.
    pub(super) unrecorded: BTreeSet<OrderId>,
    /// Why something is not on the disk, where something is not.
    pub(super) error: Option<RunError>,
}

struct Turn {
    ends: Vec<Finished>,
    intents: Intents,
    answer: oneshot::Sender<Turned>,
}

/// Commits intents and outcomes. Dropping it waits until everything is on the disk.
pub(super) struct Journal {
    turns: Option<mpsc::Sender<Turn>>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the database for writing on a thread of its own.
    pub(super) fn open(layout: &Layout, clock: Clock) -> Result<Self, RunError> {
        let mut store = Store::open(layout, clock())?;
        let (turns, inbox) = mpsc::channel::<Turn>();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                for turn in inbox {
                    // Whoever asked may be gone; what is on the disk counts all the same.
                    let _ = turn.answer.send(commit(&mut store, &turn.ends, &turn.intents, &clock));
                }
            })
            .map_err(|e| RunError::Here(format!("cannot start the journal: {e}")))?;
        Ok(Self { turns: Some(turns), thread: Some(thread) })
    }

    /// Commits outcomes, and the intents of further orders. No answer means that the journal has ended.
    pub(super) fn turn(&self, ends: Vec<Finished>, intents: Intents) -> oneshot::Receiver<Turned> {
        let (answer, answered) = oneshot::channel();
        if let Some(turns) = &self.turns {
            // Where the thread is gone the answer is dropped, which says so.
            let _ = turns.send(Turn { ends, intents, answer });
        }
        answered
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.turns.take());
        if let Some(thread) = self.thread.take() {
            // The thread answers every turn with its error; there is nothing left to learn from its end.
            let _ = thread.join();
        }
    }
}

fn commit(store: &mut Store, ends: &[Finished], intents: &Intents, clock: &Clock) -> Turned {
    let mut turned = Turned::default();
    let beginning: Vec<(&ApprovedPlan, &[OrderId])> = intents.iter().map(|(plan, ids)| (&**plan, &ids[..])).collect();
    if let Ok(begun) = store.turn(ends, &beginning, clock()) {
        begun.into_iter().for_each(|begun| turned.add(begun));
        return turned;
    }
    // One that cannot be recorded must not take the others with it: each on its own.
    for end in ends {
        if let Err(error) = store.finish(std::slice::from_ref(end), clock()) {
            turned.unrecorded.insert(end.outcome.order.clone());
            turned.error.get_or_insert(error.into());
        }
    }
    for (plan, orders) in beginning {
        match store.begin(plan, orders, clock()) {
            Ok(begun) => turned.add(begun),
            Err(error) => {
                turned.error.get_or_insert(error.into());
            }
        }
    }
    turned
}

impl Turned {
    fn add(&mut self, begun: Begun) {
        self.begun.extend(begun.begun);
        self.refused.extend(begun.refused);
    }
}
