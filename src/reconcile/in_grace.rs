//! Objects that wait for the end of their grace: what is remembered of them, and told.

use chrono::TimeDelta;

use super::decide::GraceNote;
use super::input::Wishes;
use super::objects::{ObjectPlan, counted};
use crate::model::grace::{Pace, about, in_words};
use crate::model::plan::InGrace;

/// Takes what was found about graces into the plan of a sync.
pub(crate) fn take(wishes: Wishes<'_>, sync: &str, notes: Vec<GraceNote>, plan: &mut ObjectPlan<'_>) {
    let whole = wishes.delete_after.unwrap_or_default();
    let mut waiting = InGrace::default();
    let (mut leapt, mut back) = ((0, TimeDelta::zero()), (0, TimeDelta::zero()));
    for note in notes {
        let Some(looked) = note.now else {
            plan.book.graces.push((note.key, None));
            continue;
        };
        let longest = |(count, longest): (usize, TimeDelta), by| (count + 1, longest.max(by));
        match looked.pace {
            Pace::Steady => {}
            Pace::Leapt(by) => leapt = longest(leapt, by),
            Pace::WentBack(by) => back = longest(back, by),
        }
        if !looked.is_over {
            waiting.objects += 1;
            // The moment of this very plan stands in no plan.
            if note.was.is_some() && looked.pace == Pace::Steady {
                let due = looked.grace.due(whole);
                waiting.due = Some(waiting.due.map_or(due, |first| first.min(due)));
            }
        }
        let is_news = note.was.is_none_or(|was| looked.grace.is_news(was, whole));
        if is_news || looked.pace != Pace::Steady {
            plan.book.graces.push((note.key, Some(looked.grace)));
        }
    }
    plan.book.graces.sort_by(|a, b| a.0.cmp(&b.0));
    plan.situations.grace = (waiting.objects > 0).then_some(waiting);
    if leapt.0 > 0 {
        plan.warnings.push(format!(
            "{sync}: no run looked at {} in grace for {}, or the clock leapt; half of the grace of {} is counted for it, and nothing of that is due before another run",
            counted(leapt.0, "object"),
            about(leapt.1),
            in_words(whole)
        ));
    }
    if back.0 > 0 {
        plan.warnings.push(format!(
            "{sync}: the clock went back by {} since a run looked at {} in grace; whichever time was wrong, the grace of {} begins anew",
            about(back.1),
            counted(back.0, "object"),
            in_words(whole)
        ));
    }
}
