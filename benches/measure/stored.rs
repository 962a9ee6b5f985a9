//! The last result of a bench, kept where cargo keeps what it builds.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Outcome, Sample};

/// The figures of each case that was ever measured here.
pub(super) struct Stored(Map<String, Value>);

impl Stored {
    /// What is there; nothing before the first run.
    pub(super) fn read(bench: &str) -> Outcome<Self> {
        let path = path(bench);
        match fs::read_to_string(&path) {
            Ok(text) => match serde_json::from_str(&text)? {
                Value::Object(cases) => Ok(Self(cases)),
                _ => Err(format!("{} is not a result of a bench; remove it", path.display()).into()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self(Map::new())),
            Err(error) => Err(format!("cannot read {}: {error}", path.display()).into()),
        }
    }

    /// How a sample compares with the stored one, in wall and processor time: `0.93`, or `–` without one.
    pub(super) fn ratios(&self, case: &str, now: Sample) -> (String, String) {
        let ratio = |measure: &str, now: Duration| {
            let last = self.0.get(case).and_then(|figures| figures.get(measure)).and_then(Value::as_f64);
            match last.filter(|last| *last > 0.0) {
                Some(last) => format!("{:.2}", now.as_secs_f64() / last),
                None => "–".to_owned(),
            }
        };
        (ratio("wall", now.wall), ratio("cpu", now.cpu))
    }

    pub(super) fn replace(&mut self, case: &str, now: Sample) {
        let figures = json!({"wall": now.wall.as_secs_f64(), "cpu": now.cpu.as_secs_f64(), "kib": now.kib});
        self.0.insert(case.to_owned(), figures);
    }

    pub(super) fn write(&self, bench: &str) -> Outcome<()> {
        let path = path(bench);
        let text = serde_json::to_string_pretty(&self.0)?;
        fs::create_dir_all(env!("CARGO_TARGET_TMPDIR"))?;
        fs::write(&path, text + "\n").map_err(|error| format!("cannot write {}: {error}", path.display()).into())
    }
}

fn path(bench: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{bench}.json"))
}
