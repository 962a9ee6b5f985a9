//! Runs whose folder was removed or damaged while orders of theirs live: what was not sent is given up, and what is under
//! way is left to be looked up.

use std::collections::BTreeSet;

use super::Conductor;
use super::error::RunError;
use crate::model::event::Event;
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::numbers::counted;
use crate::model::order::{Order, OrderId, OrderState};
use crate::model::outcome::Outcome;
use crate::model::record::OrderRecord;
use crate::model::run::RunId;
use crate::store::database::Store;
use crate::store::error::StoreError;
use crate::store::given_up::GivenUp;
use crate::store::journal::Finished;

impl Conductor {
    /// Gives up what of lost plans was not sent, so that the plan that is about to be made raises what is still wanted;
    /// a sentence for each run.
    pub(super) fn give_up_lost(&mut self) -> Result<Vec<String>, RunError> {
        let mut told = Vec::new();
        for run in self.store.live_runs(&self.job.name)? {
            let lost = match self.store.verify_plan(&run) {
                Ok(_) => continue,
                Err(error) if error.is_lost_plan() => error,
                Err(error) => return Err(error.into()),
            };
            let given_up = self.store.give_up(&run, &lost.to_string(), (self.clock)())?;
            if given_up.orders == 0 {
                continue;
            }
            let text = sentence(&run, given_up, &lost.plan_loss().unwrap_or_else(|| lost.to_string()));
            self.reporter.event(&Event::Warning(text.clone()));
            told.push(text);
        }
        Ok(told)
    }

    /// An order that was in flight, and of which nothing but its name is known: a person has to look.
    pub(super) fn settle_lost(&mut self, record: &OrderRecord) -> Result<(), RunError> {
        let OrderRecord { id, run, operation, resource, key, .. } = record;
        let mut failure = Failure::new(
            Class::Configuration,
            Recourse::GiveUp,
            &resource.system,
            format!(
                "the {operation} of {key} was in flight when muster ended, and what it was to change is lost with orders.ndjson of run {run}"
            ),
            format!(
                "look at {key} in {resource}, and say whether the {operation} is in effect: `muster settle {id} --took-effect --comment …`, or `--had-no-effect`"
            ),
        );
        failure.effect = Effect::Unknown;
        let outcome = Outcome {
            order: id.clone(),
            state: OrderState::Uncertain,
            effected: None,
            target_id: None,
            note: None,
            failure: Some(failure),
            tries: 1,
            at: (self.clock)(),
        };
        let at = outcome.at;
        self.store.finish(&[Finished { outcome: outcome.clone(), links: Vec::new() }], at)?;
        self.reporter.event(&Event::Ended(Box::new(outcome)));
        Ok(())
    }
}

/// Orders of a run by their ids, from a plan that may be damaged: what can be read of that is believed where its content
/// still is the one that its id names.
pub(super) fn readable_orders(store: &Store, run: &RunId, ids: &BTreeSet<&OrderId>) -> Result<Vec<Order>, RunError> {
    let is_whole = match store.verify_plan(run) {
        Ok(_) => true,
        Err(error) if error.is_lost_plan() => false,
        Err(error) => return Err(error.into()),
    };
    let mut orders = Vec::with_capacity(ids.len());
    for order in store.read_orders(run).into_iter().flatten() {
        let order = match order {
            Ok(order) => order,
            Err(StoreError::Content { .. }) if !is_whole => continue,
            // It is no text any more; what stands behind that cannot be found.
            Err(_) if !is_whole => break,
            Err(error) => return Err(error.into()),
        };
        if ids.contains(&order.id) && (is_whole || order.is_of_its_id()) {
            orders.push(order);
        }
    }
    Ok(orders)
}

/// The orders of a run, one after the other; of a plan that is damaged those before the damage, of one that is gone none.
pub(super) fn orders_left<'s>(
    store: &'s Store,
    run: &'s RunId,
) -> Result<impl Iterator<Item = Result<Order, RunError>> + use<'s>, RunError> {
    let is_lost = |store: &Store, run: &RunId| store.verify_plan(run).is_err_and(|error| error.is_lost_plan());
    let orders = match store.read_orders(run) {
        Ok(orders) => Some(orders),
        Err(_) if is_lost(store, run) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(orders.into_iter().flatten().map_while(move |order| match order {
        Ok(order) => Some(Ok(order)),
        Err(_) if is_lost(store, run) => None,
        Err(error) => Some(Err(error.into())),
    }))
}

fn sentence(run: &RunId, GivenUp { orders, undoing, under_way }: GivenUp, why: &str) -> String {
    let mut text = format!(
        "{why}; {} of it {} given up (stale), not sent; this run plans anew what is still wanted, for a new review",
        counted(orders, "order"),
        if orders == 1 { "is" } else { "are" }
    );
    if undoing > 0 {
        text.push_str(&format!(
            "; {} to undo something, which only `muster revert` asks for again",
            if undoing == 1 { "1 of them was".to_owned() } else { format!("{undoing} of them were") }
        ));
    }
    if under_way > 0 {
        text.push_str(&format!(
            "; {} under way: `muster report {run}` tells which, and what to look for at the target",
            if under_way == 1 { "1 is".to_owned() } else { format!("{under_way} are") }
        ));
    }
    text
}
