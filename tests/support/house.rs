//! The small company inside this process: the library's conductor against the built-in server, on a clock of their own.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use muster::connector::registry::{ConnectContext, Registry};
use muster::connector::secret::{SecretRef, Secrets};
use muster::job::Job;
use muster::model::approval::Decision;
use muster::model::event::Silent;
use muster::model::evidence::Mode;
use muster::model::order::{Order, OrderId, OrderState};
use muster::model::record::OrderRecord;
use muster::model::run::RunId;
use muster::run::{
    Applied, ApplyRequest, Conductor, Halt, PlanOptions, RevertEnd, RevertOptions, RunEnd, RunError, RunOptions, Stage,
};
use muster::sandbox::{RunningSandbox, Sandbox, SandboxOptions};
use muster::store::database::Store;
use muster::store::layout::Layout;
use muster::store::seal::{SealReport, SealRequest};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::company::{Person, hr_files, job_text};
use crate::support::{Said, TOKEN};

/// How a user of the vault looks, for comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub login: String,
    pub email: String,
    pub family: String,
    pub enabled: bool,
    /// By their displayName, the groups that hold it.
    pub teams: BTreeSet<String>,
}

impl User {
    /// What the job makes of a person.
    pub fn of(person: &Person) -> Self {
        let team = ["Databases", "Network", "Payments"][person.team[1..].parse::<usize>().unwrap()];
        User {
            login: person.login.clone(),
            email: person.email.clone(),
            family: person.family.clone(),
            enabled: person.enabled,
            teams: BTreeSet::from([team.to_owned()]),
        }
    }
}

/// The vault's content: users by externalId, and how often each object was changed, by externalId.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub users: BTreeMap<String, User>,
    pub groups: BTreeSet<String>,
    pub versions: BTreeMap<String, u64>,
}

/// A company: its folder, its vault, and how wrong its clock is.
pub struct House {
    folder: tempfile::TempDir,
    pub vault: RunningSandbox,
    client: reqwest::Client,
    /// By how many hours muster's clock is ahead.
    pub ahead: Arc<AtomicI64>,
    runs: AtomicU16,
    pub job: Job,
}

/// An address for a vault that is closed and opened again. Connections never get such a port by themselves, so that it
/// is still free the next time.
pub fn lasting_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 20_000 + (std::process::id() as u16 % 1_000) * 10 + NEXT.fetch_add(1, Ordering::SeqCst) % 2_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

struct OneToken;

impl Secrets for OneToken {
    fn resolve(&self, _: &SecretRef) -> Result<SecretString, String> {
        Ok(SecretString::from(TOKEN.to_owned()))
    }
}

impl House {
    /// A company with these employees and an empty vault. `further` stands at the end of its job file.
    pub async fn found(people: &[Person], further: &str, listen: SocketAddr) -> Self {
        let folder = scratch();
        drop_files(folder.path(), people);
        Self::start(folder, further, listen).await
    }

    /// A copy of a company's folder, with a vault of its own at the same address.
    pub async fn copy(of: &Path, further: &str, listen: SocketAddr) -> Self {
        let folder = scratch();
        copy(of, folder.path());
        Self::start(folder, further, listen).await
    }

    async fn start(folder: tempfile::TempDir, further: &str, listen: SocketAddr) -> Self {
        // Whoever had the address before may still be going.
        let patience = std::time::Instant::now();
        let vault = loop {
            let mut options = SandboxOptions::new(folder.path().join("vault.db"), Arc::new(Utc::now));
            options.token = Some(TOKEN.to_owned());
            options.listen = listen;
            match Sandbox::start(options).await {
                Ok(vault) => break vault,
                Err(error) => assert!(patience.elapsed() < Duration::from_secs(10), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let text = job_text(&vault.url, further).replacen("required =", "on = { orphan = \"delete\" }\nrequired =", 1);
        fs::create_dir_all(folder.path().join("jobs")).unwrap();
        let path = folder.path().join("jobs/corp.toml");
        fs::write(&path, &text).unwrap();
        let job = muster::job::parse(&text, &path).unwrap();
        // Fails where somebody chose already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let runs = AtomicU16::new(fs::read_dir(folder.path().join("state/runs/corp")).map_or(0, |e| e.count() as u16));
        Self { folder, vault, client, ahead: Arc::default(), runs, job }
    }

    /// Ends the vault, closes its file, and gives the folder, to be copied.
    pub async fn close(self) -> tempfile::TempDir {
        self.vault.shutdown().await;
        self.folder
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// What HR drops from now on.
    pub fn hr(&self, people: &[Person]) {
        drop_files(self.path(), people);
    }

    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + chrono::Duration::hours(self.ahead.load(Ordering::SeqCst))
    }

    pub fn store(&self) -> Store {
        Store::open(&Layout::new(self.state()), self.now()).unwrap()
    }

    /// A conductor, as a process of its own would make it; it may wait so long between tries.
    pub fn conductor(&self, patience: Duration) -> Result<Conductor, RunError> {
        let ahead = self.ahead.clone();
        let clock = Arc::new(move || Utc::now() + chrono::Duration::hours(ahead.load(Ordering::SeqCst)));
        let layout = Layout::new(self.state());
        let mut job = self.job.clone();
        job.apply.retry_budget = patience;
        let mut connect = ConnectContext::plain(self.path().join("jobs"), "fire");
        (connect.secrets, connect.retry_budget) = (Arc::new(OneToken), patience);
        Ok(Conductor {
            store: Store::open(&layout, self.now())?,
            job,
            layout,
            registry: Arc::new(Registry::standard()),
            connect,
            reporter: Arc::new(Silent),
            memory: None,
            clock,
            zone: |_| None,
            starter: "cron".to_owned(),
            halt: Halt::default(),
        })
    }

    /// A run that ends after `stage`.
    pub async fn run(&self, stage: Stage) -> Result<RunEnd, RunError> {
        let salt = self.runs.fetch_add(1, Ordering::SeqCst);
        let run = RunId::new(self.now(), salt);
        let plan = PlanOptions::default();
        Layout::new(self.state()).create_run("corp", &run)?;
        let options = RunOptions { run, mode: Mode::Complete, stage, plan, from: None };
        self.conductor(Duration::ZERO)?.run(&options).await
    }

    /// Plans the inverse of what a run applied.
    pub async fn revert(&self, of: RunId) -> Result<RevertEnd, RunError> {
        let run = RunId::new(self.now(), self.runs.fetch_add(1, Ordering::SeqCst));
        let options = RevertOptions { run, of, orders: BTreeSet::new(), kind: None };
        self.conductor(Duration::ZERO)?.revert(&options).await
    }

    /// Recovers, and applies what is approved.
    pub async fn apply(&self, patience: Duration) -> Result<Applied, RunError> {
        self.conductor(patience)?.apply_after_recovery(&ApplyRequest::default()).await
    }

    /// Seals what `decide` says of each order of a run as planned, and accepts what holds it; `None` leaves it waiting.
    pub fn review(&self, run: &RunId, decide: impl Fn(&Order) -> Option<Decision>) -> SealReport {
        let mut store = self.store();
        let now = self.now();
        let waits = |order: &OrderRecord| match order.state {
            OrderState::PendingReview | OrderState::Blocked => true,
            // Its approval is over.
            OrderState::Approved => order.approval_expires.is_some_and(|end| end <= now),
            _ => false,
        };
        let waiting: BTreeSet<OrderId> =
            store.orders_of(run).unwrap().into_iter().filter(waits).map(|order| order.id).collect();
        let planned = store.run(run).unwrap().plan_digest.is_some();
        let orders = planned.then(|| store.read_orders(run).unwrap()).into_iter().flatten().map(Result::unwrap);
        let open = |order: &Order| waiting.contains(&order.id);
        let decisions = orders.filter(open).filter_map(|order| Some((order.id.clone(), decide(&order)?))).collect();
        let holds = store.unaccepted_holds(run).unwrap();
        let request = SealRequest {
            run: run.clone(),
            plan: store.run(run).unwrap().plan_digest,
            decisions,
            accepted: holds.into_iter().map(|hold| (hold.name, hold.figure)).collect(),
            reviewer: Some("jane".to_owned()),
            comment: "looked at".to_owned(),
            expires: self.now() + chrono::Duration::hours(72),
        };
        let rules = self.job.review_rules(|_| None).unwrap();
        store.seal(&request, &rules, self.now()).unwrap()
    }

    /// Plans, approves everything, applies: until both sides agree.
    pub async fn settle(&self) {
        let run = self.run(Stage::Plan).await.unwrap().run;
        self.review(&run, |_| Some(Decision::Approve));
        let applied = self.apply(Duration::ZERO).await.unwrap();
        assert_eq!((applied.errored, applied.untried, &applied.stopped), (0, 0, &None));
        let run = self.run(Stage::Plan).await.unwrap().run;
        assert!(self.store().orders_of(&run).unwrap().is_empty());
    }

    /// A request to the vault, past muster.
    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.vault.url));
        request = request.bearer_auth(TOKEN);
        if let Some(body) = body {
            request = request.header("content-type", "application/scim+json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    /// What the vault holds.
    pub async fn content(&self) -> Content {
        let (_, users) = self.ask("GET", "/Users?count=200", None).await;
        let (_, groups) = self.ask("GET", "/Groups?count=200", None).await;
        let mut content = Content::default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = |of: &Value| text(&of["meta"]["version"]).trim_matches(['W', '/', '"']).parse::<u64>().unwrap();
        let rows = |list: Value| list["Resources"].as_array().cloned().unwrap_or_default();
        let mut ids = BTreeMap::new();
        for user in rows(users) {
            let key = text(&user["externalId"]);
            ids.insert(text(&user["id"]), key.clone());
            content.versions.insert(key.clone(), version(&user));
            let seen = User {
                login: text(&user["userName"]),
                email: text(&user["emails"][0]["value"]),
                family: text(&user["name"]["familyName"]),
                enabled: user["active"] == json!(true),
                teams: BTreeSet::new(),
            };
            assert!(content.users.insert(key.clone(), seen).is_none(), "{key} is there twice");
        }
        for group in rows(groups) {
            let name = text(&group["displayName"]);
            content.versions.insert(text(&group["externalId"]), version(&group));
            for member in group["members"].as_array().into_iter().flatten() {
                let key = &ids[member["value"].as_str().unwrap()];
                let teams = &mut content.users.get_mut(key).unwrap().teams;
                assert!(teams.insert(name.clone()), "{key} is in {name} twice");
            }
            assert!(content.groups.insert(name.clone()), "{name} is there twice");
        }
        content
    }
}

/// A folder in memory where the machine has one: a plan waits for many commits.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let builder = tempfile::Builder::new();
    if memory.is_dir()
        && let Ok(folder) = builder.tempdir_in(memory)
    {
        return folder;
    }
    tempfile::tempdir().unwrap()
}

fn drop_files(folder: &Path, people: &[Person]) {
    fs::create_dir_all(folder.join("hr")).unwrap();
    for (file, text) in hr_files(people) {
        fs::write(folder.join(file), text).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// The program on a house's folder, now.
pub fn muster(house: &House, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.current_dir(house.path()).args(args).env_clear().env("HOME", house.path()).env("USER", "tester");
    command.env("VAULT_TOKEN", TOKEN).env("STATE_DIRECTORY", house.state());
    command.output().unwrap().into()
}

/// From now on it is so many days ago.
pub fn days_ago(house: &House, days: i64) {
    house.ahead.store(-24 * days, Ordering::SeqCst);
}
