//! The steps of the tour. Each is a command that is printed before it runs, and ends as it should or fails the tour.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::company::{JOB, NO_FAULTS, Person, REFUSES_ONE, write};

struct Tour {
    folder: PathBuf,
    people: Vec<Person>,
}

/// Runs the tour in `keep`, or in a temporary folder.
pub(super) fn run(keep: Option<PathBuf>) -> Result<u8> {
    let begun = Instant::now();
    let scratch = match keep {
        Some(folder) => {
            if folder.exists() {
                bail!("{} exists already; name a folder that does not", folder.display());
            }
            std::fs::create_dir_all(&folder)?;
            Scratch::Kept(std::path::absolute(folder)?)
        }
        None => Scratch::Temporary(tempfile::tempdir().context("cannot make a temporary folder; look at $TMPDIR")?),
    };
    let folder = scratch.path().to_owned();
    std::fs::create_dir_all(folder.join("jobs"))?;
    std::fs::write(folder.join("jobs/demo.toml"), JOB)?;
    let mut tour = Tour { folder, people: (1..=80).map(Person::new).collect() };
    tour.faults(NO_FAULTS)?;
    tour.hr()?;

    say("1. The first day: 80 employees in HR, an empty vault.");
    tour.muster(&["check", "demo"], 0)?;
    tour.muster(&["run", "demo"], 3)?;
    tour.muster(&["review", "demo", "--first", "4"], 0)?;
    tour.muster(&["approve", "demo", "--all", "--comment", "first load, agreed with HR"], 0)?;
    tour.muster(&["apply", "demo"], 0)?;

    say("2. The second day: two join, two leave, one marries.");
    tour.people.push(Person::new(81));
    tour.people.push(Person::new(82));
    tour.people.retain(|p| p.number != 7);
    tour.person(11).employed = false;
    let bride = tour.person(20);
    bride.family = "Lindqvist-Haddad".to_owned();
    bride.login = "lindqvist-haddad@corp.example".to_owned();
    tour.hr()?;
    tour.muster(&["run", "demo"], 3)?;
    tour.muster(&["review", "demo"], 0)?;
    tour.muster(&["approve", "demo", "--all", "--comment", "as announced"], 0)?;
    tour.muster(&["apply", "demo"], 0)?;

    say("3. A broken export: the HR file ends after its header. Nobody left; nothing is planned from it.");
    tour.write("hr/users.csv", "id,login,firstName,lastName,email,enabled\n")?;
    tour.muster(&["run", "demo"], 4)?;
    tour.muster(&["status", "demo"], 0)?;
    say("   HR repairs the file; the next run is clean.");
    tour.hr()?;
    tour.muster(&["run", "demo"], 0)?;

    say("4. A reorganization: 9 of 81 leave at once. A threshold holds the plan until a person accepts it.");
    for number in 30..39 {
        tour.person(number).employed = false;
    }
    tour.hr()?;
    tour.muster(&["run", "demo"], 4)?;
    tour.muster(&["approve", "demo", "--all", "--comment", "team dissolved"], 4)?;
    tour.muster(
        &[
            "approve",
            "demo",
            "--all",
            "--accept",
            "vault.users/disable/percent",
            "--accept",
            "vault.users/removal/percent",
            "--comment",
            "team dissolved, HR-2291",
        ],
        0,
    )?;
    tour.muster(&["apply", "demo"], 0)?;

    say("5. The vault refuses an account: the others go on, the report says whose side it is on.");
    for number in 90..95 {
        tour.people.push(Person::new(number));
    }
    tour.hr()?;
    tour.faults(REFUSES_ONE)?;
    tour.muster(&["run", "demo"], 3)?;
    tour.muster(&["approve", "demo", "--all", "--comment", "new team"], 0)?;
    tour.muster(&["apply", "demo"], 5)?;
    tour.muster(&["report", "demo"], 0)?;
    say("   The vault is mended; the errored order is tried again, under the same approval.");
    tour.faults(NO_FAULTS)?;
    tour.muster(&["retry", "demo"], 0)?;
    tour.muster(&["apply", "demo"], 0)?;

    say("6. The end: both sides agree, nothing waits.");
    tour.muster(&["run", "demo", "--mode", "complete"], 0)?;
    tour.muster(&["status", "demo"], 0)?;
    eprintln!("\nThe tour took {:.1} s.{}", begun.elapsed().as_secs_f64(), scratch.farewell());
    Ok(0)
}

enum Scratch {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Scratch {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    fn farewell(&self) -> String {
        match self {
            Self::Kept(path) => format!(" Look around in {}.", path.display()),
            Self::Temporary(_) => " `muster demo --keep DIR` leaves its folder to look around in.".to_owned(),
        }
    }
}

fn say(text: &str) {
    eprintln!("\n{text}");
}

impl Tour {
    /// Runs a command as a user would type it, and checks how it ends.
    fn muster(&self, args: &[&str], expected: i32) -> Result<()> {
        let typed: Vec<String> =
            args.iter().map(|a| if a.contains(' ') { format!("'{a}'") } else { (*a).to_owned() }).collect();
        eprintln!("\n$ muster {}", typed.join(" "));
        let program = std::env::current_exe().context("cannot find the program's own file")?;
        let status = Command::new(program)
            .args(args)
            .arg("--verbose")
            .current_dir(&self.folder)
            .env("STATE_DIRECTORY", self.folder.join("state"))
            .status()?;
        let code = status.code().unwrap_or(-1);
        eprintln!("  (exit status {code})");
        if code != expected {
            bail!("`muster {}` ended with {code}, the tour expects {expected}", typed.join(" "));
        }
        Ok(())
    }

    fn person(&mut self, number: u32) -> &mut Person {
        let at = self.people.iter().position(|p| p.number == number).unwrap_or(0);
        &mut self.people[at]
    }

    fn hr(&self) -> Result<()> {
        write(&self.folder.join("hr"), &self.people)
    }

    fn faults(&self, text: &str) -> Result<()> {
        self.write("faults.json", text)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
