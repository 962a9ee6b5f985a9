//! How long a whole plan takes in a steady state, how much memory it needs, and what an expression costs.
//!
//! `cargo bench --bench plan` plans for 100,000 users and ten times as many memberships, of which some 2 % changed since
//! the day before; `cargo bench --bench plan -- 1000000 --rounds 3` for another number. Two folders of CSV files: the
//! links are there, the baselines are accepted, all orders are written and registered.
//!
//! Beside it, in turn, bare diffs: of the source's two days; and all three comparisons that a plan makes, for the target is
//! compared with its own baseline too, and both sides with each other. `plan` exports first, which copies all files; the case
//! `snapshots taken up` plans from files that were exported already, so it has neither the export nor the proof that
//! they are whole. The case with expressions has them in place of three columns.

mod generate;
mod measure;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use measure::sample::program;
use measure::{Asked, Outcome, Results, Sample};

const CASES: [&str; 6] = [
    "diff of users",
    "diff of memberships",
    "diffs of target and across",
    "plan",
    "snapshots taken up",
    "plan, 3 expressions",
];

/// Attributes that the job with expressions computes; the values are the same as the columns'.
const EXPRESSIONS: [(&str, &str); 3] =
    [("userName", "userName.lowerAscii()"), ("email", "email.lowerAscii()"), ("displayName", "displayName.trim()")];

fn main() -> Outcome<()> {
    let asked = Asked::read()?;
    let users: u64 = asked.words.first().map_or(Ok(100_000), |word| word.parse())?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    generate::company::company(users, 42, folder)?;
    fs::create_dir_all(folder.join("jobs"))?;
    for (name, rules) in [("columns", &[][..]), ("expressions", &EXPRESSIONS[..])] {
        fs::write(folder.join(format!("jobs/{name}.toml")), job(name, rules))?;
    }
    symlink("first", folder.join("source"))?;
    for (state, job) in [("columns", "columns"), ("expressions", "expressions"), ("exported", "columns")] {
        muster(folder, state, &["plan", job], 0)?;
    }
    fs::remove_file(folder.join("source"))?;
    symlink("second", folder.join("source"))?;
    muster(folder, "exported", &["export", "columns"], 0)?;
    let exported = newest_run(folder)?;

    let mut results = Results::new("plan", "rows", &asked);
    let rows = (users * 11) as f64;
    asked.in_turn(CASES.len(), |case, counted| {
        let sample = match case {
            0 => diff(folder, ["first", "second"], "users")?,
            1 => diff(folder, ["first", "second"], "memberships")?,
            2 => {
                let sides = [["target", "target"], ["second", "across"]];
                let mut all = Sample::default();
                for (sides, resource) in sides.into_iter().flat_map(|s| [(s, "users"), (s, "memberships")]) {
                    let one = diff(folder, sides, resource)?;
                    all = Sample { wall: all.wall + one.wall, cpu: all.cpu + one.cpu, kib: all.kib.max(one.kib) };
                }
                all
            }
            3 => plan(folder, "columns", &["plan", "columns"])?,
            4 => plan(folder, "exported", &["plan", "columns", "--from", &exported])?,
            _ => plan(folder, "expressions", &["plan", "expressions"])?,
        };
        if counted {
            results.add(CASES[case], rows, sample);
        }
        Ok(())
    })?;
    let seconds = |case: usize| results.wall(CASES[case]).as_secs_f64();
    let source = seconds(0) + seconds(1);
    for (what, bare) in [("the bare diffs of the source's two days", source), ("all three", source + seconds(2))] {
        println!("plan against {what}: {:.2}; snapshots taken up: {:.2}", seconds(3) / bare, seconds(4) / bare);
    }
    let each = (seconds(5) - seconds(3)) / (users * EXPRESSIONS.len() as u64) as f64;
    println!("an expression, on all cores: {:.2} µs a row more than a column", each * 1e6);
    results.end()
}

fn diff(folder: &Path, sides: [&str; 2], resource: &str) -> Outcome<Sample> {
    let [first, second] = sides.map(|side| format!("{side}/{resource}.csv"));
    let key = if resource == "users" { "id" } else { "groupId,userId" };
    muster(folder, "none", &["diff", &first, &second, "--key", key, "--format", "csv", "--output", "differences"], 0)
}

/// Plans, and takes it back, so that every round finds the same state. New orders wait: status 3.
///
/// Not in a copy: the digests of a snapshot are used as long as nobody touches its file, and a link to it does.
fn plan(folder: &Path, state: &str, args: &[&str]) -> Outcome<Sample> {
    let (home, kept) = (folder.join("state").join(state), folder.join("state/kept"));
    let before = runs(&home)?;
    fs::create_dir_all(&kept)?;
    for file in databases(&home)? {
        fs::copy(home.join(&file), kept.join(&file))?;
    }
    let sample = muster(folder, state, args, 3)?;
    for (number, run) in runs(&home)?.difference(&before).enumerate() {
        empty(run)?;
        // Others are there from earlier rounds.
        let away = (0..).map(|round| folder.join(format!("away-{number}-{round}"))).find(|away| !away.exists());
        fs::rename(run, away.ok_or("no name is free")?)?;
    }
    for file in databases(&home)? {
        fs::remove_file(home.join(file))?;
    }
    for file in databases(&kept)? {
        fs::rename(kept.join(&file), home.join(&file))?;
    }
    Ok(sample)
}

/// Removes the files of a run but those that it shares with a baseline: a name less is a touch too.
fn empty(folder: &Path) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        if found.is_dir() {
            empty(&path)?;
        } else if found.nlink() == 1 {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The folders of all runs.
fn runs(state: &Path) -> Outcome<BTreeSet<PathBuf>> {
    let mut runs = BTreeSet::new();
    for part in ["export", "runs"] {
        for job in fs::read_dir(state.join(part))? {
            for run in fs::read_dir(job?.path())? {
                runs.insert(run?.path());
            }
        }
    }
    Ok(runs)
}

/// The names of the database's files.
fn databases(folder: &Path) -> Outcome<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.retain(|name| name.to_string_lossy().starts_with("muster.db"));
    Ok(names)
}

fn muster(folder: &Path, state: &str, args: &[&str], status: i32) -> Outcome<Sample> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").env("USER", "bench").args(args);
    command.env("STATE_DIRECTORY", folder.join("state").join(state));
    let log = folder.join("log");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
    let (ended, sample) = program(&mut command)?;
    if ended.code() != Some(status) {
        return Err(format!("{} ended with {ended}: {}", args.join(" "), fs::read_to_string(&log)?).into());
    }
    Ok(sample)
}

/// The run that was exported last.
fn newest_run(folder: &Path) -> Outcome<String> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(folder.join("state/exported/export/columns"))? {
        runs.push(entry?.file_name().to_string_lossy().into_owned());
    }
    runs.sort();
    Ok(runs.pop().ok_or("nothing was exported")?)
}

fn job(name: &str, rules: &[(&str, &str)]) -> String {
    let attributes = [
        "userName",
        "givenName",
        "familyName",
        "displayName",
        "email",
        "department",
        "title",
        "phone",
        "active",
        "costCenter",
        "location",
    ];
    let rule = |attribute: &&str| {
        let rule = rules.iter().find(|(name, _)| name == attribute).map_or(*attribute, |(_, rule)| rule);
        format!("{attribute} = \"{rule}\"\n")
    };
    let attributes: String = attributes.iter().map(rule).collect();
    format!(
        r#"name = "{name}"

[systems.source]
kind = "csv"
path = "../source"
ends = {{ memberships = {{ groupId = "groups", userId = "users" }} }}

[systems.target]
kind = "csv"
path = "../target"
orders = "../orders"
ends = {{ memberships = {{ groupId = "groups", userId = "users" }} }}

[[sync]]
from = "source.groups"
to = "target.groups"
match = [{{ source = "displayName", target = "displayName" }}]
[sync.attributes]
displayName = "displayName"

[[sync]]
from = "source.users"
to = "target.users"
match = [{{ source = "id", target = "externalId" }}]
required = ["userName", "email"]
unique = ["userName"]
[sync.attributes]
externalId = "id"
{attributes}
[sync.thresholds]
disable = {{ count = 100000000, percent = 5 }}

[[sync]]
from = "source.memberships"
to = "target.memberships"
ends = {{ groupId = ["source.groups", "target.groups"], userId = ["source.users", "target.users"] }}
members = "authoritative"
[sync.thresholds]
remove = {{ count = 100000000, percent = 5 }}

[snapshot."source.users"]
thresholds = {{ deleted = {{ count = 100000000, percent = 5 }} }}
[snapshot."source.memberships"]
thresholds = {{ deleted = {{ count = 100000000, percent = 5 }} }}
"#
    )
}
