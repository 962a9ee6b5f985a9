//! `muster review RUN --serve`: the review page, and what it asks of the door.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};

use super::context::Context;
use super::exit::Ending;
use super::review::Args;
use super::sandbox::until_told;
use super::sealing::{self, Signing};
use super::session::{self, Purpose};
use super::{lost, sealed, selection, thresholds};
use crate::model::order::{EndRef, Order};
use crate::model::record::RunRecord;
use crate::model::resource::ResourceName;
use crate::model::review_terms::ReviewRules;
use crate::model::threshold::Bound;
use crate::reconcile::backtest::{Backtest, History, replay};
use crate::reconcile::threshold::Counted;
use crate::report::explained_text::explained_text;
use crate::report::figures::counted;
use crate::report::safe_text;
use crate::run::{ExplainEnd, ExplainRequest};
use crate::serve;
use crate::serve::desk::{Decided, Desk, Prepared, Reach, Signature, Told};
use crate::store::database::Store;
use crate::store::error::StoreError;
use crate::store::seal::SealRequest;

/// Columns of what is explained on the page.
const WIDTH: usize = 96;

/// What a review to be signed elsewhere is called when a browser saves it.
const REVIEW: &str = "review.json";

/// Shows the page until it is told to end. The first line on standard output is its address.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let (name, key, idle) = args.served();
    let store = selection::open_store(context)?;
    let runs = selection::runs(&store, &name)?;
    let quiet = Context { quiet: true, tells: false, ..context.clone() };
    let door = Door { context: quiet, name, signing: Signing::with_key(key) };
    let mut served = serve::start(Box::new(door), store, runs, idle).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", served.url).and_then(|()| stdout.flush()).context("cannot write the address")?;
    say!(context, "open this address in a browser on this machine; it works once, and nobody else gets in");
    say!(context, "nothing is decided before it is sealed there; Ctrl-C ends the page");
    tokio::select! {
        told = until_told() => told?,
        () = served.ended() => say!(context, "the page ended: it was closed, or nobody used it for a while"),
    }
    let unsealed = served.close().await;
    if unsealed > 0 {
        eprintln!("muster: {} not sealed, and gone with the page", counted(unsealed, "decision"));
    }
    Ok(Ending::Done.status())
}

/// What the page may do: what the person who opened it could by command.
struct Door {
    context: Context,
    /// The run or the job, as it was typed.
    name: String,
    signing: Signing,
}

impl Door {
    /// How a review goes to the seal.
    fn request(&self, run: &RunRecord, decided: Decided, rules: &ReviewRules) -> SealRequest {
        SealRequest {
            run: run.id.clone(),
            plan: decided.plan,
            decisions: decided.decisions,
            accepted: decided.accepted,
            reviewer: Some(self.context.person()),
            comment: decided.comment,
            expires: self.context.now() + rules.lasts,
        }
    }

    fn is_signed(store: &Store, run: &RunRecord, rules: &ReviewRules) -> Result<bool> {
        Ok(rules.terms.stricter(store.review_terms(&run.id)?).signed)
    }

    fn sealed(&self, store: &mut Store, run: &RunRecord, decided: Decided) -> Result<Told> {
        let rules = sealing::rules(&self.context, store, run)?;
        let request = self.request(run, decided, &rules);
        let Some((request, report)) = self.signing.seal(&self.context, store, request, &rules)? else {
            return Ok(Told::default());
        };
        let told = sealed::told(&self.context, run, &request, &report);
        let (ending, waiting) = sealed::stand(&self.context, store, run)?;
        let next = sealed::next(store, &store.run(&run.id)?, ending == Ending::Held, waiting)?;
        Ok(in_parts(&(told + &next)))
    }

    fn prepared(&self, store: &mut Store, run: &RunRecord, decided: Decided) -> Result<Prepared> {
        let rules = sealing::rules(&self.context, store, run)?;
        let request = SealRequest { reviewer: None, ..self.request(run, decided, &rules) };
        let (approval, report) = store.draft(&request, &rules, self.context.now())?;
        let mut text = format!("a review of {}, to be signed; nothing is sealed yet\n", sealing::decided(&report));
        sealed::tell_orders(&mut text, "refused", &report.refused);
        sealed::tell_orders(&mut text, "skipped", &report.skipped);
        let approval = approval.with_context(|| format!("nothing of it can be sealed\n{text}"))?;
        Ok(Prepared {
            bytes: approval.to_bytes(),
            lines: text.lines().map(str::to_owned).collect(),
            next: sealing::to_sign(&run.id, REVIEW).to_vec(),
        })
    }

    fn reached(&self, store: &Store, run: &RunRecord) -> Result<Vec<Reach>> {
        let job = session::job_of(store, &run.job)?;
        let mut history = thresholds::history(store, &job, usize::MAX, self.context.now())?;
        history.runs.retain(|past| past.id <= run.id);
        history.judged = history.runs.len().min(1);
        let tried = thresholds::tried(&job);
        let backtest = replay(&history, &tried);
        let mut reached = Vec::new();
        for (name, bound) in &backtest.limits {
            let of_orders = tried.orders.iter().map(|(resource, ..)| *resource);
            let Some(resource) = of_orders.into_iter().find(|resource| Counted::by(name, resource).is_some()) else {
                continue;
            };
            reached.push(reach(&history, &backtest, (name, *bound), resource));
        }
        Ok(reached)
    }

    /// Explains the object of an order; of a row of an association, how its ends came together.
    fn explained(&self, run: &RunRecord, order: &Order) -> Result<String> {
        let store = selection::open_store(&self.context)?;
        let session = session::of(&self.context, session::job_of(&store, &run.job)?, Purpose::Look)?;
        let named = |end: usize| {
            order.ends.get(end).map(|end| match &end.object {
                EndRef::Target(id) => id.clone(),
                EndRef::Order(_) => end.label.clone(),
            })
        };
        let asks: Vec<ExplainRequest> = match (order.ends.is_empty(), &order.source_key, &order.target_id) {
            (true, Some(key), _) | (true, None, Some(key)) => {
                vec![ExplainRequest { key: key.clone(), resource: Some(order.resource.clone()), entitlement: None }]
            }
            (true, None, None) => {
                vec![ExplainRequest {
                    key: order.key.clone(),
                    resource: Some(order.resource.clone()),
                    entitlement: None,
                }]
            }
            // Which end is the group, its association does not say.
            (false, ..) => [(1, 0), (0, 1)]
                .into_iter()
                .filter_map(|(key, group)| {
                    Some(ExplainRequest { key: named(key)?, resource: None, entitlement: named(group) })
                })
                .collect(),
        };
        let mut nowhere = String::new();
        for ask in asks {
            match session.conductor.explain(&ask) {
                Ok(ExplainEnd::One(explained)) => {
                    return Ok(explained_text(&explained, self.context.now(), WIDTH));
                }
                Ok(ExplainEnd::Several(known)) => {
                    nowhere = format!(
                        "{} objects go by `{}`; `muster explain {} {}` lists them",
                        known.len(),
                        ask.key,
                        run.job,
                        crate::run::typed(&ask.key)
                    );
                }
                Ok(ExplainEnd::None(why)) => nowhere = why,
                Err(why) => nowhere = why.to_string(),
            }
        }
        anyhow::bail!("{nowhere}")
    }
}

/// How near to a limit the newest run of a history comes.
fn reach(history: &History, backtest: &Backtest, (name, bound): (&str, Bound), resource: &ResourceName) -> Reach {
    let newest = history.runs.last();
    let series = backtest.samples.iter().find(|((about, window), _)| {
        let suffix = window.map_or_else(String::new, |window| format!("/{window}"));
        format!("{about}/{}{suffix}", bound.word()) == name
    });
    let of_run = || {
        let own = history.orders.iter().filter(|orders| newest.is_some_and(|run| run.id == orders.run));
        own.filter(|orders| orders.resource == *resource)
            .filter(|orders| {
                Counted::by(name, resource).is_some_and(|by| by.counts(orders.operation, &orders.thresholds))
            })
            .map(|orders| orders.count)
            .sum()
    };
    let about = name.rsplit_once(&format!("/{}", bound.word())).map_or(name, |(about, _)| about);
    let about = about.rsplit_once('/').map_or(about, |(about, _)| about);
    let is_first_load = newest.is_some_and(|run| run.first_loads.contains(resource));
    Reach {
        name: name.to_owned(),
        about: about.to_owned(),
        limit: bound.figure(),
        is_percent: matches!(bound, Bound::Percent(_)),
        figure: newest.map(|_| series.and_then(|(_, all)| all.last()).map_or_else(of_run, |sample| sample.figure)),
        size: newest.and_then(|run| run.sizes.get(about)).copied().unwrap_or(0),
        floor: backtest.floors.get(name).copied().unwrap_or(0),
        is_first_load,
    }
}

/// What a command says, with what is to be typed apart.
fn in_parts(text: &str) -> Told {
    let mut told = Told::default();
    for line in text.lines() {
        let command = line.find("muster ").filter(|_| line.trim_start().starts_with("next"));
        match command {
            Some(at) => told.next.push(line[at..].to_owned()),
            None => told.lines.push(line.to_owned()),
        }
    }
    told
}

/// An error as the command line says it.
fn said(error: anyhow::Error) -> String {
    safe_text::line(&format!("{error:#}")).into_owned()
}

impl Desk for Door {
    fn now(&self) -> DateTime<Utc> {
        self.context.now()
    }

    fn reviewer(&self) -> String {
        match self.signing.key() {
            Some(key) => format!("whoever signs with {}", PathBuf::from(key).display()),
            None => self.context.person(),
        }
    }

    fn runs(&self, store: &Store) -> Result<Vec<RunRecord>, String> {
        selection::runs(store, &self.name).map_err(said)
    }

    fn rules(&self, store: &Store, run: &RunRecord) -> Result<ReviewRules, String> {
        sealing::rules(&self.context, store, run).map_err(said)
    }

    fn signature(&self, store: &Store, run: &RunRecord) -> Result<Signature, String> {
        let rules = sealing::rules(&self.context, store, run).map_err(said)?;
        Ok(match (Self::is_signed(store, run, &rules).map_err(said)?, self.signing.key()) {
            (_, Some(key)) => Signature::With(key.display().to_string()),
            (true, None) => Signature::Elsewhere,
            (false, None) => Signature::NotAsked,
        })
    }

    fn limits(&self, store: &Store, run: &RunRecord) -> Result<Vec<Reach>, String> {
        self.reached(store, run).map_err(said)
    }

    fn why(&self, run: &RunRecord, order: &Order) -> Result<String, String> {
        self.explained(run, order).map_err(said)
    }

    fn lost(&self, store: &Store, run: &RunRecord, why: &StoreError) -> String {
        lost::told(store, run, why).unwrap_or_else(said)
    }

    fn seal(&self, store: &mut Store, run: &RunRecord, decided: Decided) -> Result<Told, String> {
        self.sealed(store, run, decided).map_err(said)
    }

    fn prepare(&self, store: &mut Store, run: &RunRecord, decided: Decided) -> Result<Prepared, String> {
        self.prepared(store, run, decided).map_err(said)
    }
}
