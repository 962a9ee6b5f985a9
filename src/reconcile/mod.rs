//! What differs between source and target, and what is to be done about it. Pure and deterministic.

pub mod policy;
