//! Errors of the way to a system, told by the stage that failed.

use url::Url;

use super::{Http, host_port};
use crate::connector::failure_table::reaches::{CUT, CUT_PLAIN, NO_CONNECTION, NO_HTTP, NO_SUCH_HOST, NO_WAY, of_tls};
use crate::model::causes;
use crate::model::failure::{Class, Effect, Failure, Recourse, Stage};

impl Http {
    /// The failure of a request that had no whole answer.
    ///
    /// `effect` is what holds where the request may have left; a request without a connection certainly did not.
    pub(super) fn transport_failure(&self, error: reqwest::Error, url: &Url, spoken: &str, effect: Effect) -> Failure {
        let error = error.without_url();
        let place = host_port(url);
        let through = self.proxy.as_ref().filter(|rule| rule.applies_to(url)).map(|rule| host_port(&rule.url));
        let no_connection = error.is_connect() || error.is_dns();
        let (reach, cause) = if let Some(problem) = causes::of_tls(&error) {
            (of_tls(problem), format!("no trusted TLS session with {place}: {problem}"))
        } else if let Some(proxy) = through.filter(|_| no_connection) {
            (&NO_WAY, format!("the proxy {proxy} gives no way to {place}: {}", causes::in_one_line(&error)))
        } else if error.is_dns() {
            (&NO_SUCH_HOST, format!("the host name of {place} has no address: {}", causes::in_one_line(&error)))
        } else if no_connection {
            (&NO_CONNECTION, format!("no connection to {place}: {}", causes::in_one_line(&error)))
        } else {
            (
                match url.scheme() {
                    _ if causes::in_one_line(&error).contains("invalid HTTP") => &NO_HTTP,
                    "http" => &CUT_PLAIN,
                    _ => &CUT,
                },
                format!("{spoken} had no whole answer from {place}: {}", causes::in_one_line(&error)),
            )
        };
        let stage = reach.stage;
        // A certificate does not mend itself while one waits.
        let recourse = if stage == Stage::Tls { Recourse::Stop } else { Recourse::Retry };
        let mut failure = Failure::new(Class::Connection, recourse, &self.system, cause, reach.remedy);
        failure.effect = if no_connection || stage == Stage::Tls { Effect::None } else { effect };
        failure.stage = Some(stage);
        failure
    }
}
