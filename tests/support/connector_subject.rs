//! What the conformance suite runs against: a target, a way to put data into it, and a way to see what orders did.
#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster::connector::config::{Auth, CsvConfig, Paging, ScimConfig, SystemConfig};
use muster::connector::registry::{ConnectContext, Registry};
use muster::connector::secret::{SecretRef, Secrets};
use muster::connector::target::{ObjectChange, RowChange, Target};
use muster::model::order::{Operation, OrderId};
use muster::model::value::{Attributes, Value};
use muster::sandbox::{RunningSandbox, Sandbox, SandboxOptions};

/// The token that the tests' server wants.
pub(crate) const TOKEN: &str = "s3cret-token";

/// Knows one secret: `env:TOKEN`, and a wrong one: `env:WRONG`.
pub(crate) struct TestSecrets;

impl Secrets for TestSecrets {
    fn resolve(&self, reference: &SecretRef) -> Result<secrecy::SecretString, String> {
        match reference.to_string().as_str() {
            "env:TOKEN" => Ok(TOKEN.to_owned().into()),
            "env:WRONG" => Ok("not-the-token".to_owned().into()),
            other => Err(format!("{other} is not set")),
        }
    }
}

/// A context of tests in a folder.
pub(crate) fn context(folder: &std::path::Path) -> ConnectContext {
    ConnectContext {
        secrets: Arc::new(TestSecrets),
        random: Arc::new(|| 0.0),
        ..ConnectContext::plain(folder, "20261122T150405Z-7f3a")
    }
}

/// A server with a token.
pub(crate) async fn server(folder: &std::path::Path) -> RunningSandbox {
    let mut options = SandboxOptions::new(folder.join("sandbox.db"), Arc::new(chrono::Utc::now));
    options.token = Some(TOKEN.to_owned());
    Sandbox::start(options).await.expect("the sandbox starts")
}

/// How to reach it.
pub(crate) fn scim_config(url: &str) -> ScimConfig {
    let bearer = "env:TOKEN".parse().expect("a reference");
    ScimConfig { auth: Some(Auth::Bearer { bearer }), page_size: Some(4), timeout_seconds: 5, ..ScimConfig::at(url) }
}

/// Connects as a job would.
pub(crate) async fn connect(config: &SystemConfig, folder: &std::path::Path) -> Box<dyn Target> {
    Registry::standard().target("vault", config, &context(folder)).await.expect("a target")
}

/// A target with what belongs to it.
pub(crate) struct Subject {
    pub(crate) target: Box<dyn Target>,
    pub(crate) folder: tempfile::TempDir,
    /// The built-in server, where the target is that.
    pub(crate) server: Option<RunningSandbox>,
    /// Whether the target is a server of somebody else's.
    is_foreign: bool,
    tells_totals: bool,
    /// Whether groups can be members of groups.
    pub(crate) nests: bool,
    /// Whether it gives whole lists of ids, and has groups in groups as rows of their own.
    has_lists: bool,
    orders: AtomicU64,
}

impl Subject {
    /// A service provider, read page by page of four rows.
    pub(crate) async fn scim(paging: Paging) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = server(folder.path()).await;
        let config = SystemConfig::Scim(ScimConfig { paging: Some(paging), ..scim_config(&server.url) });
        let target = connect(&config, folder.path()).await;
        Self {
            target,
            folder,
            server: Some(server),
            is_foreign: false,
            tells_totals: true,
            has_lists: false,
            nests: true,
            orders: AtomicU64::new(0),
        }
    }

    /// A folder of files.
    pub(crate) async fn csv() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = CsvConfig { path: "data".into(), orders: Some("orders".into()), ..CsvConfig::default() };
        std::fs::create_dir(folder.path().join("data")).expect("a folder");
        let target = connect(&SystemConfig::Csv(config), folder.path()).await;
        Self {
            target,
            folder,
            server: None,
            is_foreign: false,
            tells_totals: false,
            has_lists: false,
            nests: true,
            orders: AtomicU64::new(0),
        }
    }

    /// A server of somebody else's.
    pub(crate) fn foreign(target: Box<dyn Target>, folder: tempfile::TempDir) -> Self {
        Self {
            target,
            folder,
            server: None,
            is_foreign: true,
            tells_totals: false,
            has_lists: false,
            nests: true,
            orders: AtomicU64::new(0),
        }
    }

    /// The same, where the server says how many rows a list has.
    pub(crate) fn telling_totals(self) -> Self {
        Self { tells_totals: true, ..self }
    }

    /// The same, where a group is below another one and no member of it.
    pub(crate) fn without_nested_members(self) -> Self {
        Self { nests: false, ..self }
    }

    /// The same of one that gives whole lists of ids, without pages and cursors.
    pub(crate) fn of_lists(target: Box<dyn Target>, folder: tempfile::TempDir) -> Self {
        Self { has_lists: true, tells_totals: true, ..Self::foreign(target, folder) }
    }

    /// In how many pages 11 rows come.
    pub(crate) fn pages(&self) -> u64 {
        if self.has_lists { 1 } else { 3 }
    }

    /// Whether an export tells where the next one may begin.
    pub(crate) fn has_increments(&self) -> bool {
        !self.has_lists
    }

    /// Whether changes take effect at once and are read back; false for work orders.
    pub(crate) fn is_live(&self) -> bool {
        self.server.is_some() || self.is_foreign
    }

    /// Whether the target says how many rows a list has.
    pub(crate) fn tells_totals(&self) -> bool {
        self.tells_totals
    }

    pub(crate) fn order(&self) -> OrderId {
        OrderId(format!("o-{:016x}-1", self.orders.fetch_add(1, Ordering::Relaxed) + 1))
    }

    /// A change of one object.
    pub(crate) fn change(
        &self,
        operation: Operation,
        resource: &str,
        id: Option<&str>,
        attributes: &[(&str, &str)],
    ) -> ObjectChange {
        ObjectChange {
            order: self.order(),
            operation,
            resource: resource.to_owned(),
            id: id.map(str::to_owned),
            attributes: attributes.iter().map(|(name, text)| ((*name).to_owned(), Value::from_cell(text))).collect(),
            before: Attributes::new(),
            version: None,
            name: "someone".to_owned(),
        }
    }

    pub(crate) fn row(&self, group: &str, user: &str) -> RowChange {
        RowChange { order: self.order(), ends: ends(group, user), name: format!("{user} in {group}") }
    }

    /// Puts objects into the system, by its own means; their ids in order.
    pub(crate) async fn put(&self, resource: &str, objects: &[Vec<(&str, &str)>]) -> Vec<String> {
        if self.is_live() {
            let mut ids = Vec::new();
            for attributes in objects {
                let change = self.change(Operation::Create, resource, None, attributes);
                let applied = self.target.apply(&change).await.unwrap_or_else(|failure| panic!("{failure}"));
                ids.push(applied.id.expect("a create gives an id"));
            }
            return ids;
        }
        let ids: Vec<String> = (1..=objects.len()).map(|number| format!("{resource}-{number}")).collect();
        let mut columns = vec!["id"];
        for (name, _) in objects.iter().flatten() {
            if !columns.contains(name) {
                columns.push(name);
            }
        }
        let rows = objects.iter().zip(&ids).map(|(attributes, id)| {
            let attributes: BTreeMap<&str, &str> = attributes.iter().copied().collect();
            columns
                .iter()
                .map(|column| if *column == "id" { id.as_str() } else { attributes.get(column).copied().unwrap_or("") })
                .collect::<Vec<&str>>()
        });
        self.write(resource, &columns, rows);
        ids
    }

    /// Puts memberships into the system.
    pub(crate) async fn put_members(&self, pairs: &[(&str, &str)]) {
        if self.is_live() {
            for (group, user) in pairs {
                let rows = [self.row(group, user)];
                let results = self.target.apply_rows("memberships", Operation::Add, &rows).await;
                results.into_iter().for_each(|result| drop(result.unwrap_or_else(|failure| panic!("{failure}"))));
            }
        } else {
            self.write("memberships", &["group", "user"], pairs.iter().map(|(group, user)| vec![*group, *user]));
        }
    }

    /// Puts a group into a group.
    pub(crate) async fn put_nested(&self, parent: &str, child: &str) {
        if !self.has_lists {
            return self.put_members(&[(parent, child)]).await;
        }
        let ends = [("parent", parent), ("child", child)].map(|(end, id)| (end.to_owned(), id.to_owned()));
        let row = RowChange { order: self.order(), ends: ends.into(), name: format!("{child} in {parent}") };
        let mut results = self.target.apply_rows("nestings", Operation::Add, &[row]).await;
        results.remove(0).unwrap_or_else(|failure| panic!("{failure}"));
    }

    fn write<'a>(&self, resource: &str, columns: &[&str], rows: impl Iterator<Item = Vec<&'a str>>) {
        let mut writer =
            csv::Writer::from_path(self.folder.path().join("data").join(format!("{resource}.csv"))).expect("a file");
        writer.write_record(columns).expect("a header");
        rows.for_each(|row| writer.write_record(&row).expect("a row"));
        writer.flush().expect("a whole file");
    }

    /// The lines of a resource's work-order file.
    pub(crate) fn work_orders(&self, resource: &str) -> Vec<Vec<String>> {
        let path: PathBuf = self.folder.path().join("orders").join(format!("20261122T150405Z-7f3a-{resource}.csv"));
        let mut reader = csv::Reader::from_path(path).expect("a work-order file");
        reader.records().map(|record| record.expect("a line").iter().map(str::to_owned).collect()).collect()
    }
}

/// The ends of a membership.
pub(crate) fn ends(group: &str, user: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("group".to_owned(), group.to_owned()), ("user".to_owned(), user.to_owned())])
}
