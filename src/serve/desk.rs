//! What the page asks of the door that opened it: what is decided here goes the way of what is typed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::model::approval::Decision;
use crate::model::digest::Digest;
use crate::model::order::{Order, OrderId};
use crate::model::record::RunRecord;
use crate::model::review_terms::ReviewRules;
use crate::store::database::Store;
use crate::store::error::StoreError;

/// A review of one run, as it is handed over to be sealed.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// The plan that was shown; `None` where the run has none.
    pub plan: Option<Digest>,
    /// Each decided order.
    pub decisions: BTreeMap<OrderId, Decision>,
    /// Holds that are accepted, by name, with the figure that was shown.
    pub accepted: BTreeMap<String, String>,
    /// Why; never empty.
    pub comment: String,
}

/// How a review of a run is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// The job asks for none.
    NotAsked,
    /// With this key, which the page was opened with.
    With(String),
    /// Elsewhere: the page gives what is to be signed.
    Elsewhere,
}

/// What a sealed review came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The lines that a command says.
    pub lines: Vec<String>,
    /// What is to be typed next.
    pub next: Vec<String>,
}

/// A review that somebody is to sign elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The bytes to be signed.
    pub bytes: Vec<u8>,
    /// What they approve, reject and leave out, in lines.
    pub lines: Vec<String>,
    /// What is to be typed, one after the other; the file is called `review.json`.
    pub next: Vec<String>,
}

/// A limit in force, and how near to it a plan is.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// The limit's name: `vault.users/disable/percent`.
    pub name: String,
    /// What it is about: `vault.users`, `vault.users/admins`.
    pub about: String,
    /// The most, a number or a percentage.
    pub limit: f64,
    /// Whether the limit is a percentage.
    pub is_percent: bool,
    /// What is counted; `None` where that is not known.
    pub figure: Option<u64>,
    /// Of how many.
    pub size: u64,
    /// From how many on a percentage is judged.
    pub floor: u64,
    /// Whether a percentage says nothing yet, because nothing had been there before.
    pub is_first_load: bool,
}

/// The door that opened the page. Errors are sentences for people, as the command line says them.
pub trait Desk: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> DateTime<Utc>;

    /// Who decides, where no signature says it.
    fn reviewer(&self) -> String;

    /// The runs that the page is about, oldest first.
    ///
    /// # Errors
    /// Where there are none of the name, or the database cannot be read.
    fn runs(&self, store: &Store) -> Result<Vec<RunRecord>, String>;

    /// What the run's job says about reviews.
    ///
    /// # Errors
    /// Where the job file cannot be used.
    fn rules(&self, store: &Store, run: &RunRecord) -> Result<ReviewRules, String>;

    /// How its review is signed.
    ///
    /// # Errors
    /// Where the job file cannot be used.
    fn signature(&self, store: &Store, run: &RunRecord) -> Result<Signature, String>;

    /// The limits in force, and what a run's plan makes of them.
    ///
    /// # Errors
    /// Where the job file cannot be used, or the database cannot be read.
    fn limits(&self, store: &Store, run: &RunRecord) -> Result<Vec<Reach>, String>;

    /// Why an order is wanted, step by step.
    ///
    /// # Errors
    /// Where the snapshots or the job file are gone.
    fn why(&self, run: &RunRecord, order: &Order) -> Result<String, String>;

    /// What to do about a run whose plan cannot be read.
    fn lost(&self, store: &Store, run: &RunRecord, why: &StoreError) -> String;

    /// Seals a review.
    ///
    /// # Errors
    /// Where it is refused; nothing was sealed then.
    fn seal(&self, store: &mut Store, run: &RunRecord, decided: Decided) -> Result<Told, String>;

    /// Gives what is to be signed of a review, and seals nothing.
    ///
    /// # Errors
    /// Where it would be refused.
    fn prepare(&self, store: &mut Store, run: &RunRecord, decided: Decided) -> Result<Prepared, String>;
}
