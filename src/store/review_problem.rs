//! What a review file is refused for, in the words for those who filled it in.

use std::mem::Discriminant;

use crate::model::order::OrderId;

/// Problems of one kind that are told one by one; of more only the number.
const PROBLEMS_TOLD: usize = 10;

/// Why a review file is refused. Rows are counted as spreadsheets do, the header being row 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewProblem {
    /// The file cannot be read as a table.
    #[error("{what}")]
    NoTable {
        /// Why.
        what: String,
    },
    /// None of the columns is there.
    #[error(
        "it is no review file, or its header is gone: its first row is `{first}`; give the review file, or its header back"
    )]
    NoReview {
        /// The beginning of its first row.
        first: String,
    },
    /// Characters became others, everywhere.
    #[error(
        "it was saved in another encoding, which changed its characters in {cells}: row {row}, column {column}: expected `{expected}`, found `{found}`; save it as CSV UTF-8"
    )]
    Encoding {
        /// How many cells, in words.
        cells: String,
        /// The row of the first of them.
        row: usize,
        /// Its column.
        column: &'static str,
        /// The beginning of what was written.
        expected: String,
        /// The beginning of what is there.
        found: String,
    },
    /// A column is missing.
    #[error("the column `{column}` is missing; give the file its header back")]
    NoColumn {
        /// Which.
        column: &'static str,
    },
    /// A column is there twice.
    #[error("the column `{column}` is there twice; remove one")]
    TwiceColumn {
        /// Which.
        column: String,
    },
    /// A column that the review file does not have.
    #[error("the column `{column}` does not belong here{hint}; remove it")]
    OtherColumn {
        /// Which.
        column: String,
        /// ` (did you mean …)`, or empty.
        hint: String,
    },
    /// Text beyond the last column.
    #[error("row {row}: `{found}` stands beyond the last column; remove it")]
    Beyond {
        /// The row.
        row: usize,
        /// The text.
        found: String,
    },
    /// A row without an order's id, or with one that the plan does not have.
    #[error("row {row}, column order: `{found}` is no order of this plan; remove the row, or restore its id")]
    OtherOrder {
        /// The row.
        row: usize,
        /// What stands there.
        found: String,
    },
    /// An order has two rows.
    #[error("row {row}: order {order} stands in row {first} already; remove one of the two")]
    Twice {
        /// The row.
        row: usize,
        /// The row before.
        first: usize,
        /// The order.
        order: OrderId,
    },
    /// An order has no row.
    #[error("order {order} ({label}) has no row; a row that is not to be decided keeps an empty decision: restore it")]
    Missing {
        /// The order.
        order: OrderId,
        /// What it is about.
        label: String,
    },
    /// A word that is no decision.
    #[error("row {row}, column decision: `{found}` is no decision{hint}; write approve, reject, or nothing")]
    Decision {
        /// The row.
        row: usize,
        /// The word.
        found: String,
        /// ` (did you mean …)`, or empty.
        hint: String,
    },
    /// A cell that a person may not change was changed.
    #[error(
        "row {row}, column {column} of order {order}: expected `{expected}`, found `{found}`; restore the cell: only decision and comment are yours to change"
    )]
    Changed {
        /// The row.
        row: usize,
        /// The column.
        column: &'static str,
        /// The order.
        order: OrderId,
        /// The beginning of what was written.
        expected: String,
        /// The beginning of what is there.
        found: String,
    },
    /// A file of another plan altogether.
    #[error("none of its orders is of this plan ({first} is the first); give the review file of this run")]
    OtherPlan {
        /// Its first order.
        first: OrderId,
    },
    /// More problems of the kind before than are told.
    #[error("and {count} more like these")]
    More {
        /// How many.
        count: usize,
    },
}

/// Problems by their kind, in the order in which the kinds came up.
#[derive(Default)]
pub(super) struct Problems {
    kinds: Vec<(Kind, Vec<ReviewProblem>, usize)>,
}

/// What makes problems alike: what is wrong, and in which column.
type Kind = (Discriminant<ReviewProblem>, Option<&'static str>);

impl Problems {
    /// Adds one; of more of its kind than are told, the number.
    pub(super) fn add(&mut self, problem: ReviewProblem) {
        let column = match &problem {
            ReviewProblem::Changed { column, .. } => Some(*column),
            _ => None,
        };
        let kind = (std::mem::discriminant(&problem), column);
        match self.kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((_, told, more)) if told.len() >= PROBLEMS_TOLD => *more += 1,
            Some((_, told, _)) => told.push(problem),
            None => self.kinds.push((kind, vec![problem], 0)),
        }
    }

    /// Nothing where there are none, else all that are told.
    pub(super) fn none(self) -> Result<(), Vec<ReviewProblem>> {
        let mut all = Vec::new();
        for (_, told, count) in self.kinds {
            let more = (count > 0).then_some(ReviewProblem::More { count });
            all.extend(told.into_iter().chain(more));
        }
        if all.is_empty() { Ok(()) } else { Err(all) }
    }
}
