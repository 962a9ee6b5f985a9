//! How long a first load takes: plan, approve and apply of so many creates on the built-in server.
//!
//! `cargo bench --bench apply` loads 10,000 users in 5 rounds; `cargo bench --bench apply -- 100000 3` others; a third
//! word sets the requests in flight at once (32). A last word `plan` leaves approve and apply out.
//!
//! Every step is the program itself, from start to exit; each round begins with an empty state folder and an empty
//! server. The server runs on the same cores. No rate limit, no waves beyond the usual ones, the journal on the disk
//! that holds the temporary folder: what one fsync costs there is printed beside.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Commands that end with what is usual for them: a plan waits for review, the others are done.
const STEPS: [(&str, &[&str], i32); 3] = [
    ("plan", &["plan", "load"], 3),
    ("approve", &["approve", "load", "--all", "--comment", "first load"], 0),
    ("apply", &["apply", "load"], 0),
];

fn main() -> Outcome<()> {
    // cargo bench adds its own flag.
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let steps = if words.last().is_some_and(|word| word == "plan") {
        words.pop();
        &STEPS[..1]
    } else {
        &STEPS[..]
    };
    let number = |i: usize, default: usize| words.get(i).map_or(Ok(default), |word| word.parse());
    let (users, rounds, concurrency) = (number(0, 10_000)?, number(1, 5)?.max(1), number(2, 32)?);

    let mut seen: Vec<Vec<Measured>> = steps.iter().map(|_| Vec::new()).collect();
    let mut syncs = Vec::new();
    for _ in 0..rounds {
        let folder = tempfile::tempdir()?;
        syncs.push(fsync(folder.path())?);
        let server = Server::start(folder.path())?;
        world(folder.path(), &server.url, users, concurrency)?;
        for (step, seen) in steps.iter().zip(&mut seen) {
            seen.push(measured(folder.path(), step)?);
        }
    }
    syncs.sort();
    println!("{users} creates, {concurrency} in flight, {rounds} rounds; one fsync {:?}", syncs[rounds / 2]);
    println!("{:<10} {:>9} {:>9} {:>9} {:>8} {:>12}", "step", "median", "least", "cpu", "MiB", "orders/s");
    for ((name, ..), mut seen) in steps.iter().zip(seen) {
        seen.sort_by_key(|m| m.wall);
        let middle = &seen[rounds / 2];
        println!(
            "{name:<10} {:>8.2}s {:>8.2}s {:>8.2}s {:>8.0} {:>12.0}",
            middle.wall.as_secs_f64(),
            seen[0].wall.as_secs_f64(),
            middle.cpu.as_secs_f64(),
            middle.kib as f64 / 1024.0,
            users as f64 / middle.wall.as_secs_f64()
        );
    }
    Ok(())
}

/// One command: from its start to its exit, the processor time it used, and the most memory it was seen with.
struct Measured {
    wall: Duration,
    cpu: Duration,
    kib: u64,
}

fn measured(folder: &Path, (name, args, status): &(&str, &[&str], i32)) -> Outcome<Measured> {
    let log = folder.join(format!("{name}.err"));
    let cpu = children_cpu()?;
    let start = Instant::now();
    let mut child = muster(folder).args(*args).stderr(File::create(&log)?).stdout(Stdio::null()).spawn()?;
    let memory = format!("/proc/{}/status", child.id());
    let mut kib = 0;
    let ended = loop {
        kib = kib.max(peak_kib(&memory).unwrap_or(0));
        match child.try_wait()? {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let wall = start.elapsed();
    if ended.code() != Some(*status) {
        return Err(format!("{name} ended with {ended}: {}", fs::read_to_string(&log)?).into());
    }
    Ok(Measured { wall, cpu: children_cpu()? - cpu, kib })
}

/// The highest memory that a process had so far.
fn peak_kib(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// Processor time of all children that ended.
fn children_cpu() -> Outcome<Duration> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // After the name, which may hold blanks: state is the first word, cutime and cstime are the 14th and 15th.
    let words = text.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1.split_whitespace();
    let ticks: Vec<u64> = words.skip(13).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}

/// What it costs to have a page of a growing file on the disk: the median of a hundred.
fn fsync(folder: &Path) -> Outcome<Duration> {
    let mut file = File::create(folder.join("fsync"))?;
    let mut seen = Vec::with_capacity(100);
    for _ in 0..100 {
        file.write_all(&[1; 4096])?;
        let start = Instant::now();
        file.sync_data()?;
        seen.push(start.elapsed());
    }
    seen.sort();
    Ok(seen[50])
}

fn muster(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("USER", "bench")
        .env("VAULT_TOKEN", "a-token-for-the-bench")
        .env("STATE_DIRECTORY", folder.join("state"))
        .stdin(Stdio::null());
    command
}

/// A job from a file of users to the server.
fn world(folder: &Path, url: &str, users: usize, concurrency: usize) -> Outcome<()> {
    fs::create_dir_all(folder.join("hr"))?;
    fs::create_dir_all(folder.join("jobs"))?;
    let mut file = std::io::BufWriter::new(File::create(folder.join("hr/users.csv"))?);
    writeln!(file, "id,login,email,given,family,title,enabled")?;
    for n in 0..users {
        let title = ["Clerk", "Engineer", "Nurse", "Lawyer"][n % 4];
        writeln!(
            file,
            "E{n:07},user{n:07}@corp.example,user{n:07}@corp.example,Given{n},Family{},{title},true",
            n % 9973
        )?;
    }
    file.flush()?;
    let job = format!(
        r#"name = "load"

[systems.hr]
kind = "csv"
path = "../hr"

[systems.vault]
kind = "scim"
url = "{url}"
auth = {{ bearer = "env:VAULT_TOKEN" }}

[[sync]]
from = "hr.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
required = ["userName", "emails"]
unique = ["userName"]

[sync.attributes]
externalId = "id"
userName = "login"
"name.givenName" = "given"
"name.familyName" = "family"
emails = "email"
title = "title"
active = "enabled"

[sync.thresholds]
create = "off"

[apply]
concurrency = {concurrency}
"#
    );
    fs::write(folder.join("jobs/load.toml"), job)?;
    Ok(())
}

/// The built-in server; ended when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path) -> Outcome<Self> {
        let args = ["sandbox", "--quiet", "--listen", "127.0.0.1:0", "--database", "vault.db"];
        let mut child =
            muster(folder).args(args).args(["--token-from", "env:VAULT_TOKEN"]).stdout(Stdio::piped()).spawn()?;
        let mut url = String::new();
        let out = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(out).read_line(&mut url)?;
        Ok(Self { child, url: url.trim().to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
