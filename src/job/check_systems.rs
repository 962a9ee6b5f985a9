//! Checks of systems beyond their shape.

use url::{Host, Url};

use super::place::key_path;
use super::problem::Problem;
use super::validate::Checked;

pub(super) fn settings(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (name, system) in checked.systems {
        let path = key_path("systems", name);
        for (key, message) in system.problems() {
            problems.push(checked.places.at(&key_path(&path, key), format!("`{key}` of system `{name}`: {message}")));
        }
        for (key, _) in system.web_addresses().into_iter().filter(|(_, address)| in_the_clear(address)) {
            let message = "http would send the credential and every account in the clear; use https";
            let hint = Some("http is for this machine alone: 127.0.0.1, [::1], localhost".to_owned());
            problems.push(Problem { hint, ..checked.places.at(&format!("{path}.{key}"), message) });
        }
    }
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
