//! A proposal as the text of a job file, with comments for a person who goes on from there.

use super::toml_text::{comment, key, list, quoted};
use super::{MembershipFlow, ObjectFlow, Proposal, rule};

/// Columns of a source that are named where nothing is taken of them; of more, how many there are.
const NAMED: usize = 20;

/// A system's table.
#[derive(Clone, Debug, Default)]
pub struct SystemText {
    /// Its name.
    pub name: String,
    /// What a person should know, a line each.
    pub about: Vec<String>,
    /// Key, value as TOML writes it, and a remark or nothing.
    pub settings: Vec<(String, String, &'static str)>,
    /// Lines that a person may take the `#` away from.
    pub examples: Vec<String>,
}

/// The text of a whole job file. `muster` commands in it name the job.
pub fn job_text(name: &str, systems: [&SystemText; 2], proposal: &Proposal) -> String {
    let mut text = Text::default();
    text.say(
        "Written by `muster init`: a first draft, to be read and changed. What begins with # and no blank behind it is an",
    );
    text.say("example: take the # away where you want it. After a change:");
    text.say("");
    text.say(&format!("  muster check {name}     the job file, and every system, stage by stage"));
    text.say(&format!("  muster run {name}       exports, compares, and writes a plan for review; nothing is changed"));
    text.gap();
    text.line(&format!("name = {}", quoted(name)));
    if !proposal.ignored.is_empty() {
        text.gap();
        text.say("There, and not synced on purpose. What should flow gets a [[sync]], and goes from this list.");
        let names: Vec<String> = proposal.ignored.iter().map(ToString::to_string).collect();
        text.line(&format!("ignore = {}", list(&names)));
    }
    for (position, system) in systems.into_iter().enumerate() {
        text.gap();
        system.about.iter().for_each(|line| text.say(line));
        text.line(&format!("[systems.{}]", key(&system.name)));
        for (setting, value, remark) in &system.settings {
            text.remark(&format!("{} = {value}", key(setting)), remark);
        }
        if position == 0 {
            of_source(&mut text, proposal);
        }
        system.examples.iter().for_each(|line| text.line(line));
    }
    proposal.objects.iter().enumerate().for_each(|(position, flow)| objects(&mut text, flow, position == 0));
    if let Some(flow) = &proposal.memberships {
        memberships(&mut text, flow);
    }
    tail(&mut text, proposal);
    text.0
}

/// What the source is told about its rows.
fn of_source(text: &mut Text, proposal: &Proposal) {
    if !proposal.keys.is_empty() {
        let keys = proposal.keys.iter().map(|(resource, column)| format!("{} = {}", key(resource), list(&[column])));
        text.remark(
            &format!("keys = {{ {} }}", keys.collect::<Vec<_>>().join(", ")),
            "what tells rows apart, and never changes",
        );
    }
    if let Some((resource, ends)) = &proposal.ends {
        let ends: Vec<String> = ends.iter().map(|(end, of)| format!("{} = {}", key(end), quoted(of))).collect();
        text.line(&format!("ends = {{ {} = {{ {} }} }}", key(resource), ends.join(", ")));
    }
}

fn objects(text: &mut Text, flow: &ObjectFlow, is_people: bool) {
    text.gap();
    text.line("[[sync]]");
    text.line(&format!("from = {}", quoted(&flow.from.to_string())));
    text.line(&format!("to = {}", quoted(&flow.to.to_string())));
    match &flow.scope {
        Some(scope) => {
            text.remark(&format!("scope = {}", list(&[scope])), "who takes part; several conditions are alternatives")
        }
        None => {
            let column = flow.matching.last().and_then(|(rule, ..)| rule::columns(rule).into_iter().next());
            let cell = column.and_then(|column| rule::inside(&column)).unwrap_or_else(|| "id".to_owned());
            let condition = if is_people { format!("{cell} != ''") } else { format!("{cell}.startsWith('vault-')") };
            text.remark(&format!("#scope = {}", list(&[condition])), "who takes part; without it every row does");
        }
    }
    text.line(&format!("match = {}", matching(&flow.matching)));
    if flow.matching.iter().any(|(.., confidence)| *confidence < 100) {
        text.say("(Below 100 a person confirms that the two are one.)");
    }
    if flow.disables {
        text.say(
            "Whose row is gone; whose row is out of scope; what somebody changes at the target by hand. The defaults:",
        );
        text.line("#on = { orphan = \"disable\", out_of_scope = \"disable\", drift = \"correct\" }");
    } else {
        text.say("The target cannot switch these off: whose row is gone stays there, until you let it be deleted.");
        text.line("on = { orphan = \"ignore\", out_of_scope = \"ignore\" }");
    }
    if !flow.required.is_empty() {
        text.remark(&format!("required = {}", list(&flow.required)), "without these nothing is sent");
    }
    if !flow.unique.is_empty() {
        text.remark(&format!("unique = {}", list(&flow.unique)), "no two may have the same");
    }
    text.gap();
    text.say("Attribute of the target = a column's name, a 'constant', or an expression.");
    text.line("[sync.attributes]");
    for (attribute, rule) in &flow.attributes {
        text.line(&format!("{} = {}", key(attribute), quoted(rule)));
    }
    for attribute in &flow.open {
        text.say("The target needs this, and nothing looks like it. Put a column's name for COLUMN:");
        text.line(&format!("#{} = \"COLUMN\"", key(attribute)));
    }
    for (attribute, column, why) in &flow.doubtful {
        text.say(&format!("`{}` may be meant for this, but {why}:", comment(column)));
        text.line(&format!("#{} = \"COLUMN\"", key(attribute)));
    }
    if !flow.unused.is_empty() {
        let named: Vec<String> = flow.unused.iter().take(NAMED).map(|name| comment(name)).collect();
        let more = flow.unused.len() - named.len();
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        text.list(&format!("Nothing is taken of: {}{more}.", named.join(", ")));
    }
    if is_people {
        text.gap();
        text.say(
            "Limits on what is ordered, as they hold without being written: of the objects that the job keeps at the",
        );
        text.say("target, percentages from 50 on. A run that goes beyond is held until a person accepts it.");
        text.line("#[sync.thresholds]");
        text.line("#create = { percent = 20 }");
        text.line("#update = { percent = 20 }");
        text.line("#disable = { count = 25, percent = 5 }");
        text.line("#delete = { count = 25, percent = 5 }");
    }
}

fn matching(rules: &[(String, String, u8)]) -> String {
    let rules = rules.iter().map(|(source, target, confidence)| {
        let confidence = if *confidence < 100 { format!(", confidence = {confidence}") } else { String::new() };
        format!("{{ source = {}, target = {}{confidence} }}", quoted(source), quoted(target))
    });
    format!("[{}]", rules.collect::<Vec<_>>().join(",\n         "))
}

fn memberships(text: &mut Text, flow: &MembershipFlow) {
    text.gap();
    text.say("Who is in which group. Both ends are syncs above.");
    text.line("[[sync]]");
    text.line(&format!("from = {}", quoted(&flow.from.to_string())));
    text.line(&format!("to = {}", quoted(&flow.to.to_string())));
    let ends = flow
        .ends
        .iter()
        .map(|(end, pair)| format!("{} = {}", key(end), list(&pair.each_ref().map(ToString::to_string))));
    text.line(&format!("ends = {{ {} }}", ends.collect::<Vec<_>>().join(", ")));
    text.remark(
        "#members = \"additive\"",
        "only what muster added is removed; \"authoritative\" removes what the source has not",
    );
    if let Some(nestings) = &flow.nestings {
        text.remark("nested = \"flatten\"", "who is in a group in a group counts for both; or \"direct\"");
        text.line(&format!("nestings = {}", quoted(&nestings.to_string())));
    }
}

/// What else a job can say.
fn tail(text: &mut Text, proposal: &Proposal) {
    let Some(people) = proposal.objects.first() else { return };
    text.gap();
    if let Some(nestings) = proposal.memberships.iter().find_map(|flow| flow.nestings.as_ref()) {
        text.line(&format!("[snapshot.{}]", quoted(&nestings.to_string())));
        text.remark("allow_empty = true", "there may be no group in a group");
        text.gap();
    }
    text.say("What else a job can say; docs/jobs.md goes on from here.");
    text.line(&format!("#[snapshot.{}]", quoted(&people.from.to_string())));
    text.remark(
        "#thresholds = { deleted = { count = 100, percent = 5 } }",
        "what an export may differ by from the last accepted one",
    );
    text.remark("#sentinels = [\"KEY\"]", "rows that every whole export holds");
    text.gap();
    text.line("#[apply]");
    text.line("#rate = \"25/s\"");
    text.remark(&format!("#protect = {}", list(&[format!("{}/svc-muster", people.to)])), "never touched");
    text.gap();
    text.line("#[schedule]");
    text.remark("#incremental = \"15m\"", "what changed");
    text.remark("#complete = \"03:05\"", "everything, once a day");
    text.gap();
    text.line("#[report.email]");
    text.line("#to = [\"iam@example.com\"]");
    text.remark("#when = \"on-errors\"", "or \"daily\"");
}

/// A text that grows by lines.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn gap(&mut self) {
        self.line("");
    }

    /// A comment of one line.
    fn say(&mut self, words: &str) {
        self.line(format!("# {}", comment(words)).trim_end());
    }

    /// A comment that is broken into lines.
    fn list(&mut self, words: &str) {
        let mut line = String::new();
        for word in words.split(' ') {
            if line.chars().count() + word.chars().count() > 110 && !line.is_empty() {
                self.say(&std::mem::take(&mut line));
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
        self.say(&line);
    }

    /// A line, and what it is for.
    fn remark(&mut self, line: &str, remark: &str) {
        if remark.is_empty() {
            return self.line(line);
        }
        // Beside a long line nobody would read it.
        if line.chars().count() + remark.chars().count() > 110 {
            self.say(remark);
            return self.line(line);
        }
        let blanks = " ".repeat(33_usize.saturating_sub(line.chars().count()).max(2));
        self.line(&format!("{line}{blanks}# {}", comment(remark)));
    }
}
