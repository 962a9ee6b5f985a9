//! The edge to systems: everything that speaks to one lives here.

pub mod source;
pub mod target;
