//! How fast a snapshot file is taken apart into rows of cells.
//!
//! `cargo bench --bench scanner` reads 100,000 users and as many users' memberships; `cargo bench --bench scanner --
//! 1000000 9` those of 1,000,000 users, in 9 rounds. Each twin of the scanner on one thread and on all, and the `csv`
//! crate's `ByteRecord` on one, read the same file in turn; what is printed are medians. All of them add up the lengths
//! of the first and the last cell of each row, and must come to the same sum.

mod generate;

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use generate::Pair;
use muster::snapshot::error::SnapshotError;
use muster::snapshot::row::Cells;
use muster::snapshot::table::{Table, Tuning, Twin};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Rows, and bytes in the first and the last cell of each.
type Sum = (u64, u64);

fn main() -> Outcome<()> {
    // cargo bench adds its own flag.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let (users, rounds) = match words.as_slice() {
        [] => (100_000, 5),
        [users] => (users.parse()?, 5),
        [users, rounds] => (users.parse()?, rounds.parse()?),
        _ => return Err("usage: [USERS [ROUNDS]]".into()),
    };
    let folder = tempfile::tempdir()?;
    measure("users", &generate::users(users, 42, folder.path())?, rounds)?;
    measure("memberships", &generate::memberships(users, 42, folder.path())?, rounds)
}

type Read = dyn Fn(&Path) -> Outcome<Sum>;

/// One way to read the file.
struct Reader {
    name: String,
    read: Box<Read>,
    seconds: Vec<f64>,
}

fn measure(kind: &str, pair: &Pair, rounds: usize) -> Outcome<()> {
    let file = pair.old.as_path();
    let mut readers = Vec::new();
    for threads in [1, std::thread::available_parallelism()?.get()] {
        for twin in Twin::available() {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            readers.push(Reader {
                name: format!("{}, threads: {threads}", twin.name()),
                read: Box::new(move |file| Ok(pool.install(|| scanned(file, twin))?)),
                seconds: Vec::new(),
            });
        }
    }
    readers.push(Reader { name: "csv crate".to_owned(), read: Box::new(peer), seconds: Vec::new() });

    let want = peer(file)?;
    if peer(&pair.new)?.0 + pair.planted.removed != want.0 + pair.planted.added {
        return Err("the csv crate does not find the rows that were generated".into());
    }
    for _ in 0..rounds.max(1) {
        for reader in &mut readers {
            let start = Instant::now();
            let sum = (reader.read)(file)?;
            reader.seconds.push(start.elapsed().as_secs_f64());
            if sum != want {
                return Err(format!("{}: found {sum:?}, not {want:?}", reader.name).into());
            }
        }
    }
    let bytes = std::fs::metadata(file)?.len() as f64;
    println!("{kind}: {} rows, {:.1} MB", want.0, bytes / 1e6);
    for reader in &mut readers {
        reader.seconds.sort_by(f64::total_cmp);
        let seconds = reader.seconds[reader.seconds.len() / 2];
        println!("  {:<24} {seconds:>8.4} s {:>7.2} GB/s", reader.name, bytes / seconds / 1e9);
    }
    Ok(())
}

fn scanned(file: &Path, twin: Twin) -> Result<Sum, SnapshotError> {
    let table = Table::open(file, &[])?.tuned(Tuning { twin, ..Tuning::default() });
    let last = table.columns().len() - 1;
    let sums = table.par_fold(Sum::default, |sum, row| {
        sum.0 += 1;
        sum.1 += (row.cell(0).len() + row.cell(last).len()) as u64;
    })?;
    Ok(sums.into_iter().fold(Sum::default(), |a, b| (a.0 + b.0, a.1 + b.1)))
}

fn peer(file: &Path) -> Outcome<Sum> {
    // As the scanner does, it reads from the file, by pieces of the size that suits it best.
    let input = File::open(file)?;
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 20).from_reader(input);
    let last = reader.byte_headers()?.len() - 1;
    let mut record = csv::ByteRecord::new();
    let mut sum = Sum::default();
    while reader.read_byte_record(&mut record)? {
        sum.0 += 1;
        sum.1 += (record[0].len() + record[last].len()) as u64;
    }
    Ok(sum)
}
