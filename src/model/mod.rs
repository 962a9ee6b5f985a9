//! The nouns of muster. No I/O, no clock, no async; imports nothing of ours.

pub mod approval;
pub mod approvers;
pub mod capabilities;
pub mod digest;
pub mod event;
pub mod evidence;
pub mod explanation;
pub mod failure;
pub mod failure_cause;
pub mod fingerprint;
pub mod link;
pub mod object;
pub mod order;
pub mod outcome;
pub mod plan;
pub mod record;
pub mod resource;
pub mod review_terms;
pub mod run;
pub mod settings;
pub mod shape;
pub mod signature;
pub mod situation;
pub mod texts;
pub mod threshold;
pub mod value;
