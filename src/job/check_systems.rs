//! Checks of systems beyond their shape.

use url::{Host, Url};

use super::place::key_path;
use super::problem::Problem;
use super::validate::Checked;
use crate::connector::config::SystemConfig;

pub(super) fn settings(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (name, system) in checked.systems {
        let path = key_path("systems", name);
        for (key, message, hint) in found(system) {
            // What is wrong in the clear is told of the key alone, which may stand inside another.
            let (path, message) = match &hint {
                Some(_) => (format!("{path}.{key}"), message),
                None => (key_path(&path, key), format!("`{key}` of system `{name}`: {message}")),
            };
            problems.push(Problem { hint: hint.map(str::to_owned), ..checked.places.at(&path, message) });
        }
    }
}

/// What is wrong with one system: key, sentence, and a hint or none.
pub(super) fn found(system: &SystemConfig) -> Vec<(&'static str, String, Option<&'static str>)> {
    let own = system.problems().into_iter().map(|(key, message)| (key, message, None));
    let clear = system.web_addresses().into_iter().filter(|(_, address)| in_the_clear(address)).map(|(key, _)| {
        let message = "http would send the credential and every account in the clear; use https".to_owned();
        (key, message, Some("http is for this machine alone: 127.0.0.1, [::1], localhost"))
    });
    own.chain(clear).collect()
}

fn in_the_clear(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let is_this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !is_this_machine
}
