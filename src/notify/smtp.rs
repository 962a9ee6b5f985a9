//! Mail over SMTP (RFC 5321), encrypted by STARTTLS (RFC 3207) or from the start, with a login (RFC 4954) where one is asked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension};
use secrecy::{ExposeSecret as _, SecretString};

use super::letter::{self, Letter, address};
use super::trouble::{failure, innermost, unreached};
use crate::model::failure::{Class, Failure, Stage, Step};
use crate::model::notice_settings::{MailServer, MailTls};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What this way is called.
const WAY: &str = "email";

/// A mail server, and who muster is there.
#[derive(Debug)]
pub struct MailWay {
    /// The server.
    pub server: MailServer,
    /// The name of this machine, as it is told to the server.
    pub hello: String,
    /// The sender's address.
    pub from: String,
    /// The login, where one is asked.
    pub login: Option<Login>,
    /// PEM certificates trusted beside those of the machine.
    pub ca_file: Option<PathBuf>,
}

/// Who muster is at a server.
#[derive(Debug)]
pub struct Login {
    /// The login.
    pub user: String,
    /// What the job file calls the password: `credential:smtp`.
    pub reference: String,
    /// The password; or why it cannot be had.
    pub password: Result<SecretString, String>,
}

/// What became of a letter.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Who did not get it.
    pub left: Vec<String>,
    /// Why.
    pub failure: Option<Failure>,
}

/// Goes to the server, logs in, asks whether it is there, and leaves; nothing is sent.
pub async fn check(way: &MailWay) -> Vec<Step> {
    let mut talk = Talk::new(way);
    if let Some(mut connection) = talk.open().await {
        let begun = Instant::now();
        let is_there = matches!(tokio::time::timeout(PATIENCE, connection.test_connected()).await, Ok(true));
        let result = match is_there {
            true => Ok("it takes commands; no mail was sent".to_owned()),
            false => {
                let cause = format!("{} refused the command NOOP", way.server);
                Err(failure(WAY, Stage::Permission, Class::Server, cause, "see the log of the mail server"))
            }
        };
        talk.note(Stage::Permission, "NOOP", result, begun);
        leave(connection).await;
    }
    talk.steps
}

/// Sends letters over one connection; what became of each, in the same sequence.
pub async fn send(way: &MailWay, letters: &[Letter<'_>]) -> Vec<Delivery> {
    let mut talk = Talk::new(way);
    let mut connection = talk.open().await;
    let mut ends = Vec::new();
    for letter in letters {
        // A server that did not answer once is not waited for again and again.
        let silent =
            ends.last().and_then(|end: &Delivery| end.failure.as_ref()).filter(|failure| failure.status.is_none());
        if let Some(failure) = silent.cloned() {
            ends.push(Delivery { left: letter.to.to_vec(), failure: Some(failure) });
            continue;
        }
        if connection.as_ref().is_none_or(AsyncSmtpConnection::has_broken) && !ends.is_empty() {
            connection = talk.open().await;
        }
        ends.push(match connection.as_mut() {
            Some(connection) => talk.deliver(connection, letter).await,
            None => Delivery { left: letter.to.to_vec(), failure: talk.failure() },
        });
    }
    if let Some(connection) = connection {
        leave(connection).await;
    }
    ends
}

/// The last word; how it is answered changes nothing any more.
async fn leave(mut connection: AsyncSmtpConnection) {
    let _ = tokio::time::timeout(Duration::from_secs(2), connection.quit()).await;
}

/// A conversation with a server.
struct Talk<'a> {
    way: &'a MailWay,
    steps: Vec<Step>,
}

impl<'a> Talk<'a> {
    fn new(way: &'a MailWay) -> Self {
        Self { way, steps: Vec::new() }
    }

    fn note(&mut self, stage: Stage, what: &str, result: Result<String, Failure>, begun: Instant) -> bool {
        let passed = result.is_ok();
        // A failure knows better at which stage it was.
        let stage = result.as_ref().err().and_then(|failure| failure.stage).unwrap_or(stage);
        self.steps.push(Step { stage, what: what.to_owned(), result, took: begun.elapsed() });
        passed
    }

    /// The last failure.
    fn failure(&self) -> Option<Failure> {
        self.steps.iter().rev().find_map(|step| step.result.as_ref().err().cloned())
    }

    /// As far as mail may be sent; `None` where a step failed.
    async fn open(&mut self) -> Option<AsyncSmtpConnection> {
        let place = self.way.server.to_string();
        let begun = Instant::now();
        let (said, addresses) = match self.resolve().await {
            Ok(addresses) => (Ok(counted_addresses(&addresses)), addresses),
            Err(failure) => (Err(failure), Vec::new()),
        };
        self.note(Stage::Resolve, &self.way.server.host, said, begun).then_some(())?;

        let begun = Instant::now();
        let tls = match self.way.server.tls {
            MailTls::Never => Ok(None),
            _ => self.tls().map(Some),
        };
        let tls = match tls {
            Ok(tls) => tls,
            Err(failure) => {
                self.note(Stage::Tls, &place, Err(failure), begun);
                return None;
            }
        };
        let hello = ClientId::Domain(self.way.hello.clone());
        let at_once = tls.clone().filter(|_| self.way.server.tls == MailTls::FromTheStart);
        let is_tls = at_once.is_some();
        let connect = AsyncSmtpConnection::connect_tokio1(addresses.as_slice(), Some(PATIENCE), &hello, at_once, None);
        let connected = self.timed(Stage::Connect, "the greeting", connect).await;
        let said = connected.as_ref().map(|connection| greeting(connection, is_tls)).map_err(Failure::clone);
        self.note(if is_tls { Stage::Tls } else { Stage::Connect }, &place, said, begun).then_some(())?;
        let mut connection = connected.ok()?;

        if self.way.server.tls == MailTls::StartTls {
            let begun = Instant::now();
            let result = match tls.filter(|_| connection.can_starttls()) {
                Some(tls) => {
                    let upgraded = self.timed(Stage::Tls, "STARTTLS", connection.starttls(tls, &hello)).await;
                    upgraded.map(|()| "encrypted".to_owned())
                }
                None => Err(failure(
                    WAY,
                    Stage::Tls,
                    Class::Configuration,
                    format!("{place} offers no STARTTLS, and nothing is sent in the clear"),
                    "have it switched on there, name another port (587), or write smtps:// for a port that is encrypted from the start",
                )),
            };
            self.note(Stage::Tls, "STARTTLS", result, begun).then_some(())?;
        }
        if let Some(login) = &self.way.login {
            let begun = Instant::now();
            let result = self.log_in(&mut connection, login).await;
            self.note(Stage::Login, &login.reference, result, begun).then_some(())?;
        }
        Some(connection)
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let MailServer { host, port, .. } = &self.way.server;
        let remedy = "see whether the name in server is right and the name service of this machine knows it";
        let fail = |why: String| {
            let cause = format!("no address of the mail server {host}: {why}");
            failure(WAY, Stage::Resolve, Class::Connection, cause, remedy)
        };
        match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host.as_str(), *port))).await {
            Ok(Ok(addresses)) => Ok(addresses.collect()),
            Ok(Err(error)) => Err(fail(error.to_string())),
            Err(_) => Err(fail(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// What is trusted.
    fn tls(&self) -> Result<TlsParameters, Failure> {
        let fail = |cause: String| {
            let remedy = "name a readable file of PEM certificates in ca_file";
            failure(WAY, Stage::Tls, Class::Configuration, cause, remedy)
        };
        let mut builder = TlsParameters::builder(self.way.server.host.clone());
        if let Some(path) = &self.way.ca_file {
            let bytes = std::fs::read(path).map_err(|error| fail(format!("ca_file {}: {error}", path.display())))?;
            let none = || fail(format!("ca_file {} holds no PEM certificate", path.display()));
            if !bytes.windows(27).any(|text| text == b"-----BEGIN CERTIFICATE-----") {
                return Err(none());
            }
            builder = builder.add_root_certificate(Certificate::from_pem(&bytes).map_err(|_| none())?);
        }
        builder.build().map_err(|error| fail(innermost(&error)))
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection, login: &Login) -> Result<String, Failure> {
        let place = &self.way.server;
        let password = login.password.as_ref().map_err(|why| {
            let remedy = "put the password where the job file says it lies";
            failure(WAY, Stage::Login, Class::Credential, why.as_str(), remedy)
        })?;
        let known = [Mechanism::Plain, Mechanism::Login];
        if connection.server_info().get_auth_mechanism(&known).is_none() {
            return Err(failure(
                WAY,
                Stage::Login,
                Class::Configuration,
                format!("{place} takes no login by PLAIN or LOGIN here"),
                "leave `auth` out where it needs none; else see whether it takes logins on this port, and after STARTTLS alone",
            ));
        }
        let credentials = Credentials::new(login.user.clone(), password.expose_secret().to_owned());
        let answer = self.timed(Stage::Login, "AUTH", connection.auth(&known, &credentials)).await;
        match answer {
            Ok(_) => Ok(format!("{} is logged in", login.user)),
            Err(refused) if refused.status.is_some_and(|status| status >= 500) => {
                let cause = format!("{place} refused the login `{}` with {}", login.user, login.reference);
                let remedy = format!(
                    "put the right password where {} says it lies, or see whether this login may send mail there",
                    login.reference
                );
                let told = failure(WAY, Stage::Login, Class::Credential, cause, remedy);
                Err(Failure { status: refused.status, message: refused.message, ..told })
            }
            Err(refused) => Err(refused),
        }
    }

    /// Sends one letter to all who can get it; an address that is refused keeps it from nobody else.
    async fn deliver(&self, connection: &mut AsyncSmtpConnection, letter: &Letter<'_>) -> Delivery {
        let mut end = Delivery { left: letter.to.to_vec(), failure: None };
        let written = letter::bytes(letter).and_then(|bytes| Ok((bytes, address(&self.way.from)?)));
        let (bytes, from) = match written {
            Ok(written) => written,
            Err(cause) => {
                end.failure = Some(unwritten(cause));
                return end;
            }
        };
        match self.hand_over(connection, (from, &bytes), letter.to).await {
            Ok(refused) => {
                end.left = refused.iter().map(|(to, _)| to.clone()).collect();
                end.failure = refused.into_iter().next().map(|(_, failure)| failure);
            }
            Err(failure) => end.failure = Some(failure),
        }
        if end.failure.is_some() {
            // What is left of this letter is no part of the next one.
            connection.abort().await;
        }
        end
    }

    /// The addresses that were refused, each with why. An error is about everybody.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        (from, bytes): (Address, &[u8]),
        to: &[String],
    ) -> Result<Vec<(String, Failure)>, Failure> {
        let mut sender =
            self.timed(Stage::Permission, "MAIL FROM", connection.command(Mail::new(Some(from), vec![]))).await;
        if let Err(refused) = &mut sender
            && matches!(refused.status, Some(530 | 535))
        {
            refused.class = Class::Credential;
            refused.remedy = "it wants a login: set `auth` of [report] email".to_owned();
        } else if let Err(refused) = &mut sender
            && refused.status.is_some_and(|status| status >= 500)
        {
            refused.class = Class::Permission;
            refused.remedy = format!("see whether this login may send as {}, or set `from`", self.way.from);
        }
        sender?;
        let mut refused = Vec::new();
        for one in to {
            let recipient = address(one).map_err(unwritten)?;
            let answer =
                self.timed(Stage::Permission, "RCPT TO", connection.command(Rcpt::new(recipient, vec![]))).await;
            if let Err(mut failure) = answer {
                // Without an answer the others get none either.
                if failure.status.is_none() || connection.has_broken() {
                    return Err(failure);
                }
                failure.cause = format!("{} refused the address {one}", self.way.server);
                if failure.class == Class::Data {
                    failure.remedy = "correct `to` of [report] email, or have the address set up there".to_owned();
                }
                refused.push((one.clone(), failure));
            }
        }
        if refused.len() < to.len() {
            self.timed(Stage::Permission, "DATA", connection.command(Data)).await?;
            self.timed(Stage::Permission, "the mail", connection.message(bytes)).await?;
        }
        Ok(refused)
    }

    /// What a step answers in time; what it refuses in the words of the server.
    async fn timed<T>(
        &self,
        stage: Stage,
        what: &str,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        let place = &self.way.server;
        match tokio::time::timeout(PATIENCE + Duration::from_secs(1), step).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.refused(stage, what, &error)),
            Err(_) => {
                let cause = format!("{place} did not answer {what} within {} s", PATIENCE.as_secs());
                let remedy = "see whether it is slow, or a firewall swallows its answers";
                Err(failure(WAY, stage, Class::Connection, cause, remedy))
            }
        }
    }

    fn refused(&self, stage: Stage, what: &str, error: &Error) -> Failure {
        let place = self.way.server.to_string();
        let Some(status) = error.status().and_then(|code| code.to_string().parse::<u16>().ok()) else {
            if error.is_response() || error.is_client() {
                let cause = format!("{place} answered {what} with what is no SMTP: {}", innermost(error));
                let remedy = "see whether a mail server listens there; where the port is encrypted from the start, write smtps://";
                return failure(WAY, stage, Class::Configuration, cause, remedy);
            }
            return unreached(WAY, stage, &place, error);
        };
        let (class, remedy) = match status {
            421 | 450 | 451 | 454 => (Class::Server, "the server asks to try again later, as the next run does"),
            452 => (Class::Capacity, "the server has no room just now; the next run tries again"),
            400..500 => (Class::Server, "the next run tries again"),
            _ => (Class::Data, "see what the server says, and its log"),
        };
        let told = failure(WAY, stage, class, format!("{place} refused {what}"), remedy);
        let message = std::error::Error::source(error).map(|said| self.without_secret(&said.to_string()));
        Failure { status: Some(status), message, ..told }
    }

    /// What the server says; a server that answers with the password tells nobody.
    fn without_secret(&self, said: &str) -> String {
        let password = self.way.login.as_ref().and_then(|login| login.password.as_ref().ok());
        match password.map(|password| password.expose_secret()).filter(|password| !password.is_empty()) {
            Some(password) => said.replace(password, "[secret]"),
            None => said.to_owned(),
        }
    }
}

/// A letter that cannot be written.
fn unwritten(cause: String) -> Failure {
    let remedy = "correct the addresses of [report] email";
    failure(WAY, Stage::Permission, Class::Configuration, cause, remedy)
}

fn counted_addresses(addresses: &[SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    texts.join(", ")
}

/// What the server offers.
fn greeting(connection: &AsyncSmtpConnection, is_tls: bool) -> String {
    let info = connection.server_info();
    let starttls = info.supports_feature(Extension::StartTls);
    let how = match (is_tls, starttls) {
        (true, _) => "encrypted from the start",
        (false, true) => "it offers STARTTLS",
        (false, false) => "it offers no STARTTLS",
    };
    format!("{} answers; {how}", info.name())
}
