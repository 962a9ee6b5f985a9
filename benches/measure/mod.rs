//! What every bench does the same way: rounds in turn, medians, a table, and the last result to compare with.
//!
//! All benches take `--rounds N` (5) and `--keep`, which compares with the stored result but leaves it as it is;
//! otherwise the figures of this run are stored in `target/tmp/bench-NAME.json` for the next one. Nothing fails for
//! being slow: machines differ, and a busy one differs from itself.
#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod sample;
mod stored;

use std::time::Duration;

use stored::Stored;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// From start to exit.
    pub(crate) wall: Duration,
    /// Processor time of all threads; of a process in steps of 10 ms.
    pub(crate) cpu: Duration,
    /// The most memory it had, in KiB; 0 where nobody looked.
    pub(crate) kib: u64,
}

/// What the command line asks for.
pub(crate) struct Asked {
    /// Counted rounds.
    pub(crate) rounds: usize,
    /// Words that mean something to this bench only.
    pub(crate) words: Vec<String>,
    keep: bool,
}

impl Asked {
    /// Reads the command line; `cargo bench` adds a flag of its own.
    pub(crate) fn read() -> Outcome<Self> {
        let mut asked = Self { rounds: 5, words: Vec::new(), keep: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--keep" => asked.keep = true,
                "--rounds" => asked.rounds = words.next().ok_or("--rounds needs a number")?.parse()?,
                other if other.starts_with("--") => return Err(format!("there is no option {other}").into()),
                _ => asked.words.push(word),
            }
        }
        if asked.rounds == 0 { Err("--rounds needs at least 1".into()) } else { Ok(asked) }
    }

    /// Calls `run(case, counted)` once for every case in each round, after one round that is not counted. The order
    /// of the cases is another one each time, so that drift and the remains of the one before hit all alike.
    pub(crate) fn in_turn(&self, cases: usize, mut run: impl FnMut(usize, bool) -> Outcome<()>) -> Outcome<()> {
        let mut order: Vec<usize> = (0..cases).collect();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..=self.rounds {
            for i in (1..order.len()).rev() {
                // The constants of Knuth's MMIX generator; its high bits are good enough for an order.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                order.swap(i, ((state >> 33) % (i as u64 + 1)) as usize);
            }
            order.iter().try_for_each(|case| run(*case, round > 0))?;
        }
        Ok(())
    }
}

/// The samples of one bench, by case.
pub(crate) struct Results {
    bench: &'static str,
    /// What is counted by the second: `rows`, `MB`, `orders`.
    unit: &'static str,
    keep: bool,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    /// How much work one run is, in the bench's unit.
    work: f64,
    samples: Vec<Sample>,
}

impl Case {
    /// The middle sample by each measure of its own.
    fn median(&self) -> Sample {
        fn middle<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
            let mut values: Vec<T> = values.collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        }
        Sample {
            wall: middle(self.samples.iter().map(|sample| sample.wall)),
            cpu: middle(self.samples.iter().map(|sample| sample.cpu)),
            kib: middle(self.samples.iter().map(|sample| sample.kib)),
        }
    }
}

impl Results {
    pub(crate) fn new(bench: &'static str, unit: &'static str, asked: &Asked) -> Self {
        Self { bench, unit, keep: asked.keep, cases: Vec::new() }
    }

    /// Adds a sample of a case; the table shows cases in the order in which they were seen first.
    pub(crate) fn add(&mut self, name: &str, work: f64, sample: Sample) {
        match self.cases.iter_mut().find(|case| case.name == name) {
            Some(case) => case.samples.push(sample),
            None => self.cases.push(Case { name: name.to_owned(), work, samples: vec![sample] }),
        }
    }

    /// The median of a case's walls.
    pub(crate) fn wall(&self, name: &str) -> Duration {
        self.cases.iter().find(|case| case.name == name).map(|case| case.median().wall).unwrap_or_default()
    }

    /// Prints the table, with the ratio to what was stored, and stores it.
    pub(crate) fn end(mut self) -> Outcome<()> {
        let mut stored = Stored::read(self.bench)?;
        let widest = self.cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0).max(self.bench.len());
        println!(
            "{:<widest$} {:>9} {:>9} {:>9} {:>8} {:>14} {:>7} {:>7}",
            self.bench,
            "wall s",
            "least",
            "cpu s",
            "MiB",
            format!("{}/s", self.unit),
            "× last",
            "× cpu"
        );
        for case in &mut self.cases {
            let median = case.median();
            let least = case.samples.iter().map(|sample| sample.wall).min().unwrap_or_default();
            let wall = median.wall.as_secs_f64();
            let memory = if median.kib == 0 { "–".to_owned() } else { format!("{:.0}", median.kib as f64 / 1024.0) };
            let (wall_ratio, cpu_ratio) = stored.ratios(&case.name, median);
            println!(
                "{:<widest$} {wall:>9.3} {:>9.3} {:>9.3} {memory:>8} {:>14.0} {wall_ratio:>7} {cpu_ratio:>7}",
                case.name,
                least.as_secs_f64(),
                median.cpu.as_secs_f64(),
                case.work / wall.max(1e-9),
            );
            stored.replace(&case.name, median);
        }
        if self.keep { Ok(()) } else { stored.write(self.bench) }
    }
}
