//! The page that goes on top of what is sent to a vendor's support: written for somebody who does not know muster.

use std::fmt::Write as _;

use super::figures::count;
use super::report_json::RunReport;
use super::safe_text;
use crate::model::failure::Class;

/// What the page says besides the report.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// muster's version.
    pub version: &'a str,
    /// The machine's system, in words.
    pub machine: &'a str,
    /// The systems: name, kind, address or folder, the account that is used there, the server's version where it says one.
    pub systems: Vec<SystemLine>,
    /// What holds the run, in sentences.
    pub holds: &'a [String],
    /// The files, each with what is in it.
    pub files: &'a [(&'a str, &'a str)],
    /// Objects that go by their own names.
    pub with: &'a [String],
}

/// One system of the job.
#[derive(Clone, Debug)]
pub struct SystemLine {
    /// Its name in the job.
    pub name: String,
    /// Its kind and dialect, as the job file says.
    pub kind: String,
    /// Where it is.
    pub address: String,
}

/// The page. What names somebody in `report` and `about` is replaced already.
pub fn bundle_readme(report: &RunReport, about: &About<'_>) -> String {
    let mut text = format!(
        "A case of muster {version}, on {machine}\n\n\
         muster compares what an identity provider and a vault hold, plans orders from the difference, and sends those that a\n\
         person approved. This folder is about one run of one job: {run} of {job}, begun {started} (UTC), which stands as\n\
         `{state}`. The command that made its report ended with status {status}: 0 done, 1 failed or stopped, 2 usage or job\n\
         file, 3 waits for review, 4 held by a threshold or a suspicion, 5 applied with order errors.\n",
        version = about.version,
        machine = about.machine,
        run = report.run,
        job = report.job,
        started = report.started.format("%Y-%m-%d %H:%M:%S"),
        state = report.state,
        status = report.exit_status,
    );
    text.push_str("\nSystems\n");
    for SystemLine { name, kind, address } in &about.systems {
        let _ = writeln!(text, "  {}: {kind}, {}", safe_text::line(name), safe_text::line(address));
    }
    text.push_str("\nWhat went wrong\n");
    if report.error_groups.is_empty() && about.holds.is_empty() && report.warnings.is_empty() {
        text.push_str("  nothing that this run knows of\n");
    }
    for group in &report.error_groups {
        let _ = writeln!(
            text,
            "  {}; class `{}`: {}\n    what muster says to do: {}",
            safe_text::line(&group.sentence()),
            group.cause.class,
            safe_text::line(&group.example),
            safe_text::line(&group.remedy)
        );
        if matches!(group.cause.class, Class::Server | Class::Throttled | Class::Unsupported) {
            text.push_str("    that is the server's side: the ids of its requests are in errors.csv\n");
        }
    }
    for warning in about.holds.iter().chain(&report.warnings) {
        let _ = writeln!(text, "  {}", safe_text::line(warning));
    }
    text.push_str("\nOrders of the run, by where they stand\n");
    for (state, orders) in &report.orders_by_state {
        let _ = writeln!(text, "  {state}: {}", count(*orders));
    }
    if report.orders_by_state.is_empty() {
        text.push_str("  none\n");
    }
    text.push_str("\nFiles\n");
    for (name, what) in about.files {
        let _ = writeln!(text, "  {name}: {what}");
    }
    text.push_str(
        "\nNames\n  Whoever is written as p- and ten hex digits is a person, a group or another object; the same digits are the same\n  \
         one throughout. Who that is stands in a list that stayed with the operator: ask for a name, or tell the digits.\n",
    );
    if !about.with.is_empty() {
        let names: Vec<_> = about.with.iter().map(|name| safe_text::line(name)).collect();
        let _ = writeln!(text, "  By their own names, because the operator said so: {}", names.join(", "));
    }
    text.push_str("  No credential is in here: muster writes none down.\n");
    text
}
