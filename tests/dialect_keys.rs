//! Every key of every dialect, on both sides: each has a rehearsal on the built-in server, and comes to something else
//! there where the key is taken out of the file.
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
use leaves::{leaves, without};
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

/// What becomes of a file as it is and of one without a key; each comes to the same at a second try, or nothing is said by
/// a difference.
fn differ<T: Clone + PartialEq + std::fmt::Debug, K: Ord>(
    known: &mut BTreeMap<K, T>,
    key: K,
    whole: impl Fn() -> T,
    without: impl Fn() -> T,
) -> bool {
    let seen = known.entry(key).or_insert_with(|| {
        let (first, second) = (whole(), whole());
        assert_eq!(first, second, "twice the same is not the same");
        first
    });
    *seen != without()
}

/// Asks about each dialect of a side, all at once; nothing may come of it.
fn none_is_dead(side: &str, dead: impl Fn(&str, &Value) -> Vec<String> + Sync) {
    let files = files(side);
    let found: Vec<String> = std::thread::scope(|scope| {
        let asked: Vec<_> = files
            .iter()
            .map(|(name, file)| {
                let dead = &dead;
                scope
                    .spawn(move || dead(name, file).into_iter().map(|key| format!("{name}: {key}")).collect::<Vec<_>>())
            })
            .collect();
        asked.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    assert!(found.is_empty(), "{side}:\n{}", found.join("\n"));
}

#[test]
fn each_key_of_what_the_server_plays_shows_in_what_it_answers() {
    none_is_dead("src/sandbox/dialects", |_, file| {
        let sayings: Vec<String> = file
            .get("messages")
            .and_then(Value::as_table)
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        let whole = toml::to_string(file).unwrap();
        let (mut known, mut dead) = (BTreeMap::new(), Vec::new());
        for leaf in leaves(file) {
            let Some((rehearsal, play)) = at_the_server::rehearsal(leaf.top()) else {
                dead.push(format!("{} has no rehearsal", leaf.spoken()));
                continue;
            };
            let heard = |file: &str| heard(file, &sayings, play);
            if !differ(&mut known, rehearsal, || heard(&whole), || heard(&without(file, &leaf))) {
                dead.push(format!("{} makes no difference to `{rehearsal}`", leaf.spoken()));
            }
        }
        dead
    });
}

#[test]
fn each_key_of_what_a_job_knows_of_a_product_shows_in_what_it_does() {
    none_is_dead("src/connector/scim/dialects", |name, file| {
        let stage = Stage::set(name, file);
        let whole = toml::to_string(file).unwrap();
        let (mut known, mut dead) = (BTreeMap::new(), Vec::new());
        for leaf in leaves(file) {
            let Some(rehearsal) = in_the_job::rehearsal(&leaf) else {
                dead.push(format!("{} has no rehearsal", leaf.spoken()));
                continue;
            };
            let seen = |file: &str| stage.seen(rehearsal, &leaf, file);
            let key = (rehearsal, (leaf.top() == "failures").then(|| leaf.spoken()));
            if !differ(&mut known, key, || seen(&whole), || seen(&without(file, &leaf))) {
                dead.push(format!("{} makes no difference to {rehearsal:?}", leaf.spoken()));
            }
        }
        dead
    });
}
