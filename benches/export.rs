//! How fast a list of users is exported from the built-in server: by index with one page and with four in flight, and
//! by cursor; from a server that answers at once, and from one that takes 20 ms longer.
//!
//! `cargo bench --bench export` reads 20,000 users in 5 rounds; `cargo bench --bench export -- 100000 3` others. The
//! ways take turns; each is `muster export` from start to exit, with the snapshot on the disk and proved.

mod program;

use std::fs;
use std::path::Path;
use std::time::Duration;

use program::{Outcome, Server, measured, middle};

/// What the server adds to each answer.
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(20)];

/// How the list is read: the settings of the system in the job file.
const WAYS: [(&str, &str); 3] = [
    ("index, 1 in flight", "paging = \"index\"\npages_in_flight = 1"),
    ("index, 4 in flight", "paging = \"index\"\npages_in_flight = 4"),
    ("cursor", "paging = \"cursor\""),
];

fn main() -> Outcome<()> {
    // cargo bench adds its own flag.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number = |i: usize, default: usize| words.get(i).map_or(Ok(default), |word| word.parse());
    let (users, rounds) = (number(0, 20_000)?, number(1, 5)?.max(1));

    println!("{users} users in pages of 200, {rounds} rounds");
    println!("{:<28} {:>9} {:>9} {:>9} {:>8} {:>10}", "way", "median", "least", "cpu", "MiB", "rows/s");
    for delay in DELAYS {
        let folder = tempfile::tempdir()?;
        let server = Server::start(folder.path(), delay, &["--seed-users", &users.to_string()])?;
        let mut seen: [Vec<_>; WAYS.len()] = Default::default();
        for _ in 0..rounds {
            for ((_, settings), seen) in WAYS.iter().zip(&mut seen) {
                job(folder.path(), &server.url, settings)?;
                seen.push(measured(folder.path(), &["export", "load"], 0)?);
            }
        }
        for ((name, _), seen) in WAYS.iter().zip(seen) {
            let (middle, least) = middle(seen);
            println!(
                "{:<28} {:>8.2}s {:>8.2}s {:>8.2}s {:>8.0} {:>10.0}",
                format!("{name}, {} ms", delay.as_millis()),
                middle.wall.as_secs_f64(),
                least.as_secs_f64(),
                middle.cpu.as_secs_f64(),
                middle.kib as f64 / 1024.0,
                users as f64 / middle.wall.as_secs_f64()
            );
        }
    }
    Ok(())
}

/// A job that reads the server's users.
fn job(folder: &Path, url: &str, settings: &str) -> Outcome<()> {
    fs::create_dir_all(folder.join("jobs"))?;
    fs::create_dir_all(folder.join("desk"))?;
    fs::write(folder.join("desk/users.csv"), "id,login\n")?;
    let job = format!(
        r#"name = "load"

[systems.vault]
kind = "scim"
url = "{url}"
auth = {{ bearer = "env:VAULT_TOKEN" }}
{settings}

[systems.desk]
kind = "csv"
path = "../desk"
orders = "../orders"

[[sync]]
from = "vault.users"
to = "desk.users"
match = [{{ source = "id", target = "id" }}]

[sync.attributes]
id = "id"
login = "userName"
"#
    );
    fs::write(folder.join("jobs/load.toml"), job)?;
    Ok(())
}
