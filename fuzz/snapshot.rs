//! What the reader of snapshots has to do with any manifest and any table: refuse them, or judge them. What a person
//! accepts of a verdict is accepted, and nothing else; a manifest that was read is written as it was.
//!
//! An input is a manifest, a zero byte, and a table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use muster::model::evidence::{Completeness, Evidence, Mode, Suspicion};
use muster::model::resource::ResourceName;
use muster::snapshot::completeness::{Census, Settings, Subject, count, judge};
use muster::snapshot::manifest::{Manifest, ResourceManifest};
use muster::snapshot::table::Table;

/// One file, written again for each input; in memory where the machine has a folder there.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("muster-fuzz-snapshot-{}.csv", std::process::id()))
});

fn judged(table: &Table, previous: Option<&ResourceManifest>, evidence: &Evidence, census: &Census) {
    let (name, mut settings) = (ResourceName::new("idp", "users"), Settings::default());
    settings.sentinels = vec!["svc-muster".to_owned()];
    let nothing = BTreeMap::new();
    for mode in [Mode::Complete, Mode::Incremental] {
        let subject = Subject {
            name: &name,
            table,
            mode,
            previous,
            settings: &settings,
            accepted: &nothing,
            may_be_empty: false,
            is_target: false,
            besides: None,
        };
        let (_, verdict) = judge(&subject, evidence.clone(), census);
        let Completeness::Suspect { suspicions } = verdict else { continue };
        assert!(suspicions.iter().all(|suspicion| suspicion.name.starts_with("idp.users/")), "{suspicions:?}");
        let accepted: BTreeMap<_, _> = suspicions.iter().map(|it| (it.name.clone(), it.figure.clone())).collect();
        // Two anomalies of one name are told apart by their figures, and one acceptance is for one of them.
        let (_, verdict) = judge(&Subject { accepted: &accepted, ..subject }, evidence.clone(), census);
        let left = if let Completeness::Suspect { suspicions } = verdict { suspicions } else { Vec::new() };
        let is_other = |left: &Suspicion| accepted.get(&left.name).is_some_and(|figure| *figure != left.figure);
        assert!(left.iter().all(is_other), "{left:?} of {suspicions:?}");
    }
}

/// Panics where the reader does something else.
pub fn check(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (text, csv) = (&input[..at], input.get(at + 1..).unwrap_or_default());
    let manifest = Manifest::parse(text, Path::new("manifest.json")).ok();
    if let Some(manifest) = &manifest {
        let written = serde_json::to_vec(manifest).expect("a manifest can be written");
        let read = Manifest::parse(&written, Path::new("manifest.json")).expect("what was written can be read");
        assert_eq!(&read, manifest);
        assert!(
            manifest.verify(Path::new("/nowhere")).is_err() || manifest.systems.values().all(BTreeMap::is_empty),
            "files that are not there are not those that were exported"
        );
    }
    File::create(&*FILE).and_then(|mut file| file.write_all(csv)).expect("the file is written");
    let resources: Vec<&ResourceManifest> =
        manifest.iter().flat_map(|manifest| manifest.systems.values()).flat_map(BTreeMap::values).collect();
    let keys = resources.iter().map(|resource| resource.key.clone()).chain([vec!["id".to_owned()]]);
    for (i, key) in keys.enumerate().take(3) {
        let Ok(table) = Table::open(&FILE, &key) else { continue };
        let Ok(census) = count(&table, &Settings::default()) else { continue };
        let previous = resources.get(i).copied();
        judged(&table, previous, &previous.map(|it| it.evidence.clone()).unwrap_or_default(), &census);
        if let Some(census) = previous.and_then(|previous| Census::remembered(previous, &Settings::default())) {
            judged(&table, previous, &Evidence::default(), &census);
        }
    }
    std::fs::remove_file(&*FILE).expect("the file is removed");
}
