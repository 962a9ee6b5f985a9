//! What calls a job by the clock: systemd units, or lines of a crontab.
//!
//! Sources: systemd.service(5), systemd.exec(5), systemd.timer(5), systemd.unit(5) for `%`, crontab(5) for `%`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::settings::{ScheduleSettings, TimeOfDay};

/// Until a run that is told to end is killed, in seconds: it takes ten at most.
const STOP_SECONDS: u32 = 15;

/// Everything that units say.
#[derive(Clone, Debug)]
pub struct Units {
    /// The job's name.
    pub job: String,
    /// The program, by its absolute path.
    pub program: PathBuf,
    /// The job file, by its absolute path.
    pub job_file: PathBuf,
    /// When.
    pub schedule: ScheduleSettings,
    /// As whom it runs; `None`: as a user that systemd makes for it.
    pub user: Option<String>,
    /// The folder below /var/lib with the state, as `StateDirectory=` names it.
    pub state: String,
    /// Names of `credential:NAME` references of the job.
    pub credentials: Vec<String>,
    /// Where the service finds them, each in a file of its name.
    pub credentials_from: PathBuf,
    /// Variables of `env:NAME` references of the job.
    pub variables: Vec<String>,
    /// Folders that it writes to besides its state.
    pub writes: Vec<PathBuf>,
    /// Whether it reads something below /home, /root or /run/user.
    pub reads_homes: bool,
    /// The unit that is started when it fails.
    pub on_failure: Option<String>,
}

/// One file of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFile {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Units {
    /// The service and its timers.
    pub fn files(&self) -> Vec<UnitFile> {
        let mut files = vec![UnitFile { name: self.service_name(), text: self.service() }];
        let calendars =
            [("incremental", self.schedule.incremental.map(every)), ("complete", self.schedule.complete.map(daily))];
        for (mode, calendar) in calendars {
            if let Some(calendar) = calendar {
                let text = format!(
                    "[Unit]\nDescription=muster job {job}: {mode} run\n\n[Timer]\nUnit=muster-{job}@{mode}.service\n\
                     OnCalendar={calendar}\nAccuracySec=30s\n# A run that was missed while the machine was off is made up for.\n\
                     Persistent=true\n\n[Install]\nWantedBy=timers.target\n",
                    job = self.job,
                );
                files.push(UnitFile { name: self.timer_name(mode), text });
            }
        }
        files
    }

    /// The name of the service, whose instances are the modes.
    pub fn service_name(&self) -> String {
        format!("muster-{}@.service", self.job)
    }

    /// The name of the timer of a mode.
    pub fn timer_name(&self, mode: &str) -> String {
        format!("muster-{}-{mode}.timer", self.job)
    }

    fn service(&self) -> String {
        let mut text = format!(
            "[Unit]\nDescription=muster job {job}, %i\nWants=network-online.target\nAfter=network-online.target\n",
            job = self.job
        );
        if let Some(unit) = &self.on_failure {
            text.push_str(&format!("OnFailure={unit}\n"));
        }
        text.push_str(&format!(
            "\n[Service]\nType=notify\nNotifyAccess=main\nExecStart={program} run {file} --mode %i\nWorkingDirectory={folder}\n\
             # 3: orders wait for a review. 75: another run of the job is under way. 1, 2, 4 and 5 are failures: see OnFailure.\n\
             SuccessExitStatus=3 75\n\
             # Whoever found the job under way comes again: a complete run is not skipped because an incremental one took long.\n\
             RestartForceExitStatus=75\nRestartSec=2min\nWatchdogSec=5min\nTimeoutStopSec={STOP_SECONDS}\n\
             StateDirectory={state}\nStateDirectoryMode=0700\nUMask=0077\n",
            program = quoted(&self.program),
            file = quoted(&self.job_file),
            folder = bare(self.job_file.parent().and_then(Path::parent).unwrap_or(Path::new("/"))),
            state = self.state,
        ));
        match &self.user {
            Some(user) => text.push_str(&format!("User={user}\n")),
            None => text.push_str(&format!("DynamicUser=yes\nUser=muster-{}\n", self.job)),
        }
        text.push_str(&self.own());
        text.push_str(if self.reads_homes { "ProtectHome=read-only\n" } else { "ProtectHome=yes\n" });
        text.push_str(HARDENED);
        text
    }

    /// What the service says because of this job.
    fn own(&self) -> String {
        let mut text = String::new();
        for name in &self.credentials {
            text.push_str(&format!("LoadCredential={name}:{}\n", bare(&self.credentials_from.join(name))));
        }
        if !self.variables.is_empty() {
            text.push_str(&format!(
                "# {} of the job file; readable by root alone. A credential is kept better: credential:NAME.\nEnvironmentFile={}\n",
                self.variables.iter().map(|name| format!("env:{name}")).collect::<Vec<_>>().join(", "),
                bare(&self.credentials_from.join(format!("{}.env", self.job))),
            ));
        }
        text.push('\n');
        for folder in &self.writes {
            text.push_str(&format!("ReadWritePaths={}\n", bare(folder)));
        }
        text
    }

    /// What the package's units, `muster@JOB` and `muster-complete@JOB`, do not say of this job: drop-ins for them, by their
    /// paths below the folder of units. One that is empty has nothing to say, and is not to be there.
    pub fn drop_ins(&self) -> Vec<UnitFile> {
        let mut service = String::new();
        if let Some(unit) = &self.on_failure {
            service.push_str(&format!("[Unit]\nOnFailure={unit}\n\n"));
        }
        let homes = if self.reads_homes { "ProtectHome=read-only\n" } else { "" };
        let own = format!("{}{homes}", self.own());
        if !own.trim().is_empty() {
            service.push_str(&format!("[Service]\n{}\n", own.trim()));
        }
        let usual = ScheduleSettings::default();
        let calendars = [
            ("muster", self.schedule.incremental.filter(|time| Some(*time) != usual.incremental).map(every)),
            ("muster-complete", self.schedule.complete.filter(|at| Some(*at) != usual.complete).map(daily)),
        ];
        let mut files = Vec::new();
        for (unit, calendar) in calendars {
            // The empty setting takes the package's away.
            let timer = calendar.map(|calendar| format!("[Timer]\nOnCalendar=\nOnCalendar={calendar}\n"));
            for (kind, text) in [("service", service.clone()), ("timer", timer.unwrap_or_default())] {
                files.push(UnitFile { name: format!("{unit}@{}.{kind}.d/job.conf", self.job), text });
            }
        }
        files
    }

    /// The package's timers that the job's schedule asks for.
    pub fn packaged_timers(&self) -> Vec<String> {
        let asked =
            [("muster", self.schedule.incremental.is_some()), ("muster-complete", self.schedule.complete.is_some())];
        asked.iter().filter(|(_, asked)| *asked).map(|(unit, _)| format!("{unit}@{}.timer", self.job)).collect()
    }

    /// Lines of a crontab, as the user that runs the job.
    pub fn crontab(&self, state: &Path) -> String {
        let mut text = format!(
            "# muster job {job}: silent unless something is to be done; statuses: 0 done, 3 waits for a review, 75 another run is under way\n",
            job = self.job
        );
        let folder = self.job_file.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let mut line = |when: String, mode: &str| {
            text.push_str(&format!(
                "{when} cd {} && {} --state {} run {} --mode {mode}\n",
                in_crontab(folder),
                in_crontab(&self.program),
                in_crontab(state),
                in_crontab(&self.job_file)
            ));
        };
        if let Some(incremental) = self.schedule.incremental {
            line(cron_every(incremental), "incremental");
        }
        if let Some(TimeOfDay { hour, minute }) = self.schedule.complete {
            line(format!("{minute} {hour} * * *"), "complete");
        }
        text
    }
}

/// Nothing but what a batch job needs that talks to servers and writes its state.
const HARDENED: &str = "\
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
DevicePolicy=closed
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
";

/// `OnCalendar=` of a time that divides an hour or a day.
fn every(time: Duration) -> String {
    match time.as_secs() / 60 {
        minutes @ 1..60 => format!("*:0/{minutes}"),
        minutes => format!("0/{}:00", minutes / 60),
    }
}

/// `OnCalendar=` of a time of day.
fn daily(at: TimeOfDay) -> String {
    format!("*-*-* {at}:00")
}

/// A time that divides an hour or a day, in a crontab.
fn cron_every(time: Duration) -> String {
    match time.as_secs() / 60 {
        1 => "* * * * *".to_owned(),
        minutes @ 2..60 => format!("*/{minutes} * * * *"),
        60 => "0 * * * *".to_owned(),
        minutes => format!("0 */{} * * *", minutes / 60),
    }
}

/// A path as a word of a unit's command line: `%` and `$` mean themselves.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if path.contains(char::is_whitespace) || path.contains(['\'', ';', '"']) { format!("\"{path}\"") } else { path }
}

/// A path as the whole value of a setting.
fn bare(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%%")
}

/// A path as a word of a crontab's command, for the shell and for cron, to which `%` is the end of a line.
fn in_crontab(path: &Path) -> String {
    let path = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@:,".contains(c);
    let word =
        if path.chars().all(is_plain) { path.into_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) };
    word.replace('%', r"\%")
}
