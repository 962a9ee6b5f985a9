//! What one run takes, of another process or inside this one.

use std::fs;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::time::{ClockId, clock_gettime};

use super::{Outcome, Sample};

/// Between two looks at the memory of a process.
const LOOK: Duration = Duration::from_millis(1);
/// What Linux counts processor time in, of other processes.
const TICK: Duration = Duration::from_millis(10);

/// Runs another program from start to exit.
pub(crate) fn program(command: &mut Command) -> Outcome<(ExitStatus, Sample)> {
    let start = Instant::now();
    let mut child = command.spawn()?;
    let id = child.id();
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or("a process without an id")?;
    let ended = AtomicBool::new(false);
    let (wall, kib) = std::thread::scope(|scope| {
        // The kernel keeps the high-water mark, so that only what grew after the last look is missed.
        let watch = scope.spawn(|| {
            let mut kib = 0;
            while !ended.load(Ordering::Relaxed) {
                kib = kib.max(peak_kib(&format!("/proc/{id}/status")).unwrap_or(0));
                std::thread::sleep(LOOK);
            }
            kib
        });
        // Left as a zombie: what it used can be read until it is reaped.
        let waited = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let wall = start.elapsed();
        ended.store(true, Ordering::Relaxed);
        waited.map(|_| (wall, watch.join().unwrap_or(0)))
    })?;
    let cpu = cpu(id)?;
    Ok((child.wait()?, Sample { wall, cpu, kib }))
}

/// Runs a part of this process.
pub(crate) fn inside<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Sample)> {
    // Sets the high-water mark of this process back.
    fs::write("/proc/self/clear_refs", "5")?;
    let (start, before) = (Instant::now(), own_cpu());
    let done = work()?;
    let (wall, cpu) = (start.elapsed(), own_cpu().saturating_sub(before));
    let kib = peak_kib("/proc/self/status").ok_or("no VmHWM in /proc/self/status")?;
    Ok((done, Sample { wall, cpu, kib }))
}

/// The most memory that a process had so far; nothing once it has ended.
fn peak_kib(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// Processor time of all threads of a process, user and system.
fn cpu(id: u32) -> Outcome<Duration> {
    let text = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // After the name, which may hold blanks: state is the first word, utime and stime are the 12th and 13th.
    let words = text.rsplit_once(')').ok_or("no name in /proc/PID/stat")?.1.split_whitespace();
    let ticks: Vec<u32> = words.skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum())
}

fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
