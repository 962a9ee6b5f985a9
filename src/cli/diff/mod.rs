//! `muster diff`: what differs between two snapshot files, without a job.

mod arguments;
mod input;
mod list;
mod names;
mod summary;
mod unzstd;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ColorChoice;

use crate::disk::atomic::AtomicFile;
use crate::disk::memory;
use crate::job::size::memory_by_default;
use crate::report::safe_text;
use crate::snapshot::diff::{DiffError, DiffOptions, Normaliser, diff};
use crate::snapshot::table::Table;

pub(super) use arguments::{Args, Format};

/// Bytes written at once.
const PIECE: usize = 256 << 10;

/// Runs the command and gives its exit status: 0 done, 1 with `--exit-code` where anything differs, 2 on any error
/// (which is told on standard error). `tells`: whether people are told more there than errors.
pub(super) fn run(args: &Args, tells: bool) -> anyhow::Result<u8> {
    match compare(args, tells) {
        Ok(differs) => Ok(u8::from(differs && args.exit_code)),
        Err(error) => {
            for line in format!("muster: {}", told(&error)).lines() {
                writeln!(io::stderr(), "{}", safe_text::line(line))?;
            }
            Ok(2)
        }
    }
}

/// An error with its causes; a cause that the text before it already has is not repeated.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn compare(args: &Args, tells: bool) -> anyhow::Result<bool> {
    args.check()?;
    let temp = args.temp.clone().unwrap_or_else(temporary_folder);
    let (old, new) = open(args, &temp)?;
    let options = DiffOptions {
        ignore: args.ignore.iter().cloned().collect::<BTreeSet<_>>(),
        normalise: normalisers(args),
        memory: args.memory.or_else(|| memory_by_default(memory::allowed())),
        spill_folder: Some(temp),
        verify: args.verify,
        seed: None,
    };
    let difference = diff(&old, &new, &options).map_err(|error| match error {
        DiffError::Full { .. } | DiffError::NotKept { .. } => anyhow::anyhow!("{error}; --temp names another folder"),
        other => other.into(),
    })?;

    let shown = args.output.is_none() && io::stdout().is_terminal();
    let by_default = if shown && !args.values { Format::Summary } else { Format::Csv };
    let format = args.format.unwrap_or(by_default);
    if format == Format::Summary {
        let summary = summary::summary(&old, &new, &difference, args.samples)?;
        let color = match args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => shown && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let text = summary.render(width(), color);
        write(args.output.as_deref(), |out| Ok(out.write_all(text.as_bytes())?))?;
        if let Some(doubt) = summary.doubt() {
            bail!(doubt);
        }
    } else {
        if let Err(error) = difference.require_unique(&old, &new) {
            bail!("{error}\nmend the files, or name the columns in --key that tell their rows apart");
        }
        let list = list::List { old: &old, new: &new, difference: &difference, shown };
        write(args.output.as_deref(), |mut out| match format {
            Format::Ndjson => list.ndjson(&mut out),
            _ if args.values => list.csv_values(&mut out),
            _ => list.csv(&mut out),
        })?;
        if tells {
            writeln!(io::stderr(), "{}", summary::summary(&old, &new, &difference, 0)?.in_one_line())?;
        }
    }
    Ok(!difference.is_empty())
}

/// Opens both sides at once, since each may have to be unpacked; all that is wrong with either is told.
fn open(args: &Args, temp: &Path) -> anyhow::Result<(Table, Table)> {
    let (old, new) = std::thread::scope(|scope| {
        let old = scope.spawn(|| input::open(&args.old, temp));
        let new = input::open(&args.new, temp);
        let old = old.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of muster's own ended")));
        (old, new)
    });
    let (old, new) = both(old, new)?;
    let table = |input: &input::Input, key: &[String]| -> anyhow::Result<Table> {
        let file = input.file.try_clone().with_context(|| format!("cannot read {}", input.name.display()))?;
        Ok(Table::from_file(file, &input.name, key)?)
    };
    let (first, second) = both(table(&old, &[]), table(&new, &[]))?;
    let problems = names::problems(args, &first, &second);
    if !problems.is_empty() {
        bail!(problems.join("\n"));
    }
    both(table(&old, &args.key), table(&new, &args.key))
}

/// Both results, or the errors of both.
fn both<T>(old: anyhow::Result<T>, new: anyhow::Result<T>) -> anyhow::Result<(T, T)> {
    match (old, new) {
        (Ok(old), Ok(new)) => Ok((old, new)),
        (Err(old), Err(new)) if told(&old) != told(&new) => bail!("{}\n{}", told(&old), told(&new)),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn normalisers(args: &Args) -> BTreeMap<String, Vec<Normaliser>> {
    let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (column, normalisers) in &args.normalise {
        all.entry(column.clone()).or_default().extend(normalisers);
    }
    all
}

/// Writes the answer to standard output, or to a file that appears whole or not at all. What is there and is no file (a
/// device, a pipe) is written to as it is.
fn write(path: Option<&Path>, answer: impl Fn(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let Some(path) = path else {
        return whoever_reads(answer, io::stdout().lock()).context("cannot write to standard output");
    };
    let failed = || format!("cannot write {}", path.display());
    match fs::metadata(path) {
        Ok(details) if details.is_dir() => bail!("{} is a folder; name a file for the answer", path.display()),
        Ok(details) if !details.is_file() => {
            let out: File = OpenOptions::new().write(true).open(path).with_context(failed)?;
            whoever_reads(answer, out).with_context(failed)
        }
        _ => {
            let mut out = BufWriter::with_capacity(PIECE, AtomicFile::create(path)?);
            answer(&mut out).with_context(failed)?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error);
            Ok(file.with_context(failed)?.commit()?)
        }
    }
}

/// Writes to somebody who may have seen enough, which is no failure.
fn whoever_reads(answer: impl Fn(&mut dyn Write) -> anyhow::Result<()>, out: impl Write) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(PIECE, out);
    match answer(&mut out).and_then(|()| Ok(out.flush()?)) {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        written => written,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| match cause.downcast_ref::<csv::Error>().map(csv::Error::kind) {
        Some(csv::ErrorKind::Io(error)) => error.kind() == io::ErrorKind::BrokenPipe,
        _ => cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe),
    })
}

/// Large files do not belong into /tmp, which is memory on many machines.
fn temporary_folder() -> PathBuf {
    match env::var_os("TMPDIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from("/var/tmp"),
    }
}

/// The columns of the terminal, else of $COLUMNS, else 80.
fn width() -> usize {
    let terminal = rustix::termios::tcgetwinsize(io::stdout()).map(|size| usize::from(size.ws_col)).ok();
    let wanted = || env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    terminal.filter(|columns| *columns > 0).or_else(wanted).unwrap_or(80).clamp(40, 400)
}
