//! `[report]` of a job: who is told by mail or over the web, when, and by which way.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// When messages go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeWhen {
    /// A summary once a day; what failed or is held at once.
    Daily,
    /// Only what failed or is held, at once.
    OnErrors,
    /// Not at all.
    Never,
}

/// `[report] email`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailSettings {
    /// Addresses.
    pub to: Vec<String>,
    /// When.
    pub when: NoticeWhen,
    /// The sender's address; `None` = `muster@` and this machine's name.
    pub from: Option<String>,
    /// The server that takes the mail.
    pub server: MailServer,
    /// How muster proves who it is; `None` = it need not.
    pub login: Option<MailLogin>,
    /// PEM certificates trusted beside those of the machine; relative to the job file's folder.
    pub ca_file: Option<PathBuf>,
}

/// Who muster is at a mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailLogin {
    /// The login.
    pub user: String,
    /// Where the password lies, never what it is: `credential:smtp`.
    pub password: String,
}

/// `[report] webhook`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSettings {
    /// The address that is posted to.
    pub url: String,
    /// Where the key of the signature lies, never what it is: `credential:hook`.
    pub secret: String,
    /// When.
    pub when: NoticeWhen,
    /// PEM certificates trusted beside those of the machine; relative to the job file's folder.
    pub ca_file: Option<PathBuf>,
    /// The proxy on the way.
    pub proxy: Option<String>,
}

/// Whether mail is encrypted on its way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// Not at all.
    Never,
    /// From the command STARTTLS on, which the server has to offer (RFC 3207).
    StartTls,
    /// From the first byte on (RFC 8314 section 3.3).
    FromTheStart,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailServer {
    /// Its name or address, without the brackets of an IPv6 address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub tls: MailTls,
}

impl Default for MailServer {
    fn default() -> Self {
        Self { host: "localhost".to_owned(), port: 25, tls: MailTls::Never }
    }
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl MailServer {
    /// Reads `smtp://HOST:PORT` (port 25 unless it is named) or `smtps://HOST:PORT` (465). Over `smtp` STARTTLS is required
    /// unless `starttls` says otherwise, or the server is this machine.
    ///
    /// # Errors
    /// What is wrong with the address. It is not repeated: a password may stand in it.
    pub fn read(text: &str, starttls: Option<bool>) -> Result<Self, String> {
        let wrong = || "this is no mail server; write smtp://HOST:PORT or smtps://HOST:PORT".to_owned();
        let url = Url::parse(text).map_err(|_| wrong())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "a credential may not stand in an address; use `auth` with a reference such as env:NAME".to_owned()
            );
        }
        let host = url.host().ok_or_else(wrong)?;
        let rest = (url.path().trim_matches('/'), url.query(), url.fragment());
        if !matches!(url.scheme(), "smtp" | "smtps") || rest != ("", None, None) {
            return Err(wrong());
        }
        let host = match host {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let (port, tls) = match (url.scheme(), starttls) {
            ("smtps", None) => (465, MailTls::FromTheStart),
            ("smtps", Some(_)) => return Err("smtps:// is encrypted from the start; leave `starttls` out".to_owned()),
            (_, Some(true)) => (25, MailTls::StartTls),
            (_, Some(false)) => (25, MailTls::Never),
            (_, None) if is_this_machine(&host) => (25, MailTls::Never),
            (_, None) => (25, MailTls::StartTls),
        };
        Ok(Self { host, port: url.port().unwrap_or(port), tls })
    }

    /// Whether what is sent there never leaves this machine.
    pub fn is_this_machine(&self) -> bool {
        is_this_machine(&self.host)
    }
}

/// Whether a host is the machine that asks.
pub fn is_this_machine(host: &str) -> bool {
    let name = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What is wrong with a mail address, as it may stand in a command of SMTP: `local@host`, nothing quoted, no name beside it.
/// Source: RFC 5321 section 4.1.2 (`Dot-string "@" Domain`), and its section 4.5.3.1 for lengths.
pub fn address_problem(address: &str) -> Option<&'static str> {
    let Some((local, host)) = address.rsplit_once('@') else {
        return Some("there is no `@` in it");
    };
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let is_dotted = !local.is_empty() && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom));
    if !is_dotted || local.len() > 64 {
        return Some("before the `@` stand letters of ASCII, digits and `. _ + -`, at most 64");
    }
    let is_host = match Host::parse(host) {
        // The parser takes what no mail server has: `a_b`, an empty label.
        Ok(Host::Domain(name)) => {
            let is_label = |label: &str| {
                let is_inside = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                !label.is_empty() && label.len() <= 63 && is_inside && !label.starts_with('-') && !label.ends_with('-')
            };
            name.len() <= 253 && name.split('.').all(is_label)
        }
        _ => false,
    };
    if is_host { None } else { Some("after the `@` stands the name of a mail domain") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_spoken_to_as_safely_as_its_address_asks() {
        let read = |text: &str, starttls| MailServer::read(text, starttls).map(|s| (s.to_string(), s.tls));
        for (text, starttls, server, tls) in [
            ("smtp://mail.example.com:587", None, "mail.example.com:587", MailTls::StartTls),
            ("smtp://mail.example.com", Some(false), "mail.example.com:25", MailTls::Never),
            ("smtps://mail.example.com", None, "mail.example.com:465", MailTls::FromTheStart),
            ("smtp://localhost:2525", None, "localhost:2525", MailTls::Never),
            ("smtp://127.0.0.2:2525", Some(true), "127.0.0.2:2525", MailTls::StartTls),
            ("smtp://[::1]", None, "[::1]:25", MailTls::Never),
        ] {
            assert_eq!(read(text, starttls).unwrap(), (server.to_owned(), tls), "{text}");
        }
        for text in ["mail.example.com", "http://x", "smtp://", "smtp://u:hunter2@x", "smtp://x/y", "smtp://x?tls=no"] {
            assert!(!read(text, None).unwrap_err().contains("hunter2"), "{text}");
        }
        assert!(read("smtps://x", Some(true)).is_err());
    }

    #[test]
    fn an_address_cannot_say_more_than_where_a_mail_goes() {
        for good in ["iam@example.com", "a.b+c_d@müller.example", "root@localhost", "o'neil@x-y.example"] {
            assert_eq!(address_problem(good), None, "{good}");
        }
        for bad in [
            "iam",
            "@x",
            "a@",
            "a b@x",
            "a@x y",
            "a@x\r\nBcc: b@y",
            "a\n@x",
            ".a@x",
            "a..b@x",
            "\"a\"@x",
            "ü@x",
            "a@b@c",
            "A <a@x>",
            "a@x_y",
            "a@-x",
            "a@x..y",
            "a@[127.0.0.1]",
            "a,b@x",
            "a@x,b@y",
        ] {
            assert!(address_problem(bad).is_some(), "{bad}");
        }
    }
}
