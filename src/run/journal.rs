//! The journal's own thread: intents and outcomes of many orders share one commit, and so one fsync.
//!
//! No record, no action: a request leaves only after its intent was acknowledged.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::error::RunError;
use super::send::Clock;
use crate::model::order::OrderId;
use crate::store::approvals::ApprovedPlan;
use crate::store::database::Store;
use crate::store::journal::Finished;
use crate::store::layout::Layout;

/// The most entries that share a commit.
const GROUP: usize = 1_024;

type Answer<T> = oneshot::Sender<Result<T, Arc<RunError>>>;

enum Entry {
    Begin(Arc<ApprovedPlan>, Vec<OrderId>, Answer<Vec<(OrderId, String)>>),
    Finish(Vec<Finished>, Answer<()>),
    Release(Vec<OrderId>, String, Answer<()>),
}

/// Commits intents and outcomes. Dropping it waits until everything is on the disk.
pub(super) struct Journal {
    entries: Option<mpsc::UnboundedSender<Entry>>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the database for writing on a thread of its own.
    pub(super) fn open(layout: &Layout, clock: Clock) -> Result<Self, RunError> {
        let store = Store::open(layout, clock())?;
        let (entries, inbox) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || keep(store, inbox, &clock))
            .map_err(|e| RunError::Here(format!("cannot start the journal: {e}")))?;
        Ok(Self { entries: Some(entries), thread: Some(thread) })
    }

    /// Commits the intents of orders. Those that must not be sent come back, each with a sentence why.
    pub(super) async fn begin(
        &self,
        plan: &Arc<ApprovedPlan>,
        orders: Vec<OrderId>,
    ) -> Result<Vec<(OrderId, String)>, Arc<RunError>> {
        self.ask(|answer| Entry::Begin(plan.clone(), orders, answer)).await
    }

    /// Commits outcomes.
    pub(super) async fn finish(&self, ends: Vec<Finished>) -> Result<(), Arc<RunError>> {
        self.ask(|answer| Entry::Finish(ends, answer)).await
    }

    /// Returns orders whose requests certainly had no effect to approved.
    pub(super) async fn release(&self, orders: Vec<OrderId>, why: String) -> Result<(), Arc<RunError>> {
        self.ask(|answer| Entry::Release(orders, why, answer)).await
    }

    async fn ask<T>(&self, entry: impl FnOnce(Answer<T>) -> Entry) -> Result<T, Arc<RunError>> {
        let gone = || Arc::new(RunError::Here("the journal has ended; nothing more is sent".to_owned()));
        let (answer, answered) = oneshot::channel();
        self.entries.as_ref().ok_or_else(gone)?.send(entry(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.entries.take());
        if let Some(thread) = self.thread.take() {
            // The thread answers every entry with its error; there is nothing left to learn from its end.
            let _ = thread.join();
        }
    }
}

/// Takes whatever waits, and commits it as few transactions as its kinds allow.
fn keep(mut store: Store, mut inbox: mpsc::UnboundedReceiver<Entry>, clock: &Clock) {
    while let Some(first) = inbox.blocking_recv() {
        let mut waiting = vec![first];
        while waiting.len() < GROUP
            && let Ok(entry) = inbox.try_recv()
        {
            waiting.push(entry);
        }
        let mut finishing: Vec<Finishing> = Vec::new();
        let mut beginning: Vec<Beginning> = Vec::new();
        let mut releasing = Vec::new();
        for entry in waiting {
            match entry {
                Entry::Begin(plan, orders, answer) => beginning.push((plan, orders, answer)),
                Entry::Finish(ends, answer) => finishing.push((ends, answer)),
                Entry::Release(orders, why, answer) => releasing.push((orders, why, answer)),
            }
        }
        if releasing.is_empty() && !finishing.is_empty() && !beginning.is_empty() {
            (finishing, beginning) = match turn(&mut store, finishing, beginning, clock) {
                Some(left) => left,
                None => continue,
            };
        }
        finish(&mut store, finishing, clock);
        for (orders, why, answer) in releasing {
            let done = store.release(&orders, &why, clock()).map_err(|e| Arc::new(RunError::from(e)));
            let _ = answer.send(done);
        }
        begin(&mut store, beginning, clock);
    }
}

/// Commits ends and begins together. Where that fails everything comes back, to be tried apart.
fn turn(
    store: &mut Store,
    finishing: Vec<Finishing>,
    beginning: Vec<Beginning>,
    clock: &Clock,
) -> Option<(Vec<Finishing>, Vec<Beginning>)> {
    let ends: Vec<Finished> = finishing.iter().flat_map(|(ends, _)| ends.iter().cloned()).collect();
    let mut begins: Vec<(&ApprovedPlan, Vec<OrderId>)> = Vec::new();
    for (plan, orders, _) in &beginning {
        match begins.iter_mut().find(|(known, _)| std::ptr::eq(*known, &**plan)) {
            Some((_, all)) => all.extend(orders.iter().cloned()),
            None => begins.push((plan, orders.clone())),
        }
    }
    let Ok(begun) = store.turn(&ends, &begins, clock()) else { return Some((finishing, beginning)) };
    let refused: Vec<(OrderId, String)> = begun.into_iter().flat_map(|begun| begun.refused).collect();
    for (_, answer) in finishing {
        let _ = answer.send(Ok(()));
    }
    for (_, orders, answer) in beginning {
        let _ = answer.send(Ok(refused.iter().filter(|(id, _)| orders.contains(id)).cloned().collect()));
    }
    None
}

fn finish(store: &mut Store, entries: Vec<Finishing>, clock: &Clock) {
    if entries.is_empty() {
        return;
    }
    let all: Vec<Finished> = entries.iter().flat_map(|(ends, _)| ends.iter().cloned()).collect();
    if store.finish(&all, clock()).is_ok() {
        for (_, answer) in entries {
            let _ = answer.send(Ok(()));
        }
        return;
    }
    // One that cannot be recorded must not take the others with it: each on its own.
    for (ends, answer) in entries {
        let done = store.finish(&ends, clock()).map(drop).map_err(|e| Arc::new(RunError::from(e)));
        let _ = answer.send(done);
    }
}

/// Ends of attempts, and who waits for them.
type Finishing = (Vec<Finished>, Answer<()>);

/// Orders to be begun, and who waits for them.
type Beginning = (Arc<ApprovedPlan>, Vec<OrderId>, Answer<Vec<(OrderId, String)>>);

fn begin(store: &mut Store, mut entries: Vec<Beginning>, clock: &Clock) {
    while let Some((plan, ..)) = entries.first() {
        let plan = plan.clone();
        let (same, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(p, ..)| Arc::ptr_eq(p, &plan));
        entries = others;
        let all: Vec<OrderId> = same.iter().flat_map(|(_, orders, _)| orders.iter().cloned()).collect();
        match store.begin(&plan, &all, clock()) {
            Ok(begun) => {
                for (_, orders, answer) in same {
                    let refused = begun.refused.iter().filter(|(id, _)| orders.contains(id)).cloned().collect();
                    let _ = answer.send(Ok(refused));
                }
            }
            Err(error) => {
                let error = Arc::new(RunError::from(error));
                for (.., answer) in same {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}
