//! What there is to say about one object, or about one row of an association: step by step, each with its inputs and its
//! verdict.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::order::OrderId;
use super::resource::ResourceName;
use super::run::RunId;
use super::situation::{Situation, words};

/// A step on the way from a source row to what became of it at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// Which file and which row it was read from.
    Read,
    /// Whether it is assigned to the target.
    Assign,
    /// Which conditions let it take part.
    Scope,
    /// What each rule makes of it.
    Map,
    /// Which object of the target belongs to it.
    Correlate,
    /// What both sides hold, attribute by attribute.
    Compare,
    /// What follows from that.
    Decide,
    /// The order that says so, and where it stands.
    Order,
    /// What became of it.
    Outcome,
}

words!(StepName {
    Read => "read", Assign => "assign", Scope => "scope", Map => "map", Correlate => "correlate",
    Compare => "compare", Decide => "decide", Order => "order", Outcome => "outcome",
});

/// What one step comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The step.
    pub step: StepName,
    /// Its verdict, in a sentence.
    pub verdict: String,
    /// What the verdict rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
}

/// Something that a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is about: an attribute, a condition, a rule, a candidate.
    pub about: String,
    /// What is to be said of it, in a word or two; may be empty.
    pub verdict: String,
    /// The details, in their order.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

fn as_map<S: Serializer>(details: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    // What is told twice is told as one text: the names of a JSON object stand once.
    let mut told: Vec<(&str, String)> = Vec::new();
    for (name, text) in details {
        match told.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = format!("{known}; {text}"),
            None => told.push((name, text.clone())),
        }
    }
    serializer.collect_map(told)
}

impl Step {
    /// A step that rests on nothing but its verdict so far.
    pub fn new(step: StepName, verdict: impl Into<String>) -> Self {
        Self { step, verdict: verdict.into(), facts: Vec::new() }
    }
}

impl Fact {
    /// A fact without details so far.
    pub fn new(about: impl Into<String>, verdict: impl Into<String>) -> Self {
        Self { about: about.into(), verdict: verdict.into(), details: Vec::new() }
    }

    /// The same with one detail more.
    #[must_use]
    pub fn with(mut self, name: &str, text: impl Into<String>) -> Self {
        self.details.push((name.to_owned(), text.into()));
        self
    }
}

/// An object, or a row of an association, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The job.
    pub job: String,
    /// The run whose snapshots tell it; `None` where the systems were read for this alone.
    pub run: Option<RunId>,
    /// When these were taken.
    pub at: DateTime<Utc>,
    /// Where its row comes from.
    pub from: ResourceName,
    /// Where it is provisioned.
    pub to: ResourceName,
    /// The source row's key, where there is or was one.
    pub source_key: Option<String>,
    /// The target's id of the object, where it is there.
    pub target_id: Option<String>,
    /// What it is called; may be empty.
    pub name: String,
    /// How it stands; `None` where the job has nothing to do with it.
    pub situation: Option<Situation>,
    /// Its live order, else the one that a plan would raise now.
    pub order: Option<OrderId>,
    /// All of it.
    pub steps: Vec<Step>,
    /// What to type next, best first.
    pub next: Vec<String>,
}
