//! plan.json, orders.ndjson and review.csv: written once, whole or not at all, never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::review_file;
use super::whole_file::WholeFile;
use crate::model::digest::Digest;
use crate::model::order::{Order, OrderId};
use crate::model::plan::Plan;

/// The file of the orders themselves.
const ORDERS: &str = "orders.ndjson";

fn order_line(order: &Order, line: &mut Vec<u8>) {
    // Writing to memory cannot fail, and an order holds nothing that JSON cannot.
    let _ = serde_json::to_writer(&mut *line, order);
    line.push(b'\n');
}

/// orders.ndjson and the review files of a plan: written, and not shown yet. Dropped, they leave nothing.
pub struct PlanFiles {
    folder: PathBuf,
    orders: WholeFile,
    orders_digest: Digest,
    count: u64,
    review: Vec<(PathBuf, WholeFile)>,
}

/// Writes orders.ndjson and the review files into a run's folder.
///
/// # Errors
/// Where a file cannot be written.
pub fn begin(folder: &Path, orders: &[Order]) -> Result<PlanFiles, StoreError> {
    super::layout::create_folder(folder)?;
    let (written, review) = std::thread::scope(|scope| {
        let review = scope.spawn(|| review_file::begin(folder, orders));
        let written = write_orders(&folder.join(ORDERS), orders);
        (written, review.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let ((file, orders_digest), review) = (written?, review?);
    Ok(PlanFiles { folder: folder.to_owned(), orders_digest, orders: file, count: orders.len() as u64, review })
}

/// Orders are written when they fill so many bytes.
const AT_ONCE: usize = 1 << 17;

fn write_orders(path: &Path, orders: &[Order]) -> Result<(WholeFile, Digest), StoreError> {
    let mut file = WholeFile::begin(path)?;
    let (mut lines, mut hasher) = (Vec::with_capacity(2 * AT_ONCE), Sha256::new());
    let mut write = |lines: &mut Vec<u8>| {
        hasher.update(&*lines);
        file.write_all(lines).map_err(|source| file.error(source))?;
        lines.clear();
        Ok::<_, StoreError>(())
    };
    for order in orders {
        order_line(order, &mut lines);
        if lines.len() >= AT_ONCE {
            write(&mut lines)?;
        }
    }
    write(&mut lines)?;
    file.sync()?;
    Ok((file, Digest::from_bytes(&hasher.finalize())))
}

impl PlanFiles {
    /// The digest that their plan has to carry: of the bytes of orders.ndjson.
    pub fn orders_digest(&self) -> &Digest {
        &self.orders_digest
    }

    /// Shows the files and, last, plan.json.
    ///
    /// The folder holds a plan exactly if plan.json is there: it shows when the others are on the disk.
    ///
    /// # Errors
    /// Where the folder holds another plan, the plan's `orders_digest` or number is not of these orders, or a file
    /// cannot be written.
    pub fn show(self, plan: &Plan) -> Result<Vec<PathBuf>, StoreError> {
        let (plan_path, orders_path) = (self.folder.join("plan.json"), self.folder.join(ORDERS));
        if plan_path.exists() {
            let there = std::fs::read(&plan_path).map_err(|source| StoreError::file("read", &plan_path, source))?;
            if there != plan.to_bytes() {
                let what = "the run has another plan already, and plans never change; start a new run".to_owned();
                return Err(StoreError::Content { path: plan_path, what });
            }
        }
        if self.orders_digest != plan.orders_digest || self.count != plan.orders {
            let what = format!("the plan is of {} orders, not of the {} that came with it", plan.orders, self.count);
            return Err(StoreError::Content { path: orders_path, what });
        }
        let mut plan_file = WholeFile::begin(&plan_path)?;
        plan_file.write_all(&plan.to_bytes()).map_err(|source| plan_file.error(source))?;

        let mut written = vec![orders_path];
        self.orders.show()?;
        for (path, file) in self.review {
            file.show()?;
            written.push(path);
        }
        plan_file.show()?;
        written.push(plan_path);
        Ok(written)
    }
}

/// Reads orders.ndjson line by line.
///
/// # Errors
/// Where the file cannot be opened; each item fails where its line is no order, naming the line.
pub fn read_orders(path: &Path) -> Result<impl Iterator<Item = Result<Order, StoreError>> + use<>, StoreError> {
    let file = std::fs::File::open(path).map_err(|source| StoreError::file("read", path, source))?;
    let path = path.to_owned();
    let lines = BufReader::with_capacity(1 << 18, file).lines();
    Ok(lines.enumerate().map(move |(i, line)| {
        let line = line.map_err(|source| StoreError::file("read", &path, source))?;
        serde_json::from_str(&line).map_err(|e| {
            let what = format!("line {} is no order ({e}); restore the run's folder, or plan anew", i + 1);
            StoreError::Content { path: path.clone(), what }
        })
    }))
}

/// Those of some orders that orders.ndjson has and that can be read; only their lines are read as orders. None where the
/// file is gone.
///
/// # Errors
/// Where the file cannot be read.
pub fn find_orders(path: &Path, orders: &BTreeSet<&OrderId>) -> Result<BTreeMap<OrderId, Order>, StoreError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(StoreError::file("read", path, source)),
    };
    let ids: BTreeSet<&[u8]> = orders.iter().map(|order| order.0.as_bytes()).collect();
    let mut lines = BufReader::with_capacity(1 << 18, file);
    let (mut found, mut line) = (BTreeMap::new(), Vec::new());
    while found.len() < orders.len() {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(|source| StoreError::file("read", path, source))? == 0 {
            break;
        }
        // Every order begins with its id.
        let id = line.strip_prefix(b"{\"id\":\"").and_then(|rest| rest.split(|byte| *byte == b'"').next());
        if id.is_some_and(|id| ids.contains(id))
            && let Ok(order) = serde_json::from_slice::<Order>(&line)
        {
            found.insert(order.id.clone(), order);
        }
    }
    Ok(found)
}
