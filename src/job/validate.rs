//! The table of checks: each is one function and one line.

use std::collections::BTreeMap;
use std::path::Path;

use super::file::{JobFile, SyncFile};
use super::place::{Places, key_path};
use super::problem::Problem;
use super::{
    check_derived, check_dialects, check_generate, check_guards, check_limits, check_names, check_references,
    check_report, check_review, check_rules, check_systems, check_thresholds, check_tiers,
};
use crate::connector::config::SystemConfig;
use crate::model::resource::ResourceName;

/// What the checks look at.
pub(super) struct Checked<'a> {
    pub(super) file: &'a JobFile,
    /// The systems whose own shape is right.
    pub(super) systems: &'a BTreeMap<String, SystemConfig>,
    /// Every system that the file names, those with mistakes too.
    pub(super) system_names: &'a [String],
    pub(super) places: &'a Places<'a>,
    /// The job file's folder.
    pub(super) folder: &'a Path,
}

impl Checked<'_> {
    /// The syncs with their paths.
    pub(super) fn syncs(&self) -> impl Iterator<Item = (String, &SyncFile)> {
        self.file.sync.iter().flatten().enumerate().map(|(number, sync)| (format!("sync[{number}]"), sync))
    }

    /// Whether a sync is of an association; also where its `ends` have mistakes.
    pub(super) fn is_association(&self, path: &str, sync: &SyncFile) -> bool {
        sync.is_association() || self.places.has(&key_path(path, "ends"))
    }

    /// Every system that the file names, those with mistakes too.
    pub(super) fn system_names(&self) -> impl Iterator<Item = &str> {
        self.system_names.iter().map(String::as_str)
    }
}

/// `from` or `to`, where it is well formed.
pub(super) fn resource(text: Option<&String>) -> Option<ResourceName> {
    text.and_then(|text| text.parse().ok())
}

/// Whether something at a path, or below it, is known to be wrong, so that nothing can be concluded from its absence.
pub(super) fn is_broken(problems: &[Problem], path: &str) -> bool {
    problems.iter().any(|problem| problem.path.starts_with(path))
}

type Check = fn(&Checked<'_>, &mut Vec<Problem>);

const CHECKS: &[(&str, Check)] = &[
    ("the job's name is safe as a file name", check_names::job_name),
    ("systems have safe names, and there is one", check_names::system_names),
    ("there is something to sync", check_names::some_sync),
    ("from and to name systems of the job", check_names::sides),
    ("no two syncs claim the same rows", check_names::repeated_syncs),
    ("an association's ends are synced themselves", check_names::ends),
    ("an association has no keys of an object sync, nor the other way round", check_names::keys_of_the_other_kind),
    ("[snapshot] names resources that a sync uses", check_names::snapshots),
    ("protected objects are named in full", check_names::protect),
    ("rules compile", check_rules::attributes),
    ("scope conditions compile", check_rules::scopes),
    ("match rules compile and name a column", check_rules::matching),
    ("rules of a tier weigh, and stand together", check_tiers::tiers),
    ("required, unique and clear name mapped attributes", check_rules::named_attributes),
    ("groups and assignments are of the source's system", check_derived::groups),
    ("groups in groups are of the source's system", check_derived::nestings),
    ("classification compiles", check_derived::classes),
    ("joins name a source and compile", check_derived::joins),
    ("value tables have names, their conditions compile", check_derived::tables),
    ("ignore names resource types and mapped attributes", check_derived::ignored),
    ("references lead to objects of a sync", check_references::references),
    ("generated values have a rule and a number", check_generate::generate),
    ("keep_one names an end, its condition compiles", check_guards::keep_one),
    ("fixed names mapped attributes, its conditions compile", check_guards::fixed),
    ("durations", check_limits::durations),
    ("times of the schedule divide an hour or a day", check_limits::schedule),
    ("runs are kept as long as their exports", check_limits::retention),
    ("rates", check_limits::rates),
    ("memory is a size", check_limits::memory),
    ("waves grow", check_limits::waves),
    ("limits limit something", check_thresholds::limits),
    ("scoped thresholds have names, conditions and limits", check_thresholds::scoped),
    ("a rule leaves something to people", check_review::rule),
    ("approvers can be read, are enough, and decide alone", check_review::approvers),
    ("mail has addresses", check_report::addresses),
    ("the mail server can be spoken to, passwords in secret", check_report::mail_server),
    ("the webhook is an address, messages go in secret", check_report::webhook),
    ("addresses are usable and safe, settings of a system are possible", check_systems::settings),
    ("dialects of the job's own can be read", check_dialects::files),
];

/// Runs every check. `problems` holds what is known to be wrong already.
pub(super) fn run(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (_, check) in CHECKS {
        check(checked, problems);
    }
}
