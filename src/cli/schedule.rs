//! `muster schedule JOB`: systemd units, or lines of a crontab, that call a job by the clock.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::session;
use super::stdout::print;
use super::ways;
use crate::connector::config::SystemConfig;
use crate::connector::secret::SecretRef;
use crate::disk::atomic;
use crate::job::Job;
use crate::report::safe_text;
use crate::report::units::{UnitFile, Units};

/// Where the units of the Debian package look for job files.
const PACKAGED_JOBS: &str = "/etc/muster/jobs";

/// Folders that `ProtectHome=` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// `muster schedule`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "When it runs says the job file: [schedule] incremental (15m unless set) and complete (03:05). Without --output the units are printed, each under its file's name. With --package nothing is printed where the package's units say all that the job needs.\n\nExamples:\n  muster schedule idp-to-vault\n  sudo muster schedule /etc/muster/jobs/idp-to-vault.toml --output /etc/systemd/system\n  sudo muster schedule /etc/muster/jobs/idp-to-vault.toml --package --output /etc/systemd/system\n  (crontab -l -u muster; muster schedule idp-to-vault --crontab) | crontab -u muster -"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// Write the units into this folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Lines of a crontab instead of units
    #[arg(long, conflicts_with_all = ["output", "dynamic_user", "on_failure", "credentials"])]
    crontab: bool,
    /// Only what the units of the Debian package do not say of this job, as drop-ins for them
    #[arg(long, conflicts_with_all = ["crontab", "user", "dynamic_user", "program"])]
    package: bool,
    /// The user that it runs as, and that people become to review: sudo -u USER muster …
    #[arg(long, value_name = "NAME", default_value = "muster", value_parser = user)]
    user: String,
    /// Let systemd make a user for it, whom nobody can become: for jobs whose approvals come by rule
    #[arg(long, conflicts_with = "user")]
    dynamic_user: bool,
    /// The folder with a file for each `credential:NAME` of the job, readable by root alone
    #[arg(long, value_name = "DIR", default_value = "/etc/muster/credentials")]
    credentials: PathBuf,
    /// The unit that systemd starts when a run fails, is held or ends with order errors
    #[arg(long, value_name = "UNIT", value_parser = unit)]
    on_failure: Option<String>,
    /// The program as the units are to name it [default: this one]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

/// Folders that the service does not see.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// Prints or writes the schedule.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let job = session::find_job(context, &args.job)?;
    let units = units(&job, &args)?;
    if args.crontab {
        print(&units.crontab(&context.layout.root))?;
        return Ok(Ending::Done.status());
    }
    // Units that cannot see their job are found out at night.
    if let Some(hidden) = HIDDEN.iter().find(|folder| units.job_file.starts_with(folder)) {
        let file = shown(&units.job_file);
        eprintln!(
            "muster: warning: the service cannot see {file}: nothing below {hidden} is there for it (ProtectHome, PrivateTmp); move the job and its files elsewhere, such as /etc/muster/jobs"
        );
    }
    let files = if args.package { drop_ins(&units)? } else { units.files() };
    let Some(folder) = &args.output else {
        let said = files.iter().filter(|file| !file.text.is_empty());
        let texts = said.map(|file| format!("# {}\n{}", file.name, file.text));
        print(&texts.collect::<Vec<_>>().join("\n"))?;
        return Ok(Ending::Done.status());
    };
    for file in &files {
        write(context, folder, file)?;
    }
    let timers: Vec<String> = match args.package {
        true => units.packaged_timers(),
        false => files.into_iter().map(|file| file.name).filter(|name| name.ends_with(".timer")).collect(),
    };
    for name in &units.credentials {
        say!(context, "it reads the credential {name} from {}", shown(&units.credentials_from.join(name)));
    }
    say!(context, "next: systemctl daemon-reload && systemctl enable --now {}", timers.join(" "));
    Ok(Ending::Done.status())
}

/// Writes a file of a schedule; one that is empty is removed where an earlier schedule left it.
fn write(context: &Context, folder: &Path, file: &UnitFile) -> Result<()> {
    let path = folder.join(&file.name);
    if file.text.is_empty() {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => {
                removed.with_context(|| format!("{} cannot be removed; it says what holds no more", shown(&path)))?;
                say!(context, "removed {}", shown(&path));
            }
        }
        return Ok(());
    }
    // A drop-in has a folder of its own; the one of all units has to be there.
    if let Some(own) = path.parent().filter(|own| *own != folder && folder.is_dir()) {
        std::fs::create_dir_all(own).with_context(|| format!("the folder {} cannot be made", shown(own)))?;
    }
    atomic::publish(&path, file.text.as_bytes()).with_context(|| {
        format!("{} cannot be written; is the folder there, and may you write to it?", shown(&path))
    })?;
    say!(context, "wrote {}", shown(&path));
    Ok(())
}

/// What the package's units do not say; they look for each job at one place.
fn drop_ins(units: &Units) -> Result<Vec<UnitFile>> {
    let place = Path::new(PACKAGED_JOBS).join(format!("{}.toml", units.job));
    if units.job_file != place {
        return Err(UsageError(format!(
            "the units of the package call {}, and this job is in {}; move it there, or write units of its own (without --package)",
            shown(&place),
            shown(&units.job_file)
        ))
        .into());
    }
    Ok(units.drop_ins())
}

fn units(job: &Job, args: &Args) -> Result<Units> {
    if job.schedule.incremental.is_none() && job.schedule.complete.is_none() {
        return Err(UsageError(format!(
            "{}: [schedule] switches incremental and complete runs off, so there is nothing to schedule",
            shown(&job.path)
        ))
        .into());
    }
    let program = match &args.program {
        Some(program) => std::path::absolute(program)?,
        None => std::env::current_exe().context("this program's own path is not known; name it with --program")?,
    };
    let absolute = |path: &Path| std::path::absolute(job.folder.join(path));
    let (mut credentials, mut variables) = (BTreeSet::new(), BTreeSet::new());
    let told = ways::secrets(job);
    for secret in job.systems.values().filter_map(SystemConfig::secret).chain(&told) {
        match secret {
            SecretRef::Credential(name) => drop(credentials.insert(name.clone())),
            SecretRef::Env(name) => drop(variables.insert(name.clone())),
            SecretRef::File(_) => {}
        }
    }
    let mut writes = Vec::new();
    let mut reads = vec![absolute(&job.path)?];
    for system in job.systems.values() {
        if let SystemConfig::Csv(folder) = system {
            reads.push(absolute(&folder.path)?);
            writes.extend(folder.orders.as_deref().map(absolute).transpose()?);
        }
    }
    reads.extend(writes.iter().cloned());
    for file in ways::ca_files(job) {
        reads.push(absolute(&file)?);
    }
    Ok(Units {
        job: job.name.clone(),
        program,
        job_file: std::path::absolute(&job.path)?,
        schedule: job.schedule.clone(),
        user: (!args.dynamic_user).then(|| args.user.clone()),
        state: "muster".to_owned(),
        credentials: credentials.into_iter().collect(),
        credentials_from: std::path::absolute(&args.credentials)?,
        variables: variables.into_iter().collect(),
        writes,
        reads_homes: reads.iter().any(|path| HOMES.iter().any(|home| path.starts_with(home))),
        on_failure: args.on_failure.clone(),
    })
}

/// A path, safe to print.
fn shown(path: &Path) -> String {
    safe_text::line(&path.display().to_string()).into_owned()
}

/// A login, as it may stand in a unit.
fn user(text: &str) -> Result<String, String> {
    let is_one = |c: char| c.is_ascii_alphanumeric() || "_-.$".contains(c);
    match !text.is_empty() && text.len() <= 32 && text.chars().all(is_one) && !text.starts_with('-') {
        true => Ok(text.to_owned()),
        false => Err("no login; write letters, digits, `_` and `-`".to_owned()),
    }
}

/// The name of a unit.
fn unit(text: &str) -> Result<String, String> {
    let is_one = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@%".contains(c);
    match text.contains('.') && text.chars().all(is_one) {
        true => Ok(text.to_owned()),
        false => Err("no unit; write its whole name, such as mail-admins@%n.service".to_owned()),
    }
}
