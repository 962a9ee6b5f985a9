//! Some rows of a snapshot as a table of their own, in memory: to look at a few objects as one looks at all.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, memfd_create};

use super::error::SnapshotError;
use super::row::Place;
use super::table::Table;

impl Table {
    /// The rows at these places, in the file's order, byte for byte. Messages call it as they call the whole file; where
    /// its rows stand in that, the places tell that led to them.
    ///
    /// # Errors
    /// Where the file cannot be read, or memory has no room.
    pub fn excerpt(&self, places: &[Place]) -> Result<Table, SnapshotError> {
        let failed = |error| SnapshotError::reading(self.path())(error);
        let mut places = places.to_vec();
        places.sort_unstable();
        places.dedup();
        let mut bytes = self.read_at(0, self.body().start as usize).map_err(failed)?;
        for place in places {
            if bytes.last() != Some(&b'\n') {
                bytes.push(b'\n');
            }
            bytes.append(&mut self.read_at(place.offset, place.length as usize).map_err(failed)?);
        }
        let memory = memfd_create("excerpt", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let mut file = File::from(memory);
        file.write_all(&bytes).map_err(failed)?;
        let key: Vec<String> = self.key_columns().iter().map(|column| self.columns()[*column].clone()).collect();
        Table::from_file(file, self.path(), &key)
    }

    fn read_at(&self, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file().read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::snapshot::row::Cells as _;

    #[test]
    fn an_excerpt_has_the_rows_that_were_asked_for_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "\u{feff}\"id\",n\r\n1,\"a\nb\"\r\n2,c\n3,\"d,\"\"e\"").unwrap();
        let table = Table::open(&path, &["id".to_owned()]).unwrap();
        let places = table.par_map(|row| row.place()).unwrap();
        let read = |places: &[Place]| {
            let some = table.excerpt(places).unwrap();
            some.par_map(|row| format!("{}={}", some.key_of(row), row.cell(1))).unwrap()
        };
        assert_eq!(read(&places), ["1=a\nb", "2=c", "3=d,\"e"]);
        assert_eq!(read(&[places[2], places[0]]), ["1=a\nb", "3=d,\"e"]);
        assert!(read(&[]).is_empty());
    }
}
