//! Each check, tripped and not tripped.

use super::*;
use crate::model::evidence::Occurrences;
use crate::snapshot::writer::Written;

struct Case {
    csv: String,
    key: Vec<&'static str>,
    evidence: Evidence,
    previous: Option<ResourceManifest>,
    settings: Settings,
    accepted: BTreeMap<String, String>,
    may_be_empty: bool,
}

fn case(csv: &str) -> Case {
    Case {
        csv: csv.to_owned(),
        key: vec!["id"],
        evidence: Evidence::default(),
        previous: None,
        settings: Settings::default(),
        accepted: BTreeMap::new(),
        may_be_empty: false,
    }
}

fn previous(columns: &[&str], rows: u64) -> ResourceManifest {
    let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
    let written = Written { rows, bytes: 1, sha256: crate::model::digest::Digest::of(b"") };
    ResourceManifest::new("idp/users.csv".into(), &columns, &columns[..1], written, Mode::Complete)
}

impl Case {
    fn judge(&self) -> (Evidence, Completeness) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.csv");
        std::fs::write(&path, &self.csv).unwrap();
        let key: Vec<String> = self.key.iter().map(|k| (*k).to_owned()).collect();
        let table = Table::open(&path, &key).unwrap();
        let subject = Subject {
            besides: None,
            name: &ResourceName::new("idp", "users"),
            table: &table,
            mode: Mode::Complete,
            previous: self.previous.as_ref(),
            settings: &self.settings,
            accepted: &self.accepted,
            may_be_empty: self.may_be_empty,
            is_target: false,
        };
        judge(&subject, self.evidence.clone(), &count(&table, &self.settings).unwrap())
    }

    /// `name=figure` of each suspicion.
    fn found(&self) -> Vec<String> {
        match self.judge().1 {
            Completeness::Complete => Vec::new(),
            Completeness::Suspect { suspicions } => {
                suspicions.into_iter().map(|s| format!("{}={}", s.name, s.figure)).collect()
            }
            Completeness::Partial { cause } => vec![cause],
        }
    }
}

#[test]
fn no_rows_are_suspect_unless_they_are_expected() {
    let mut empty = case("id,name\n");
    assert_eq!(empty.found(), ["idp.users/empty=0"]);
    empty.may_be_empty = true;
    assert!(empty.found().is_empty());
    empty.previous = Some(previous(&["id", "name"], 12));
    assert_eq!(empty.found(), ["idp.users/empty=0"], "a target that had rows does not become empty unseen");
    empty.settings.allow_empty = true;
    assert!(empty.found().is_empty());
}

#[test]
fn totals_pages_and_anomalies_are_compared_with_what_came() {
    let mut short = case("id\n1\n2\n");
    short.evidence = Evidence {
        pages_asked: 3,
        pages_received: 2,
        rows_received: 2,
        total_start: Some(2),
        total_end: Some(3),
        anomalies: vec![Suspicion { name: "page-repeated".into(), detail: "page 2 twice".into(), figure: "2".into() }],
        ..Evidence::default()
    };
    let want = [
        "idp.users/page-repeated=2",
        "idp.users/pages=2 of 3",
        "idp.users/total=2 of 3",
        "idp.users/total-moved=2 to 3",
    ];
    assert_eq!(short.found(), want);
    short.evidence = Evidence { rows_received: 2, total_start: Some(2), total_end: Some(2), ..Evidence::default() };
    assert!(short.found().is_empty());
}

#[test]
fn repeated_and_empty_keys_are_named_by_row_and_line() {
    let keys = case("id,name\n1,\"two\nlines\"\n2,b\n1,c\n,d\n");
    let (evidence, verdict) = keys.judge();
    assert_eq!(verdict.word(), "suspect");
    let duplicate = Occurrences { count: 1, first: vec!["1: rows 2 and 4 (lines 2 and 5)".into()] };
    assert_eq!(evidence.duplicate_keys, duplicate);
    assert_eq!(evidence.empty_keys, Occurrences { count: 1, first: vec!["row 5 (line 6)".into()] });
    assert_eq!(keys.found(), ["idp.users/duplicate-keys=1", "idp.users/empty-keys=1"]);
}

#[test]
fn an_accepted_suspicion_is_remembered_until_its_figure_changes() {
    let mut keys = case("id\n1\n1\n");
    keys.accepted.insert("idp.users/duplicate-keys".into(), "1".into());
    assert!(keys.found().is_empty());
    keys.csv = "id\n1\n1\n1\n".into();
    assert_eq!(keys.found(), ["idp.users/duplicate-keys=2"]);
}

#[test]
fn lost_columns_emptied_columns_and_missing_sentinels_are_suspect() {
    let mut users = case("id,mail,login\n1,,svc-muster\n2,,b\n3,c@x,c\n");
    let mut before = previous(&["id", "mail", "login", "phone"], 3);
    before.evidence.empty_share.insert("mail".into(), 0.01);
    users.previous = Some(before);
    users.settings.sentinels = vec!["svc-muster".into(), "3".into(), "svc-gone".into(), "c@x".into()];
    let want = ["idp.users/empty-column=mail 67 %", "idp.users/header=phone", "idp.users/sentinel=svc-gone, c@x"];
    assert_eq!(users.found(), want);
}

#[test]
fn member_lists_that_stop_at_a_round_number_are_suspect() {
    let members = |a: usize, b: usize| {
        let rows = |group: &str, n: usize| (0..n).map(|i| format!("{group},u{i}\n")).collect::<String>();
        let mut members = case(&format!("group,user\n{}{}{}", rows("a", a), rows("b", b), rows("c", 7)));
        members.key = vec!["group", "user"];
        members.found()
    };
    assert_eq!(members(200, 200), ["idp.users/round-members=2 group at 200"]);
    assert!(members(200, 201).is_empty());
    assert!(members(200, 7).is_empty());
}

/// The snapshot that was accepted before, with the evidence that it had.
fn accepted(csv: &str) -> ResourceManifest {
    let (evidence, verdict) = case(csv).judge();
    assert_eq!(verdict, Completeness::Complete);
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    ResourceManifest { evidence, ..previous(&header, csv.lines().count() as u64 - 1) }
}

/// Sixty people under a header.
fn sixty(header: &str, row: impl Fn(usize) -> String) -> String {
    let rows: String = (0..60).map(|n| format!("{}\n", row(n))).collect();
    format!("{header}\n{rows}")
}

#[test]
fn a_changed_format_and_swapped_headers_are_named_unless_switched_off() {
    let iso = |n: usize| format!("{n},Name {n},City {},2026-01-{:02}", n % 7, n % 28 + 1);
    let before = accepted(&sixty("id,name,city,hired", iso));
    let mut dotted =
        case(&sixty("id,name,city,hired", |n| format!("{n},Name {n},City {},{:02}.01.2026", n % 7, n % 28 + 1)));
    dotted.previous = Some(before.clone());
    assert_eq!(dotted.found(), ["idp.users/format=hired DD.MM.YYYY"]);
    dotted.settings.off.insert(Check::Format);
    assert!(dotted.found().is_empty());
    let mut swapped = case(&sixty("id,city,name,hired", iso));
    swapped.previous = Some(before.clone());
    assert_eq!(swapped.found(), ["idp.users/swapped-columns=city name"]);
    // Other dates and other people in the same columns are a usual day.
    let mut usual = case(&sixty("id,name,city,hired", |n| iso(n + 30)));
    usual.previous = Some(before);
    assert!(usual.found().is_empty());
}

#[test]
fn a_snapshot_that_shrinks_a_little_each_run_is_suspect_in_the_end() {
    let of = |rows: usize| -> String {
        let rows: String = (0..rows).map(|n| format!("{n},a\n")).collect();
        format!("id,name\n{rows}")
    };
    let mut before = accepted(&of(100));
    for (rows, found) in [(95, None), (90, None), (81, None), (79, Some("idp.users/fewer-rows=75 %")), (75, None)] {
        let mut next = case(&of(rows));
        next.previous = Some(before.clone());
        assert_eq!(next.found().first().map(String::as_str), found, "{rows}");
        // Accepted, it is what the next one is measured against; and the fall is told once.
        let (evidence, _) = next.judge();
        before = ResourceManifest { evidence, ..previous(&["id", "name"], rows as u64) };
    }
    assert_eq!(before.evidence.history.len(), 5);
    for _ in 0..20 {
        before.evidence.history = before.evidence.history_with(75);
    }
    assert_eq!(before.evidence.history.len(), Evidence::REMEMBERED);
}

#[test]
fn columns_that_empty_and_owners_that_vanish_over_several_runs_are_suspect() {
    let of = |full: usize| sixty("id,mail", |n| format!("{n},{}", if n < full { "a@x" } else { "" }));
    let mut before = accepted(&of(60));
    let mut half = case(&of(35));
    half.previous = Some(before.clone());
    assert!(half.found().is_empty());
    before = ResourceManifest { evidence: half.judge().0, ..previous(&["id", "mail"], 60) };
    let mut less = case(&of(20));
    less.previous = Some(before);
    assert_eq!(less.found(), ["idp.users/empty-column=mail 67 %"]);

    let owned = |owners: usize| (0..200).map(|n| format!("g{},u{n}\n", n % owners)).collect::<String>();
    let judge = |owners: usize, before: Option<ResourceManifest>| {
        let mut rows = case(&format!("group,user\n{}", owned(owners)));
        rows.key = vec!["group", "user"];
        rows.previous = before;
        (rows.found(), ResourceManifest { evidence: rows.judge().0, ..previous(&["group", "user"], 200) })
    };
    let (_, hundred) = judge(100, None);
    let (found, eighty_five) = judge(85, Some(hundred));
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(judge(70, Some(eighty_five)).0, ["idp.users/fewer-owners=group 70 %"]);
}
