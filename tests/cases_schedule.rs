//! Called by the clock: units and crontab lines, what a service manager is told, and an end when it asks for one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use muster::model::settings::ScheduleSettings;
use muster::report::units::Units;
use serde_json::json;
use support::company::Company;
use support::{Said, World};

/// The package has one service and one timer for each mode, whose instances are jobs; `muster schedule` writes one service for
/// each job, whose instances are modes. But for that they are the same. `MUSTER_BLESS=1` writes those of the package.
#[test]
fn the_units_of_the_package_are_those_that_schedule_writes() {
    let units = Units {
        job: "JOB".to_owned(),
        program: "/usr/bin/muster".into(),
        job_file: "/etc/muster/jobs/JOB.toml".into(),
        schedule: ScheduleSettings::default(),
        user: Some("muster".to_owned()),
        state: "muster".to_owned(),
        credentials: Vec::new(),
        credentials_from: "/etc/muster/credentials".into(),
        variables: Vec::new(),
        writes: Vec::new(),
        reads_homes: false,
        on_failure: None,
    };
    let drop_ins =
        |units: &Units| units.drop_ins().into_iter().map(|file| (file.name, file.text)).collect::<BTreeMap<_, _>>();
    assert!(drop_ins(&units).values().all(String::is_empty), "the package's units say all that a plain job needs");
    let needs = Units {
        schedule: ScheduleSettings { incremental: None, complete: "02:30".parse().ok(), is_stated: true },
        credentials: vec!["vault-token".to_owned()],
        writes: vec!["/srv/orders % a".into()],
        reads_homes: true,
        on_failure: Some("page@%n.service".to_owned()),
        ..units.clone()
    };
    let service = "[Unit]\nOnFailure=page@%n.service\n\n[Service]\nLoadCredential=vault-token:/etc/muster/credentials/vault-token\n\n\
                   ReadWritePaths=/srv/orders %% a\nProtectHome=read-only\n";
    let written = drop_ins(&needs);
    assert_eq!(written["muster@JOB.service.d/job.conf"], service);
    assert_eq!(written["muster-complete@JOB.service.d/job.conf"], service);
    assert_eq!(written["muster@JOB.timer.d/job.conf"], "", "a timer that is not enabled needs no time");
    let timer = "[Timer]\nOnCalendar=\nOnCalendar=*-*-* 02:30:00\n";
    assert_eq!(written["muster-complete@JOB.timer.d/job.conf"], timer);
    assert_eq!(needs.packaged_timers(), ["muster-complete@JOB.timer"]);
    let written = |name: &str| {
        let file = units.files().into_iter().find(|file| file.name == name);
        file.unwrap_or_else(|| panic!("{name} is not written")).text
    };
    // A file of variables may be there for each job; which it needs, only its job file says.
    let variables = "User=muster\n# Variables for `env:NAME` of the job file; readable by root alone.\n\
                     EnvironmentFile=-/etc/muster/credentials/%i.env\n";
    for (mode, name) in [("incremental", "muster@"), ("complete", "muster-complete@")] {
        let service = written("muster-JOB@.service").replace("%i", mode).replace("JOB", "%i");
        let timer = written(&format!("muster-JOB-{mode}.timer"));
        let timer = timer.replace(&format!("Unit=muster-JOB@{mode}.service\n"), "").replace("JOB", "%i");
        let made = [("service", service.replace("User=muster\n", variables)), ("timer", timer)];
        for (kind, text) in made {
            let file = format!("{}/packaging/systemd/{name}.{kind}", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("MUSTER_BLESS").is_some() {
                std::fs::write(&file, &text).unwrap();
            }
            assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), text, "MUSTER_BLESS=1 writes {file}");
        }
    }
}

/// A job whose credentials lie where systemd puts them, and that writes work orders.
fn scheduled(schedule: &str) -> World {
    let world = World::new();
    world.write(
        "jobs/corp.toml",
        format!(
            r#"name = "corp"
[systems.hr]
kind = "csv"
path = "../hr"
[systems.desk]
kind = "csv"
path = "../desk"
orders = "../orders % a"
[systems.vault]
kind = "scim"
url = "https://vault.example.com/scim/v2"
auth = {{ bearer = "credential:vault-token" }}
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
[sync.attributes]
externalId = "id"
userName = "login"
[[sync]]
from = "hr.users"
to = "desk.users"
match = [{{ source = "id", target = "id" }}]
[sync.attributes]
id = "id"
login = "login"
{schedule}
"#
        ),
    );
    world
}

#[test]
fn case_x3_schedule_writes_a_service_and_timers_that_say_what_the_job_needs() {
    let world = scheduled("[schedule]\nincremental = \"10m\"\ncomplete = \"02:30\"\n");
    let said = world.muster(&["-v", "schedule", "corp", "--output", "."]).ended(0);
    said.says(&[
        "wrote ./muster-corp@.service",
        "the credential vault-token from /etc/muster/credentials/vault-token",
        "next: systemctl daemon-reload && systemctl enable --now muster-corp-incremental.timer muster-corp-complete.timer",
    ]);
    let service = world.read("muster-corp@.service");
    let folder = world.path().canonicalize().unwrap();
    for line in [
        "Type=notify",
        "SuccessExitStatus=3 75",
        "RestartForceExitStatus=75",
        "User=muster",
        "StateDirectory=muster",
        "LoadCredential=vault-token:/etc/muster/credentials/vault-token",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
    ] {
        assert!(service.lines().any(|known| known == line), "{line}\n{service}");
    }
    assert!(service.contains(&format!("run {}/jobs/corp.toml --mode %i\n", folder.display())), "{service}");
    // What is written to is open, and `%` means itself.
    assert!(service.contains("/orders %% a\n"), "{service}");
    assert!(world.read("muster-corp-incremental.timer").contains("OnCalendar=*:0/10\n"));
    let complete = world.read("muster-corp-complete.timer");
    assert!(complete.contains("Unit=muster-corp@complete.service\nOnCalendar=*-*-* 02:30:00\n"), "{complete}");
    // The same printed, and for cron.
    let printed = world.muster(&["schedule", "corp", "--dynamic-user", "--on-failure", "page@%n.service"]).ended(0);
    printed.says(&["# muster-corp@.service\n", "DynamicUser=yes", "OnFailure=page@%n.service"]);
    let cron = world.muster(&["schedule", "corp", "--crontab"]).ended(0);
    cron.says(&["*/10 * * * * cd ", "30 2 * * * cd ", "--mode incremental\n", "--mode complete\n"]);
    world.muster(&["schedule", "corp", "--on-failure", "x\ny"]).ended(2).says(&["no unit"]);
    // The package's units look for jobs at one place.
    let elsewhere = world.muster(&["schedule", "corp", "--package"]).ended(2);
    elsewhere.says(&["the units of the package call /etc/muster/jobs/corp.toml", "without --package"]);
}

#[test]
fn case_x3_times_that_no_clock_keeps_are_mistakes_of_the_job_file() {
    let world = scheduled("[schedule]\nincremental = \"7m\"\ncomplete = \"24:00\"\n");
    world.muster(&["schedule", "corp"]).ended(2).says(&[
        "`7m` divides neither an hour nor a day evenly",
        "`24:00` is no time of day",
        "corp.toml",
    ]);
    let world = scheduled("[schedule]\nincremental = \"off\"\ncomplete = \"off\"\n");
    world.muster(&["schedule", "corp"]).ended(2).says(&["nothing to schedule"]);
    let world = scheduled("[schedule]\nincremental = \"off\"\n");
    world.muster(&["schedule", "corp"]).ended(0).says(&["*-*-* 03:05:00"]).never_says(&["incremental.timer"]);
}

#[test]
fn case_i9_status_says_when_the_next_run_is_due() {
    let company = Company::of(1);
    company.settle();
    company.world.muster(&["status", "corp"]).ended(0).never_says(&["due by"]);
    company.job("[schedule]\nincremental = \"15m\"\n");
    company.world.muster(&["run", "corp"]).ended(0);
    company.world.muster(&["status", "corp"]).ended(0).says(&["due by the job file's [schedule]", "(incremental)"]);
    let status = company.world.muster(&["status", "corp", "--format", "json"]).ended(0).json();
    let at = |name: &str| status[name].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let due = status["due"]["incremental"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let wait = due - at("now");
    assert!(wait > chrono::TimeDelta::zero() && wait <= chrono::TimeDelta::minutes(15), "{status:#}");
    assert_eq!(due.timestamp() % 900, 0, "{status:#}");
}

fn spawned(company: &Company, args: &[&str]) -> Child {
    company.world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends a command as a service manager does; how long it took, and what it said.
fn terminated(child: Child) -> (Duration, Said) {
    let asked = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let said = Said::from(child.wait_with_output().unwrap());
    (asked.elapsed(), said)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now();
    while !holds() {
        assert!(patience.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn case_x3_sigterm_ends_an_apply_cleanly_and_the_next_one_goes_on() {
    let company = Company::with(30, "[apply]\nconcurrency = 2\nwaves = [30]\n");
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    company.vault.faults(json!({"rules": [{"method": "POST", "action": {"delay": {"ms": 300}}}]}));
    let apply = spawned(&company, &["apply", "corp"]);
    until("nothing is created", || company.vault.all("Users").len() + company.vault.all("Groups").len() > 2);
    let (took, said) = terminated(apply);
    let said = said.ended(1).says(&["SIGTERM: nothing new is begun", "SIGTERM told it to end", "still approved"]);
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    said.never_says(&["in flight", "ended while something was under way"]);
    company.vault.faults(json!({"rules": []}));
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 30);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_x3_sigterm_ends_an_export_and_a_request_that_hangs() {
    let company = Company::of(3);
    company.settle();
    company.vault.faults(json!({"rules": [{"prefix": "/Users", "action": {"delay": {"ms": 20000}}}]}));
    let before = company.world.runs("corp").len();
    let run = spawned(&company, &["run", "corp"]);
    until("no run begins", || company.world.runs("corp").len() > before);
    let (took, said) = terminated(run);
    said.ended(1)
        .says(&["SIGTERM told it to end while it exported", "the next run exports anew"])
        .never_says(&["a fault in muster"]);
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    company.vault.faults(json!({"rules": []}));
    company.world.muster(&["status", "corp"]).says(&["SIGTERM told it to end"]);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_x3_the_service_manager_is_told_that_it_is_ready_and_alive() {
    let company = Company::of(1);
    let path = company.world.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut command = company.world.command(&["run", "corp"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000000");
    assert_eq!(command.output().unwrap().status.code(), Some(3));
    let mut told = String::new();
    let mut bytes = [0; 4096];
    while let Ok(length) = socket.recv(&mut bytes) {
        told.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        told.push('\n');
    }
    for text in ["READY=1", "WATCHDOG=1", "STATUS=exported hr.users", "STATUS=planned run"] {
        assert!(told.contains(text), "{text}\n{told}");
    }
}

/// Lines of the textfile format: each measure is told what it is before its samples, and bears a name that promtool takes.
#[test]
fn monitoring_reads_how_a_job_stands_however_its_run_ended() {
    let company = Company::of(60);
    let file = company.world.path().join("muster.prom");
    let run = |status: i32| {
        company.world.muster(&["run", "corp", "--metrics-file", "muster.prom"]).ended(status);
        std::fs::read_to_string(&file).unwrap()
    };
    let told = run(3);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o644, "node_exporter is somebody else");
    let mut known = std::collections::BTreeSet::new();
    for line in told.lines() {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").split(['{', ' ']).next().unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !name.ends_with("_total"), "{line}");
        match line.strip_prefix("# HELP ") {
            Some(help) => assert!(help.ends_with('.') && known.insert(name.to_owned()), "{line}"),
            None if line.starts_with("# TYPE ") => assert!(line.ends_with(" gauge"), "{line}"),
            None => {
                assert!(known.contains(name) && line.contains("{job=\"corp\""), "{line}");
                line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
            }
        }
    }
    for line in [
        "muster_last_run_exit_status{job=\"corp\"} 3",
        "muster_live_orders{job=\"corp\",state=\"pending-review\"} 123",
        "muster_snapshot_rows{job=\"corp\",resource=\"hr.users\"} 60",
        "muster_snapshot_complete{job=\"corp\",resource=\"hr.users\"} 1",
        "muster_held_runs{job=\"corp\"} 0",
    ] {
        assert!(told.lines().any(|known| known == line), "{line}\n{told}");
    }
    company.settle();
    company.hr(&support::company::people(20));
    assert!(run(4).contains("muster_held_runs{job=\"corp\"} 1\n"));
    company.vault.faults(json!({"rules": [{"action": "drop-before"}]}));
    let told = run(1);
    assert!(told.contains("muster_last_run_exit_status{job=\"corp\"} 1\n"), "{told}");
    assert!(told.contains("muster_last_good_run_timestamp_seconds{job=\"corp\"} 1"), "{told}");
}
