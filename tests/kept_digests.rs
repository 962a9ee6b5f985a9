//! The digests of accepted snapshots: made, used, and never believed where they do not fit.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use support::company::{Company, people};
use support::files_below;

/// The digests that the newest run keeps of the people's file.
fn kept(company: &Company) -> PathBuf {
    let run = company.world.newest_run("corp");
    company.world.state().join("export/corp").join(run).join("hr/users.csv.digests")
}

/// A run in which the same two leave and the same one joins: what it says about the baseline, in a word a time.
fn judged(company: &Company, leavers: usize) -> String {
    company.hr(&people(60 - leavers));
    let said = company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/deleted/percent"]);
    said.err
}

/// What the newest run's log says of digests.
fn log(company: &Company) -> String {
    let path = company.world.run_file("corp", &company.world.newest_run("corp"), "run.log");
    std::fs::read_to_string(path).unwrap().lines().filter(|line| line.contains("digests")).collect()
}

#[test]
fn damaged_foreign_and_missing_digests_are_noticed_and_the_answer_is_the_same() {
    let company = Company::of(60);
    company.settle();
    // The run after the first has a baseline, and keeps the digests of both files.
    company.world.muster(&["run", "corp"]).ended(0);
    let path = kept(&company);
    let whole = std::fs::read(&path).unwrap();
    let first = judged(&company, 10);
    assert!(first.contains("10"), "{first}");
    assert_eq!(log(&company), "", "digests that fit are not talked about");

    let foreign = std::fs::read(kept(&company)).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let damaged = [
        ("cut short", whole[..whole.len() - 16].to_vec()),
        ("empty", Vec::new()),
        ("another version", flipped(8)),
        ("header", flipped(60)),
        ("checksums", flipped(whole.len() - 60 * 16 - 70)),
        ("digests", flipped(whole.len() - 30)),
        ("of another file", foreign),
        ("of another kind", b"id,name\n1,a\n".to_vec()),
    ];
    for (leavers, (what, bytes)) in (11..).zip(damaged) {
        std::fs::write(&path, &bytes).unwrap();
        let said = judged(&company, leavers);
        assert!(said.contains(&format!("{leavers}")), "{what}: {said}");
        assert!(log(&company).contains("made anew"), "{what}: {}", log(&company));
        let again = std::fs::read(&path).unwrap();
        assert!(
            again.len() > 60 * 16 && again != bytes && again.starts_with(b"musterdg"),
            "{what}: they are kept again"
        );
    }
    std::fs::remove_file(&path).unwrap();
    judged(&company, 30);
    assert!(path.is_file(), "digests that are missing are made");
}

#[test]
fn case_x4_a_damaged_baseline_is_noticed_though_its_digests_fit() {
    let company = Company::of(60);
    company.settle();
    company.world.muster(&["run", "corp"]).ended(0);
    let digests = kept(&company);
    let file = digests.with_extension("");
    let text = std::fs::read_to_string(&file).unwrap();
    // As long as before, and as old.
    let times = std::fs::metadata(&file).unwrap().modified().unwrap();
    std::fs::write(&file, text.replacen("E0007", "E0O07", 1)).unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(times).unwrap();
    company.hr(&people(59));
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/baseline", "SHA-256"]);
}

#[test]
fn a_run_that_takes_snapshots_over_takes_their_digests_along() {
    let company = Company::of(60);
    company.settle();
    company.world.muster(&["run", "corp"]).ended(0);
    judged(&company, 10);
    let held = company.world.newest_run("corp");
    let digests = std::fs::read(kept(&company)).unwrap();
    let known = ["hr.users/deleted/percent", "hr.memberships/deleted/percent"].map(|name| ["--accept", name]);
    let accept = [["approve", &held, "--comment", "known"].as_slice(), known.as_flattened()].concat();
    company.world.muster(&accept).says(&["accepted"]);
    // What the run wants to do to the vault is held again.
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/removal/percent"]);
    assert_ne!(company.world.newest_run("corp"), held);
    assert_eq!(std::fs::read(kept(&company)).unwrap(), digests, "a new export would have another time in its digests");
}

#[test]
fn memory_is_a_size_and_nothing_is_left_of_what_did_not_fit() {
    let company = Company::of(60);
    company.job("[export]\nmemory = \"64M\"\n");
    company.settle();
    company.world.muster(&["run", "corp"]).ended(0);
    let exports = company.world.state().join("export");
    for file in files_below(&exports) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            name == "manifest.json" || [".csv", ".digests", ".pairs"].iter().any(|ending| name.ends_with(ending)),
            "{name}"
        );
    }
    company.job("[export]\nmemory = \"12\"\n");
    company.world.muster(&["check", "corp"]).ended(2).says(&["corp.toml:", "`12`", "256M"]);
    company.job("[export]\nmemory = \"1M\"\n");
    company.world.muster(&["check", "corp"]).ended(2).says(&["too little", "64M"]);
}

#[test]
fn a_snapshot_like_its_baseline_is_judged_and_kept_like_any_other() {
    let company = Company::of(60);
    company.settle();
    let manifest = || {
        let path = kept(&company).parent().unwrap().parent().unwrap().join("manifest.json");
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut evidence = manifest["systems"]["hr"].clone();
        for resource in evidence.as_object_mut().unwrap().values_mut() {
            assert_eq!(resource["completeness"]["verdict"], "complete", "{resource}");
            // The runs before it are told too, and there is one more of them.
            resource["evidence"].as_object_mut().unwrap().remove("history");
        }
        evidence
    };
    let counted = manifest();
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(manifest(), counted);
    assert!(counted["memberships"]["evidence"]["largest"].is_object(), "{counted}");
    // The digests that it was given are those of its rows.
    let said = judged(&company, 10);
    assert!(said.contains("10 of 60"), "{said}");
    assert_eq!(log(&company), "");
}

/// The file that a path names.
fn inode(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

#[test]
fn a_file_that_did_not_change_is_kept_once_and_judged_as_before() {
    let company = Company::of(60);
    company.settle();
    let mut earlier = kept(&company);
    for _ in 0..3 {
        company.world.muster(&["run", "corp"]).ended(0);
        let now = kept(&company);
        assert_ne!(now, earlier);
        for file in [&now, &now.with_extension("")] {
            let name = file.file_name().unwrap();
            assert_eq!(inode(file), inode(&earlier.with_file_name(name)), "{name:?} is one file in both runs");
        }
        assert_eq!(log(&company), "");
        earlier = now;
    }
    let file = earlier.with_extension("");
    // A name less, as when somebody removes an older run, shows in the file's entry: then its bytes are hashed again.
    let oldest = files_below(&company.world.state().join("export/corp"))
        .into_iter()
        .find(|other| *other != file && other.ends_with("hr/users.csv") && inode(other) == inode(&file));
    std::fs::remove_file(oldest.unwrap()).unwrap();
    company.world.muster(&["run", "corp"]).ended(0);
    let anew = kept(&company).with_extension("");
    assert_eq!(inode(&anew), inode(&file));
    // One that changed in a letter is another file.
    let mut renamed = people(60);
    renamed[0].family.push('x');
    company.hr(&renamed);
    company.world.muster(&["run", "corp"]).ended(3);
    let changed = kept(&company).with_extension("");
    assert_ne!(inode(&changed), inode(&anew));
    assert!(std::fs::read_to_string(&changed).unwrap().contains(&renamed[0].family));
    assert!(!std::fs::read_to_string(&anew).unwrap().contains(&renamed[0].family));
    let said = judged(&company, 10);
    assert!(said.contains("10 of 60"), "{said}");
}

#[test]
fn case_x4_a_damaged_baseline_is_not_taken_for_a_file_that_did_not_change() {
    let company = Company::of(60);
    company.settle();
    company.world.muster(&["run", "corp"]).ended(0);
    let file = kept(&company).with_extension("");
    let text = std::fs::read_to_string(&file).unwrap();
    let times = std::fs::metadata(&file).unwrap().modified().unwrap();
    std::fs::write(&file, text.replacen("E0007", "E0O07", 1)).unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(times).unwrap();
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/baseline", "SHA-256"]);
    let new = kept(&company);
    assert_eq!(std::fs::read_to_string(new.with_extension("")).unwrap(), text, "the new snapshot is what HR dropped");
}
