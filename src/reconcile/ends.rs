//! The objects of one sync by number, as associations refer to them.

use crate::model::order::ObjectKey;
use crate::snapshot::row::Cells;

use super::error::ReconcileError;
use super::index::{KeyIndex, NONE};
use super::input::ObjectInput;
use super::references::ReferenceTable;
use super::rows::{Rows, SourceRows};

/// How an object stands, as far as a row that ties it is concerned. Targets are row numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndState {
    /// Wanted and there.
    Paired(u32),
    /// Wanted, and an order makes it.
    Creating,
    /// Managed but no longer wanted: its source row is gone or out of scope.
    Unwanted(u32),
    /// An order removes it; the target takes its rows along.
    Leaving(u32),
    /// Not in scope and not at the target, or not managed.
    Unmanaged,
    /// Whether and what it is at the target is not known yet.
    Undecided,
}

/// The objects of one sync. Numbers below the count of source rows are source rows; the others are objects whose source
/// row is gone.
pub(crate) struct EndTable<'a> {
    pub(crate) input: &'a ObjectInput<'a>,
    pub(crate) source: SourceRows,
    pub(crate) target: Rows,
    pub(crate) source_index: KeyIndex,
    pub(crate) target_index: KeyIndex,
    /// By number.
    pub(crate) states: Vec<EndState>,
    /// Source keys of the objects whose row is gone.
    pub(crate) gone: Vec<String>,
    /// By target row: the number of the object that it is, or `NONE`.
    pub(crate) numbers: Vec<u32>,
    /// By the position of the reference: whom each source row names.
    pub(crate) references: Vec<ReferenceTable>,
}

impl EndTable<'_> {
    /// The source row with a key.
    pub(crate) fn find_source(&self, key: &str) -> Option<u32> {
        self.source_index.get(key)
    }

    /// The target row with an id.
    pub(crate) fn find_target(&self, id: &str) -> Option<u32> {
        self.target_index.get(id)
    }

    /// The source key of an object.
    pub(crate) fn key(&self, number: u32) -> &str {
        match (number as usize).checked_sub(self.source.len()) {
            None => self.source.key(number),
            Some(gone) => &self.gone[gone],
        }
    }

    /// The identity of an object.
    pub(crate) fn object(&self, number: u32) -> ObjectKey {
        ObjectKey::by_source(&self.input.sync.to, &self.input.sync.from, self.key(number))
    }

    /// The target row of an object.
    pub(crate) fn target_of(&self, number: u32) -> Option<u32> {
        match self.states[number as usize] {
            EndState::Paired(row) | EndState::Unwanted(row) | EndState::Leaving(row) => Some(row),
            EndState::Creating | EndState::Unmanaged | EndState::Undecided => None,
        }
    }

    /// The target id of an object.
    pub(crate) fn target_id(&self, number: u32) -> Option<&str> {
        self.target_of(number).map(|row| self.target.key(row))
    }

    /// The number of the object that a target row is.
    pub(crate) fn number_of(&self, target: u32) -> Option<u32> {
        let number = self.numbers[target as usize];
        (number != NONE).then_some(number)
    }

    /// What to call an object that is at the target; else its source key.
    pub(crate) fn label(&self, number: u32) -> Result<String, ReconcileError> {
        if let Some(row) = self.target_of(number) {
            let cells = self.input.target.fetch(self.target.place(row))?;
            if let Some(name) = name_in(self.input, &cells) {
                return Ok(name);
            }
        }
        Ok(self.key(number).to_owned())
    }
}

/// The attributes that name an object in front of people, best first.
pub(crate) const NAMES: [&str; 3] = ["userName", "displayName", "name"];

/// What a target row is called.
pub(crate) fn name_in(input: &ObjectInput<'_>, row: &dyn Cells) -> Option<String> {
    let cells = NAMES.iter().filter_map(|name| input.target.column(name)).map(|column| row.cell(column));
    cells.into_iter().find(|cell| !cell.is_empty()).map(str::to_owned)
}
