//! Orders from plan to outcome, with crashes and tampering in between.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::database::Store;
use super::error::StoreError;
use super::journal::{Finding, Finished, Ground};
use super::layout::Layout;
use super::links::LinkChange;
use super::plan_files;
use super::raise::{NewOrder, RegisterPlan};
use super::runs::NewRun;
use super::seal::{SealReport, SealRequest};
use super::verified::ApprovedPlan;
use crate::model::approval::{Approval, Decision, Refusal};
use crate::model::digest::Digest;
use crate::model::evidence::Mode;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::link::{How, Link};
use crate::model::order::{Block, BlockReason, End, EndRef, ObjectKey, Operation, Order, OrderId, OrderState};
use crate::model::outcome::{Effected, Outcome};
use crate::model::plan::Plan;
use crate::model::record::{Hold, HoldKind};
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};
use crate::model::situation::{Cause, Situation};

const JOB: &str = "idp-to-vault";
const SYNC: &str = "idp.users → vault.users";
const TARGET: &str = "scim https://vault.example.com/scim/v2";

struct House {
    _dir: tempfile::TempDir,
    store: Store,
    runs: u16,
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn later(hours: u64) -> DateTime<Utc> {
    now() + Duration::from_secs(hours * 3600)
}

fn rules() -> crate::model::review_terms::ReviewRules {
    Default::default()
}

fn create(key: &str) -> Order {
    let (to, from) = (ResourceName::new("vault", "users"), ResourceName::new("idp", "users"));
    let object = ObjectKey::by_source(&to, &from, key);
    let fingerprint = Order::fingerprint_of(&to, Operation::Create, &object, &[]);
    Order {
        id: OrderId::new(&fingerprint, 1),
        fingerprint,
        operation: Operation::Create,
        resource: to,
        sync: 0,
        object,
        target_id: None,
        source_key: Some(key.to_owned()),
        renamed_from: None,
        source_digest: None,
        key: key.to_owned(),
        name: format!("{key}@corp"),
        changes: Vec::new(),
        ends: Vec::new(),
        references: Vec::new(),
        closes: None,
        after: None,
        situation: Situation::Missing,
        cause: Cause::Initial,
        reason: "wanted and absent".to_owned(),
        confidence: 100,
        takes_along: Vec::new(),
        thresholds: Vec::new(),
        block: None,
        undoes: None,
        ground: String::new(),
        irreversible: None,
    }
}

/// The row that makes a user, who is yet to be created, a member of a group.
fn member(user: &Order, group: &str) -> Order {
    let to = ResourceName::new("vault", "memberships");
    let object = ObjectKey::association(&to, &[&ObjectKey::by_target(&to, group), &user.object]);
    let fingerprint = Order::fingerprint_of(&to, Operation::Add, &object, &[]);
    let end = |name: &str, object| {
        let (name, resource) = (name.to_owned(), ResourceName::new("vault", "users"));
        End { name, resource, object, label: String::new() }
    };
    Order {
        id: OrderId::new(&fingerprint, 1),
        fingerprint,
        operation: Operation::Add,
        resource: to,
        object,
        ends: vec![end("group", EndRef::Target(group.into())), end("user", EndRef::Order(user.id.clone()))],
        ..create(&format!("{} → {group}", user.key))
    }
}

fn blocked(order: Order, reason: BlockReason, detail: &str) -> Order {
    Order { block: Some(Block { reason, detail: detail.to_owned() }), ..order }
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Layout::new(dir.path()), now()).unwrap();
        Self { _dir: dir, store, runs: 0 }
    }

    /// Drops the connection as a kill does, and opens the database again.
    fn reopen(self) -> Self {
        let layout = self.store.layout().clone();
        drop(self.store);
        Self { store: Store::open(&layout, now()).unwrap(), _dir: self._dir, runs: self.runs }
    }

    fn start(&mut self) -> RunId {
        self.runs += 1;
        let id = RunId::new(now() + Duration::from_secs(self.runs.into()), self.runs);
        let (job, job_digest, starter, review) = (JOB.into(), Digest::of(b"job"), "cron".into(), Default::default());
        let run = NewRun { id: id.clone(), job, job_digest, mode: Mode::Complete, starter, review, undoes: None };
        self.store.start_run(&run, now()).unwrap();
        id
    }

    fn plan(
        &mut self,
        orders: &[Order],
        superseded: &[(OrderId, String)],
        holds: &[Hold],
    ) -> Result<RunId, StoreError> {
        let run = self.start();
        let files = plan_files::begin(&self.store.layout().run_folder(JOB, &run), orders).unwrap();
        let plan = serde_json::json!({
            "format_version": Plan::FORMAT, "job": JOB, "job_digest": Digest::of(b"job"), "targets": {}, "snapshots": {},
            "orders_digest": files.orders_digest(), "orders": orders.len(), "counts": {}, "situations": [],
            "excesses": [], "warnings": [format!("plan of {run}")],
        });
        let plan: Plan = serde_json::from_value(plan).unwrap();
        files.show(&plan).unwrap();
        let orders: Vec<NewOrder<'_>> =
            orders.iter().map(|order| NewOrder { order, raised: 1, sync_id: SYNC, target_identity: TARGET }).collect();
        let register = RegisterPlan { run: &run, orders: &orders, superseded, lapsed: &[], holds };
        self.store.register_plan(&register, || Ok(plan.digest()), now()).map(|()| run)
    }

    fn seal(&mut self, run: &RunId, decisions: &[(&Order, Decision)], accepted: &[(&str, &str)]) -> SealReport {
        let request = SealRequest {
            run: run.clone(),
            plan: self.store.run(run).unwrap().plan_digest,
            decisions: decisions.iter().map(|(order, decision)| (order.id.clone(), *decision)).collect(),
            accepted: accepted.iter().map(|(n, f)| ((*n).to_owned(), (*f).to_owned())).collect(),
            reviewer: Some("jane".into()),
            comment: "looked at it".into(),
            expires: later(72),
        };
        self.store.seal(&request, &rules(), now()).unwrap()
    }

    fn state(&self, order: &Order) -> OrderState {
        self.store.order(&order.id).unwrap().state
    }

    fn approved_plan(&self, run: &RunId) -> ApprovedPlan {
        self.store.approved_plan(run, &rules(), now()).unwrap()
    }

    fn begin(&mut self, run: &RunId, order: &Order) -> Vec<OrderId> {
        let plan = self.approved_plan(run);
        self.store.begin(&plan, std::slice::from_ref(&order.id), now()).unwrap().begun
    }

    fn finish(&mut self, order: &Order, state: OrderState) -> Result<Vec<(OrderId, String)>, StoreError> {
        let failed = matches!(state, OrderState::Errored | OrderState::Uncertain);
        let failure =
            failed.then(|| Failure::new(Class::Conflict, Recourse::GiveUp, "vault", "taken", "rename one of the two"));
        let outcome = Outcome {
            order: order.id.clone(),
            state,
            effected: (state == OrderState::Applied).then_some(Effected::Sent),
            target_id: None,
            note: None,
            failure,
            tries: 1,
            at: now(),
        };
        self.store.finish(&[Finished { outcome, links: Vec::new() }], now())
    }
}

use Decision::{Approve, Reject};

#[test]
fn an_order_goes_from_plan_to_outcome_and_all_of_it_is_in_the_log() {
    let mut house = House::new();
    let [jane, joe] = [create("jane"), create("joe")];
    let run = house.plan(&[jane.clone(), joe.clone()], &[], &[]).unwrap();
    assert_eq!(house.store.run(&run).unwrap().state, RunState::Planned);
    let plan = house.approved_plan(&run);
    let refused = house.store.begin(&plan, std::slice::from_ref(&jane.id), now()).unwrap();
    assert!(refused.begun.is_empty() && refused.refused[0].why.contains("pending-review"), "{refused:?}");

    let report = house.seal(&run, &[(&jane, Approve), (&joe, Reject)], &[]);
    assert_eq!((report.number, report.approved, report.rejected.len()), (Some(1), vec![jane.id.clone()], 1));
    assert_eq!(house.begin(&run, &jane), std::slice::from_ref(&jane.id));
    assert!(house.begin(&run, &jane).is_empty(), "an order is never begun twice");
    let link = Link { source_key: "jane".into(), target_id: "17".into(), how: How::Applied, agreed: None };
    let outcome = Outcome {
        order: jane.id.clone(),
        state: OrderState::Applied,
        effected: Some(Effected::Sent),
        target_id: Some("17".into()),
        note: None,
        failure: None,
        tries: 2,
        at: now(),
    };
    let end = Finished { outcome: outcome.clone(), links: vec![LinkChange::Put(link.clone())] };
    house.store.finish(std::slice::from_ref(&end), now()).unwrap();
    assert!(house.store.finish(&[end], now()).is_err(), "an outcome is recorded once");
    assert_eq!(house.store.outcomes(&run).unwrap(), [outcome]);
    assert_eq!(house.store.link_of(JOB, SYNC, &link.source_key).unwrap(), Some(link));

    let query = super::chain_query::LogQuery { key: Some("jane".into()), ..Default::default() };
    let kinds: Vec<String> = house.store.log(&query).unwrap().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["orders-raised", "orders-approved", "orders-begun", "order-applied"]);
    assert!(house.store.verify_log().unwrap().is_ok());
}

#[test]
fn a_kill_between_begin_and_finish_shows_and_is_settled_once() {
    let mut house = House::new();
    let orders = [create("a"), create("b"), create("c")];
    let run = house.plan(&orders, &[], &[]).unwrap();
    house.seal(&run, &orders.each_ref().map(|order| (order, Approve)), &[]);
    let plan = house.approved_plan(&run);
    let ids = orders.each_ref().map(|order| order.id.clone());
    house.store.begin(&plan, &ids[..2], now()).unwrap();
    let mut house = house.reopen();
    let open: Vec<OrderId> = house.store.in_flight(JOB).unwrap().into_iter().map(|order| order.id).collect();
    assert_eq!(open, ids[..2]);
    // Nobody decides on or replaces what is in flight.
    assert_eq!(house.seal(&run, &[(&orders[0], Reject)], &[]).skipped.len(), 1);
    assert!(house.store.supersede(&[(ids[0].clone(), "gone".into())], now()).is_err());
    house.finish(&orders[0], OrderState::Applied).unwrap();
    house.store.release(&ids[1..2], "its request was not sent", now()).unwrap();
    assert!(house.store.in_flight(JOB).unwrap().is_empty());
    assert_eq!(house.state(&orders[1]), OrderState::Approved);
    assert_eq!(house.begin(&run, &orders[1]), [ids[1].clone()]);
    house.finish(&orders[1], OrderState::Uncertain).unwrap();
    house.store.settle(&ids[1], Finding::HadNoEffect, "jane", "looked there", &[], now()).unwrap();
    assert_eq!(house.state(&orders[1]), OrderState::PendingReview);
    assert_eq!(house.store.outcomes(&run).unwrap().len(), 2);
}

#[test]
fn an_object_has_one_live_order_across_jobs_and_a_failed_plan_leaves_nothing() {
    let mut house = House::new();
    let first = create("jane");
    let old = house.plan(std::slice::from_ref(&first), &[], &[]).unwrap();
    let fingerprint = crate::model::order::Fingerprint("00ff00ff00ff00ff".into());
    let second = Order { id: OrderId::new(&fingerprint, 1), fingerprint, ..first.clone() };
    let both = [create("joe"), second.clone()];
    let error = house.plan(&both, &[], &[]).unwrap_err();
    assert!(matches!(&error, StoreError::AlreadyLive { live, .. } if *live == first.id), "{error}");
    assert!(house.store.order(&both[0].id).is_err(), "nothing of the plan is there");
    assert!(matches!(
        house.plan(std::slice::from_ref(&first), &[(first.id.clone(), "again".into())], &[]),
        Err(StoreError::OrderExists { .. })
    ));
    let replaced = [(first.id.clone(), "replaced".to_owned())];
    house.plan(std::slice::from_ref(&second), &replaced, &[]).unwrap();
    assert_eq!(house.state(&first), OrderState::Superseded);
    assert_eq!(house.store.live_for(TARGET, &first.object).unwrap().unwrap().id, second.id);
    assert_eq!(house.store.newest_for_object_of(&first.id).unwrap().id, second.id);
    let newest = |job, target| house.store.standing(job, target, &[&first.fingerprint]).unwrap().remove(0).newest;
    let known = Some((first.id.clone(), OrderState::Superseded, false));
    assert_eq!([newest(JOB, TARGET), newest("other", TARGET), newest(JOB, "elsewhere")], [known, None, None]);
    let report = house.seal(&old, &[(&first, Approve)], &[]);
    assert_eq!((report.number, report.skipped.len()), (None, 1));
}

#[test]
fn what_cannot_be_approved_is_refused_and_says_what_it_takes() {
    let mut house = House::new();
    let hold = |name: &str| Hold {
        kind: HoldKind::Plan,
        name: name.into(),
        detail: String::new(),
        figure: "30 of 40".into(),
        first: Vec::new(),
        excess: None,
    };
    let [plain, limited, other] = [
        create("plain"),
        blocked(create("limited"), BlockReason::Threshold, "vault.users/create/count: 30, the limit is 5"),
        blocked(create("other"), BlockReason::Threshold, "vault.users/create/percent: 75 %"),
    ];
    let unsure = Order {
        target_id: Some("9".into()),
        ..blocked(create("unsure"), BlockReason::LowConfidence, "80 % by e-mail")
    };
    let torn = blocked(create("torn"), BlockReason::Ambiguous, "two candidates");
    let empty = blocked(create("empty"), BlockReason::Incomplete, "emails is empty");
    let orders = [&plain, &limited, &other, &unsure, &torn, &empty].map(Clone::clone);
    let holds = [hold("vault.users/create/count"), hold("vault.users/create/percent")];
    let run = house.plan(&orders, &[], &holds).unwrap();

    let report = house.seal(&run, &orders.each_ref().map(|order| (order, Approve)), &[]);
    assert_eq!(report.approved, {
        let mut ids = vec![plain.id.clone(), unsure.id.clone()];
        ids.sort();
        ids
    });
    let refused: Vec<&OrderId> = report.refused.iter().map(|(id, _)| id).collect();
    assert_eq!(refused.len(), 4);
    assert!(
        report.refused.iter().any(|(id, why)| *id == limited.id && why.contains("--accept vault.users/create/count"))
    );
    assert_eq!(house.store.link_of(JOB, SYNC, "unsure").unwrap().unwrap().how, How::Person);
    // Approving orders accepts no threshold: the whole plan is held.
    assert!(house.begin(&run, &plain).is_empty());

    let report = house.seal(&run, &[(&limited, Approve)], &[("vault.users/create/count", "30 of 40")]);
    assert_eq!((report.approved.len(), report.unblocked), (1, vec![limited.id.clone()]));
    assert_eq!(house.state(&other), OrderState::Blocked);
    assert_eq!(house.store.run(&run).unwrap().state, RunState::HeldPlan);
    assert!(house.begin(&run, &plain).is_empty());
    let report = house.seal(&run, &[], &[("vault.users/create/percent", "30 of 40")]);
    assert_eq!((report.number, report.unblocked, report.holds.len()), (Some(3), vec![other.id.clone()], 0));
    assert_eq!(house.store.run(&run).unwrap().state, RunState::Planned);
    assert_eq!(house.begin(&run, &plain).len(), 1);
    // A threshold that was accepted once is not accepted for another run.
    let next = house.plan(&[], &[], &holds).unwrap();
    assert_eq!(house.store.unaccepted_holds(&next).unwrap().len(), 2);
}

#[test]
fn an_accepted_suspicion_is_remembered_until_its_figure_changes() {
    let mut house = House::new();
    let hold = |figure: &str| Hold {
        kind: HoldKind::Suspicion,
        name: "idp.users/total".into(),
        detail: String::new(),
        figure: figure.into(),
        first: Vec::new(),
        excess: None,
    };
    let run = house.start();
    house.store.hold(&run, RunState::HeldSnapshot, &[hold("1 of 2")], now()).unwrap();
    let wrong = SealRequest {
        run: run.clone(),
        plan: None,
        decisions: BTreeMap::new(),
        accepted: BTreeMap::from([("idp.users/total".into(), "2 of 2".into())]),
        reviewer: Some("jane".into()),
        comment: String::new(),
        expires: later(1),
    };
    assert!(matches!(house.store.seal(&wrong, &rules(), now()), Err(StoreError::NotHeld { .. })));
    let right = SealRequest { accepted: BTreeMap::from([("idp.users/total".into(), "1 of 2".into())]), ..wrong };
    assert_eq!(house.store.seal(&right, &rules(), now()).unwrap().number, Some(1));
    assert_eq!(house.store.verify(&run, 1, &rules(), now()).unwrap().approval.plan, None);

    for (figure, left) in [("1 of 2", 0), ("1 of 3", 1)] {
        let run = house.start();
        house.store.hold(&run, RunState::HeldSnapshot, &[hold(figure)], now()).unwrap();
        assert_eq!(house.store.unaccepted_holds(&run).unwrap().len(), left, "{figure}");
    }
}

#[test]
fn rows_that_need_an_order_follow_its_fate() {
    let mut house = House::new();
    let [jane, joe] = [create("jane"), create("joe")];
    let (of_jane, of_joe) = (member(&jane, "g"), member(&joe, "g"));
    let orders = [&jane, &joe, &of_jane, &of_joe].map(Clone::clone);
    let run = house.plan(&orders, &[], &[]).unwrap();
    let report = house.seal(&run, &[(&jane, Approve), (&joe, Reject), (&of_jane, Approve), (&of_joe, Approve)], &[]);
    assert_eq!(report.blocked.len(), 1);
    assert!(report.blocked[0].0 == of_joe.id && report.blocked[0].1.contains("rejected"), "{:?}", report.blocked);
    house.begin(&run, &jane);
    let blocked = house.finish(&jane, OrderState::Errored).unwrap();
    assert_eq!(blocked.len(), 1);
    let record = house.store.order(&of_jane.id).unwrap();
    assert_eq!(record.block.unwrap().reason, BlockReason::MissingReference);
    // Trying again lets the row go with it, under the approval that it had.
    let again = house.store.retry(std::slice::from_ref(&jane.id), "jane", now()).unwrap();
    assert_eq!(again, [jane.id.clone(), of_jane.id.clone()]);
    assert_eq!((house.state(&jane), house.state(&of_jane)), (OrderState::Approved, OrderState::Approved));
    assert_eq!(house.begin(&run, &of_jane).len(), 1);
}

#[test]
fn an_approval_ends_with_its_time() {
    let mut house = House::new();
    let jane = create("jane");
    let run = house.plan(std::slice::from_ref(&jane), &[], &[]).unwrap();
    house.seal(&run, &[(&jane, Approve)], &[]);
    let plan = house.approved_plan(&run);
    let begun = house.store.begin(&plan, std::slice::from_ref(&jane.id), later(72)).unwrap();
    assert_eq!(begun.refused[0].ground, Ground::Expired, "{begun:?}");
    let plan = house.store.approved_plan(&run, &rules(), later(72)).unwrap();
    assert!(matches!(plan.refusals(), [Refusal::Expired { number: 1, .. }]));
    // Approved again, it goes on under the new approval.
    let request = SealRequest {
        run: run.clone(),
        plan: house.store.run(&run).unwrap().plan_digest,
        decisions: BTreeMap::from([(jane.id.clone(), Approve)]),
        accepted: BTreeMap::new(),
        reviewer: Some("jane".into()),
        comment: String::new(),
        expires: later(100),
    };
    assert_eq!(house.store.seal(&request, &rules(), later(73)).unwrap().number, Some(2));
    let plan = house.store.approved_plan(&run, &rules(), later(74)).unwrap();
    assert_eq!(house.store.begin(&plan, std::slice::from_ref(&jane.id), later(74)).unwrap().begun.len(), 1);
}

#[test]
fn whatever_is_tampered_with_is_refused_by_name() {
    let mut house = House::new();
    let [jane, joe, jim] = [create("jane"), create("joe"), create("jim")];
    let run = house.plan(&[jane.clone(), joe.clone()], &[], &[]).unwrap();
    let other = house.plan(std::slice::from_ref(&jim), &[], &[]).unwrap();
    house.seal(&run, &[(&jane, Approve)], &[]);
    house.seal(&other, &[(&jim, Approve)], &[]);
    let layout = house.store.layout().clone();
    let refusal = |house: &House, number| match house.store.verify(&run, number, &rules(), now()) {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let path = layout.approval(JOB, &run, 1);
    let sealed = std::fs::read(&path).unwrap();
    let approval: Approval = serde_json::from_slice(&sealed).unwrap();

    // One more order slipped in, with a digest that fits.
    let mut more = approval.clone();
    more.decisions.insert(joe.id.clone(), Approve);
    more.decisions_digest = Approval::digest_of(&more.decisions);
    std::fs::write(&path, more.to_bytes()).unwrap();
    assert!(matches!(refusal(&house, 1), Refusal::Altered { number: 1, .. }));
    // A later end.
    std::fs::write(&path, Approval { expires: later(9_999), ..approval.clone() }.to_bytes()).unwrap();
    assert!(matches!(refusal(&house, 1), Refusal::Altered { .. }));
    // Another run's approval, copied over it, or beside it.
    std::fs::copy(layout.approval(JOB, &other, 1), &path).unwrap();
    assert!(matches!(refusal(&house, 1), Refusal::OtherRun { other: ref o, .. } if *o == other));
    std::fs::copy(layout.approval(JOB, &other, 1), layout.approval(JOB, &run, 7)).unwrap();
    assert!(matches!(refusal(&house, 7), Refusal::OtherRun { number: 7, .. }));
    // A file that nobody sealed.
    std::fs::write(layout.approval(JOB, &run, 8), Approval { at: later(1), ..approval.clone() }.to_bytes()).unwrap();
    assert!(matches!(refusal(&house, 8), Refusal::Unknown { number: 8, .. }));
    // Gone.
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(refusal(&house, 1), Refusal::Altered { .. }));
    let plan = house.approved_plan(&run);
    assert_eq!((plan.approvals().holding().len(), plan.refusals().len()), (0, 3));
    assert!(house.store.begin(&plan, std::slice::from_ref(&jane.id), now()).unwrap().begun.is_empty());
    std::fs::write(&path, &sealed).unwrap();
    let late = house.store.verify(&run, 1, &rules(), later(72));
    assert!(matches!(late, Err(StoreError::Refused(Refusal::Expired { .. }))));
    assert_eq!(house.store.verify(&run, 1, &rules(), now()).unwrap().approval, approval);

    // The database alone says approved: the sealed file does not.
    house.store.connection().execute_batch("UPDATE orders SET state = 'approved', approved_by = 1, approval_expires = '2099-01-01T00:00:00.000000000Z' WHERE key = 'joe'").unwrap();
    assert!(house.begin(&run, &joe).is_empty());

    // plan.json or orders.ndjson.
    for file in [layout.orders(JOB, &run), layout.plan(JOB, &run)] {
        let whole = std::fs::read(&file).unwrap();
        let changed = [&whole[..], b" "].concat();
        for change in [Some(changed), None] {
            match &change {
                Some(bytes) => std::fs::write(&file, bytes).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            let refused = house.store.approved_plan(&run, &rules(), now());
            assert!(matches!(refused, Err(StoreError::Refused(Refusal::PlanChanged { .. }))), "{file:?} {refused:?}");
        }
        std::fs::write(&file, whole).unwrap();
    }
    assert_eq!(house.begin(&run, &jane).len(), 1);
    let orders: Vec<Order> = house.store.read_orders(&run).unwrap().map(Result::unwrap).collect();
    assert_eq!(orders, [jane, joe]);
}
