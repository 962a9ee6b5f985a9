//! Errors of the way to a system, told by the stage that failed.

use std::error::Error;

use url::Url;

use super::{Http, host_port};
use crate::model::failure::{Class, Effect, Failure, Recourse, Stage};

/// An error with all its causes, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    parts.join(": ")
}

/// What TLS found wrong, where it is about TLS.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next: Option<&'a (dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // What an I/O error wraps is not among its sources.
        if let Some(inner) = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = tls_error(inner)
        {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

impl Http {
    /// The failure of a request that had no whole answer.
    ///
    /// `effect` is what holds where the request may have left; a request without a connection certainly did not.
    pub(super) fn transport_failure(&self, error: reqwest::Error, url: &Url, spoken: &str, effect: Effect) -> Failure {
        let error = error.without_url();
        let place = host_port(url);
        let through = self.proxy.as_ref().filter(|rule| rule.applies_to(url)).map(|rule| host_port(&rule.url));
        let no_connection = error.is_connect() || error.is_dns();
        let (stage, cause, remedy) = if let Some(problem) = tls_error(&error) {
            (
                Stage::Tls,
                format!("no trusted TLS session with {place}: {problem}"),
                "see whether the certificate is valid for this name; for an own certificate authority set ca_file",
            )
        } else if let Some(proxy) = through.filter(|_| no_connection) {
            (
                Stage::Proxy,
                format!("the proxy {proxy} gives no way to {place}: {}", chain(&error)),
                "see whether the proxy runs and lets this host pass; or name the host in no_proxy",
            )
        } else if error.is_dns() {
            (
                Stage::Resolve,
                format!("the host name of {place} has no address: {}", chain(&error)),
                "see whether the name in url is right and the name service of this machine knows it",
            )
        } else if no_connection {
            (
                Stage::Connect,
                format!("no connection to {place}: {}", chain(&error)),
                "see whether the system is up, and whether a firewall or proxy stands between this machine and it",
            )
        } else {
            (
                Stage::Http,
                format!("{spoken} had no whole answer from {place}: {}", chain(&error)),
                "see whether the system, or a firewall or proxy before it, cuts connections",
            )
        };
        // A certificate does not mend itself while one waits.
        let recourse = if stage == Stage::Tls { Recourse::Stop } else { Recourse::Retry };
        let mut failure = Failure::new(Class::Connection, recourse, &self.system, cause, remedy);
        failure.effect = if no_connection || stage == Stage::Tls { Effect::None } else { effect };
        failure.stage = Some(stage);
        failure
    }
}
