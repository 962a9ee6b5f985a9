//! A target under other names for its columns, so that one conformance suite fits systems that call things differently.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use muster::connector::source::{ExportEnd, ExportError, ExportRequest, ExportSink, Needs, Source, Step};
use muster::connector::target::{Applied, ObjectChange, RowChange, Target};
use muster::model::capabilities::Capabilities;
use muster::model::failure::Failure;
use muster::model::object::Object;
use muster::model::order::Operation;
use muster::model::value::Value;

/// What columns are called: the suite's name, and the system's.
pub(crate) type Names = &'static [(&'static str, &'static str)];

/// A target whose columns have the suite's names.
pub(crate) struct Renamed {
    pub(crate) target: Box<dyn Target>,
    pub(crate) names: Names,
    /// By resource, attributes that every create needs and the suite does not know; `{n}` is a number of its own.
    pub(crate) needed: &'static [(&'static str, &'static str, &'static str)],
    pub(crate) creates: AtomicU64,
}

impl Renamed {
    fn theirs(&self, name: &str) -> String {
        self.names.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, theirs)| theirs).to_owned()
    }
}

fn ours(names: Names, resource: &str, name: &str) -> String {
    // Two resources may share a name of theirs: the suite's users have no displayName.
    let found = names.iter().filter(|(_, theirs)| *theirs == name);
    let fits = |ours: &&&(&str, &str)| (ours.0 == "displayName") == (resource == "groups") || ours.0 != "displayName";
    found.filter(|one| fits(&one)).map(|(ours, _)| *ours).next().unwrap_or(name).to_owned()
}

struct Sink<'a>(&'a mut dyn ExportSink, Names);

impl ExportSink for Sink<'_> {
    fn begin(&mut self, resource: &str, columns: &[String], key: &[String]) -> Result<(), ExportError> {
        let columns: Vec<String> = columns.iter().map(|name| ours(self.1, resource, name)).collect();
        self.0.begin(resource, &columns, key)
    }

    fn copy(&mut self, _: &str, _: &[String], _: &[String], _: &File, _: u64) -> Result<bool, ExportError> {
        Ok(false)
    }

    fn row(&mut self, resource: &str, cells: &[&str]) -> Result<(), ExportError> {
        self.0.row(resource, cells)
    }

    fn written_rows(&mut self, resource: &str, records: &str, rows: u64) -> Result<(), ExportError> {
        self.0.written_rows(resource, records, rows)
    }

    fn replace(&mut self, resource: &str, end: &str, id: &str) -> Result<(), ExportError> {
        self.0.replace(resource, end, id)
    }

    fn only(&mut self, resource: &str, column: &str, ids: &mut dyn Iterator<Item = String>) -> Result<(), ExportError> {
        self.0.only(resource, &ours(self.1, resource, column), ids)
    }

    fn gone(&mut self, resource: &str, key: &[&str]) -> Result<(), ExportError> {
        self.0.gone(resource, key)
    }

    fn end(&mut self, resource: &str, end: ExportEnd) -> Result<(), ExportError> {
        self.0.end(resource, end)
    }
}

#[async_trait]
impl Source for Renamed {
    fn system(&self) -> &str {
        self.target.system()
    }

    fn identity(&self) -> String {
        self.target.identity()
    }

    async fn capabilities(&self) -> Result<Capabilities, Failure> {
        let mut offered = self.target.capabilities().await?;
        for (name, resource) in &mut offered.resources {
            let renamed = std::mem::take(&mut resource.attributes).into_iter();
            resource.attributes = renamed.map(|(column, kind)| (ours(self.names, name, &column), kind)).collect();
            resource.enabled = resource.enabled.as_ref().map(|column| ours(self.names, name, column));
        }
        Ok(offered)
    }

    async fn probe(&self, needs: &Needs) -> Vec<Step> {
        self.target.probe(needs).await
    }

    async fn export(&self, request: &ExportRequest, sink: &mut dyn ExportSink) -> Result<(), ExportError> {
        self.target.export(request, &mut Sink(sink, self.names)).await
    }

    async fn get(&self, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
        Ok(self.target.get(resource, id).await?.map(|object| self.object(resource, object)))
    }

    async fn find(&self, resource: &str, attribute: &str, value: &str) -> Result<Vec<Object>, Failure> {
        let found = self.target.find(resource, &self.theirs(attribute), value).await?;
        Ok(found.into_iter().map(|object| self.object(resource, object)).collect())
    }

    async fn holds(&self, resource: &str, rows: &[BTreeMap<String, String>]) -> Result<Vec<bool>, Failure> {
        self.target.holds(resource, rows).await
    }

    async fn members(&self, resource: &str, end: &str, id: &str) -> Result<Vec<String>, Failure> {
        self.target.members(resource, end, id).await
    }
}

impl Renamed {
    fn object(&self, resource: &str, mut object: Object) -> Object {
        let renamed = std::mem::take(&mut object.attributes).into_iter();
        object.attributes = renamed.map(|(column, value)| (ours(self.names, resource, &column), value)).collect();
        object
    }
}

#[async_trait]
impl Target for Renamed {
    async fn apply(&self, change: &ObjectChange) -> Result<Applied, Failure> {
        let mut change = change.clone();
        let renamed = std::mem::take(&mut change.attributes).into_iter();
        change.attributes = renamed.map(|(name, value)| (self.theirs(&name), value)).collect();
        if change.operation == Operation::Create {
            let number = self.creates.fetch_add(1, Ordering::Relaxed);
            for (resource, attribute, value) in self.needed {
                if change.resource == *resource && !change.attributes.contains_key(*attribute) {
                    let value = value.replace("{n}", &number.to_string());
                    change.attributes.insert((*attribute).to_owned(), Value::text(value));
                }
            }
        }
        self.target.apply(&change).await
    }

    async fn apply_rows(
        &self,
        resource: &str,
        operation: Operation,
        rows: &[RowChange],
    ) -> Vec<Result<Applied, Failure>> {
        self.target.apply_rows(resource, operation, rows).await
    }

    fn row_batch(&self, resource: &str) -> (Option<String>, usize) {
        self.target.row_batch(resource)
    }
}
