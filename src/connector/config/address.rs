//! Addresses as job files write them.

use url::Url;

use crate::connector::http::proxied;
use crate::model::failure::Stage;

/// The stages of reaching a system over HTTP, in the order in which a probe tries them: to the proxy where there is one on
/// the way, else to the host; through TLS where the address asks for it.
pub(super) fn stages_to(url: &str, proxy: Option<&str>, no_proxy: &[String]) -> Vec<Stage> {
    let url = web_address(url).ok();
    let is_proxied = proxy.is_some() && url.as_ref().is_some_and(|url| proxied(no_proxy, url));
    let mut stages = if is_proxied { vec![Stage::Proxy] } else { vec![Stage::Resolve, Stage::Connect] };
    if url.is_some_and(|url| url.scheme() == "https") {
        stages.push(Stage::Tls);
    }
    stages.extend([Stage::Http, Stage::Login, Stage::Permission, Stage::Schema]);
    stages
}

/// What is wrong with the settings that each system over HTTP has: address, proxy, numbers of which none can be 0, the
/// first of them how many questions are asked at once, and the size of an answer.
pub(super) fn http_problems(
    url: &str,
    proxy: Option<&str>,
    numbers: &[(&'static str, Option<u64>)],
    max_answer_bytes: u64,
) -> Vec<(&'static str, String)> {
    let addresses = [("url", Some(url)), ("proxy", proxy)];
    let wrong = addresses.into_iter().filter_map(|(field, address)| Some((field, web_address(address?).err()?)));
    let mut problems: Vec<(&'static str, String)> = wrong.collect();
    let zeros = numbers.iter().filter(|(_, number)| *number == Some(0));
    problems.extend(zeros.map(|(field, _)| (*field, "0 is not possible here; the least is 1".to_owned())));
    if let Some((field, Some(65..))) = numbers.first() {
        problems.push((field, "so many questions at once are an attack; the most is 64".to_owned()));
    }
    if max_answer_bytes < 1024 {
        problems.push(("max_answer_bytes", "no answer fits into so little; the least is 1024".to_owned()));
    }
    problems
}

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
