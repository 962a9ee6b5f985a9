//! The way to a system, stage by stage, as `check` reports it.

use std::time::Instant;

use tokio::net::{TcpStream, lookup_host};
use url::Url;

use super::{CONNECT_TIMEOUT, Http, host_port};
use crate::connector::failure_table::reaches::{NO_CONNECTION, NO_SUCH_HOST, Reach};
use crate::connector::source::Step;
use crate::model::failure::{Class, Failure, Recourse, Stage};

impl Http {
    /// Resolves and connects, to the proxy where there is one on the way, to the first stage that fails.
    pub async fn reach(&self) -> Vec<Step> {
        match self.proxy.as_ref().filter(|rule| rule.applies_to(&self.base)) {
            Some(rule) => {
                let mut steps = self.reach_host(&rule.url).await;
                // Whatever fails on the way to the proxy is a matter of the proxy.
                for step in &mut steps {
                    step.stage = Stage::Proxy;
                    if let Err(failure) = &mut step.result {
                        failure.stage = Some(Stage::Proxy);
                        failure.remedy =
                            "see whether the address of the proxy is right and the proxy runs; or name the host in no_proxy"
                                .to_owned();
                    }
                }
                steps
            }
            None => self.reach_host(&self.base).await,
        }
    }

    async fn reach_host(&self, url: &Url) -> Vec<Step> {
        let place = host_port(url);
        let started = Instant::now();
        let host = url.host_str().unwrap_or("").trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let found =
            match tokio::time::timeout(self.timeout.min(CONNECT_TIMEOUT), lookup_host((host.as_str(), port))).await {
                Ok(Ok(addresses)) => Ok(addresses.collect::<Vec<_>>()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the name service does not answer".to_owned()),
            };
        let addresses = match found {
            Ok(addresses) if !addresses.is_empty() => addresses,
            other => {
                let why = other.err().unwrap_or_else(|| "there is none".to_owned());
                let failure = self.unreached(&NO_SUCH_HOST, format!("the host name of {place} has no address: {why}"));
                return vec![step(Stage::Resolve, format!("resolve {host}"), Err(failure), started)];
            }
        };
        let mut names: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        names.sort();
        names.dedup();
        let mut steps = vec![step(Stage::Resolve, format!("resolve {host}"), Ok(names.join(", ")), started)];

        let started = Instant::now();
        let connected =
            tokio::time::timeout(self.timeout.min(CONNECT_TIMEOUT), TcpStream::connect(addresses.as_slice())).await;
        let result = match connected {
            Ok(Ok(stream)) => {
                Ok(stream.peer_addr().map_or_else(|_| "connected".to_owned(), |peer| format!("connected to {peer}")))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        let result = result.map_err(|why| self.unreached(&NO_CONNECTION, format!("no connection to {place}: {why}")));
        steps.push(step(Stage::Connect, format!("tcp {place}"), result, started));
        steps
    }

    fn unreached(&self, reach: &Reach, cause: String) -> Failure {
        let mut failure = Failure::new(Class::Connection, Recourse::Retry, &self.system, cause, reach.remedy);
        failure.stage = Some(reach.stage);
        failure
    }
}

/// A step that just ended.
pub(crate) fn step(stage: Stage, what: String, result: Result<String, Failure>, started: Instant) -> Step {
    Step { stage, what, result, took: started.elapsed() }
}
