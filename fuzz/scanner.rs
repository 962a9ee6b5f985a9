//! What the scanner has to do with any bytes: each twin, cut anywhere, reads what the `csv` crate reads, or refuses the
//! file. The first three bytes of an input choose the size of the chunks, the bytes read at once, and the number of
//! columns; the rest is the file behind its header.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;

use muster::snapshot::error::SnapshotError;
use muster::snapshot::row::{Cells, Row};
use muster::snapshot::table::{Table, Tuning, Twin};

const HEADERS: [&str; 3] = ["x\n", "x,y\n", "x,y,z\n"];

/// One file, written again for each input; in memory where the machine has a folder there.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("muster-fuzz-{}.csv", std::process::id()))
});

static POOL: LazyLock<rayon::ThreadPool> =
    LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads"));

fn cells(row: &Row<'_>) -> Vec<String> {
    row.cells().map(str::to_owned).collect()
}

fn peer(bytes: &[u8]) -> Option<Vec<Vec<String>>> {
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    reader.records().map(|record| Some(record.ok()?.iter().map(str::to_owned).collect())).collect()
}

/// Panics where the scanner does something else.
pub fn check(input: &[u8]) {
    let Some((choice, body)) = input.split_first_chunk::<3>() else { return };
    let columns = usize::from(choice[2]) % HEADERS.len();
    let bytes = [HEADERS[columns].as_bytes(), body].concat();
    File::create(&*FILE).and_then(|mut file| file.write_all(&bytes)).expect("the file is written");
    let mut table = Table::open(&FILE, &[]).expect("the header is right");

    let mut first: Option<Result<Vec<Vec<String>>, String>> = None;
    for twin in Twin::available() {
        table = table.tuned(Tuning { twin, chunk: Some(1 + u64::from(choice[0])), read: 1 + usize::from(choice[1]) });
        let rows = match POOL.install(|| table.par_map(|row| (row.place(), cells(row)))) {
            Ok(rows) => Ok(rows),
            // A file that does not change is never said to have changed: that would be a wrong proof.
            Err(SnapshotError::Malformed { problems, .. }) if problems.count > 0 => Err(problems.to_string()),
            Err(error) => panic!("{error}"),
        };
        for (place, cells) in rows.iter().flatten().take(4) {
            let fetched = table.fetch(*place).expect("a row is found again");
            assert!(cells.iter().enumerate().all(|(i, cell)| fetched.cell(i) == cell));
        }
        let rows = rows.map(|rows| rows.into_iter().map(|(_, cells)| cells).collect::<Vec<_>>());
        match &first {
            Some(first) => assert_eq!(first, &rows, "{}", twin.name()),
            None => {
                if let Ok(rows) = &rows {
                    assert_eq!(Some(rows), peer(&bytes).as_ref());
                }
                first = Some(rows);
            }
        }
    }
    std::fs::remove_file(&*FILE).expect("the file is removed");
}
