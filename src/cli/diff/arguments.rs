//! What is typed after `muster diff`, and what of it contradicts itself.

use std::path::{Path, PathBuf};

use clap::ColorChoice;

use crate::job::size;
use crate::snapshot::diff::Normaliser;

/// What differs between two snapshot files
///
/// Rows are told apart by their key, whatever the order of rows and columns. Quotes, line ends and the order of values
/// in a JSON array make no difference.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Exit status: 0 done, whether anything differs or not · 1 with --exit-code, something differs · \
2 an error, also a key that repeats or is empty\n\nExamples:\n  muster diff before.csv after.csv --key id\n  muster diff before.csv after.csv --key id --format summary --samples 3\n  muster diff before.csv after.csv --key id --values > changes.csv"
)]
pub(in crate::cli) struct Args {
    /// The snapshot before: CSV with a header, plain or packed with gzip or zstd; `-` is standard input
    #[arg(value_name = "A.csv")]
    pub old: PathBuf,
    /// The snapshot after, the same way
    #[arg(value_name = "B.csv")]
    pub new: PathBuf,
    /// Columns that identify a row
    // Not required here: without it, the files' own columns are suggested.
    #[arg(long, short, value_name = "COLUMN,…", value_delimiter = ',')]
    pub key: Vec<String>,
    /// Columns that make no difference
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// Differences in writing that make none in a column: case, trim, nfc, number, boolean, date, set
    #[arg(long, visible_alias = "normalize", value_name = "COLUMN=WORD,…", value_parser = normalise)]
    pub normalise: Vec<(String, Vec<Normaliser>)>,
    /// Form of the answer [default: summary on a terminal, else csv]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// With csv, a row for each cell that differs, with its value before and after
    #[arg(long)]
    pub values: bool,
    /// Rows of each kind that a summary shows
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub samples: usize,
    /// Colours in a summary; NO_COLOR is honoured
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Write the answer to a file, whole or not at all, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Memory for the comparison, such as 256M; what does not fit goes to the folder of --temp [default: a quarter of
    /// what the machine or its control group has]
    #[arg(long, value_name = "SIZE", value_parser = size::memory)]
    pub memory: Option<u64>,
    /// Folder for what does not fit into memory, and for unpacked files and standard input [default: $TMPDIR, else
    /// /var/tmp]
    #[arg(long, value_name = "DIR")]
    pub temp: Option<PathBuf>,
    /// Prove by a second hash, of 128 bits, that the rows whose digests are equal are equal
    #[arg(long)]
    pub verify: bool,
    /// Exit with 1 where anything differs
    #[arg(long)]
    pub exit_code: bool,
}

/// Form of the answer.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Format {
    /// One row for each row that differs: change, key, columns
    Csv,
    /// One JSON object a line, with the cells before and after
    Ndjson,
    /// Counts and samples for people
    Summary,
}

impl Args {
    /// Says what cannot be meant, before any file is opened.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if is_stdin(&self.old) && is_stdin(&self.new) {
            anyhow::bail!("both files are `-`, and there is one standard input; name a file on one side");
        }
        for (i, column) in self.key.iter().enumerate() {
            if column.is_empty() {
                anyhow::bail!("--key has an empty name in it; name columns, with commas between them");
            }
            if self.key[..i].contains(column) {
                anyhow::bail!("the key column `{column}` is given twice; name it once");
            }
            if self.ignore.contains(column) {
                anyhow::bail!("`{column}` is a key column and cannot be ignored; name it in --key or in --ignore");
            }
        }
        if self.values && self.format.is_some_and(|format| format != Format::Csv) {
            anyhow::bail!("--values belongs to --format csv; ndjson and summary show values anyway");
        }
        if self.samples > 1_000 {
            anyhow::bail!("--samples is at most 1,000; --format ndjson has every row");
        }
        Ok(())
    }
}

/// Whether a side is standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// `department=trim,case`
fn normalise(text: &str) -> Result<(String, Vec<Normaliser>), String> {
    // A column's name may have an equals sign; a normaliser's has none.
    let (column, words) = text.rsplit_once('=').filter(|(column, _)| !column.is_empty()).ok_or_else(|| {
        let all: Vec<&str> = Normaliser::ALL.iter().map(|normaliser| normaliser.word()).collect();
        format!("write COLUMN=WORD,…; the words are {}", all.join(", "))
    })?;
    let words: Result<_, _> = words.split(',').map(|word| word.trim().parse::<Normaliser>()).collect();
    Ok((column.to_owned(), words.map_err(|error| error.to_string())?))
}
