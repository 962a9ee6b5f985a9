//! What the page knows, and what it answers to those who look.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::desk::Desk;
use super::filter::Query;
use super::index::{Index, IndexError};
use super::sheet::Sheet;
use super::{orders, overview};
use crate::model::record::RunRecord;
use crate::store::database::Store;

/// Rows in one answer.
const ROWS: usize = 500;

/// A refusal: its status, and a sentence.
pub(super) type Refusal = (u16, String);

/// Everything that the page knows.
pub(super) struct App {
    pub(super) desk: Box<dyn Desk>,
    pub(super) store: Mutex<Store>,
    pub(super) reader: Mutex<Store>,
    sheets: RwLock<Vec<Arc<Sheet>>>,
    seed: u64,
    /// The database's version that was read last.
    version: Mutex<i64>,
    used: Mutex<Instant>,
    /// Whether the last look at the database failed; a sentence.
    trouble: Mutex<Option<String>>,
    /// Counts what changed in the list of runs.
    turn: AtomicU64,
}

/// One order, or a run.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    pub(super) run: String,
    #[serde(default)]
    pub(super) n: u32,
}

/// A page of the list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) run: String,
    #[serde(default)]
    pub(super) offset: usize,
    #[serde(default)]
    pub(super) limit: usize,
}

impl App {
    /// Opens the runs that the page is about.
    pub(super) fn open(desk: Box<dyn Desk>, store: Store, runs: Vec<RunRecord>, seed: u64) -> Result<Self, String> {
        let reader = store.reader().map_err(|e| e.to_string())?;
        let version = reader.version().map_err(|e| e.to_string())?;
        let sheets = runs
            .into_iter()
            .map(|record| Sheet::open(&reader, &*desk, record).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            desk,
            store: Mutex::new(store),
            reader: Mutex::new(reader),
            sheets: RwLock::new(sheets),
            seed,
            version: Mutex::new(version),
            used: Mutex::new(Instant::now()),
            trouble: Mutex::new(None),
            turn: AtomicU64::new(0),
        })
    }

    /// Reads the orders of all runs, one run after the other.
    pub(super) fn load(&self) {
        for sheet in self.sheets() {
            self.load_one(&sheet);
        }
    }

    fn load_one(&self, sheet: &Sheet) {
        let reader = locked(&self.reader).reader();
        match reader {
            Ok(reader) => sheet.load(&reader, &*self.desk, self.seed),
            Err(why) => *locked(&self.trouble) = Some(why.to_string()),
        }
    }

    fn sheets(&self) -> Vec<Arc<Sheet>> {
        self.sheets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The run of an id.
    pub(super) fn sheet(&self, run: &str) -> Result<Arc<Sheet>, Refusal> {
        let found = self.sheets().into_iter().find(|sheet| sheet.run.0 == run);
        found.ok_or_else(|| (404, "this page is not about that run".to_owned()))
    }

    /// Takes note that somebody uses the page.
    pub(super) fn touch(&self) {
        *locked(&self.used) = Instant::now();
    }

    /// How long nobody used the page.
    pub(super) fn idle(&self) -> Duration {
        locked(&self.used).elapsed()
    }

    /// How many decisions would be lost if the page ended now.
    pub(super) fn unsealed(&self) -> u64 {
        let of = |sheet: &Arc<Sheet>| {
            let face = sheet.face();
            let (approve, reject) = face.draft.counts();
            approve + reject + face.draft.accepted.len() as u64
        };
        self.sheets().iter().map(of).sum()
    }

    /// Reads anew what somebody else changed; whether anything was.
    pub(super) fn follow(&self) -> bool {
        let followed = self.try_follow();
        let changed = matches!(followed, Ok(true));
        *locked(&self.trouble) = followed.err();
        changed
    }

    fn try_follow(&self) -> Result<bool, String> {
        let reader = locked(&self.reader);
        let version = reader.version().map_err(|e| e.to_string())?;
        if std::mem::replace(&mut *locked(&self.version), version) == version {
            return Ok(false);
        }
        let reader = {
            let own = reader.reader().map_err(|e| e.to_string())?;
            drop(reader);
            own
        };
        let records = self.desk.runs(&reader)?;
        for sheet in self.sheets() {
            let record = reader.run(&sheet.run).map_err(|e| e.to_string())?;
            if record.plan_digest == sheet.digest {
                sheet.refresh(&reader, &*self.desk, record)?;
            } else {
                self.replace(&reader, record)?;
            }
        }
        for record in records {
            if self.sheet(&record.id.0).is_err() {
                self.replace(&reader, record)?;
            }
        }
        self.turn.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// A run that is new here, or has a plan now.
    fn replace(&self, reader: &Store, record: RunRecord) -> Result<(), String> {
        let sheet = Arc::new(Sheet::open(reader, &*self.desk, record)?);
        sheet.load(reader, &*self.desk, self.seed);
        let mut sheets = self.sheets.write().unwrap_or_else(PoisonError::into_inner);
        sheets.retain(|known| known.run != sheet.run);
        sheets.push(sheet);
        sheets.sort_by(|a, b| a.run.cmp(&b.run));
        Ok(())
    }

    /// The runs, and whether anything changed.
    pub(super) fn pulse(&self, idle: Duration) -> Json {
        let runs: Vec<Json> = self
            .sheets()
            .iter()
            .map(|sheet| {
                let face = sheet.face();
                json!({
                    "run": sheet.run,
                    "state": face.live.record.state,
                    "held": !face.live.open.is_empty(),
                    "started": crate::report::figures::time(face.live.record.started),
                    "job": orders::safe(&face.live.record.job),
                    "generation": face.generation,
                    "reading": sheet.reading().map(|(read, of)| json!({ "read": read, "of": of })),
                    "draft": overview::drafted(&face),
                })
            })
            .collect();
        json!({
            "runs": runs,
            "turn": self.turn.load(Ordering::Relaxed),
            "reviewer": orders::safe(&self.desk.reviewer()),
            "ends_in": idle.saturating_sub(self.idle()).as_secs(),
            "trouble": locked(&self.trouble).as_deref().map(orders::safe),
        })
    }

    /// Everything about a run but its orders.
    pub(super) fn overview(&self, which: &Which) -> Result<Json, Refusal> {
        let sheet = self.sheet(&which.run)?;
        let reader = locked(&self.reader);
        let face = sheet.face();
        Ok(overview::overview(&sheet, &face, &reader, &*self.desk))
    }

    /// What a plan is held against: the limits in force, live orders of earlier runs, and sizes of the past.
    pub(super) fn past(&self, which: &Which) -> Result<Json, Refusal> {
        let sheet = self.sheet(&which.run)?;
        let record = sheet.face().live.record.clone();
        // A connection of its own: counting may take a while.
        let reader = locked(&self.reader).reader().map_err(|e| (500, e.to_string()))?;
        let (limits, failure) = match self.desk.limits(&reader, &record) {
            Ok(limits) => (limits, None),
            Err(why) => (Vec::new(), Some(orders::safe(&why))),
        };
        let limits: Vec<Json> = limits
            .into_iter()
            .map(|reach| {
                json!({
                    "name": orders::safe(&reach.name), "about": orders::safe(&reach.about), "limit": reach.limit,
                    "percent": reach.is_percent, "figure": reach.figure, "size": reach.size, "floor": reach.floor,
                    "first_load": reach.is_first_load,
                })
            })
            .collect();
        Ok(json!({ "limits": limits, "failure": failure, "earlier": overview::earlier(&reader, &sheet, &record) }))
    }

    /// A page of the orders that are meant.
    pub(super) fn rows(&self, page: &Page, query: &Query) -> Result<Json, Refusal> {
        let sheet = self.sheet(&page.run)?;
        let mut face = sheet.face();
        let Some(index) = read_index(&sheet)? else {
            let reading = sheet.reading().map(|(read, of)| json!({ "read": read, "of": of }));
            return Ok(json!({ "reading": reading, "total": 0, "all": 0, "rows": [] }));
        };
        let found = sheet.find(&mut face, index, query);
        let asked = found.places.iter().skip(page.offset).take(page.limit.min(ROWS));
        let rows = asked.map(|place| orders::row(&face, index, *place)).collect::<Result<Vec<_>, _>>();
        Ok(json!({
            "total": found.places.len(),
            "all": index.entries.len(),
            "offset": page.offset,
            "rows": rows.map_err(edited)?,
            "approvable": found.approvable,
            "rejectable": found.rejectable,
            "decided": found.decided,
            "generation": face.generation,
            "revision": face.draft.revision,
        }))
    }

    /// All of one order.
    pub(super) fn order(&self, which: &Which) -> Result<Json, Refusal> {
        let sheet = self.sheet(&which.run)?;
        let reader = locked(&self.reader);
        let face = sheet.face();
        let index = read_index(&sheet)?.ok_or_else(still_reading)?;
        orders::whole(&sheet, &face, index, &reader, which.n).map_err(edited)
    }

    /// Why an order is wanted, step by step.
    pub(super) fn why(&self, which: &Which) -> Result<Json, Refusal> {
        let sheet = self.sheet(&which.run)?;
        let record = sheet.face().live.record.clone();
        let index = read_index(&sheet)?.ok_or_else(still_reading)?;
        let order = index.order(which.n).map_err(edited)?;
        let text = self.desk.why(&record, &order).map_err(|why| (409, orders::safe(&why)))?;
        Ok(json!({ "text": text }))
    }
}

/// The orders of a run; `None` while they are read.
pub(super) fn read_index(sheet: &Sheet) -> Result<Option<&Index>, Refusal> {
    whole(sheet)?;
    match (sheet.index(), &sheet.plan) {
        (Some(Ok(index)), _) => Ok(Some(index)),
        (_, Some(_)) => Ok(None),
        (_, None) => Err((409, "this run has no plan yet".to_owned())),
    }
}

/// Refuses a run whose plan is lost, or is not what was registered.
pub(super) fn whole(sheet: &Sheet) -> Result<(), Refusal> {
    sheet.failure().map_or(Ok(()), |why| Err((409, orders::safe(why))))
}

pub(super) fn still_reading() -> Refusal {
    (409, "the orders are still being read; in a moment again".to_owned())
}

pub(super) fn edited(why: IndexError) -> Refusal {
    (409, orders::safe(&why.to_string()))
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
