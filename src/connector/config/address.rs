//! Addresses as job files write them.

use url::Url;

/// A usable http or https address: with a host, without a credential, query or fragment.
///
/// # Errors
/// A sentence that says what is wrong; a password in the address is not repeated.
pub fn web_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("this is no address: {error}; write https://HOST/PATH"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("this is no http or https address; write https://HOST/PATH".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a credential may not stand in an address; use `auth` with a reference such as env:NAME".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base address has no `?` and no `#`; leave that part out".to_owned());
    }
    Ok(url)
}
