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
            name: &ResourceName::new("idp", "users"),
            table: &table,
            mode: Mode::Complete,
            previous: self.previous.as_ref(),
            settings: &self.settings,
            accepted: &self.accepted,
            may_be_empty: self.may_be_empty,
        };
        judge(&subject, self.evidence.clone()).unwrap()
    }

    /// `name=figure` of each suspicion.
    fn found(&self) -> Vec<String> {
        match self.judge().1 {
            Completeness::Complete => Vec::new(),
            Completeness::Suspect { suspicions } => {
                suspicions.into_iter().map(|s| format!("{}={}", s.name, s.figure)).collect()
            }
            Completeness::Partial { cause } => vec![format!("partial: {cause}")],
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

#[test]
fn a_file_that_cannot_be_read_is_partial() {
    let (_, verdict) = case("id,name\n1,\"a\n").judge();
    assert_eq!(verdict.word(), "partial");
}
