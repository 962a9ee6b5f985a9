//! `muster init [NAME]`: a few questions, both systems tried, and a first job file.

mod answers;
mod ask;
mod place;
mod side;
mod trial;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::answers::{Answers, Field, Role, side as parse_side};
use self::ask::{Person, Question};
use self::place::Places;
use self::side::Settled;
use super::context::Context;
use super::exit::{Ending, UsageError};
use super::sandbox::until_told;
use crate::job::proposal::{Proposal, job_text, people_of, propose, rule_of_column};
use crate::job::{name_problem, parse};
use crate::report::safe_text;
use crate::rules::expression::Expression;
use crate::rules::problem::did_you_mean;

/// `muster init`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "On a terminal it asks for what is not given; `?` shows what a question means. Both systems are tried as `muster check` tries them, and from what they offer it proposes which column goes where. A job file that is there is never overwritten, and nothing is written before all is answered.\n\nA credential is only ever named by where it lies: env:NAME, file:PATH or credential:NAME (systemd); `none` where a service asks for none. What both systems have is told by from= or to= before it.\n\nExamples:\n  muster init\n  muster init people --from csv:hr --to sandbox\n  muster init people --from csv:hr --to scim:https://vault.example.com --auth env:VAULT_TOKEN\n  muster init people --from keycloak:https://idp.example.com --realm corp --auth from=env:IDP \\\n    --to scim:https://vault.example.com/scim/v2 --dialect delinea --auth to=env:VAULT_TOKEN\n  muster init people --from ldaps://ldap.example.com --base dc=example,dc=com \\\n    --user cn=muster,dc=example,dc=com --auth env:LDAP_PASSWORD --to sandbox"
)]
pub(super) struct Args {
    /// The job's name; its file is jobs/NAME.toml [default: people]
    name: Option<String>,
    /// Where people come from: csv:FOLDER, scim:ADDRESS, ldaps://HOST, keycloak:ADDRESS, openbao:ADDRESS or sandbox
    #[arg(long, value_name = "KIND:ADDRESS")]
    from: Option<String>,
    /// Where they are provisioned, written as --from is; a csv folder gets work orders for people
    #[arg(long, value_name = "KIND:ADDRESS")]
    to: Option<String>,
    /// Where the secret of a system lies: env:NAME, file:PATH, credential:NAME, or none
    #[arg(long, value_name = "[from=|to=]REFERENCE")]
    auth: Vec<String>,
    /// Who muster is there: a login, a DN, the id of a client or of a role; without one, a SCIM service or OpenBao gets a token
    #[arg(long, value_name = "[from=|to=]NAME")]
    user: Vec<String>,
    /// The token endpoint, where a SCIM service is asked by OAuth client credentials
    #[arg(long, value_name = "[from=|to=]ADDRESS")]
    token_url: Vec<String>,
    /// The realm of a Keycloak
    #[arg(long, value_name = "[from=|to=]NAME")]
    realm: Vec<String>,
    /// Where everything is in a directory: dc=example,dc=com
    #[arg(long, value_name = "[from=|to=]DN")]
    base: Vec<String>,
    /// The product behind a SCIM service, or the one that the sandbox plays: delinea, entra, okta …
    #[arg(long, value_name = "[from=|to=]NAME")]
    dialect: Vec<String>,
    /// Certificates of an authority of your own, PEM
    #[arg(long, value_name = "[from=|to=]FILE")]
    ca_file: Vec<String>,
    /// A target attribute and its rule, instead of what would be proposed; may be repeated
    #[arg(long, value_name = "ATTRIBUTE=RULE")]
    map: Vec<String>,
    /// Ask nothing that can be assumed
    #[arg(long, short)]
    yes: bool,
    /// Try no system; the file names what such systems usually have
    #[arg(long)]
    untried: bool,
}

/// Asks, tries, proposes and writes.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    tokio::select! {
        done = init(context, args) => done,
        told = until_told() => {
            told?;
            eprintln!("");
            bail!("stopped; nothing was written")
        }
    }
}

async fn init(context: &Context, args: Args) -> Result<u8> {
    let mut given = given(&args)?;
    let said = said(&args.map)?;
    let mut person = Person::here();
    if person.is_none() {
        let missing = missing(&args, &given);
        if !missing.is_empty() {
            let text = format!(
                "there is no terminal to ask at, and this is not said: {}; `muster init --help` has examples",
                missing.join("; ")
            );
            return Err(UsageError(text).into());
        }
    } else if !(args.yes && args.from.is_some() && args.to.is_some()) {
        say!(
            context,
            "A job is asked for in a few questions; `?` shows what one means, Ctrl-C ends it and leaves nothing behind."
        );
    }
    let may_ask = !args.yes;
    let name = match (&args.name, person.as_mut().filter(|_| may_ask)) {
        (Some(name), _) => free_name(name).map_err(UsageError)?,
        (None, Some(person)) => {
            let question = Question {
                text: "Name of the job".to_owned(),
                default: Some("people".to_owned()),
                help: "What you call it in every command, `muster run people`; its file is jobs/people.toml.",
            };
            person.ask(&question, free_name).await?
        }
        (None, None) => free_name("people").map_err(UsageError)?,
    };
    let here = std::env::current_dir().context("the current folder is gone; go to another one")?;
    let places = Places { jobs: folder_of_jobs(&here), here };

    let mut sides = Vec::new();
    for role in Role::BOTH {
        let taken = sides.first().map(|side: &Settled| side.side.system.clone());
        let mut session =
            side::Session { context, places: &places, person: person.as_mut(), may_ask, untried: args.untried };
        sides.push(session.settle(role, given.remove(&role), taken.as_deref()).await?);
    }
    let [from, to] = <[Settled; 2]>::try_from(sides).map_err(|_| anyhow::anyhow!("a job has two sides"))?;
    of_the_source(&said, &from).map_err(UsageError)?;
    let mut said: BTreeMap<String, String> = said;
    let mut proposal =
        propose(&from.side, &to.side, &said).map_err(|why| anyhow::anyhow!("{why}; nothing was written"))?;
    if let Some(person) = person.as_mut().filter(|_| may_ask) {
        fill(person, &from, &proposal, &mut said).await?;
        proposal = propose(&from.side, &to.side, &said).map_err(|why| anyhow::anyhow!("{why}; nothing was written"))?;
    }
    let text = job_text(&name, [&from.text, &to.text], &proposal);
    let file = Path::new("jobs").join(format!("{name}.toml"));
    say!(context, "\n{}", summary(&proposal));
    if let Some(person) = person.as_mut().filter(|_| may_ask) {
        let question = Question {
            text: format!("Write {}?", file.display()),
            default: Some("yes".to_owned()),
            help: "yes writes the file, and nothing else: no system is changed by it. no ends here, and leaves nothing behind.",
        };
        if !person.ask(&question, yes_or_no).await? {
            bail!("nothing was written");
        }
    }
    write(&file, &text)?;
    say!(context, "{}", farewell(&name, &file, &proposal, [&from, &to]));
    Ok(Ending::Done.status())
}

/// The answers that options give, by side; every mistake in them at once.
fn given(args: &Args) -> Result<BTreeMap<Role, Answers>> {
    let (mut given, mut mistakes) = (BTreeMap::new(), Vec::new());
    for (role, typed) in [(Role::From, &args.from), (Role::To, &args.to)] {
        match typed.as_deref().map(parse_side) {
            Some(Ok(answers)) => drop(given.insert(role, answers)),
            Some(Err(why)) => mistakes.push(format!("--{}: {why}", role.word())),
            None => {}
        }
    }
    let options = [
        (Field::Realm, &args.realm),
        (Field::Base, &args.base),
        (Field::Dialect, &args.dialect),
        (Field::User, &args.user),
        (Field::TokenUrl, &args.token_url),
        (Field::Auth, &args.auth),
        (Field::CaFile, &args.ca_file),
    ];
    for (field, typed) in options {
        for value in typed {
            if let Err(why) = put(&mut given, field, value) {
                mistakes.push(format!("{}: {why}", field.option()));
            }
        }
    }
    for (role, answers) in &mut given {
        for field in Field::of(&answers.kind) {
            let Some(value) = answers.fields.get(field).cloned() else { continue };
            match answers.check(*field, &value) {
                Ok(value) => drop(answers.fields.insert(*field, value)),
                Err(why) => {
                    let option =
                        if *field == Field::Address { format!("--{}", role.word()) } else { field.option().to_owned() };
                    mistakes.push(format!("{option}: {why}"));
                }
            }
        }
    }
    if mistakes.is_empty() { Ok(given) } else { Err(UsageError(mistakes.join("\nmuster: ")).into()) }
}

/// Puts what an option says to the side that it is for.
fn put(given: &mut BTreeMap<Role, Answers>, field: Field, value: &str) -> Result<(), String> {
    let stated = Role::BOTH.into_iter().find_map(|role| {
        let value = value.strip_prefix(role.word())?.strip_prefix('=')?;
        Some((role, value))
    });
    let takes = |answers: &Answers| Field::of(&answers.kind).contains(&field);
    let (role, value) = match stated {
        Some((role, value)) => match given.get(&role) {
            Some(answers) if !takes(answers) => return Err(format!("{} has no such thing", answers.kind)),
            None => return Err(format!("say by --{} what system it is of", role.word())),
            Some(_) => (role, value),
        },
        None => {
            let roles: Vec<Role> = given.iter().filter(|(_, answers)| takes(answers)).map(|(role, _)| *role).collect();
            match roles[..] {
                [role] => (role, value),
                [] => return Err("neither --from nor --to names a system that has such a thing".to_owned()),
                _ => return Err("both systems have such a thing: write from= or to= before it".to_owned()),
            }
        }
    };
    let answers = given.entry(role).or_default();
    if answers.fields.insert(field, value.to_owned()).is_some() {
        return Err("it is said twice for one system".to_owned());
    }
    Ok(())
}

/// What cannot be assumed and is not said, each with its option.
fn missing(args: &Args, given: &BTreeMap<Role, Answers>) -> Vec<String> {
    let mut missing = Vec::new();
    for (role, typed) in [(Role::From, &args.from), (Role::To, &args.to)] {
        if typed.is_none() {
            missing.push(format!("--{} KIND:ADDRESS", role.word()));
        }
        let Some(answers) = given.get(&role) else { continue };
        for field in Field::of(&answers.kind) {
            if answers.needs(*field) && answers.get(*field).is_empty() {
                missing.push(match field {
                    Field::Address => format!("the address, --{} {}:ADDRESS", role.word(), answers.kind),
                    field => format!("{} {}=… of {}", field.option(), role.word(), answers.kind),
                });
            }
        }
    }
    missing
}

/// `--map`: attribute and rule. What stands before the first `=` outside brackets is the attribute.
fn said(typed: &[String]) -> Result<BTreeMap<String, String>> {
    let mut said = BTreeMap::new();
    for entry in typed {
        let usage = |why: String| UsageError(format!("--map: {why}"));
        let (attribute, rule) = entry
            .split_once('=')
            .filter(|(attribute, rule)| !attribute.trim().is_empty() && !rule.trim().is_empty())
            .ok_or_else(|| usage("write ATTRIBUTE=RULE, such as userName=login".to_owned()))?;
        Expression::compile(rule).map_err(|problem| usage(format!("the rule of `{attribute}`: {problem}")))?;
        said.insert(attribute.trim().to_owned(), rule.trim().to_owned());
    }
    Ok(said)
}

/// Whether rules read columns that the source has, where all of them are known.
fn of_the_source(said: &BTreeMap<String, String>, from: &Settled) -> Result<(), String> {
    let offered = people_of(&from.side).and_then(|name| from.side.offered.resources.get(name));
    let Some(offered) = offered.filter(|_| from.side.kind == "csv" && from.is_tried) else { return Ok(()) };
    let columns = || offered.attributes.keys().map(String::as_str);
    for (attribute, rule) in said {
        let Ok(compiled) = Expression::compile(rule) else { continue };
        if let Some(column) = compiled.columns().into_iter().find(|column| !columns().any(|known| known == column))
            && !columns().any(|known| known == rule)
        {
            let near = did_you_mean(&column, columns());
            return Err(format!("--map: the rule of `{attribute}`: there is no column `{column}`{near}"));
        }
    }
    Ok(())
}

/// Asks for what the target needs and nothing was found for.
async fn fill(
    person: &mut Person,
    from: &Settled,
    proposal: &Proposal,
    said: &mut BTreeMap<String, String>,
) -> Result<()> {
    let Some(people) = proposal.objects.first() else { return Ok(()) };
    let columns = from.side.offered.resources.get(&people.from.resource);
    let columns: Vec<&str> =
        columns.into_iter().flat_map(|offered| offered.attributes.keys()).map(String::as_str).collect();
    for attribute in &people.open {
        let help = format!(
            "The target takes nobody without it. Columns are: {}. An empty answer leaves it open in the file.",
            safe_text::line(&columns.join(", "))
        );
        let question = Question {
            text: format!("Which column of {} is `{attribute}` of {}?", people.from, people.to),
            default: Some(String::new()),
            help: &help,
        };
        let rule = person
            .ask(&question, |typed| {
                if typed.is_empty() {
                    return Ok(None);
                }
                rule_of_column(&from.side, typed).map(Some).ok_or_else(|| {
                    format!("there is no column `{typed}`{}", did_you_mean(typed, columns.iter().copied()))
                })
            })
            .await?;
        said.extend(rule.map(|rule| (attribute.clone(), rule)));
    }
    Ok(())
}

/// A name that no job file has.
fn free_name(name: &str) -> Result<String, String> {
    if let Some(problem) = name_problem("job", name) {
        return Err(problem);
    }
    let file = Path::new("jobs").join(format!("{name}.toml"));
    if file.symlink_metadata().is_ok() {
        return Err(format!("{} is there already, and stays as it is; choose another name", file.display()));
    }
    Ok(name.to_owned())
}

fn yes_or_no(typed: &str) -> Result<bool, String> {
    match typed.to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("answer yes or no".to_owned()),
    }
}

/// Where job files are looked up, whether it is there yet or not.
fn folder_of_jobs(here: &Path) -> PathBuf {
    let jobs = here.join("jobs");
    jobs.canonicalize().unwrap_or(jobs)
}

/// Writes a job file that is whole and right, or nothing.
fn write(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let is_new = !folder.exists();
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let written = written(file, folder, text);
    if written.is_err() && is_new {
        // Only an empty one goes.
        let _ = std::fs::remove_dir(folder);
    }
    written
}

fn written(file: &Path, folder: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    parse(text, file).context(
        "what would be written is no job file, so nothing was; this is a fault of muster's own, please report it",
    )?;
    let cannot = || format!("{} cannot be written", file.display());
    let readable = std::fs::Permissions::from_mode(0o644);
    let mut partial = tempfile::Builder::new().permissions(readable).tempfile_in(folder).with_context(cannot)?;
    partial.write_all(text.as_bytes()).with_context(cannot)?;
    partial.as_file().sync_all().with_context(cannot)?;
    partial.persist_noclobber(file).map_err(|refused| refused.error).with_context(cannot)?;
    Ok(())
}

/// What is proposed, in short.
fn summary(proposal: &Proposal) -> String {
    let mut lines = Vec::new();
    for flow in &proposal.objects {
        let mapped: Vec<String> =
            flow.attributes.iter().map(|(attribute, rule)| format!("{attribute} = {rule}")).collect();
        lines.push(format!("{} → {}: {}", flow.from, flow.to, mapped.join(", ")));
        lines.extend(flow.scope.iter().map(|scope| format!("  who takes part: {scope}")));
        let found: Vec<&str> = flow.matching.iter().map(|(_, target, _)| target.as_str()).collect();
        lines.push(format!("  found again by: {}", found.join(", then ")));
    }
    lines.extend(proposal.memberships.iter().map(|flow| format!("{} → {}", flow.from, flow.to)));
    let safe: Vec<String> = lines.iter().map(|line| safe_text::line(line).into_owned()).collect();
    safe.join("\n")
}

/// What was written, what is still open, and what to type next.
fn farewell(name: &str, file: &Path, proposal: &Proposal, sides: [&Settled; 2]) -> String {
    let mut lines = vec![format!("{} is written.", file.display())];
    let open: Vec<String> = proposal
        .objects
        .iter()
        .flat_map(|flow| flow.open.iter().map(move |attribute| format!("{attribute} of {}", flow.to)))
        .collect();
    if !open.is_empty() {
        lines.push(format!("Still open, look for COLUMN in it: {}.", safe_text::line(&open.join(", "))));
    }
    lines.push("Next:".to_owned());
    lines.extend(sides.iter().filter_map(|side| side.to_type.as_ref()).map(|command| format!("  {command}")));
    let width = 22 + name.len();
    for (command, what) in [
        (format!("  muster check {name}"), "every system, with what the job needs of it"),
        (format!("  muster run {name}"), "exports, compares, and writes a plan for review; changes nothing"),
    ] {
        lines.push(format!("{command:width$}{what}"));
    }
    lines.join("\n")
}
