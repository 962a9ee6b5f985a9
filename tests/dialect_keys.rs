//! Every key of every dialect, on both sides: each has a rehearsal on the built-in server, and comes to something else
//! there where the key is taken out of the file. What it comes to is kept in `fixtures/dialects`, a line each.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "dialect_keys/at_the_server.rs"]
mod at_the_server;
#[path = "dialect_keys/in_the_job.rs"]
mod in_the_job;
#[path = "dialect_keys/leaves.rs"]
mod leaves;
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use at_the_server::Talk;
use in_the_job::Stage;
use leaves::{Leaf, leaves, without};
use support::World;
use toml::Value;

/// The files of one side, by the names of their dialects.
fn files(side: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(side);
    let mut found: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(found.len() >= 8, "{side}: {found:?}");
    found
}

/// A text with every id that a server made, and every moment, called the same.
fn nameless(text: &str) -> String {
    let is_of_id = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_hexdigit()) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|letter| !is_of_id(letter)).unwrap_or(from.len());
        let word = &from[..end];
        out.push_str(before);
        out.push_str(if word.len() == 36 && word.matches('-').count() == 4 { "ID" } else { word });
        rest = &from[end..];
    }
    out.push_str(rest);
    out
}

/// What a server answers in a rehearsal, playing what a file says.
fn heard(file: &str, sayings: &[String], rehearsal: fn(&Talk)) -> Vec<String> {
    let world = World::new();
    world.write("own.toml", file);
    let server = world.server_with(&[&["--dialect", "own.toml"][..], &at_the_server::ARGUMENTS].concat());
    let talk = Talk::with(&server, sayings.to_vec());
    rehearsal(&talk);
    talk.heard()
}

/// What shows a key: the first line that is seen with it alone, or else without it alone; `None` where nothing does. What
/// is seen with all keys comes out the same at a second try, or no difference would say anything.
fn shown<K: Ord>(
    known: &mut BTreeMap<K, Vec<String>>,
    key: K,
    whole: impl Fn() -> Vec<String>,
    without: impl Fn() -> Vec<String>,
) -> Option<String> {
    let seen = known.entry(key).or_insert_with(|| {
        let (first, second) = (whole(), whole());
        assert_eq!(first, second, "twice the same is not the same");
        first
    });
    let without = without();
    let only = |these: &[String], those: &[String]| {
        let count = |list: &[String], line: &String| list.iter().filter(|other| *other == line).count();
        these.iter().find(|line| count(these, line) > count(those, line)).cloned()
    };
    let with = only(seen, &without).map(|line| format!("with it: {line}"));
    with.or_else(|| only(&without, seen).map(|line| format!("without it: {line}")))
}

/// Goes through the dialects of a side, all at once, and holds what shows each key against what is written down of it: so
/// that a key that is taken out of its file, or has another value, is missed.
fn each_is_shown(side: &str, kept: &str, shown: impl Fn(&str, &Value) -> Vec<String> + Sync) {
    let files = files(side);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let problems: Vec<String> = std::thread::scope(|scope| {
        let shown = &shown;
        let asked: Vec<_> =
            files.iter().map(|(name, file)| (name, scope.spawn(move || shown(name, file).join("\n") + "\n"))).collect();
        let problem = |(name, asked): (&String, std::thread::ScopedJoinHandle<'_, String>)| {
            let (found, file) = (asked.join().unwrap(), format!("fixtures/dialects/{kept}/{name}.txt"));
            let expected = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
            let differs = found.lines().find(|line| !expected.lines().any(|other| other == *line));
            let is_missed = expected.lines().find(|line| !found.lines().any(|other| other == *line));
            let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{kept}-{name}.txt"));
            std::fs::write(&new, &found).unwrap();
            (found != expected).then(|| {
                format!(
                    "{side}/{name}.toml\n  expected: {}\n  found:    {}\n  if all of it is as it should be: cp {} {file}",
                    is_missed.unwrap_or("nothing"),
                    differs.unwrap_or("nothing"),
                    new.display()
                )
            })
        };
        asked.into_iter().filter_map(problem).collect()
    });
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What is said of a key that nothing shows.
const NOTHING: &str = "makes no difference";

#[test]
fn each_key_of_what_the_server_plays_shows_in_what_it_answers() {
    each_is_shown("src/sandbox/dialects", "server", |name, file| {
        let sayings = file.get("messages").and_then(Value::as_table).into_iter().flatten();
        let sayings: Vec<String> = sayings.map(|(name, _)| name.clone()).collect();
        let whole = toml::to_string(file).unwrap();
        let mut known = BTreeMap::new();
        let mut line = |leaf: &Leaf| {
            let key = leaf.spoken();
            let Some((rehearsal, play)) = at_the_server::rehearsal(leaf.top()) else {
                panic!("{name}: {key} has no rehearsal")
            };
            let heard = |file: &str| heard(file, &sayings, play);
            let shown = shown(&mut known, rehearsal, || heard(&whole), || heard(&without(file, leaf)));
            format!("{key}: {rehearsal}: {}", shown.unwrap_or_else(|| panic!("{name}: {key} {NOTHING} to {rehearsal}")))
        };
        leaves(file).iter().map(&mut line).collect()
    });
}

#[test]
fn each_key_of_what_a_job_knows_of_a_product_shows_in_what_it_does() {
    each_is_shown("src/connector/scim/dialects", "job", |name, file| {
        let stage = Stage::set(name, file);
        let whole = toml::to_string(file).unwrap();
        let mut known = BTreeMap::new();
        let mut line = |leaf: &Leaf| {
            let key = leaf.spoken();
            let Some(rehearsal) = in_the_job::rehearsal(leaf) else { panic!("{name}: {key} has no rehearsal") };
            let seen = |file: &str| stage.seen(rehearsal, leaf, file);
            // Keys that are about one answer are seen in what becomes of it.
            let of = (rehearsal, stage.answer(leaf));
            let shown = shown(&mut known, of, || seen(&whole), || seen(&without(file, leaf)));
            let shown = shown.unwrap_or_else(|| panic!("{name}: {key} {NOTHING} to {rehearsal:?}"));
            format!("{key}: {}: {shown}", format!("{rehearsal:?}").to_lowercase())
        };
        leaves(file).iter().map(&mut line).collect()
    });
}
