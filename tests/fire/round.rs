//! One apply that is disturbed: what goes wrong, as data, and how it is done.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::future::pending;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use muster::sandbox::Faults;
use serde_json::{Value, json};

use crate::house::House;
use crate::support::TOKEN;
use crate::support::dice::Dice;

/// One apply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Round {
    pub(crate) by: By,
    pub(crate) faults: Vec<Fault>,
}

/// Who applies, in what state its machine is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    /// The library in this process; it waits before it tries again, or does not.
    Library { patient: bool },
    /// The same, with its clock off by so many hours.
    Clock { hours: i64 },
    /// The same, with a clock that jumps back and forth while it applies.
    Jumps { hours: i64 },
    /// The same, while another process holds the database's write lock for so long.
    Busy { ms: u64 },
    /// The program; a kill is `kill -9`.
    Program,
    /// The program, twice at once.
    Programs,
    /// The program, where no file may grow beyond so many blocks: as on a full disk.
    FullDisk { blocks: usize },
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    /// Only requests of this method count.
    pub(crate) method: Option<&'static str>,
    /// The request, counted from 1.
    pub(crate) nth: usize,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    /// Whoever applies is killed before the server does it, or after, so many milliseconds later.
    Kill {
        after: bool,
        linger: u64,
    },
    Cut {
        after: bool,
    },
    HalfAnswer,
    BrokenAnswer,
    ErrorAfter {
        code: u16,
    },
    Error {
        code: u16,
    },
    Throttled,
    Unavailable,
    Twice,
}

impl What {
    fn kills(self) -> Option<u64> {
        if let What::Kill { linger, .. } = self { Some(linger) } else { None }
    }

    fn action(self) -> Value {
        // Longer than any plan: who waits for it is killed, or was.
        const FOR_EVER: u64 = 600_000;
        match self {
            What::Kill { after: false, .. } => json!({"delay": {"ms": FOR_EVER}}),
            What::Kill { after: true, .. } => json!({"delay-after": {"ms": FOR_EVER}}),
            What::Cut { after: false } => json!("drop-before"),
            What::Cut { after: true } => json!("drop-after"),
            What::HalfAnswer => json!("cut-body"),
            What::BrokenAnswer => json!("cut-connection"),
            What::ErrorAfter { code } => json!({"fail-after": {"code": code}}),
            What::Error { code } => json!({"status": {"code": code}}),
            What::Throttled => json!({"throttle": {"retry_after": 0}}),
            What::Unavailable => json!({"unavailable": {"retry_after": 0}}),
            What::Twice => json!("twice"),
        }
    }
}

impl Round {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        let by = match dice.below(100) {
            0..3 => By::Program,
            3 => By::Programs,
            4 => By::FullDisk { blocks: 8 + dice.below(500) },
            5..12 => By::Clock { hours: dice.pick(&[-2000, -1, 1, 71, 73, 2000]) },
            12..15 => By::Jumps { hours: dice.pick(&[1, 71, 73, 2000]) },
            // For seconds now and then, as a backup of a large database takes.
            15..20 => By::Busy { ms: if dice.below(20) == 0 { 2_500 } else { 5 + dice.below(40) as u64 } },
            20..35 => By::Library { patient: true },
            _ => By::Library { patient: false },
        };
        Round { by, faults: (0..1 + dice.below(3)).map(|_| Fault::roll(dice)).collect() }
    }

    /// The faults, as the server takes them.
    fn rules(&self) -> Value {
        let rule = |fault: &Fault| match fault.method {
            Some(method) => json!({"method": method, "when": {"nth": fault.nth}, "action": fault.what.action()}),
            None => json!({"when": {"nth": fault.nth}, "action": fault.what.action()}),
        };
        json!({"rules": self.faults.iter().map(rule).collect::<Vec<_>>()})
    }
}

impl Fault {
    fn roll(dice: &mut Dice) -> Self {
        let method = dice.pick(&[None, None, Some("POST"), Some("PATCH"), Some("PATCH"), Some("DELETE"), Some("GET")]);
        let nth = 1 + dice.below(match method {
            None => 40,
            Some("GET") => 30,
            Some("DELETE") => 2,
            _ => 8,
        });
        let after = dice.below(2) == 0;
        let what = match dice.below(13) {
            0..4 => What::Kill { after, linger: dice.pick(&[0, 0, 1, 3, 8]) },
            4 | 5 => What::Cut { after },
            6 => What::HalfAnswer,
            7 => What::BrokenAnswer,
            8 => What::ErrorAfter { code: dice.pick(&[500, 500, 502, 503, 504, 408]) },
            9 => What::Error { code: dice.pick(&[500, 502, 503, 504, 408]) },
            10 => What::Throttled,
            11 => What::Unavailable,
            _ => What::Twice,
        };
        Fault { method, nth, what }
    }
}

/// Applies under fire, and then ends the fire. How the apply ends is of no interest.
pub(crate) async fn disturbed(house: &House, round: &Round) {
    under_fire(house, round).await;
    house.vault.set_faults(Faults::default());
    house.ahead.store(0, Ordering::SeqCst);
}

async fn under_fire(house: &House, round: &Round) {
    let faults: Faults = serde_json::from_value(round.rules()).unwrap();
    house.vault.set_faults(faults);
    let killed = killed(house, round);
    let patience = Duration::from_secs(if round.by == (By::Library { patient: true }) { 2 } else { 0 });
    match round.by {
        By::Library { .. } => {}
        By::Clock { hours } => house.ahead.store(hours, Ordering::SeqCst),
        By::Jumps { hours } => {
            tokio::select! {
                _ = house.apply(patience) => {}
                () = killed => {}
                () = jumps(house, hours) => {}
            }
            return;
        }
        By::Busy { ms } => hold_database(house, ms),
        By::Program => return program(house, &["exec \"$0\" apply corp"], killed).await,
        By::Programs => return program(house, &["exec \"$0\" apply corp", "exec \"$0\" apply corp"], killed).await,
        By::FullDisk { blocks } => {
            let shell = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" apply corp");
            return program(house, &[&shell], killed).await;
        }
    }
    tokio::select! {
        _ = house.apply(patience) => {}
        () = killed => {}
    }
}

/// Turns the clock forward and back, and never ends.
async fn jumps(house: &House, hours: i64) {
    loop {
        for ahead in [hours, 0, -hours, 0] {
            house.ahead.store(ahead, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
}

/// Ends where the first of the round's kills is due.
async fn killed(house: &House, round: &Round) {
    let kills: Vec<(usize, u64)> =
        round.faults.iter().enumerate().filter_map(|(at, fault)| Some((at, fault.what.kills()?))).collect();
    if kills.is_empty() {
        return pending().await;
    }
    loop {
        let fired = house.vault.fired();
        if let Some((_, linger)) = kills.iter().find(|(at, _)| fired.get(*at).is_some_and(|fired| *fired > 0)) {
            return tokio::time::sleep(Duration::from_millis(*linger)).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The program, from a shell for each; killed as `kill -9` does, all at once.
async fn program(house: &House, shells: &[&str], killed: impl Future<Output = ()>) {
    let start = |shell: &&str| {
        Command::new("/bin/sh")
            .args(["-c", shell, env!("CARGO_BIN_EXE_muster")])
            .current_dir(house.path())
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("USER", "tester"), ("VAULT_TOKEN", TOKEN)])
            .env("HOME", house.path())
            .env("STATE_DIRECTORY", house.state())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut children: Vec<_> = shells.iter().map(start).collect();
    let mut killed = std::pin::pin!(killed);
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
            () = &mut killed => {
                children.iter_mut().for_each(|child| child.kill().unwrap());
                let _ = children.iter_mut().map(|child| child.wait().unwrap()).count();
                return;
            }
        }
    }
}

/// Takes the write lock of the database, as a backup would, and lets it go after a while.
fn hold_database(house: &House, ms: u64) {
    let db = rusqlite::Connection::open(house.state().join("muster.db")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(ms));
        db.execute_batch("ROLLBACK").unwrap();
    });
}
