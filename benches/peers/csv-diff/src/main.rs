//! `csv-diff-peer KEY_COLUMNS OLD NEW OUTPUT`: key columns by position from 0, with commas between. Writes the rows that
//! differ, as `qsv diff` does: a sign, then the whole row; of a changed row both.

use std::fs::File;
use std::io::BufWriter;

use csv_diff::csv::Csv;
use csv_diff::csv_diff::CsvByteDiffBuilder;
use csv_diff::diff_row::DiffByteRecord;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [key, old, new, output] = words.as_slice() else { return Err("usage: KEY_COLUMNS OLD NEW OUTPUT".into()) };
    let key: Vec<usize> = key.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let diff = CsvByteDiffBuilder::new().primary_key_columns(key).build()?;
    let [old, new] = [old, new].map(|path| File::open(path));
    let found = diff.diff(Csv::with_reader_seek(old?), Csv::with_reader_seek(new?));
    let mut out = csv::Writer::from_writer(BufWriter::with_capacity(1 << 20, File::create(output)?));
    let mut rows: Vec<DiffByteRecord> = found.into_iter().collect::<Result<_, _>>()?;
    rows.sort_by_key(line);
    for row in rows {
        match row {
            DiffByteRecord::Add(added) => write(&mut out, b"+", added.byte_record())?,
            DiffByteRecord::Delete(deleted) => write(&mut out, b"-", deleted.byte_record())?,
            DiffByteRecord::Modify { delete, add, .. } => {
                write(&mut out, b"-", delete.byte_record())?;
                write(&mut out, b"+", add.byte_record())?;
            }
        }
    }
    Ok(out.flush()?)
}

fn line(row: &DiffByteRecord) -> u64 {
    match row {
        DiffByteRecord::Add(row) | DiffByteRecord::Delete(row) => row.line(),
        DiffByteRecord::Modify { delete, .. } => delete.line(),
    }
}

fn write(out: &mut csv::Writer<impl std::io::Write>, sign: &[u8], row: &csv::ByteRecord) -> csv::Result<()> {
    out.write_record(std::iter::once(sign).chain(row.iter()))
}
