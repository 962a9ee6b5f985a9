//! plan.json, orders.ndjson and review.csv: written once, whole or not at all, never changed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::review_file;
use super::whole_file::WholeFile;
use crate::model::digest::Digest;
use crate::model::order::Order;
use crate::model::plan::Plan;

/// The digest that a plan of these orders has to carry as `orders_digest`: of the bytes of orders.ndjson.
pub fn orders_digest(orders: &[Order]) -> Digest {
    let mut hasher = Sha256::new();
    let mut line = Vec::new();
    for order in orders {
        line.clear();
        order_line(order, &mut line);
        hasher.update(&line);
    }
    Digest::from_bytes(&hasher.finalize())
}

fn order_line(order: &Order, line: &mut Vec<u8>) {
    // Writing to memory cannot fail, and an order holds nothing that JSON cannot.
    let _ = serde_json::to_writer(&mut *line, order);
    line.push(b'\n');
}

/// Writes orders.ndjson, the review file and, last, plan.json into a run's folder.
///
/// The folder holds a plan exactly if plan.json is there: it shows when the others are on the disk.
///
/// # Errors
/// Where the folder holds another plan, the plan's `orders_digest` or number is not of these orders, or a file
/// cannot be written.
pub fn write(folder: &Path, plan: &Plan, orders: &[Order]) -> Result<Vec<PathBuf>, StoreError> {
    let plan_path = folder.join("plan.json");
    if plan_path.exists() {
        let there = std::fs::read(&plan_path).map_err(|source| StoreError::file("read", &plan_path, source))?;
        if there != plan.to_bytes() {
            let what = "the run has another plan already, and plans never change; start a new run".to_owned();
            return Err(StoreError::Content { path: plan_path, what });
        }
    }
    super::layout::create_folder(folder)?;
    let orders_path = folder.join("orders.ndjson");
    let mut orders_file = WholeFile::begin(&orders_path)?;
    let mut line = Vec::new();
    for order in orders {
        line.clear();
        order_line(order, &mut line);
        orders_file.write_all(&line).map_err(|source| orders_file.error(source))?;
    }
    if orders_file.digest() != plan.orders_digest || orders.len() as u64 != plan.orders {
        let what = format!("the plan is of {} orders, not of the {} that came with it", plan.orders, orders.len());
        return Err(StoreError::Content { path: orders_path, what });
    }
    let review_files = review_file::begin(folder, orders)?;
    let mut plan_file = WholeFile::begin(&plan_path)?;
    plan_file.write_all(&plan.to_bytes()).map_err(|source| plan_file.error(source))?;

    let mut written = vec![orders_path];
    orders_file.show()?;
    for (path, file) in review_files {
        file.show()?;
        written.push(path);
    }
    plan_file.show()?;
    written.push(plan_path);
    Ok(written)
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
