//! How long a first load takes: plan, approve and apply of so many creates on the built-in server, beside the same
//! requests sent by a bare HTTP client.
//!
//! `cargo bench --bench apply` loads 10,000 users in 5 rounds; `cargo bench --bench apply -- 100000 3` others; a third
//! word sets the requests in flight at once (32). A last word `plan` leaves everything but the plan out.
//!
//! Every step is the program itself, from start to exit; each round begins with an empty state folder and an empty
//! server, and the two clients take turns. The server runs on the same cores: once as fast as it can, once with 5 ms
//! added to each answer. No rate limit, the usual waves, the journal on the disk that holds the temporary folder: what
//! one fsync costs there is printed beside, and what the journal costs by itself at several sizes of its groups.

mod peer;
mod program;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::Utc;
use muster::model::order::OrderState;
use muster::model::outcome::{Effected, Outcome as OrderOutcome};
use muster::model::review_terms::ReviewRules;
use muster::store::database::Store;
use muster::store::journal::Finished;
use muster::store::layout::Layout;
use program::{Measured, Outcome, Server, measured, middle};

/// What the server adds to each answer.
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(5)];

/// How many orders share a commit.
const GROUPS: [usize; 3] = [1, 32, 256];

const PLAN: &[&str] = &["plan", "load"];
const APPROVE: &[&str] = &["approve", "load", "--all", "--comment", "first load"];
const APPLY: &[&str] = &["apply", "load"];

fn main() -> Outcome<()> {
    // cargo bench adds its own flag.
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let only_plan = words.last().is_some_and(|word| word == "plan");
    if only_plan {
        words.pop();
    }
    let number = |i: usize, default: usize| words.get(i).map_or(Ok(default), |word| word.parse());
    let (users, rounds, concurrency) = (number(0, 10_000)?, number(1, 5)?.max(1), number(2, 32)?);

    let (mut plans, mut approvals, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    let mut applies: [Vec<Measured>; DELAYS.len()] = Default::default();
    let mut peers: [Vec<Measured>; DELAYS.len()] = Default::default();
    let mut journals: [Vec<Duration>; GROUPS.len()] = Default::default();
    for _ in 0..rounds {
        for (i, delay) in DELAYS.into_iter().enumerate() {
            let folder = tempfile::tempdir()?;
            syncs.push(fsync(folder.path())?);
            let server = Server::start(folder.path(), delay, &[])?;
            world(folder.path(), &server.url, users, concurrency)?;
            plans.push(measured(folder.path(), PLAN, 3)?);
            if only_plan {
                break;
            }
            approvals.push(measured(folder.path(), APPROVE, 0)?);
            applies[i].push(measured(folder.path(), APPLY, 0)?);
            drop(server);
            let folder = tempfile::tempdir()?;
            let server = Server::start(folder.path(), delay, &[])?;
            peers[i].push(peer::creates(&server.url, users, concurrency)?);
        }
        if !only_plan {
            journal(&mut journals)?;
        }
    }
    syncs.sort();
    println!("{users} creates, {concurrency} in flight, {rounds} rounds; one fsync {:?}", syncs[syncs.len() / 2]);
    println!("{:<22} {:>9} {:>9} {:>9} {:>8} {:>10}", "step", "median", "least", "cpu", "MiB", "orders/s");
    line("plan", users, plans);
    if only_plan {
        return Ok(());
    }
    line("approve", users, approvals);
    for (i, delay) in DELAYS.into_iter().enumerate() {
        let (of, ms) = (|name: &str, ms| format!("{name}, {ms} ms"), delay.as_millis());
        let ours = line(&of("apply", ms), users, std::mem::take(&mut applies[i]));
        let bare = line(&of("bare client", ms), users, std::mem::take(&mut peers[i]));
        println!("{:>22} {:.2} of the bare client's rate", "", bare / ours);
    }
    for (group, mut seen) in GROUPS.into_iter().zip(journals) {
        seen.sort();
        println!("journal, {group} a commit: {:?} an order", seen[seen.len() / 2]);
    }
    Ok(())
}

/// Prints a line of the table; gives the seconds in the middle.
fn line(name: &str, users: usize, seen: Vec<Measured>) -> f64 {
    let (middle, least) = middle(seen);
    let wall = middle.wall.as_secs_f64();
    println!(
        "{name:<22} {wall:>8.2}s {:>8.2}s {:>8.2}s {:>8.0} {:>10.0}",
        least.as_secs_f64(),
        middle.cpu.as_secs_f64(),
        middle.kib as f64 / 1024.0,
        users as f64 / wall
    );
    wall
}

/// What it costs to record the intent and the outcome of an order, by the number of orders that share a commit.
fn journal(seen: &mut [Vec<Duration>; GROUPS.len()]) -> Outcome<()> {
    const ORDERS: usize = 512;
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path(), Duration::ZERO, &[])?;
    world(folder.path(), &server.url, ORDERS * GROUPS.len(), 1)?;
    measured(folder.path(), PLAN, 3)?;
    measured(folder.path(), APPROVE, 0)?;
    let mut store = Store::open(&Layout::new(folder.path().join("state")), Utc::now())?;
    let run = store.live_runs("load")?.pop().ok_or("there is no run")?;
    let plan = store.approved_plan(&run, &ReviewRules::default(), Utc::now())?;
    let orders = store.read_orders(&run)?.map(|order| order.map(|order| order.id)).collect::<Result<Vec<_>, _>>()?;
    for ((group, seen), orders) in GROUPS.iter().zip(seen).zip(orders.chunks(ORDERS)) {
        let start = Instant::now();
        for ids in orders.chunks(*group) {
            store.begin(&plan, ids, Utc::now())?;
            let ends = ids.iter().map(|id| Finished {
                outcome: OrderOutcome {
                    order: id.clone(),
                    state: OrderState::Applied,
                    effected: Some(Effected::Sent),
                    target_id: Some(id.0.clone()),
                    note: None,
                    failure: None,
                    tries: 1,
                    at: Utc::now(),
                },
                links: Vec::new(),
            });
            store.finish(&ends.collect::<Vec<_>>(), Utc::now())?;
        }
        seen.push(start.elapsed() / u32::try_from(orders.len())?);
    }
    Ok(())
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

/// A job from a file of users to the server.
fn world(folder: &Path, url: &str, users: usize, concurrency: usize) -> Outcome<()> {
    fs::create_dir_all(folder.join("hr"))?;
    fs::create_dir_all(folder.join("jobs"))?;
    let mut file = std::io::BufWriter::new(File::create(folder.join("hr/users.csv"))?);
    writeln!(file, "id,login,email,given,family,title,enabled")?;
    for n in 0..users {
        let user = peer::user(n);
        let text = |pointer: &str| user.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default();
        let (id, login, title) = (text("/externalId"), text("/userName"), text("/title"));
        let (given, family) = (text("/name/givenName"), text("/name/familyName"));
        writeln!(file, "{id},{login},{login},{given},{family},{title},true")?;
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
