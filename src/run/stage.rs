//! A whole run, as cron calls it.

use super::Conductor;
use super::apply::{Applied, ApplyRequest};
use super::error::RunError;
use super::plan::{PlanOptions, Remembered};
use super::prove::Proof;
use super::snapshots::{Overtaken, require_current};
use crate::model::event::Event;
use crate::model::evidence::Mode;
use crate::model::run::{RunId, RunState};
use crate::store::runs::NewRun;

/// How far a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Snapshots only; nothing is planned and no baseline moves.
    Export,
    /// A plan, registered for review.
    Plan,
    /// And every order that is approved is applied.
    Apply,
}

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Its id.
    pub run: RunId,
    /// How much to export.
    pub mode: Mode,
    /// How far to go.
    pub stage: Stage,
    /// How to plan.
    pub plan: PlanOptions,
    /// Plan from the snapshots of this run instead of exporting.
    pub from: Option<RunId>,
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// The run.
    pub run: RunId,
    /// Where it stands.
    pub state: RunState,
    /// Systems that could not be exported, each with why.
    pub failures: Vec<(String, String)>,
    /// What was applied, where the run went that far.
    pub applied: Option<Applied>,
    /// The held run that says the same already, so that nobody need be told again.
    pub repeats: Option<RunId>,
    /// Syncs that were not planned, as a snapshot that they need failed or is held, by id.
    pub unplanned: Vec<String>,
    /// Syncs of which no row can be judged, by id: nothing was planned of them.
    pub judges_nobody: Vec<String>,
    /// Orders whose plan is lost and that were given up, a sentence for each run.
    pub given_up: Vec<String>,
    /// Why the one object that was to be planned could not be looked for, and what to do, where a snapshot is held.
    pub unseen: Option<String>,
}

impl Conductor {
    /// Recovers, exports, proves, plans, and applies what is approved.
    pub async fn run(&mut self, options: &RunOptions) -> Result<RunEnd, RunError> {
        // Told before anything begins: no run fails for snapshots that nobody may plan from.
        if let Some(from) = &options.from {
            require_current(&self.store, &self.job.name, from)?;
        }
        self.recover().await?;
        // What a person accepted is for a plan of all: one of a single object leaves it to that.
        let is_whole = options.stage > Stage::Export && options.plan.only.is_none();
        let held = if is_whole { self.accepted_hold()? } else { None };
        let (mut from, mut overtaken) = (options.from.clone(), None);
        let mut because = from.as_ref().map(|from| format!("it goes on from the snapshots of run {from}"));
        if let Some(held) = held.filter(|_| from.is_none()) {
            match self.overtaken(&held).await? {
                Some(why) => {
                    match &why {
                        Overtaken::MovedOn(what) => {
                            because =
                                Some(format!("what was accepted of run {} holds at the same figures: {what}", held.id));
                        }
                        Overtaken::Elsewhere(what) => self.reporter.event(&Event::Warning(format!(
                            "what was accepted of run {} holds no more: {what}",
                            held.id
                        ))),
                    }
                    overtaken = Some((held.id, why));
                }
                None => {
                    because = Some(format!("it goes on from the snapshots of run {}", held.id));
                    from = Some(held.id);
                }
            }
        }
        let mut options = options.clone();
        if options.mode == Mode::Incremental
            && from.is_none()
            && let Some(why) = self.only_complete()?
        {
            options.mode = Mode::Complete;
            because = because.map(|earlier| format!("{earlier}; {why}")).or(Some(why));
        }
        let options = &options;
        self.begin(options, because, None)?;
        let carried = self.carry(options, from.as_ref(), overtaken.as_ref()).await;
        if let Err(error) = &carried {
            // The run's own record says how it ended, even where this process is about to say it too. That somebody asked
            // for what is not there is no failure of the job.
            let asked = matches!(error, RunError::Unseen(_)) && options.plan.only.is_some();
            let state = if asked { RunState::Replaced } else { RunState::Failed };
            self.store.set_run_state(&options.run, state, &error.to_string(), (self.clock)())?;
        }
        if options.stage == Stage::Apply {
            self.tidy();
        }
        carried
    }

    /// Why no system can be read by increments, where that is known before anything is read.
    fn only_complete(&self) -> Result<Option<String>, RunError> {
        let baselines = self.store.baselines(&self.job.name)?;
        Ok(if baselines.is_empty() {
            Some("there is no accepted snapshot yet to go on from".to_owned())
        } else if baselines.values().all(|baseline| baseline.cursor.is_none()) {
            Some("none of its systems can be asked for changes alone".to_owned())
        } else {
            None
        })
    }

    pub(super) fn begin(
        &mut self,
        options: &RunOptions,
        because: Option<String>,
        undoes: Option<&RunId>,
    ) -> Result<(), RunError> {
        let run = NewRun {
            id: options.run.clone(),
            job: self.job.name.clone(),
            job_digest: self.job.digest.clone(),
            mode: options.mode,
            starter: self.starter.clone(),
            review: self.job.review.terms(),
            undoes: undoes.cloned(),
        };
        self.store.start_run(&run, (self.clock)())?;
        if let Err(error) = self.keep_job_file(&run.id) {
            let text =
                format!("the job file is not kept with this run, `history` will not tell what changed in it: {error}");
            self.reporter.event(&Event::Warning(text));
        }
        self.reporter.event(&Event::RunStarted {
            run: options.run.clone(),
            job: self.job.name.clone(),
            mode: options.mode,
            because,
            undoes: undoes.cloned(),
        });
        Ok(())
    }

    async fn carry(
        &mut self,
        options: &RunOptions,
        from: Option<&RunId>,
        overtaken: Option<&(RunId, Overtaken)>,
    ) -> Result<RunEnd, RunError> {
        let run = &options.run;
        let mut known = if options.stage > Stage::Export { self.read_ahead()? } else { Remembered::nothing() };
        let proof = match from {
            Some(from) => {
                self.require_same_systems(from).await?;
                let proof = self.take_over(from, run)?;
                // Snapshots from before a decision say nothing of what became of the wish since.
                known.withholding.retain(|withholding| withholding.since < proof.manifest.started);
                let why = format!("continued as run {run}");
                let is_done = proof.holds.is_empty() && options.plan.only.is_none();
                if is_done && self.store.run(from)?.state == RunState::HeldSnapshot {
                    self.store.set_run_state(from, RunState::Replaced, &why, (self.clock)())?;
                }
                proof
            }
            None => {
                let accepted = overtaken.filter(|(_, why)| matches!(why, Overtaken::MovedOn(_))).map(|(held, _)| held);
                let halt = self.halt.clone();
                let proof = tokio::select! {
                    proof = self.export(run, options.mode, accepted) => proof?,
                    by = halt.raised() => return Err(RunError::Halted(by)),
                };
                if options.stage > Stage::Export {
                    known.notes = self.unmapped().await;
                }
                proof
            }
        };
        if let Some((held, why)) = overtaken.filter(|_| proof.failures.is_empty()) {
            let why = match why {
                Overtaken::MovedOn(what) | Overtaken::Elsewhere(what) => what,
            };
            let why = format!("exported anew as run {run}: {why}");
            self.store.set_run_state(held, RunState::Replaced, &why, (self.clock)())?;
        }
        let mut end = RunEnd {
            run: run.clone(),
            state: RunState::Planned,
            failures: proof.failures.clone(),
            applied: None,
            repeats: None,
            judges_nobody: Vec::new(),
            unplanned: Vec::new(),
            given_up: Vec::new(),
            unseen: None,
        };
        if options.stage > Stage::Export && options.plan.only.is_none() {
            let unplanned = self.job.syncs.iter().filter(|sync| !self.plannable(sync.index, &proof));
            end.unplanned = unplanned.map(|sync| sync.id.clone()).collect();
        }
        let nothing =
            !self.job.syncs.iter().any(|s| super::demand::snapshots_of(&self.job, s.index).is_subset(&proof.usable));
        end.state = if options.stage == Stage::Export {
            self.close_export(run, &proof)?
        } else if nothing {
            self.without_plan(run, &proof)?
        } else {
            if options.plan.only.is_none() {
                end.given_up = self.give_up_lost()?;
            }
            match self.plan(run, &proof, &options.plan, known).await {
                Err(RunError::Unseen(_)) if !proof.holds.is_empty() || !proof.failures.is_empty() => {
                    self.without_plan(run, &proof)?
                }
                planned => {
                    let planned = planned?;
                    end.judges_nobody = planned.judges_nobody;
                    planned.state
                }
            }
        };
        if let Some(only) = &options.plan.only
            && end.state == RunState::HeldSnapshot
            && self.store.run(run)?.plan_digest.is_none()
        {
            end.unseen = Some(self.not_looked_at(run, &only.key, &proof)?);
        }
        if end.state == RunState::HeldSnapshot {
            end.repeats = self.same_hold(run, &proof.holds)?;
            if let Some(older) = &end.repeats {
                let why = format!("says the same as run {older}, which waits");
                self.store.set_run_state(run, RunState::Replaced, &why, (self.clock)())?;
            }
        } else if proof.holds.is_empty()
            && proof.failures.is_empty()
            && options.stage > Stage::Export
            && options.plan.only.is_none()
        {
            self.replace_held(run, RunState::HeldSnapshot)?;
        }
        if let (Stage::Apply, Some(by)) = (options.stage, self.halt.by()) {
            end.applied = Some(Applied { stopped: Some(format!("{by} told it to end")), ..Applied::default() });
        } else if options.stage == Stage::Apply {
            self.approve_by_rule(run)?;
            end.applied = Some(self.apply(&ApplyRequest::default()).await?);
        }
        Ok(end)
    }

    /// Reads, or begins to read, what is remembered before anything is exported.
    fn read_ahead(&self) -> Result<Remembered, RunError> {
        let withholding = self.store.withholding(&self.job.name)?;
        Ok(Remembered { links: self.read_links_ahead(), withholding, notes: Vec::new() })
    }

    /// That one object cannot be planned while a snapshot is held, and what accepts that.
    fn not_looked_at(&self, run: &RunId, key: &str, proof: &Proof) -> Result<String, RunError> {
        let names: Vec<&str> = proof.holds.iter().map(|hold| hold.name.as_str()).collect();
        if let Some(accepted) = self.accepted_hold()? {
            return Ok(format!(
                "nothing was planned of `{key}`: what it may be in is held by {}; what was accepted of run {} is for a plan of all, which comes first: muster run {}",
                names.join(", "),
                accepted.id,
                self.job.name
            ));
        }
        let waits = self.same_hold(run, &proof.holds)?.unwrap_or_else(|| run.clone());
        Ok(format!(
            "nothing was planned of `{key}`: what it may be in is held by {}; see and accept that first: muster review {waits}",
            names.join(", ")
        ))
    }

    fn close_export(&mut self, run: &RunId, proof: &Proof) -> Result<RunState, RunError> {
        let state = if proof.failures.is_empty() { RunState::Planned } else { RunState::Failed };
        let mut note = String::from("exported only");
        if !proof.holds.is_empty() {
            let names: Vec<&str> = proof.holds.iter().map(|h| h.name.as_str()).collect();
            note = format!("exported only; would be held by {}", names.join(", "));
        }
        self.keep_holds(run, state, proof)?;
        self.store.set_run_state(run, state, &note, (self.clock)())?;
        Ok(state)
    }

    fn without_plan(&mut self, run: &RunId, proof: &Proof) -> Result<RunState, RunError> {
        let now = (self.clock)();
        if proof.failures.is_empty() {
            self.store.hold(run, RunState::HeldSnapshot, &proof.holds, now)?;
            return Ok(RunState::HeldSnapshot);
        }
        let why: Vec<String> = proof.failures.iter().map(|(system, why)| format!("{system}: {why}")).collect();
        self.keep_holds(run, RunState::Failed, proof)?;
        self.store.set_run_state(run, RunState::Failed, &why.join("; "), now)?;
        Ok(RunState::Failed)
    }

    /// What holds the snapshots of a run without a plan holds whatever is planned from them later, too.
    fn keep_holds(&mut self, run: &RunId, state: RunState, proof: &Proof) -> Result<(), RunError> {
        if !proof.holds.is_empty() {
            self.store.hold(run, state, &proof.holds, (self.clock)())?;
        }
        Ok(())
    }
}
