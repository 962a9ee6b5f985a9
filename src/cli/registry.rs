//! Every kind of system that this program has, the built-in server among them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::context::Context;
use crate::connector::config::{Auth, SandboxConfig, ScimConfig, SystemConfig};
use crate::connector::registry::{ConnectContext, Factory, Registry};
use crate::connector::scim::ScimSystem;
use crate::connector::secret::{SecretRef, Secrets};
use crate::connector::source::{ExportError, ExportRequest, ExportSink, Needs, Source, Step};
use crate::connector::target::{Applied, ObjectChange, RowChange, Target};
use crate::model::capabilities::Capabilities;
use crate::model::failure::{Class, Failure, Recourse, Stage};
use crate::model::object::Object;
use crate::model::order::Operation;
use crate::sandbox::{Clock, Dialect, Faults, RunningSandbox, Sandbox, SandboxOptions};
use crate::store::layout::Layout;

/// The factories of every kind.
pub(super) fn registry(context: &Context) -> Registry {
    let mut registry = Registry::standard();
    registry.register("sandbox", Box::new(SandboxFactory::new(context.layout.clone(), context.clock())));
    registry
}

/// Makes systems of kind `sandbox`: starts the built-in server inside this process, once for each database.
struct SandboxFactory {
    layout: Layout,
    clock: Clock,
    running: Mutex<BTreeMap<PathBuf, Arc<Running>>>,
}

/// A server and the token that it asks for, which nobody else knows.
struct Running {
    server: RunningSandbox,
    token: SecretString,
}

impl SandboxFactory {
    fn new(layout: Layout, clock: Clock) -> Self {
        Self { layout, clock, running: Mutex::new(BTreeMap::new()) }
    }

    /// The server of a database, started where it does not run yet.
    async fn server(
        &self,
        name: &str,
        database: &Path,
        config: &SandboxConfig,
        context: &ConnectContext,
    ) -> Result<Arc<Running>, Failure> {
        // Held while a server starts, so that two never open one database.
        let mut running = self.running.lock().await;
        if let Some(server) = running.get(database) {
            return Ok(server.clone());
        }
        let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let mut options = SandboxOptions::new(database, self.clock.clone());
        options.token = Some(token.clone());
        options.seats = config.seats.get("users").copied();
        options.dialect = config.dialect.as_deref().and_then(Dialect::named).unwrap_or_else(Dialect::generic);
        options.privileged_access = config.privileged_access;
        if let Some(file) = &config.faults {
            options.faults = faults(&context.base.join(file)).map_err(|cause| {
                let remedy = "correct the file, or leave `faults` out";
                Failure::new(Class::Configuration, Recourse::Stop, name, cause, remedy)
            })?;
        }
        let server = Sandbox::start(options).await.map_err(|error| {
            let remedy = "look at `database` of this system, and whether another muster uses it";
            let mut failure = Failure::new(
                Class::Configuration,
                Recourse::Stop,
                name,
                format!("the sandbox does not start: {error}"),
                remedy,
            );
            failure.stage = Some(Stage::Connect);
            failure
        })?;
        let server = Arc::new(Running { server, token: SecretString::from(token) });
        running.insert(database.to_owned(), server.clone());
        Ok(server)
    }
}

/// Reads the faults to play; the error says what is wrong with the file.
fn faults(file: &Path) -> Result<Faults, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("the faults in {} cannot be read: {error}", file.display()))?;
    Faults::parse(&text, file).map_err(|error| error.to_string())
}

#[async_trait]
impl Factory for SandboxFactory {
    async fn target(
        &self,
        name: &str,
        config: &SystemConfig,
        context: &ConnectContext,
    ) -> Result<Box<dyn Target>, Failure> {
        let SystemConfig::Sandbox(config) = config else {
            let cause = format!("the configuration is of kind `{}`, not `sandbox`", config.kind());
            return Err(Failure::new(Class::Configuration, Recourse::Stop, name, cause, "write kind = \"sandbox\""));
        };
        let database = match &config.database {
            Some(file) => context.base.join(file),
            None => self.layout.sandbox(name),
        };
        let database = std::path::absolute(&database).unwrap_or(database);
        let running = self.server(name, &database, config, context).await?;
        // The reference is only a name for messages: what it stands for is in memory alone.
        let bearer = SecretRef::Credential("sandbox".to_owned());
        let scim = ScimConfig {
            auth: Some(Auth::Bearer { bearer }),
            account: config.account.clone(),
            dialect: config.dialect.clone(),
            seats: config.seats.clone(),
            refuses: config.refuses.clone(),
            ..ScimConfig::at(&running.server.url)
        };
        let context = ConnectContext { secrets: Arc::new(OneToken(running.clone())), ..context.clone() };
        let inner = Box::new(ScimSystem::new(name, &scim, &context)?);
        // The port changes from run to run, the file does not; links and orders are bound to the identity.
        let place = std::fs::canonicalize(&database).unwrap_or(database);
        Ok(Box::new(SandboxSystem { inner, identity: format!("sandbox {}", place.display()), _running: running }))
    }
}

/// Knows the token of one server, whatever it is asked for.
struct OneToken(Arc<Running>);

impl Secrets for OneToken {
    fn resolve(&self, _: &SecretRef) -> Result<SecretString, String> {
        Ok(SecretString::from(self.0.token.expose_secret().to_owned()))
    }
}

/// The connector at the built-in server's address, under an identity that outlives the port.
struct SandboxSystem {
    inner: Box<dyn Target>,
    identity: String,
    _running: Arc<Running>,
}

#[async_trait]
impl Source for SandboxSystem {
    fn system(&self) -> &str {
        self.inner.system()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    async fn capabilities(&self) -> Result<Capabilities, Failure> {
        self.inner.capabilities().await
    }

    async fn probe(&self, needs: &Needs) -> Vec<Step> {
        self.inner.probe(needs).await
    }

    async fn export(&self, request: &ExportRequest, sink: &mut dyn ExportSink) -> Result<(), ExportError> {
        self.inner.export(request, sink).await
    }

    async fn get(&self, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
        self.inner.get(resource, id).await
    }

    async fn find(&self, resource: &str, attribute: &str, value: &str) -> Result<Vec<Object>, Failure> {
        self.inner.find(resource, attribute, value).await
    }

    async fn holds(&self, resource: &str, rows: &[BTreeMap<String, String>]) -> Result<Vec<bool>, Failure> {
        self.inner.holds(resource, rows).await
    }

    async fn members(&self, resource: &str, end: &str, id: &str) -> Result<Vec<String>, Failure> {
        self.inner.members(resource, end, id).await
    }
}

#[async_trait]
impl Target for SandboxSystem {
    async fn apply(&self, change: &ObjectChange) -> Result<Applied, Failure> {
        self.inner.apply(change).await
    }

    async fn apply_rows(
        &self,
        resource: &str,
        operation: Operation,
        rows: &[RowChange],
    ) -> Vec<Result<Applied, Failure>> {
        self.inner.apply_rows(resource, operation, rows).await
    }

    fn row_batch(&self, resource: &str) -> (Option<String>, usize) {
        self.inner.row_batch(resource)
    }
}
