//! Which runs and which orders a command is about: `RUN`, `--where`, `--order`, `--first`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::context::{Context, load_job};
use super::exit::UsageError;
use crate::model::order::{Order, OrderState};
use crate::model::record::{OrderRecord, RunRecord};
use crate::model::run::RunId;
use crate::report::review::{ReviewRow, change_text};
use crate::rules::expression::{Bound, Expression};
use crate::rules::problem::nearest;
use crate::store::database::Store;
use crate::store::error::StoreError;

/// Where the packaged service keeps its state.
const SERVICE: &str = "/var/lib/muster";

/// Opens the database of a state folder that is there already; a folder without one is not made by looking at it.
pub(super) fn open_store(context: &Context) -> Result<Store> {
    let root = &context.layout.root;
    match std::fs::metadata(context.layout.db()) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // What is wrong with it, the store tells.
        _ => return Ok(Store::open(&context.layout, context.now())?),
    }
    let service = Path::new(SERVICE);
    let elsewhere = if context.layout.has_runs() {
        ", though folders of runs are there: put it back from a backup, or let `muster run JOB` begin anew".to_owned()
    } else if root != service && service.join("muster.db").is_file() {
        format!("; the service's is {SERVICE}, name it with --state {SERVICE}")
    } else {
        "; start with `muster run JOB`, or name the folder that the job runs with by --state DIR".to_owned()
    };
    bail!(
        "nothing is remembered in {} (chosen by {}): it holds no muster.db{elsewhere}",
        root.display(),
        context.state_from
    )
}

/// The name of a job: as the state folder knows it, or as its file says, by a path or a name looked up in `jobs/`.
///
/// # Errors
/// [`UsageError`] with the nearest name and the jobs that are known; the problems of a job file.
pub(super) fn job_name(store: &Store, name: &str) -> Result<String> {
    let known = store.jobs()?;
    if known.iter().any(|job| job == name) {
        return Ok(name.to_owned());
    }
    if Path::new(name).is_file() || PathBuf::from("jobs").join(format!("{name}.toml")).is_file() {
        return Ok(load_job(name)?.name);
    }
    let hint = nearest(name, known.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
    store.check_runs()?;
    let known = if known.is_empty() { "no job has run yet".to_owned() } else { format!("jobs: {}", known.join(", ")) };
    let root = &store.layout().root;
    let text = format!("no job `{name}` has run in {}{}; {known}", root.display(), hint.unwrap_or_default());
    Err(UsageError(text).into())
}

/// What the commands that are told should name a job by, to somebody who called it `name`: so again, where that is one
/// plain word for a shell and means this job; else its own name.
pub(super) fn typed<'a>(store: &Store, name: &'a str, job: &'a str) -> &'a str {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./@%+=:,".contains(c);
    let means_it = || job_name(store, name).is_ok_and(|known| known == job);
    if !name.starts_with('-') && name.chars().all(is_plain) && means_it() { name } else { job }
}

/// All runs of a job, newest first.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn history(store: &Store, job: &str) -> Result<Vec<RunRecord>> {
    Ok(store.runs(job, 0)?)
}

/// The runs that `RUN` means: a run by its id; for a job, its runs with live orders and those that are held, oldest
/// first, else its newest run.
///
/// # Errors
/// [`UsageError`] where there is no such run or job, with the nearest name.
pub(super) fn runs(store: &Store, name: &str) -> Result<Vec<RunRecord>> {
    if RunId::is_id(name) {
        return Ok(vec![run(store, name)?]);
    }
    let job = job_name(store, name)?;
    let all = history(store, &job)?;
    let Some(newest) = all.first().cloned() else {
        return Err(UsageError(format!("job {job} has not run yet; start with `muster run {name}`")).into());
    };
    let live = store.live_runs(&job)?;
    let mut selected: Vec<RunRecord> =
        all.into_iter().filter(|run| run.state.is_held() || live.contains(&run.id)).collect();
    selected.reverse();
    Ok(if selected.is_empty() { vec![newest] } else { selected })
}

/// One run by its id.
fn run(store: &Store, id: &str) -> Result<RunRecord> {
    let id = RunId(id.to_owned());
    let mut known = Vec::new();
    for job in store.jobs()? {
        for run in store.runs(&job, 0)? {
            if run.id == id {
                return Ok(run);
            }
            known.push(run.id.0);
        }
    }
    store.check_runs()?;
    let hint = match nearest(&id.0, known.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean {near}?"),
        None => "; `muster status` lists the runs".to_owned(),
    };
    Err(UsageError(format!("no run {id} in {}{hint}", store.layout().root.display())).into())
}

/// An order as planned, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct PlannedOrder {
    /// As planned.
    pub order: Order,
    /// Where it stands.
    pub record: OrderRecord,
    /// Who approved it, where somebody did; with how many have to, where not enough did yet.
    pub approved_by: Option<String>,
}

impl PlannedOrder {
    /// As the review shows it.
    pub(super) fn row(&self) -> ReviewRow<'_> {
        ReviewRow {
            order: &self.order,
            state: self.record.state,
            block: self.record.block.as_ref(),
            approved_by: self.approved_by.as_deref(),
        }
    }
}

/// The orders of a run in the plan's sequence; none where the run has no plan.
///
/// # Errors
/// A plan whose files were changed is refused.
pub(super) fn orders(store: &Store, run: &RunRecord) -> Result<Vec<PlannedOrder>> {
    if run.plan_digest.is_none() {
        return Ok(Vec::new());
    }
    store.verify_plan(&run.id)?;
    let mut planned = store.read_orders(&run.id)?;
    let mut orders = Vec::new();
    for record in store.orders_of(&run.id)? {
        match planned.next().transpose()? {
            Some(order) if order.id == record.id => orders.push(PlannedOrder { order, record, approved_by: None }),
            _ => {
                bail!(
                    "run {}: orders.ndjson does not hold order {} where it was planned; plan anew with `muster run {}`",
                    run.id,
                    record.id,
                    run.job
                )
            }
        }
    }
    Ok(orders)
}

/// The error inside of one that says that a run's plan is gone, or is not what was registered.
pub(super) fn lost_plan(error: &anyhow::Error) -> Option<&StoreError> {
    error.downcast_ref::<StoreError>().filter(|error| error.is_lost_plan())
}

/// The columns that `--where` may name.
const COLUMNS: [&str; 14] = [
    "order",
    "operation",
    "resource",
    "key",
    "name",
    "situation",
    "cause",
    "reason",
    "state",
    "block",
    "changes",
    "confidence",
    "irreversible",
    "renamed_from",
];

/// `--where`, `--order`, `--first`: some orders of a run.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only orders for which this CEL expression holds, over order, operation, resource, key, name, situation, cause,
    /// reason, state, block, changes, confidence, irreversible (why it cannot be undone, else empty), renamed_from
    #[arg(long = "where", value_name = "EXPR")]
    pub condition: Option<String>,
    /// Only these orders
    #[arg(long, value_name = "ID", num_args = 1.., value_delimiter = ',')]
    pub order: Vec<String>,
    /// Only the first so many of them
    #[arg(long, value_name = "N")]
    pub first: Option<usize>,
}

impl Filter {
    /// Whether anything is left out.
    pub(super) fn is_set(&self) -> bool {
        self.condition.is_some() || !self.order.is_empty() || self.first.is_some()
    }

    /// The condition, ready for use.
    ///
    /// # Errors
    /// [`UsageError`] for a condition that cannot be used, with the place.
    pub(super) fn matcher(&self) -> Result<Matcher> {
        let Some(text) = &self.condition else { return Ok(Matcher { condition: None, order: self.order.clone() }) };
        let columns = COLUMNS.map(str::to_owned);
        let bound = Expression::condition(text).and_then(|condition| condition.bind(&columns)).map_err(|problem| {
            let place = text.get(..problem.offset).map_or(0, |before| before.chars().count()) + 1;
            UsageError(format!(
                "--where `{text}`, character {place}: {problem}; for example: --where \"operation == 'create'\""
            ))
        })?;
        Ok(Matcher { condition: Some(bound), order: self.order.clone() })
    }

    /// Makes sure that every named order is among some.
    ///
    /// # Errors
    /// [`UsageError`] naming the first that is not, and the nearest.
    pub(super) fn check_known<'a>(
        &self,
        orders: impl Iterator<Item = &'a PlannedOrder> + Clone,
        of: &str,
    ) -> Result<()> {
        for id in &self.order {
            if !orders.clone().any(|order| order.order.id.0 == *id) {
                let hint = match nearest(id, orders.clone().map(|order| order.order.id.0.as_str())) {
                    Some(near) => format!("; did you mean {near}?"),
                    None => format!("; `muster review {of}` lists them"),
                };
                return Err(UsageError(format!("--order {id}: {of} has no such order{hint}")).into());
            }
        }
        Ok(())
    }
}

/// A filter ready for use; `--first` is left to the caller, who knows what counts.
pub(super) struct Matcher {
    condition: Option<Bound>,
    order: Vec<String>,
}

impl Matcher {
    /// Whether an order is meant.
    ///
    /// # Errors
    /// [`UsageError`] where the condition fails for it.
    pub(super) fn matches(&self, planned: &PlannedOrder) -> Result<bool> {
        let order = &planned.order;
        if !self.order.is_empty() && !self.order.contains(&order.id.0) {
            return Ok(false);
        }
        let Some(condition) = &self.condition else { return Ok(true) };
        let holds = condition.holds(&cells(planned));
        holds.map_err(|failure| UsageError(format!("--where, order {}: {failure}", order.id)).into())
    }
}

/// The cells of [`COLUMNS`] for an order.
fn cells(planned: &PlannedOrder) -> Vec<String> {
    let (order, record) = (&planned.order, &planned.record);
    let blocked = record.block.as_ref().filter(|_| record.state == OrderState::Blocked);
    vec![
        order.id.0.clone(),
        order.operation.word().to_owned(),
        order.resource.to_string(),
        order.key.clone(),
        order.name.clone(),
        order.situation.word().to_owned(),
        order.cause.word().to_owned(),
        order.reason.clone(),
        record.state.word().to_owned(),
        blocked.map_or(String::new(), |block| block.reason.word().to_owned()),
        order.changes.iter().map(change_text).collect::<Vec<_>>().join("; "),
        order.confidence.to_string(),
        order.irreversible.clone().unwrap_or_default(),
        order.renamed_from.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::order::{Block, BlockReason, Change, Fingerprint, ObjectKey, Operation, OrderId};
    use crate::model::resource::ResourceName;
    use crate::model::situation::{Cause, Situation};
    use crate::model::value::Value;

    fn planned() -> PlannedOrder {
        let users = ResourceName::new("vault", "users");
        let object = ObjectKey::by_target(&users, "77");
        let block = Some(Block { reason: BlockReason::LowConfidence, detail: "80 %".to_owned() });
        let changes = vec![Change {
            attribute: "title".to_owned(),
            before: Value::text("Nurse"),
            after: Value::text("Head nurse"),
            cause: Cause::Source,
        }];
        let fingerprint = Order::fingerprint_of(&users, Operation::Update, &object, &changes);
        let order = serde_json::json!({
            "id": OrderId::new(&fingerprint, 1), "fingerprint": fingerprint, "operation": "update",
            "resource": users, "sync": 0, "object": object, "key": "77", "name": "jane", "changes": changes,
            "situation": Situation::Changed, "cause": Cause::Source, "reason": "title moved", "confidence": 80,
            "block": block,
        });
        let order: Order = serde_json::from_value(order).unwrap();
        let record = OrderRecord {
            id: order.id.clone(),
            fingerprint: Fingerprint(order.fingerprint.0.clone()),
            raised: 1,
            run: RunId("20261122T150405Z-7f3a".to_owned()),
            job: "people".to_owned(),
            sync_id: "hr.users->vault.users".to_owned(),
            seq: 0,
            resource: users,
            target_identity: "scim https://vault.example.com".to_owned(),
            object,
            key: order.key.clone(),
            operation: order.operation,
            state: OrderState::Blocked,
            block: order.block.clone(),
            approved_by: None,
            approval_expires: None,
            handed_over: false,
            updated: chrono::DateTime::UNIX_EPOCH,
            is_erased: false,
        };
        PlannedOrder { order, record, approved_by: None }
    }

    fn filter(condition: &str) -> Filter {
        Filter { condition: Some(condition.to_owned()), ..Filter::default() }
    }

    #[test]
    fn a_condition_sees_every_column_of_an_order_and_where_it_stands() {
        for holds in [
            "operation == 'update' && resource == 'vault.users' && key == '77' && name == 'jane'",
            "state == 'blocked' && block == 'low-confidence' && situation == 'changed' && cause == 'source'",
            "int(confidence) < 100 && changes.contains('Head nurse') && reason.startsWith('title')",
            "order.startsWith('o-')",
        ] {
            assert!(filter(holds).matcher().unwrap().matches(&planned()).unwrap(), "{holds}");
        }
        assert!(!filter("block == 'conflict'").matcher().unwrap().matches(&planned()).unwrap());
        let mut approved = planned();
        approved.record.state = OrderState::Approved;
        assert!(filter("block == ''").matcher().unwrap().matches(&approved).unwrap(), "blocked no more");
    }

    #[test]
    fn a_wrong_condition_is_told_with_its_place_and_the_nearest_column() {
        let error = filter("operation == 'update' && stat == 'x'").matcher().map(drop).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("character 26") && text.contains("did you mean `state`?"), "{text}");
        assert!(error.is::<UsageError>());
        let other = Filter { order: vec!["o-1".to_owned()], ..Filter::default() };
        assert!(other.check_known([planned()].iter(), "people").unwrap_err().to_string().contains("no such order"));
        assert!(!other.matcher().unwrap().matches(&planned()).unwrap());
    }
}
