//! The program under measurement: its commands from start to exit, and its built-in server.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The bearer token of the built-in server.
pub(crate) const TOKEN: &str = "a-token-for-the-bench";

/// What something took: from its start to its end, the processor time it used, and the most memory it was seen with.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) kib: u64,
}

/// Runs a command to its end, which has to be the one that is usual for it.
pub(crate) fn measured(folder: &Path, args: &[&str], status: i32) -> Outcome<Measured> {
    let name = args.first().copied().unwrap_or_default();
    let log = folder.join(format!("{name}.err"));
    let cpu = cpu()?.1;
    let start = Instant::now();
    let mut child = muster(folder).args(args).stderr(File::create(&log)?).stdout(Stdio::null()).spawn()?;
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
    if ended.code() != Some(status) {
        return Err(format!("{name} ended with {ended}: {}", fs::read_to_string(&log)?).into());
    }
    Ok(Measured { wall, cpu: self::cpu()?.1 - cpu, kib })
}

/// The highest memory that a process had so far.
fn peak_kib(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// Processor time of this process, and of all of its children that ended.
pub(crate) fn cpu() -> Outcome<(Duration, Duration)> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // After the name, which may hold blanks, state is the first word; utime, stime, cutime, cstime follow from the 12th.
    let words = text.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1.split_whitespace();
    let ticks: Vec<u64> = words.skip(11).take(4).map(str::parse).collect::<Result<_, _>>()?;
    let time = |ticks: &[u64]| Duration::from_millis(ticks.iter().sum::<u64>() * 10);
    Ok((time(&ticks[..2]), time(&ticks[2..])))
}

/// Of several measurements the one in the middle, by time, and the shortest time.
pub(crate) fn middle(mut seen: Vec<Measured>) -> (Measured, Duration) {
    seen.sort_by_key(|one| one.wall);
    (seen[seen.len() / 2], seen[0].wall)
}

fn muster(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("USER", "bench")
        .env("VAULT_TOKEN", TOKEN)
        .env("STATE_DIRECTORY", folder.join("state"))
        .stdin(Stdio::null());
    command
}

/// The built-in server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    /// Its base address.
    pub(crate) url: String,
}

impl Server {
    /// Starts a server on a database in the folder. Every answer comes so much later than it could.
    pub(crate) fn start(folder: &Path, delay: Duration, further: &[&str]) -> Outcome<Self> {
        let faults = folder.join("faults.json");
        let rules = match delay.as_millis() {
            0 => String::new(),
            ms => format!(r#"{{"action": {{"delay": {{"ms": {ms}}}}}}}"#),
        };
        fs::write(&faults, format!(r#"{{"rules": [{rules}]}}"#))?;
        let args = ["sandbox", "--quiet", "--listen", "127.0.0.1:0", "--database", "vault.db"];
        let mut child = muster(folder)
            .args(args)
            .args(["--token-from", "env:VAULT_TOKEN", "--faults", "faults.json"])
            .args(further)
            .stdout(Stdio::piped())
            .spawn()?;
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
