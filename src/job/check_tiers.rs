//! Checks of match rules that weigh together.

use std::collections::BTreeSet;

use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::validate::Checked;

/// The most rules of one tier, and of all tiers of a sync.
const MOST: (usize, usize) = (5, 10);

pub(super) fn tiers(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        let path = key_path(&path, "match");
        let (mut ended, mut weighed): (BTreeSet<&str>, usize) = (BTreeSet::new(), 0);
        for (number, rule) in sync.matching.iter().enumerate() {
            let path = entry_path(&path, number);
            let wrong = match (&rule.tier, rule.weight, rule.confidence) {
                (Some(tier), None, _) => {
                    Some(("tier", format!("the rule is of the tier `{tier}` and has no `weight`")))
                }
                (None, Some(_), _) => {
                    Some(("weight", "a rule weighs in a tier, and this one has no `tier`".to_owned()))
                }
                (Some(_), Some(_), Some(_)) => Some((
                    "confidence",
                    "a rule of a tier has a `weight`; the weights add up to the confidence".to_owned(),
                )),
                _ => None,
            };
            if let Some((key, message)) = wrong {
                problems.push(checked.places.at_key(&key_path(&path, key), message));
            }
            let Some(tier) = rule.tier.as_deref() else { continue };
            weighed += 1;
            let before = number.checked_sub(1).and_then(|before| sync.matching[before].tier.as_deref());
            if before != Some(tier) {
                if !ended.insert(tier) {
                    let message = format!("the rules of the tier `{tier}` do not stand one after the other");
                    problems.push(checked.places.at(&key_path(&path, "tier"), message));
                }
                let together = sync.matching.iter().filter(|other| other.tier.as_deref() == Some(tier));
                let (count, weight) = together
                    .fold((0, 0), |(count, weight), rule| (count + 1, weight + u32::from(rule.weight.unwrap_or(0))));
                if count > MOST.0 {
                    let message = format!("the tier `{tier}` has {count} rules; {} are the most", MOST.0);
                    problems.push(checked.places.at(&key_path(&path, "tier"), message));
                }
                if weight < 50 && weight > 0 {
                    let message =
                        format!("the rules of the tier `{tier}` weigh {weight} together, and a candidate needs 50");
                    problems.push(checked.places.at(&key_path(&path, "weight"), message));
                }
            }
            if weighed == MOST.1 + 1 {
                let message = format!("more than {} rules of tiers in one sync", MOST.1);
                problems.push(checked.places.at(&key_path(&path, "tier"), message));
            }
        }
    }
}
