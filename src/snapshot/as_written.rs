//! Files that stand as a snapshot is written: whoever takes them over copies them, and reads no row one by one.

use std::os::unix::fs::FileExt as _;

use super::error::SnapshotError;
use super::table::Table;
use super::writer::push_cells;

impl Table {
    /// How many rows there are, where the file is to the byte what a snapshot of them is; else `None`.
    pub fn rows_as_written(&self) -> Result<Option<u64>, SnapshotError> {
        let mut header = Vec::new();
        push_cells(&mut header, self.columns().iter().map(String::as_str));
        header.push(b'\n');
        let mut found = vec![0; header.len()];
        let start = self.body().start;
        let is_there = |found: &mut [u8], at: u64| self.file().read_exact_at(found, at).is_ok();
        let mut last = [0];
        if start != header.len() as u64
            || !is_there(&mut found, 0)
            || found != header
            || !is_there(&mut last, self.bytes() - 1)
            || last != *b"\n"
        {
            return Ok(None);
        }
        let chunks = self.par_fold(
            || Some((0, 0)),
            |sums, row| {
                *sums = sums.zip(row.as_written()).map(|((rows, bytes), record)| (rows + 1, bytes + record.len() + 1));
            },
        )?;
        let sums = chunks.into_iter().try_fold((0, 0), |(rows, bytes), chunk| {
            let (of_chunk, more) = chunk?;
            Some((rows + of_chunk, bytes + more as u64))
        });
        // Each row has its line feed. What else stands between rows is in none of them: a carriage return, an empty line.
        Ok(sums.filter(|(_, bytes)| start + bytes == self.bytes()).map(|(rows, _)| rows))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::snapshot::writer::Writer;

    #[test]
    fn only_what_is_written_so_to_the_byte_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let rows = |text: &str| {
            let path = folder.path().join("t.csv");
            std::fs::write(&path, text).unwrap();
            Table::open(&path, &[]).unwrap().rows_as_written().unwrap()
        };
        for (text, count) in [("a,b\n1,2\n3,\n", 2), ("a,b\n", 0), ("\"a,\",b\n\"1\n\",\"\"\"\"\n", 1)] {
            assert_eq!(rows(text), Some(count), "{text}");
            let (path, copy) = (folder.path().join("t.csv"), folder.path().join("copy.csv"));
            let table = Table::open(&path, &[]).unwrap();
            let mut writer = Writer::create(&copy, table.columns(), &[]).unwrap();
            writer.copied_rows(table.file(), count).unwrap();
            let written = writer.finish().unwrap();
            assert_eq!((written.rows, written.bytes), (count, text.len() as u64));
            assert_eq!(std::fs::read_to_string(&copy).unwrap(), text);
        }
        for text in [
            "a,b\n1,2",
            "\u{feff}a,b\n1,2\n",
            "a,b\r\n1,2\r\n",
            "a,b\n1,2\n\n3,4\n",
            "a,b\n\n1,2\n",
            "a,b\n1,2\r\n3,4",
            "\"a\",b\n1,2\n",
            "a,b\n\"1\",2\n",
            "a,b\n[],2\n",
            // No row but this one needs these quotes.
            "a\n\"\"\n",
        ] {
            assert_eq!(rows(text), None, "{text}");
        }
    }
}
