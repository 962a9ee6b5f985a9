//! What a plan wants to do, in one screen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::explanation::explanation_text;
use chrono::{DateTime, Utc};

use super::figures::{count, counted, examples, time};
use super::safe_text;
use super::table::{Column, Format, Listing};
use crate::model::order::{BlockReason, Operation, Remedy};
use crate::model::plan::{LeftOrder, Plan, Withheld};
use crate::model::resource::ResourceName;
use crate::model::run::RunId;

/// Lines of a list that are shown.
const LISTED: usize = 30;

/// A plan and what the database knows about its orders.
#[derive(Clone, Copy, Debug)]
pub struct PlanView<'a> {
    /// The run that made it.
    pub run: &'a RunId,
    /// The plan.
    pub plan: &'a Plan,
    /// Live orders of earlier runs that stay where they are.
    pub kept: u64,
    /// Live orders of earlier runs that are replaced or no longer wanted.
    pub superseded: u64,
    /// Orders of this plan that are blocked, by reason.
    pub blocked: &'a BTreeMap<BlockReason, u64>,
    /// Orders of this plan that wait for a person.
    pub waiting: u64,
    /// Of those that wait: the keys of rows with several candidates, which no approval settles.
    pub choices: &'a [String],
    /// Orders of this plan that are approved and not applied yet.
    pub approved: u64,
    /// Orders of this plan that failed.
    pub errored: u64,
    /// Orders of this plan of which nobody can tell whether they took effect, by id.
    pub uncertain: &'a [String],
}

/// The summary of a plan for people: orders by resource type and operation, thresholds that tripped, blocked orders by
/// reason, warnings. What to type next is [`plan_next`].
pub fn plan_summary(view: &PlanView, width: usize) -> String {
    let plan = view.plan;
    let undoes = plan.reverts.as_ref().map(|reverted| format!(", undoes run {}", reverted.run)).unwrap_or_default();
    let mut text = format!("run {} of job {}{undoes}\n", view.run, safe_text::line(&plan.job));
    if plan.orders == 0 {
        text.push_str("  no new orders\n");
    } else {
        let _ = writeln!(text, "  {}", counted(plan.orders, "new order"));
        text.push_str(&indented(&by_operation(&plan.counts).render(Format::Table, width.saturating_sub(4)), 4));
        for (resource, number) in &plan.renames {
            let are = if *number == 1 { "is" } else { "are" };
            let _ = writeln!(text, "    of these {are} {} in {resource}", counted(*number, "rename"));
        }
    }
    for (number, what) in
        [(view.kept, "of earlier runs still wanted, where they were"), (view.superseded, "of earlier runs superseded")]
    {
        if number > 0 {
            let _ = writeln!(text, "  {} {what}", counted(number, "order"));
        }
    }
    let first: Vec<&str> = plan.situations.iter().filter(|s| s.first_run).map(|s| s.sync.as_str()).collect();
    if !first.is_empty() {
        let _ = writeln!(
            text,
            "  first load of {}:\n    every order waits for a person; thresholds in numbers hold it, in percent not yet",
            safe_text::line(&first.join(", "))
        );
    }
    for (sync, grace) in plan.situations.iter().filter_map(|sync| Some((&sync.sync, sync.grace.as_ref()?))) {
        let _ = writeln!(text, "  {}: {}", safe_text::line(sync), in_grace(grace.objects, grace.due));
    }
    if !plan.excesses.is_empty() {
        text.push_str("\nheld, because a threshold is exceeded:\n");
        for excess in &plan.excesses {
            let _ = writeln!(text, "  {}", safe_text::line(&excess.sentence()));
            let first = examples(excess.first.iter().map(String::as_str), excess.figure, 5);
            if !first.is_empty() {
                let _ = writeln!(text, "    {first}");
            }
            if let Some(explanation) = &excess.explanation {
                text.push_str(&explanation_text(explanation, 4));
            }
        }
    }
    if view.blocked.values().any(|number| *number > 0) {
        text.push_str("\nblocked:\n");
        for (reason, number) in view.blocked.iter().filter(|(_, number)| **number > 0) {
            let way_out = way_out(*reason, plan.reverts.is_some());
            let _ = writeln!(text, "  {}  {reason}: {way_out}", count(*number));
        }
    }
    if plan.irreversible > 0 {
        let verb = if plan.irreversible == 1 { "order" } else { "orders" };
        let _ = writeln!(
            text,
            "\ncannot be undone once applied: {} {verb}, marked below; list: muster review {} --where \"irreversible != ''\"",
            count(plan.irreversible),
            view.run
        );
    }
    if !plan.withheld.is_empty() {
        let _ = writeln!(
            text,
            "\nwanted and not raised again (muster plan {} --ask-again raises it):",
            safe_text::line(&plan.job)
        );
        let told = |w: &Withheld| match w.why.contains(&w.order.0) {
            true => format!("{}: {}", w.about, w.why),
            false => format!("{}: {} ({})", w.about, w.why, w.order),
        };
        listed(&mut text, plan.withheld.iter().map(told));
    }
    if let Some(reverted) = &plan.reverts {
        let left: Vec<&LeftOrder> = reverted.left.iter().filter(|left| !left.is_undone).collect();
        if !left.is_empty() {
            text.push_str("\nleft as it is at the target:\n");
            listed(&mut text, left.into_iter().map(left_text));
        }
    }
    if !plan.warnings.is_empty() {
        text.push_str("\nto know:\n");
        for warning in &plan.warnings {
            let _ = writeln!(text, "  {}", safe_text::line(warning));
        }
    }
    text
}

/// An applied order that is not undone, with the reason; safe for a terminal.
pub fn left_text(left: &LeftOrder) -> String {
    let text = format!("{} {} `{}` ({}): {}", left.operation, left.resource, left.key, left.order, left.why);
    safe_text::line(&text).into_owned()
}

/// Lines of a list, of a long one the first.
fn listed(text: &mut String, lines: impl ExactSizeIterator<Item = String>) {
    let more = lines.len().saturating_sub(LISTED);
    for line in lines.take(LISTED) {
        let _ = writeln!(text, "  {}", safe_text::line(&line));
    }
    if more > 0 {
        let _ = writeln!(text, "  and {} more, in the run's plan.json", count(more as u64));
    }
}

/// Orders counted: a row a resource type, a column an operation that occurs.
pub(super) fn by_operation(counts: &BTreeMap<ResourceName, BTreeMap<Operation, u64>>) -> Listing {
    let occurs = |operation: &&Operation| counts.values().any(|counts| counts.contains_key(*operation));
    let operations: Vec<Operation> = Operation::ALL.iter().filter(occurs).copied().collect();
    let mut columns = vec![Column::new("to")];
    columns.extend(operations.iter().map(|operation| Column::whole(operation.word())));
    let mut listing = Listing::new(columns);
    for (resource, numbers) in counts {
        let mut row = vec![resource.to_string().into()];
        row.extend(operations.iter().map(|operation| numbers.get(operation).copied().into()));
        listing.push(row);
    }
    listing
}

/// Objects that wait for the end of their grace, and when the first delete becomes due.
pub(super) fn in_grace(objects: u64, due: Option<DateTime<Utc>>) -> String {
    let verb = if objects == 1 { "waits for its" } else { "wait for their" };
    let due = due.map(|due| format!("; the first becomes due {}", time(due))).unwrap_or_default();
    format!("{} {verb} delete{due}", counted(objects, "object"))
}

/// What gets a blocked order going, in half a sentence. What undoes another is planned anew only where it is asked for.
pub fn way_out(reason: BlockReason, undoes: bool) -> &'static str {
    match reason.remedy() {
        Remedy::CauseGone if undoes => "cannot be approved; revert again when its cause is gone",
        Remedy::Approval => "a person lifts it by approving the order",
        Remedy::Acceptance => "lifted by accepting the threshold",
        Remedy::Choice => "choose with `muster link JOB KEY TARGET`",
        Remedy::CauseGone => "cannot be approved; clears itself when its cause is gone",
    }
}

/// What brings a plan forward: the next command to type, after the orders were read.
pub fn plan_next(view: &PlanView) -> String {
    let run = view.run;
    if !view.plan.excesses.is_empty() {
        let names = view.plan.excesses.iter().map(|excess| format!(" --accept {}", safe_text::line(&excess.name)));
        let names = names.collect::<String>();
        return format!("next, if that is as it should be: muster approve {run}{names} --comment \"why\"\n");
    }
    if let Some(order) = view.uncertain.first() {
        let orders = counted(view.uncertain.len() as u64, "uncertain order");
        return format!(
            "{orders}: look at the target\nnext: muster settle {order} --took-effect (or --had-no-effect) --comment \"why\"\n"
        );
    }
    if let Some(key) = view.choices.first().filter(|_| view.choices.len() as u64 == view.waiting) {
        let have = if view.waiting == 1 { "row has" } else { "rows have" };
        return format!(
            "{} {have} several candidates\nnext: muster link {} {} TARGET\n",
            count(view.waiting),
            safe_text::line(&view.plan.job),
            safe_text::line(key)
        );
    }
    if view.waiting > 0 {
        let verb = if view.waiting == 1 { "waits" } else { "wait" };
        return format!(
            "{} {verb} for review\nnext: muster approve {run} --all --comment \"why\"\nor:   muster reject {run} --order ID --comment \"why\"\n",
            counted(view.waiting, "order")
        );
    }
    if view.errored > 0 {
        return format!("{} errored\nnext: muster report {run}\n", counted(view.errored, "order"));
    }
    if view.approved > 0 {
        let verb = if view.approved == 1 { "is" } else { "are" };
        return format!("{} {verb} approved\nnext: muster apply {run}\n", counted(view.approved, "order"));
    }
    "nothing waits for review\n".to_owned()
}

/// A text with blanks before each line.
pub(super) fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;
    use crate::model::plan::SyncSituations;
    use crate::model::threshold::Excess;

    fn plan() -> Plan {
        let users = ResourceName::new("vault", "users");
        let groups = ResourceName::new("vault", "groups");
        Plan {
            format_version: Plan::FORMAT,
            job: "idp-to-vault".to_owned(),
            job_digest: Digest::of(b"job"),
            targets: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            orders_digest: Digest::of(b"orders"),
            orders: 1212,
            counts: BTreeMap::from([
                (users, BTreeMap::from([(Operation::Create, 1200), (Operation::Disable, 4)])),
                (groups, BTreeMap::from([(Operation::Create, 8)])),
            ]),
            renames: BTreeMap::new(),
            situations: vec![SyncSituations {
                sync: "idp.groups → vault.groups".to_owned(),
                first_run: true,
                ..Default::default()
            }],
            sizes: BTreeMap::new(),
            excesses: vec![Excess {
                name: "vault.users/create/count".to_owned(),
                limit: 500.0,
                figure: 1200,
                size: 4000,
                first: vec!["ann".to_owned(), "bob".to_owned()],
                earlier: None,
                explanation: None,
            }],
            warnings: vec!["lookup table `hr.people` is empty".to_owned()],
            irreversible: 0,
            withheld: Vec::new(),
            reverts: None,
        }
    }

    fn view<'a>(run: &'a RunId, plan: &'a Plan, blocked: &'a BTreeMap<BlockReason, u64>) -> PlanView<'a> {
        PlanView {
            run,
            plan,
            kept: 0,
            superseded: 0,
            blocked,
            waiting: 0,
            choices: &[],
            approved: 0,
            errored: 0,
            uncertain: &[],
        }
    }

    #[test]
    fn a_held_plan_says_what_it_wants_why_it_is_held_and_what_to_type() {
        let run = RunId("20261122T150405Z-7f3a".to_owned());
        let blocked = BTreeMap::from([(BlockReason::Threshold, 1200), (BlockReason::Incomplete, 2)]);
        let plan = plan();
        let view = PlanView { kept: 1, blocked: &blocked, waiting: 10, ..view(&run, &plan, &blocked) };
        assert_eq!(
            plan_summary(&view, 80),
            "\
run 20261122T150405Z-7f3a of job idp-to-vault
  1,212 new orders
    to            create  disable
    vault.groups       8
    vault.users    1,200        4
  1 order of earlier runs still wanted, where they were
  first load of idp.groups → vault.groups:
    every order waits for a person; thresholds in numbers hold it, in percent not yet

held, because a threshold is exceeded:
  vault.users/create/count: 1200, the limit is 500
    `ann`, `bob` and 1,198 more

blocked:
  1,200  threshold: lifted by accepting the threshold
  2  incomplete: cannot be approved; clears itself when its cause is gone

to know:
  lookup table `hr.people` is empty
"
        );
        assert_eq!(
            plan_next(&view),
            "next, if that is as it should be: muster approve 20261122T150405Z-7f3a --accept vault.users/create/count \
             --comment \"why\"\n"
        );
    }

    #[test]
    fn a_plan_that_wants_nothing_says_so() {
        let run = RunId("20261122T150405Z-7f3a".to_owned());
        let empty = Plan {
            orders: 0,
            counts: BTreeMap::new(),
            situations: vec![],
            excesses: vec![],
            warnings: vec![],
            ..plan()
        };
        let none = BTreeMap::new();
        let mut view = view(&run, &empty, &none);
        assert_eq!(plan_summary(&view, 80), "run 20261122T150405Z-7f3a of job idp-to-vault\n  no new orders\n");
        assert_eq!(plan_next(&view), "nothing waits for review\n");
        view.approved = 2;
        assert_eq!(plan_next(&view), "2 orders are approved\nnext: muster apply 20261122T150405Z-7f3a\n");
        view.waiting = 1;
        let next = "1 order waits for review\nnext: muster approve 20261122T150405Z-7f3a --all";
        assert!(plan_next(&view).starts_with(next), "{}", plan_next(&view));
        let uncertain = ["o-1-1".to_owned()];
        view.uncertain = &uncertain;
        assert!(plan_next(&view).contains("next: muster settle o-1-1 "), "what nobody can tell comes first");
    }
}
