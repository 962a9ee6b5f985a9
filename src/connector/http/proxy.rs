//! Which hosts are reached through the proxy.

use url::Url;

/// The proxy of a job file, with its exceptions.
#[derive(Clone, Debug)]
pub(super) struct ProxyRule {
    pub(super) url: Url,
    pub(super) no_proxy: Vec<String>,
}

impl ProxyRule {
    /// Whether an address is reached through this proxy.
    pub(super) fn applies_to(&self, url: &Url) -> bool {
        proxied(&self.no_proxy, url)
    }
}

/// Whether an address is reached through a proxy: not where `no_proxy` names its host, a domain above it, or `*`.
pub(crate) fn proxied(no_proxy: &[String], url: &Url) -> bool {
    let host = url.host_str().unwrap_or("").to_ascii_lowercase();
    let port = url.port_or_known_default();
    !no_proxy.iter().any(|entry| {
        let entry = entry.trim().to_ascii_lowercase();
        let (name, wanted) = match entry.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') => (name.to_owned(), digits.parse::<u16>().ok()),
            _ => (entry.clone(), None),
        };
        let domain = name.trim_start_matches("*.").trim_start_matches('.');
        (wanted.is_none() || wanted == port)
            && (name == "*" || host == domain || (!domain.is_empty() && host.ends_with(&format!(".{domain}"))))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_hosts_domains_and_ports() {
        let rule = |entries: &[&str]| ProxyRule {
            url: Url::parse("http://proxy:3128").unwrap(),
            no_proxy: entries.iter().map(|e| (*e).to_owned()).collect(),
        };
        let vault = Url::parse("https://vault.example.com/scim").unwrap();
        assert!(rule(&[]).applies_to(&vault));
        assert!(rule(&["ample.com", "other"]).applies_to(&vault));
        assert!(rule(&["vault.example.com:8443"]).applies_to(&vault));
        for entry in ["vault.example.com", ".example.com", "example.com", "*.example.com", "*", "VAULT.example.com:443"]
        {
            assert!(!rule(&[entry]).applies_to(&vault), "{entry}");
        }
    }
}
