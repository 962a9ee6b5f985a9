//! The sending: mail and signed messages to a service of the web.
//!
//! [`notice`] is what there is to say, [`letter`] the same as mail, [`page`] as HTML; [`told`] remembers what was said, so
//! that nobody is told twice; [`smtp`] and [`webhook`] send. Nothing here reads the clock, the environment or a secret's
//! reference: who calls hands them over.

pub mod letter;
pub mod notice;
pub mod page;
pub mod smtp;
pub mod told;
mod trouble;
pub mod webhook;
