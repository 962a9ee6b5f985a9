//! The words that files, commands and messages use, and what each means.

use std::collections::BTreeSet;
use std::fmt::Debug;

use muster::cli::HelpNotes;
use muster::model::approval::Decision;
use muster::model::evidence::{Check, Mode};
use muster::model::failure::{Class, Stage};
use muster::model::link::How;
use muster::model::order::{BlockReason, Operation, OrderState};
use muster::model::record::{HoldKind, WithheldFor};
use muster::model::run::RunState;
use muster::model::situation::{Cause, Situation};
use muster::model::threshold::{Limit, Threshold};
use muster::reconcile::policy::OrderThresholds;
use muster::reconcile::threshold::SnapshotThresholds;

use crate::doc_comments;
use crate::markdown::{code, table};

/// What connectors doubt beyond the checks that every snapshot passes.
const DOUBTS: [(&str, &str); 5] = [
    ("groups-total", "Members were read of another number of groups than the server says that there are."),
    ("members-asked", "Members were asked for user by user, and not of everybody, or without any answer."),
    ("members-moved", "The members of a group changed during each of several readings."),
    ("referrals", "A directory refers to other servers for a part of the tree, which is not read."),
    ("repeated-page", "The server sent an earlier page again: it does not page, and what lies behind was not read."),
];

/// docs/reference/words.md.
pub(crate) fn page() -> String {
    let mut text = "# Words\n\n\
        The words that commands print and files hold, each with one meaning. Made of the program's own types by \
        `tests/reference.rs`.\n"
        .to_owned();
    statuses(&mut text);
    orders(&mut text);
    failures(&mut text);
    objects(&mut text);
    runs(&mut text);
    snapshots(&mut text);
    thresholds(&mut text);
    text
}

fn section(text: &mut String, heading: &str, about: &str, heads: &[&str], rows: &[Vec<String>]) {
    text.push_str(&format!("\n## {heading}\n\n{about}\n\n{}", table(heads, rows)));
}

/// A row for each value: its word, and the first paragraph of its comment.
fn words<T: Copy + Debug>(file: &str, name: &str, all: &[T], word: fn(T) -> &'static str) -> Vec<Vec<String>> {
    paragraphs(file, name, all, word).into_iter().map(|(_, word, said)| vec![code(word), said[0].clone()]).collect()
}

/// Each value with its word and the paragraphs of its comment.
fn paragraphs<T: Copy + Debug>(
    file: &str,
    name: &str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Vec<(T, &'static str, Vec<String>)> {
    let said = doc_comments::of_parts(file, &format!("enum {name}"));
    assert_eq!(said.len(), all.len(), "{file}: {name}");
    all.iter().map(|value| (*value, word(*value), said[&format!("{value:?}")].clone())).collect()
}

fn statuses(text: &mut String) {
    let notes = HelpNotes::of(&muster::cli::command());
    let rows: Vec<Vec<String>> =
        notes.statuses.into_iter().map(|(status, meaning)| vec![code(&status), meaning]).collect();
    let about = "Of every command, but for `muster diff`, which [has its own](commands.md#muster-diff). Where several hold, \
                 the one that comes first in 2, 75, 1, 4, 5, 3, 0. [Operating](../operating.md) says what to do.";
    section(text, "Exit statuses", about, &["status", "meaning"], &rows);
}

fn orders(text: &mut String) {
    let file = "src/model/order.rs";
    let rows = words(file, "Operation", Operation::ALL, Operation::word);
    section(text, "Operations", "What an order does.", &["operation", "meaning"], &rows);

    let states = paragraphs(file, "OrderState", OrderState::ALL, OrderState::word);
    let rows: Vec<Vec<String>> = states
        .into_iter()
        .map(|(state, word, said)| {
            vec![code(word), said[0].clone(), if state.is_live() { "yes" } else { "no" }.to_owned()]
        })
        .collect();
    let about = "Where an order stands. A live order counts for thresholds, and its object has no second one.";
    section(text, "Order states", about, &["state", "meaning", "live"], &rows);

    let lifts = doc_comments::of_parts(file, "enum Remedy");
    let reasons = paragraphs(file, "BlockReason", BlockReason::ALL, BlockReason::word);
    let rows: Vec<Vec<String>> = reasons
        .into_iter()
        .map(|(reason, word, said)| {
            vec![code(word), said[0].clone(), lifts[&format!("{:?}", reason.remedy())][0].clone()]
        })
        .collect();
    let about = "Why an order is blocked. The review says for each which attribute, candidate or order it is about.";
    section(text, "Block reasons", about, &["reason", "meaning", "what lifts it"], &rows);

    let rows = words("src/model/approval.rs", "Decision", Decision::ALL, Decision::word);
    let about = "What the `decision` column of a review file takes; an empty cell decides nothing.";
    section(text, "Decisions", about, &["decision", "meaning"], &rows);

    let rows = words("src/model/record.rs", "WithheldFor", WithheldFor::ALL, WithheldFor::word);
    let about = "Why something that differs is not raised again (`muster list JOB --withheld`).";
    section(text, "Withheld for", about, &["word", "meaning"], &rows);
}

fn failures(text: &mut String) {
    let file = "src/model/failure.rs";
    let rows: Vec<Vec<String>> = paragraphs(file, "Class", Class::ALL, Class::word)
        .into_iter()
        .map(|(class, word, said)| {
            let then = if class.is_about_content() { "`muster run JOB` plans it anew" } else { "`muster retry RUN`" };
            vec![code(word), said[0].clone(), said[1].clone(), then.to_owned()]
        })
        .collect();
    let about = "The class of a failure, in `report`, errors.csv and every message. Each failure also says what to do about it \
                 alone.";
    section(text, "Failure classes", about, &["class", "meaning", "whose side, and what to do", "then"], &rows);
    let rows = words(file, "Stage", Stage::ALL, Stage::word);
    let about =
        "The stages of the way to a system, as `muster check` goes through them, and what a failure there means.";
    section(text, "Stages", about, &["stage", "meaning"], &rows);
}

fn objects(text: &mut String) {
    let file = "src/model/situation.rs";
    let rows = words(file, "Situation", Situation::ALL, Situation::word);
    let about = "How an object stands between source and target (`muster list JOB --situation missing`).";
    section(text, "Situations", about, &["situation", "meaning"], &rows);
    let rows = words(file, "Cause", Cause::ALL, Cause::word);
    let about = "Why a value differs, judged against what both sides last agreed on.";
    section(text, "Causes", about, &["cause", "meaning"], &rows);
    let rows = words("src/model/link.rs", "How", &How::ALL, How::word);
    section(text, "Links", "How a link came about (`muster links JOB`).", &["word", "meaning"], &rows);
}

fn runs(text: &mut String) {
    let rows = words("src/model/run.rs", "RunState", RunState::ALL, RunState::word);
    section(text, "Run states", "Where a run stands.", &["state", "meaning"], &rows);
    let rows = words("src/model/evidence.rs", "Mode", Mode::ALL, Mode::word);
    section(text, "Modes", "How much of a system an export reads.", &["mode", "meaning"], &rows);
    let rows = words("src/model/record.rs", "HoldKind", HoldKind::ALL, HoldKind::word);
    section(text, "Holds", "What a run is held by.", &["word", "meaning"], &rows);
}

fn snapshots(text: &mut String) {
    let rows = words("src/model/evidence.rs", "Check", Check::ALL, Check::word);
    let about = "What has to hold for a snapshot to be whole. Where it does not, the run is held by a suspicion of this name: \
                 `idp.users/empty`. A person accepts it with `muster approve RUN --accept NAME --comment \"why\"`; a job switches \
                 one off with `checks` of `[snapshot.\"idp.users\"]`.";
    section(text, "Snapshot checks", about, &["check", "what has to hold"], &rows);
    assert_eq!(doubted(), DOUBTS.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>());
    let rows: Vec<Vec<String>> = DOUBTS.iter().map(|(name, meaning)| vec![code(name), (*meaning).to_owned()]).collect();
    let about = "Suspicions that only some systems raise; they are accepted the same way, and cannot be switched off.";
    section(text, "Further suspicions", about, &["name", "what was seen"], &rows);
}

/// The names of the suspicions that connectors make.
fn doubted() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![crate::root().join("src/connector")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let made = source.split("push(Suspicion {\n").skip(1).filter_map(|rest| rest.split('"').nth(1));
            names.extend(made.map(str::to_owned));
        }
    }
    names
}

fn thresholds(text: &mut String) {
    let OrderThresholds { create, update, rename, disable, delete, add, remove, removal_sum } =
        OrderThresholds::default();
    let of_orders = [
        ("create", create),
        ("update", update),
        ("rename", rename),
        ("disable", disable),
        ("delete", delete),
        ("removal", removal_sum),
        ("add", add),
        ("remove", remove),
    ];
    let said = doc_comments::of_parts("src/reconcile/policy.rs", "struct OrderThresholds");
    let mut rows = Vec::new();
    for (name, limits) in &of_orders {
        let field = if *name == "removal" { "removal_sum" } else { name };
        rows.push(vec![code(&format!("vault.users/{name}")), said[field][0].clone(), default_of(limits)]);
    }
    let said = doc_comments::of_parts("src/reconcile/threshold.rs", "struct SnapshotThresholds");
    for (name, limits) in SnapshotThresholds::default().each() {
        rows.push(vec![code(&format!("hr.users/{name}")), said[name][0].clone(), default_of(limits)]);
    }
    let about = format!(
        "A threshold is named after whose it is, what it counts, and how: `vault.users/disable/count`, `…/percent`; over a time \
         it ends with it (`…/count/7d`), and one of a part of the objects has the part's name in it \
         (`vault.users/admins/disable/count`). Those of orders are of the target's managed objects, those of snapshots against \
         the last accepted one. A share counts from {} objects on. `muster thresholds JOB` lists those of a job, `muster approve \
         RUN --accept NAME --comment \"why\"` accepts one that tripped. `hr.users/baseline` holds where the last accepted snapshot cannot be compared with this one, so \
         that no threshold can be judged: its rows go by another key, or it is damaged.",
        Limit::FLOOR
    );
    section(text, "Thresholds", &about, &["name", "what it counts", "default"], &rows);
}

fn default_of(limits: &[Threshold]) -> String {
    let parts = limits.iter().flat_map(|threshold| threshold.limit.bounds(u64::MAX, true));
    let told: Vec<String> = parts.map(|bound| bound.to_string()).collect();
    told.join(", or ")
}
