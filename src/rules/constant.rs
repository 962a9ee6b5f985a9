//! What a rule says once and uses for every row: patterns and tables to look up in. They travel through an expression
//! as values, so that nothing is compiled or searched for by name while rows are read.

use std::any::Any;
use std::sync::Arc;

use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};
use regex::Regex;

use super::lookup::Lookup;
use super::rewrite::Reading;
use crate::snapshot::directory::Directory;

/// One constant of a rule.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    /// A regular expression.
    Pattern(Arc<Regex>),
    /// Where something is looked up, and how what is found is read.
    Table {
        /// What is looked up.
        lookup: Arc<Lookup>,
        /// Where.
        directory: Arc<Directory>,
        /// How the cell is read.
        reading: Reading,
    },
}

static TYPE: Type = Type::new_unspecified_type("constant");

impl Val for Constant {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn equals(&self, other: &dyn Val) -> bool {
        match (self, other.downcast_ref::<Constant>()) {
            (Self::Pattern(one), Some(Self::Pattern(other))) => one.as_str() == other.as_str(),
            (Self::Table { directory: one, .. }, Some(Self::Table { directory: other, .. })) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Constant {}
