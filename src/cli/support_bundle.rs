//! `muster support-bundle RUN`: what a vendor's support needs of a run, and nobody's name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::selection::{self, PlannedOrder};
use super::stdout::print;
use super::{check, outcome_report, report, session};
use crate::connector::config::SystemConfig;
use crate::disk::{atomic, private};
use crate::job::Job;
use crate::model::order::EndRef;
use crate::model::record::RunRecord;
use crate::model::value::Value as ModelValue;
use crate::report::bundle_readme::{About, SystemLine, bundle_readme};
use crate::report::errors_csv::{ErrorRow, errors_csv};
use crate::report::figures::{bytes, counted};
use crate::report::pseudonyms::Pseudonyms;
use crate::report::safe_text;
use crate::snapshot::manifest::{FILE_NAME, Manifest};
use crate::store::database::Store;

/// Of a log that is longer, the last so many bytes go out.
const MOST_OF_A_LOG: u64 = 8 * 1024 * 1024;

const FORMAT_VERSION: u32 = 1;

/// `muster support-bundle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "People, groups and other objects go out under made names, the same throughout; who they are stands in the state folder, and stays there. A credential is in no file of muster's.\n\nExamples:\n  muster support-bundle idp-to-vault\n  muster support-bundle 20261122T150405Z-7f3a --with jane@example.com --output case-4711.zip\n  muster support-bundle 20261122T150405Z-7f3a --who p-1f0c9a77b2"
)]
pub(super) struct Args {
    /// A run, or a job's name: its newest run with any outcome
    run: String,
    /// Objects that go by their own names, by key, id or login
    #[arg(long, value_name = "KEY", num_args = 1..)]
    with: Vec<String>,
    /// The file to write [default: muster-JOB-RUN.zip here]
    #[arg(long, value_name = "FILE", conflicts_with = "who")]
    output: Option<PathBuf>,
    /// Ask no system: leave out what `muster check` would say now
    #[arg(long)]
    offline: bool,
    /// Say who goes by a made name in the bundle of this run
    #[arg(long, value_name = "NAME", conflicts_with_all = ["with", "offline"])]
    who: Option<String>,
}

/// The key of a run's names, and whom they stand for: it stays at home.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AtHome {
    format_version: u32,
    key: String,
    names: BTreeMap<String, String>,
}

/// Writes the bundle, or says who somebody in it is.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let store = selection::open_store(context)?;
    let run = report::newest(&store, &args.run)?;
    let home = context.layout.names_at_home(&run.job, &run.id);
    if let Some(name) = &args.who {
        return who(&home, name, &run);
    }
    let output = args.output.clone().unwrap_or_else(|| format!("muster-{}-{}.zip", run.job, run.id).into());
    if output.exists() {
        return Err(UsageError(format!("{} is there already; name another file with --output", shown(&output))).into());
    }
    let mut at_home = read(&home)?;
    let job = session::job_of(&store, &run.job).ok();
    let job_text = fs::read_to_string(context.layout.job_file(&run.job, &run.id)).unwrap_or_default();
    let (report, errors) = outcome_report::build(&store, &run, run.exit.unwrap_or_default())?;
    let orders = selection::orders(&store, &run).unwrap_or_default();
    let (values, spared) = values(&store, &run, (&orders, &errors), &args.with)?;
    let mut values = values;
    let protected = job.iter().flat_map(|job| &job.apply.protect).filter_map(|place| place.split_once('/'));
    values.extend(protected.map(|(_, name)| name.to_owned()).filter(|name| !spared.contains(name)));
    let mut names = Pseudonyms::new(key_of(&at_home.key)?, values, spared, words(&job_text, job.as_ref()));

    let mut files: Vec<(&str, &str, String)> = Vec::new();
    if !args.offline {
        let told = match check::told(context, &run.job).await {
            Ok(told) => told,
            Err(error) => json!({ "error": format!("{error:#}") }).to_string(),
        };
        let what = "what trying every system says now, stage by stage";
        files.push(("checks.json", what, names_in_json(&mut names, &told)));
    }
    let folder = context.layout.export(&run.job, &run.id);
    let texts = [
        ("report.json", "the record of the run", report.to_json()),
        ("manifest.json", "the evidence that its snapshots are whole", text_of(&folder.join(FILE_NAME))),
        (
            "targets.json",
            "what the targets offered when it was planned",
            text_of(&context.layout.targets(&run.job, &run.id)),
        ),
    ];
    for (name, what, text) in texts.into_iter().filter(|(.., text)| !text.is_empty()) {
        files.push((name, what, names_in_json(&mut names, &text)));
    }
    let rows: Vec<ErrorRow> = errors.into_iter().map(|row| nameless(row, &mut names)).collect();
    files.push((
        "errors.csv",
        "each order that failed: class, status, message, remedy, tries, request id",
        errors_csv(&rows, &[]),
    ));
    files.push(("job.toml", "the job file as it was; a credential is a reference in it", names.text(&job_text)));
    let logs = [
        ("run.log", "what happened, line by line", context.layout.run_log(&run.job, &run.id)),
        (
            "requests.ndjson",
            "each request: when, method and path, status, sizes, how long",
            context.layout.request_log(&run.job, &run.id),
        ),
    ];
    for (name, what, path) in logs {
        if let Some(text) = tail(&path)? {
            files.push((name, what, text.lines().map(|line| names.text(line) + "\n").collect()));
        }
    }
    let holds = store.unaccepted_holds(&run.id)?;
    // What else holds it stands among the report's warnings.
    let holds = holds.iter().filter(|hold| hold.excess.is_some());
    let holds: Vec<String> = holds.map(|hold| names.text(&hold.detail)).collect();
    let mut report = report;
    for group in &mut report.error_groups {
        (group.example, group.remedy) = (names.text(&group.example), names.text(&group.remedy));
    }
    report.warnings = report.warnings.iter().map(|warning| names.text(warning)).collect();
    let listed: Vec<(&str, &str)> = files.iter().map(|(name, what, _)| (*name, *what)).collect();
    let about = About {
        version: env!("CARGO_PKG_VERSION"),
        machine: &machine(),
        systems: job.iter().flat_map(systems).collect(),
        holds: &holds,
        files: &listed,
        with: &args.with,
    };
    let readme = bundle_readme(&report, &about);
    files.insert(0, ("README.txt", "", readme));
    let zipped = zipped(&files)?;
    at_home.names.extend(names.used().clone());
    if let Some(folder) = home.parent() {
        private::create_folder(folder)?;
    }
    atomic::write(&home, &serde_json::to_vec_pretty(&at_home)?)?;
    atomic::write(&output, &zipped).with_context(|| format!("{} cannot be written", shown(&output)))?;
    print(&format!("{}\n", shown(&output)))?;
    say!(
        context,
        "{}, {}; read it before it leaves the house: unzip -p {} README.txt",
        bytes(zipped.len() as u64),
        counted(names.used().len() as u64, "made name"),
        shown(&output)
    );
    say!(
        context,
        "who is who stays in {}; next, where support asks for one: muster support-bundle {} --who NAME",
        shown(&home),
        run.id
    );
    Ok(Ending::Done.status())
}

fn who(home: &Path, name: &str, run: &RunRecord) -> Result<u8> {
    match read(home)?.names.get(name) {
        Some(value) => print(&format!("{}\n", safe_text::line(value)))?,
        None => bail!(
            "`{}` stands for nobody in a bundle of run {}; the names are in {}",
            safe_text::line(name),
            run.id,
            shown(home)
        ),
    }
    Ok(Ending::Done.status())
}

/// The names that a run's bundles gave before; none yet where there was no bundle.
fn read(home: &Path) -> Result<AtHome> {
    let Ok(text) = fs::read(home) else {
        let key = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        return Ok(AtHome { format_version: FORMAT_VERSION, key, names: BTreeMap::new() });
    };
    let at_home: AtHome = serde_json::from_slice(&text)
        .with_context(|| format!("{} cannot be read; move it away, and made names begin anew", shown(home)))?;
    match at_home.format_version {
        FORMAT_VERSION => Ok(at_home),
        other => bail!(
            "{} has format {other}, this muster knows {FORMAT_VERSION}; use the muster that wrote it",
            shown(home)
        ),
    }
}

fn key_of(hex: &str) -> Result<[u8; 32]> {
    let bytes = (0..32).map(|at| hex.get(2 * at..2 * at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()));
    let bytes: Option<Vec<u8>> = bytes.collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .context("the key of made names is damaged; move its file away, and they begin anew")
}

/// Whatever names somebody in what the run planned, did and holds; and, of it, what belongs to the objects asked for.
fn values(
    store: &Store,
    run: &RunRecord,
    (orders, errors): (&[PlannedOrder], &[ErrorRow]),
    with: &[String],
) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut values, mut spared) = (BTreeSet::new(), BTreeSet::new());
    for PlannedOrder { order, .. } in orders {
        let ids = order.target_id.iter().chain(&order.source_key).chain(&order.renamed_from);
        let mut own: BTreeSet<String> = ids.chain([&order.key, &order.name]).cloned().collect();
        for end in &order.ends {
            own.insert(end.label.clone());
            if let EndRef::Target(id) = &end.object {
                own.insert(id.clone());
            }
        }
        let is_asked = with.iter().any(|key| own.contains(key));
        for value in order.changes.iter().flat_map(|change| change.before.iter().chain(&change.after)) {
            match value {
                ModelValue::Text(text) => drop(own.insert(text.clone())),
                ModelValue::Many(texts) => own.extend(texts.iter().cloned()),
            }
        }
        own.extend(order.takes_along.iter().cloned());
        if is_asked { spared.extend(own) } else { values.extend(own) }
    }
    for row in errors {
        values.extend([row.key.clone(), row.name.clone()]);
    }
    for hold in store.unaccepted_holds(&run.id)? {
        values.extend(hold.first);
    }
    // Keys that repeat are told with their places: `E42: rows 3 and 5`.
    let manifest = Manifest::read(&store.layout().export(&run.job, &run.id).join(FILE_NAME)).ok();
    for exported in manifest.iter().flat_map(|manifest| manifest.systems.values()).flat_map(BTreeMap::values) {
        let repeated = &exported.evidence.duplicate_keys.first;
        values.extend(repeated.iter().filter_map(|told| Some(told.rsplit_once(": row")?.0.to_owned())));
    }
    spared.extend(with.iter().cloned());
    Ok((values, spared))
}

/// The words of the job itself, and of what its systems call things.
fn words(job_text: &str, job: Option<&Job>) -> String {
    let mut words = job_text.to_owned();
    for name in job.iter().flat_map(|job| job.syncs.iter().flat_map(|sync| sync.resources())) {
        words.push_str(&format!("\n{name}"));
    }
    // Whoever is protected by name is somebody all the same.
    for name in job.iter().flat_map(|job| &job.apply.protect).filter_map(|place| place.split_once('/')) {
        words = words.replace(&format!("/{}\"", name.1), "/\"");
    }
    words
}

fn nameless(row: ErrorRow, names: &mut Pseudonyms) -> ErrorRow {
    let (key, name) = (names.of(&row.key), names.of(&row.name));
    ErrorRow { key, name, message: names.text(&row.message), remedy: names.text(&row.remedy), ..row }
}

fn names_in_json(names: &mut Pseudonyms, text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return names.text(text) };
    names.json(&mut value);
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The end of a log; `None` where there is none.
fn tail(path: &Path) -> Result<Option<String>> {
    let Ok(bytes) = fs::read(path) else { return Ok(None) };
    let from = bytes.len().saturating_sub(usize::try_from(MOST_OF_A_LOG).unwrap_or(usize::MAX));
    let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
    // The line that was cut begins nowhere.
    let whole =
        if from == 0 { text } else { text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default() };
    Ok(Some(whole))
}

fn systems(job: &Job) -> Vec<SystemLine> {
    let of = |(name, config): (&String, &SystemConfig)| {
        let value = serde_json::to_value(config).unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let dialect = text("dialect");
        let kind =
            if dialect.is_empty() { config.kind().to_owned() } else { format!("{}, dialect {dialect}", config.kind()) };
        let account = value
            .get("auth")
            .and_then(|auth| ["user", "client_id", "role_id"].iter().find_map(|key| auth.get(*key)?.as_str()));
        let account = account.map(|account| format!(", as {account}")).unwrap_or_default();
        let address = if text("url").is_empty() { text("path") } else { text("url") };
        let address = if address.is_empty() { "at no address".to_owned() } else { address };
        SystemLine { name: name.clone(), kind, address: address + &account }
    };
    job.systems.iter().map(of).collect()
}

fn machine() -> String {
    let uname = rustix::system::uname();
    format!(
        "{} {} ({})",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy()
    )
}

fn zipped(files: &[(&str, &str, String)]) -> Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, _, text) in files {
        zip.start_file(*name, SimpleFileOptions::default().unix_permissions(0o600))?;
        zip.write_all(text.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

fn shown(path: &Path) -> String {
    safe_text::line(&path.display().to_string()).into_owned()
}
