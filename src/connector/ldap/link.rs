//! Sessions with a server: found, connected, made safe, logged in; one that is shared, and others of one's own.
//!
//! One session carries many requests at once (RFC 4511 section 4.2.1); a list that is read page by page has a session of
//! its own, because servers keep its place there.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, StdStream};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::Url;

use super::refusal::Question;
use crate::connector::backoff::{Backoff, Budget, Retrying};
use crate::connector::config::{LdapConfig, directory_address};
use crate::connector::failure_table::Asked;
use crate::connector::limit::RateLimit;
use crate::connector::registry::{ConnectContext, Exchanged};
use crate::connector::secret::SecretRef;
use crate::model::causes;
use crate::model::exchange::Exchange;
use crate::model::failure::{Class, Failure, Recourse, Stage};

/// How long it may take at most until a session stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// So much of what a server says of a refusal goes into the log.
const LOGGED: usize = 300;

/// A request that is under way, for the log.
pub(super) struct Asking {
    request: String,
    sent: u64,
    began: Instant,
}

impl Asking {
    /// What is asked: `modify`, and below which entry.
    pub(super) fn new(what: &str, below: &str, sent: u64) -> Self {
        Self {
            request: format!("{what} below {}", if below.is_empty() { "the root" } else { below }),
            sent,
            began: Instant::now(),
        }
    }
}

/// The way to a server, and the session that is shared.
pub(super) struct Link {
    system: String,
    url: Url,
    starttls: bool,
    tls: Option<Arc<ClientConfig>>,
    login: Option<Login>,
    timeout: Duration,
    limit: RateLimit,
    backoff: Backoff,
    budget: Budget,
    random: Arc<dyn Fn() -> f64 + Send + Sync>,
    retrying: Retrying,
    exchanged: Exchanged,
    shared: Mutex<Option<Ldap>>,
}

struct Login {
    user: String,
    password: SecretString,
    reference: SecretRef,
}

impl Link {
    /// Prepares the way; nothing is sent yet.
    pub(super) fn new(system: &str, config: &LdapConfig, context: &ConnectContext) -> Result<Self, Failure> {
        let wrong =
            |cause: String| Failure::new(Class::Configuration, Recourse::Stop, system, cause, "correct the job file");
        let url = directory_address(&config.url).map_err(|problem| wrong(format!("url: {problem}")))?;
        let tls = if config.uses_tls() {
            let ca_file = config.ca_file.as_ref().map(|path| context.base.join(path));
            Some(Arc::new(trust(ca_file.as_deref()).map_err(|problem| wrong(format!("ca_file: {problem}")))?))
        } else {
            None
        };
        let login = match &config.auth {
            None => None,
            Some(bind) => {
                let password = context.secrets.resolve(&bind.password).map_err(|problem| {
                    let mut failure = Failure::new(
                        Class::Credential,
                        Recourse::Stop,
                        system,
                        format!("the password cannot be had: {problem}"),
                        format!("put it where {} points to", bind.password),
                    );
                    failure.stage = Some(Stage::Login);
                    failure
                })?;
                if password.expose_secret().is_empty() {
                    // RFC 4513 section 5.1.2: a bind without a password is no login, and many servers accept it.
                    let cause = format!("the password at {} is empty: that would be no login at all", bind.password);
                    return Err(Failure::new(
                        Class::Credential,
                        Recourse::Stop,
                        system,
                        cause,
                        "put the password there",
                    ));
                }
                Some(Login { user: bind.user.clone(), password, reference: bind.password.clone() })
            }
        };
        Ok(Self {
            system: system.to_owned(),
            url,
            starttls: config.starttls,
            tls,
            login,
            timeout: Duration::from_secs(config.timeout_seconds),
            limit: RateLimit::new(context.rate),
            backoff: Backoff::default(),
            budget: Budget::new(context.retry_budget),
            random: context.random.clone(),
            retrying: context.retrying.clone(),
            exchanged: context.exchanged.clone(),
            shared: Mutex::new(None),
        })
    }

    /// The system's name in the job file.
    pub(super) fn system(&self) -> &str {
        &self.system
    }

    /// Host and port, for people.
    pub(super) fn place(&self) -> String {
        let port = self.url.port().unwrap_or(if self.url.scheme() == "ldaps" { 636 } else { 389 });
        format!("{}:{port}", self.host())
    }

    /// The host alone.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or("?")
    }

    /// Who logs in, and where the password comes from; `None` for anonymous sessions.
    pub(super) fn credential(&self) -> Option<String> {
        self.login.as_ref().map(|login| format!("{} with {}", login.user, login.reference))
    }

    /// The account that logs in.
    pub(super) fn user(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.user.as_str())
    }

    /// Whether sessions are safe.
    pub(super) fn uses_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// How long the server may be silent.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    fn unreached(&self, stage: Stage, recourse: Recourse, cause: String, remedy: &str) -> Failure {
        let mut failure = Failure::new(Class::Connection, recourse, &self.system, cause, remedy);
        failure.stage = Some(stage);
        failure
    }

    /// The addresses of the host.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let place = self.place();
        let found = match timeout(self.timeout.min(CONNECT_TIMEOUT), lookup_host(&place)).await {
            Ok(Ok(addresses)) => Ok(addresses.collect::<Vec<_>>()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the name service does not answer".to_owned()),
        };
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            other => {
                let why = other.err().unwrap_or_else(|| "there is none".to_owned());
                let cause = format!("the host name of {place} has no address: {why}");
                let remedy = "see whether the name in url is right and the name service of this machine knows it";
                Err(self.unreached(Stage::Resolve, Recourse::Retry, cause, remedy))
            }
        }
    }

    /// A TCP connection.
    pub(super) async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
        let why = match timeout(self.timeout.min(CONNECT_TIMEOUT), TcpStream::connect(addresses)).await {
            Ok(Ok(stream)) => {
                // Requests are small and many: none waits for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let cause = format!("no connection to {}: {why}", self.place());
        let remedy = "see whether the server is up, and whether a firewall stands between this machine and it";
        Err(self.unreached(Stage::Connect, Recourse::Retry, cause, remedy))
    }

    /// A session that is safe where it has to be.
    pub(super) async fn secure(&self, stream: TcpStream) -> Result<Ldap, Failure> {
        let place = self.place();
        let stage = if self.uses_tls() { Stage::Tls } else { Stage::Connect };
        let broken = |why: String| {
            let cause = format!("no session with {place}: {why}");
            let remedy =
                "see whether a directory server answers there; if it wants TLS from the first byte, write ldaps://";
            self.unreached(stage, Recourse::Retry, cause, remedy)
        };
        let stream = stream.into_std().map_err(|error| broken(error.to_string()))?;
        let mut settings = LdapConnSettings::new()
            .set_conn_timeout(self.timeout.min(CONNECT_TIMEOUT))
            .set_starttls(self.starttls)
            .set_std_stream(StdStream::Tcp(stream));
        if let Some(tls) = &self.tls {
            settings = settings.set_config(tls.clone());
        }
        let (connection, ldap) =
            LdapConnAsync::from_url_with_settings(settings, &self.url).await.map_err(|error| match error {
                LdapError::LdapResult { result } => {
                    let question = Question { system: &self.system, asked: Asked::Discovery, what: "StartTLS" };
                    let mut failure = question.refused(&result);
                    failure.stage = Some(Stage::Tls);
                    failure.remedy = "set up TLS at the server, or write ldaps:// if it has a port of its own for it".to_owned();
                    failure
                }
                LdapError::Timeout { .. } => broken("no answer in time".to_owned()),
                other => match causes::of_tls(&other) {
                    Some(problem) => self.unreached(
                        Stage::Tls,
                        // A certificate does not mend itself while one waits.
                        Recourse::Stop,
                        format!("no trusted TLS session with {place}: {problem}"),
                        "see whether the certificate is valid for this name; for an own certificate authority set ca_file",
                    ),
                    None => broken(causes::in_one_line(&other)),
                },
            })?;
        tokio::spawn(async move {
            // What ends a session is told by the requests that it ends.
            let _ = connection.drive().await;
        });
        Ok(ldap)
    }

    /// Logs in, where there is a login.
    pub(super) async fn log_in(&self, ldap: &mut Ldap) -> Result<(), Failure> {
        let Some(login) = &self.login else { return Ok(()) };
        let what = format!("the login of {} (its password comes from {})", login.user, login.reference);
        let question = Question { system: &self.system, asked: Asked::Discovery, what: &what };
        let asking = Asking { request: "bind".to_owned(), sent: 0, began: Instant::now() };
        let answer = ldap.with_timeout(self.timeout).simple_bind(&login.user, login.password.expose_secret()).await;
        self.answered(asking, 0, answer.as_ref());
        let result = answer.map_err(|error| question.lost(&error))?;
        if result.rc == 0 {
            return Ok(());
        }
        let mut failure = question.refused(&result);
        failure.stage = Some(Stage::Login);
        Err(failure)
    }

    /// A session of one's own, logged in.
    pub(super) async fn open(&self) -> Result<Ldap, Failure> {
        let addresses = self.resolve().await?;
        let stream = self.connect(&addresses).await?;
        let mut ldap = self.secure(stream).await?;
        self.log_in(&mut ldap).await?;
        Ok(ldap)
    }

    /// The session that is shared, made anew where it has ended.
    pub(super) async fn session(&self) -> Result<Ldap, Failure> {
        let mut shared = self.shared.lock().await;
        if let Some(ldap) = shared.as_mut()
            && !ldap.is_closed()
        {
            return Ok(ldap.clone());
        }
        let ldap = self.open().await?;
        *shared = Some(ldap.clone());
        Ok(ldap)
    }

    /// Tells the log of a request whose answer is there.
    pub(super) fn answered(&self, asking: Asking, received: u64, result: Result<&LdapResult, &LdapError>) {
        let failure = match result {
            Ok(result) if result.rc == 0 => None,
            Ok(result) => Some(result.text.trim_end_matches('\0').chars().take(LOGGED).collect()),
            Err(error) => Some(causes::in_one_line(error)),
        };
        (self.exchanged)(Exchange {
            system: self.system.clone(),
            request: asking.request,
            status: result.ok().and_then(|result| u16::try_from(result.rc).ok()),
            sent: asking.sent,
            received,
            took: asking.began.elapsed(),
            request_id: None,
            failure,
        });
    }

    /// Waits for one's turn, where the job limits the rate.
    pub(super) async fn turn(&self) {
        self.limit.turn().await;
    }

    /// Waits before the next try; `None` where there is to be none.
    pub(super) async fn wait(&self, failure: &Failure, failed: u32) -> Option<()> {
        let wait = self.backoff.wait(failed, failure.retry_after, (self.random)())?;
        if failure.recourse != Recourse::Retry || !self.budget.spend(wait) {
            return None;
        }
        (self.retrying)(failure, failed + 1, wait);
        tokio::time::sleep(wait).await;
        Some(())
    }
}

/// What TLS sessions trust: the machine's certificates, and those of a file.
fn trust(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let place = path.display();
        let read = CertificateDer::pem_file_iter(path).map_err(|error| format!("{place}: {error}"))?;
        let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| format!("{place}: {error}"))?;
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(format!("{place} holds no PEM certificate"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth())
}
