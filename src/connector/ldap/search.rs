//! Searches: lists read page by page (RFC 2696), and single answers.

use std::collections::BTreeSet;

use ldap3::asn1::{PL, StructureTag, parse_tag};
use ldap3::controls::{PagedResults, RawControl};
use ldap3::{Ldap, LdapError, LdapResult, ResultEntry, Scope, SearchOptions, SearchStream};

use super::dn;
use super::entry::Entry;
use super::flavour::PAGED;
use super::link::{Asking, Link};
use super::refusal::Question;
use crate::connector::failure_table::Asked;
use crate::model::evidence::{Evidence, Suspicion};
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::numbers::counted;

/// Entries that are handed over at once at most, where a server knows no pages.
const CHUNK: usize = 1000;
/// Pages without a single entry in a row, after which a walk is taken for endless.
const EMPTY_PAGES: u32 = 100;

/// Results of a list that the server ends before its end: the limits of time, of size, and of its administrator.
const CUT_OFF: &[u16] = &[3, 4, 11];

/// What is searched for.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub(super) base: String,
    pub(super) scope: Scope,
    pub(super) filter: String,
    pub(super) attributes: Vec<String>,
}

impl Search {
    /// One entry by its name.
    pub(super) fn entry(dn: &str, attributes: &[&str]) -> Self {
        Self {
            base: dn.to_owned(),
            scope: Scope::Base,
            filter: "(objectClass=*)".to_owned(),
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// For the log.
    fn asking(&self) -> Asking {
        match self.scope {
            Scope::Base => Asking::new("read", dn::split(&self.base).map_or("", |(_, above)| above), 0),
            _ => Asking::new("search", &self.base, 0),
        }
    }

    /// For people; filters may hold personal data, and stay out.
    pub(super) fn spoken(&self) -> String {
        match (self.scope, self.base.as_str()) {
            (Scope::Base, "") => "reading the root entry".to_owned(),
            (Scope::Base, base) => format!("reading {base}"),
            (_, base) => format!("the search below {base}"),
        }
    }
}

type Stream = SearchStream<'static, String, Vec<String>>;

/// Asks once: for everything, or for so many entries at most.
async fn ask(link: &Link, search: &Search, asked: Asked, most: Option<usize>) -> Result<Vec<Entry>, Failure> {
    let what = search.spoken();
    let question = Question { system: link.system(), asked, what: &what };
    // Nought means that there is no limit.
    let limit = most.and_then(|most| i32::try_from(most).ok()).unwrap_or(0);
    let (found, result) = once(link, search, &question, limit, Vec::new()).await?;
    match result.rc {
        0 => Ok(found),
        // As many as were asked for.
        4 if most.is_some_and(|most| found.len() >= most) => Ok(found),
        32 if search.scope == Scope::Base => Ok(Vec::new()),
        _ => Err(question.refused(&result)),
    }
}

/// All entries of one answer to a request with controls, and the result behind them, whatever it is.
pub(super) async fn with_controls(
    link: &Link,
    search: &Search,
    what: &str,
    controls: Vec<RawControl>,
) -> Result<(Vec<Entry>, LdapResult), Failure> {
    once(link, search, &Question { system: link.system(), asked: Asked::List, what }, 0, controls).await
}

async fn once(
    link: &Link,
    search: &Search,
    question: &Question<'_>,
    limit: i32,
    controls: Vec<RawControl>,
) -> Result<(Vec<Entry>, LdapResult), Failure> {
    let mut found = Vec::new();
    let result = each(link, search, question, limit, controls, &mut |tag| {
        if !tag.is_ref() && !tag.is_intermediate() && (limit == 0 || found.len() < usize::try_from(limit).unwrap_or(0))
        {
            found.push(read(link, question.what, tag)?);
        }
        Ok(())
    })
    .await?;
    Ok((found, result))
}

/// Hands over whatever one answer holds, as it comes, and gives the result behind it, whatever it is.
pub(super) async fn each(
    link: &Link,
    search: &Search,
    question: &Question<'_>,
    limit: i32,
    controls: Vec<RawControl>,
    take: &mut (dyn FnMut(ResultEntry) -> Result<(), Failure> + Send),
) -> Result<LdapResult, Failure> {
    link.turn().await;
    let mut ldap = link.session().await?;
    let options = SearchOptions::new().sizelimit(limit);
    ldap.with_timeout(link.timeout()).with_search_options(options);
    if !controls.is_empty() {
        ldap.with_controls(controls);
    }
    let asking = search.asking();
    let lost = |asking, error: LdapError| {
        link.answered(asking, 0, Err(&error));
        question.lost(&error)
    };
    let stream = ldap.streaming_search(&search.base, search.scope, &search.filter, search.attributes.clone());
    let mut stream: Stream = match stream.await {
        Ok(stream) => stream,
        Err(error) => return Err(lost(asking, error)),
    };
    let mut received = 0;
    loop {
        match stream.next().await {
            Ok(Some(tag)) => {
                received += size(&tag.0);
                take(tag)?;
            }
            Ok(None) => break,
            Err(error) => return Err(lost(asking, error)),
        }
    }
    let result = stream.finish().await;
    link.answered(asking, received, Ok(&result));
    Ok(result)
}

/// Bytes of what an element holds.
fn size(tag: &StructureTag) -> u64 {
    match &tag.payload {
        PL::P(bytes) => bytes.len() as u64,
        PL::C(inner) => inner.iter().map(size).sum(),
    }
}

fn read(link: &Link, what: &str, tag: ResultEntry) -> Result<Entry, Failure> {
    Entry::read(tag.0).ok_or_else(|| {
        Failure::new(
            Class::Server,
            Recourse::GiveUp,
            link.system(),
            format!("{what}: an entry came that cannot be read"),
            "see whether a directory server answers there, and whether its names are UTF-8",
        )
    })
}

/// Asks, and asks again where that may help.
async fn repeat(link: &Link, search: &Search, asked: Asked, most: Option<usize>) -> Result<Vec<Entry>, Failure> {
    let mut failed = 0;
    loop {
        match ask(link, search, asked, most).await {
            Ok(found) => return Ok(found),
            Err(failure) => {
                failed += 1;
                link.wait(&failure, failed).await.ok_or(failure)?;
            }
        }
    }
}

/// All entries of a search that is known to find few.
pub(super) async fn all(link: &Link, search: &Search, asked: Asked) -> Result<Vec<Entry>, Failure> {
    repeat(link, search, asked, None).await
}

/// Some entry that a search finds.
pub(super) async fn some(link: &Link, search: &Search, asked: Asked) -> Result<Option<Entry>, Failure> {
    Ok(repeat(link, search, asked, Some(1)).await?.into_iter().next())
}

/// An entry by its name; `None` where there is none.
pub(super) async fn entry(link: &Link, dn: &str, attributes: &[&str]) -> Result<Option<Entry>, Failure> {
    let found = all(link, &Search::entry(dn, attributes), Asked::Object).await?;
    Ok(found.into_iter().next())
}

/// All values of an attribute of which a part came, read range by range (MS-ADTS section 3.1.1.3.1.3.3).
pub(super) async fn whole(
    link: &Link,
    entry: &Entry,
    attribute: &str,
    most: Option<u64>,
) -> Result<Vec<Vec<u8>>, Failure> {
    let first = entry.range(attribute);
    let (mut values, mut next) = (first.values.to_vec(), first.next);
    while let Some(from) = next {
        let to = most.map_or_else(|| "*".to_owned(), |most| (from + most - 1).to_string());
        let asked = format!("{attribute};range={from}-{to}");
        let Some(more) = self::entry(link, &entry.dn, &[&asked]).await? else { break };
        let range = more.range(attribute);
        if range.values.is_empty() && range.next.is_some() || range.next.is_some_and(|next| next <= from) {
            return Err(Failure::new(
                Class::Server,
                Recourse::GiveUp,
                link.system(),
                format!("{attribute} of {}: the range from {from} on does not come", entry.dn),
                "see the server's own log; `member_range` sets how many values are asked for at once",
            ));
        }
        values.extend_from_slice(range.values);
        next = range.next;
    }
    Ok(values)
}

/// A walk through everything that a search finds, on a session of its own.
pub(super) struct Pager<'a> {
    link: &'a Link,
    search: Search,
    what: String,
    /// Entries a page; `None` where the server knows no pages.
    page_size: Option<i32>,
    /// Whether a list that the server cuts off ends there, as one that is not whole.
    keeps_what_came: bool,
    session: Option<Ldap>,
    stream: Option<Stream>,
    /// Where the next page begins.
    cookie: Option<Vec<u8>>,
    empty_pages: u32,
    rows_of_page: usize,
    /// The page that is under way, and what came of it in bytes.
    asking: Option<Asking>,
    received: u64,
    referrals: BTreeSet<String>,
    /// What was seen so far; whole when the walk has ended.
    pub(super) evidence: Evidence,
}

impl<'a> Pager<'a> {
    pub(super) fn new(link: &'a Link, search: Search, page_size: Option<u64>) -> Self {
        Self {
            link,
            what: search.spoken(),
            search,
            page_size: page_size.map(|size| i32::try_from(size).unwrap_or(i32::MAX)),
            keeps_what_came: false,
            session: None,
            stream: None,
            cookie: Some(Vec::new()),
            empty_pages: 0,
            rows_of_page: 0,
            asking: None,
            received: 0,
            referrals: BTreeSet::new(),
            evidence: Evidence::default(),
        }
    }

    /// The same, and a list that the server cuts off ends where it does: `cut_off` of the evidence says so.
    pub(super) fn keeping_what_came(mut self) -> Self {
        self.keeps_what_came = true;
        self
    }

    fn question(&self) -> Question<'_> {
        Question { system: self.link.system(), asked: Asked::List, what: &self.what }
    }

    /// Some entries more, a page at most; `None` at the end, which the server has stated.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Entry>>, Failure> {
        loop {
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => match self.cookie.take() {
                    Some(cookie) => self.begin(cookie).await?,
                    None => {
                        self.conclude();
                        return Ok(None);
                    }
                },
            };
            let mut entries = Vec::new();
            let ended = loop {
                match stream.next().await.map_err(|error| self.lost(&error))? {
                    None => break true,
                    Some(tag) if tag.is_ref() => self.refer(tag),
                    Some(tag) if tag.is_intermediate() => {}
                    Some(tag) => {
                        self.received += size(&tag.0);
                        entries.push(read(self.link, &self.what, tag)?);
                    }
                }
                if entries.len() >= CHUNK && self.page_size.is_none() {
                    break false;
                }
            };
            self.rows_of_page += entries.len();
            self.evidence.rows_received += entries.len() as u64;
            if ended {
                let result = stream.finish().await;
                if let Some(asking) = self.asking.take() {
                    self.link.answered(asking, self.received, Ok(&result));
                }
                self.end_page(&result)?;
                // The server reads the next page while this one is worked on.
                if let Some(cookie) = self.cookie.take() {
                    self.stream = Some(self.begin(cookie).await?);
                }
            } else {
                self.stream = Some(stream);
            }
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
    }

    async fn begin(&mut self, cookie: Vec<u8>) -> Result<Stream, Failure> {
        self.link.turn().await;
        let mut ldap = match self.session.take() {
            Some(session) => session,
            None => self.link.open().await?,
        };
        let mut controls: Vec<RawControl> = Vec::new();
        if let Some(size) = self.page_size {
            controls.push(RawControl { crit: true, ..PagedResults { size, cookie }.into() });
        }
        self.evidence.pages_asked += 1;
        self.rows_of_page = 0;
        ldap.with_timeout(self.link.timeout());
        if !controls.is_empty() {
            ldap.with_controls(controls);
        }
        let (base, filter) = (self.search.base.clone(), self.search.filter.clone());
        let what = format!("search page {}", self.evidence.pages_asked);
        (self.asking, self.received) = (Some(Asking::new(&what, &base, 0)), 0);
        let stream = ldap.streaming_search(&base, self.search.scope, &filter, self.search.attributes.clone()).await;
        let stream = stream.map_err(|error| self.lost(&error))?;
        self.session = Some(ldap);
        Ok(stream)
    }

    fn lost(&mut self, error: &LdapError) -> Failure {
        if let Some(asking) = self.asking.take() {
            self.link.answered(asking, self.received, Err(error));
        }
        self.question().lost(error)
    }

    fn end_page(&mut self, result: &LdapResult) -> Result<(), Failure> {
        let code = u16::try_from(result.rc).unwrap_or(u16::MAX);
        *self.evidence.statuses.entry(code).or_default() += 1;
        if result.rc != 0 {
            let mut failure = self.question().refused(result);
            if self.evidence.rows_received > 0 {
                failure.cause.push_str(&format!(
                    "; {} had come",
                    counted(self.evidence.rows_received, "entry").replace("entrys", "entries")
                ));
            }
            if self.keeps_what_came && self.evidence.rows_received > 0 && CUT_OFF.contains(&code) {
                self.evidence.cut_off = Some(failure.account());
                return Ok(());
            }
            return Err(failure);
        }
        self.evidence.pages_received += 1;
        let paged = result.ctrls.iter().find(|control| control.1.ctype == PAGED);
        let cookie = match (self.page_size, paged) {
            (None, _) => Vec::new(),
            (Some(_), Some(control)) => control
                .1
                .val
                .as_deref()
                .and_then(cookie_of)
                .ok_or_else(|| self.unusable("its place in the list cannot be read"))?,
            // Without the control in the answer nobody says whether this was the last page.
            (Some(size), None) if self.rows_of_page >= usize::try_from(size).unwrap_or(usize::MAX) => {
                return Err(self.unusable("it does not say whether there is more"));
            }
            (Some(_), None) => Vec::new(),
        };
        self.empty_pages = if self.rows_of_page == 0 { self.empty_pages + 1 } else { 0 };
        if self.empty_pages > EMPTY_PAGES {
            return Err(self.unusable("it sends page after page with nothing on it"));
        }
        self.cookie = (!cookie.is_empty()).then_some(cookie);
        Ok(())
    }

    fn unusable(&self, why: &str) -> Failure {
        Failure::new(
            Class::Server,
            Recourse::GiveUp,
            self.link.system(),
            format!("{}: the server reads the list page by page, but {why}", self.what),
            "see the server's own log, and whether a proxy stands before it",
        )
    }

    fn refer(&mut self, tag: ResultEntry) {
        let urls = tag.0.expect_constructed().unwrap_or_default();
        let urls = urls.into_iter().filter_map(|url| String::from_utf8(url.expect_primitive()?).ok());
        // A server may name any number of them.
        if self.referrals.len() < 20 {
            self.referrals.extend(urls);
        }
    }

    /// What other servers hold of the tree was not read: for the partitions that every domain has that is as it should
    /// be, for anything else a person has to know.
    fn conclude(&mut self) {
        let is_partition = |url: &String| {
            let lower = url.to_lowercase();
            ["/cn=configuration,", "/dc=domaindnszones,", "/dc=forestdnszones,", "/cn=schema,"]
                .iter()
                .any(|part| lower.contains(part))
        };
        let (own, others): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.referrals).into_iter().partition(is_partition);
        if !own.is_empty() {
            self.evidence.notes.push(format!(
                "{} names other partitions, which are not read: {}",
                self.what,
                own.join(", ")
            ));
        }
        if !others.is_empty() {
            self.evidence.anomalies.push(Suspicion {
                name: "referrals".to_owned(),
                detail: format!(
                    "the server refers to others for a part of the tree, which is not read: {}; add them as systems of their own, or accept this",
                    others.join(", ")
                ),
                figure: others.join(" "),
            });
        }
    }
}

/// The cookie of a paged answer: SEQUENCE { size INTEGER, cookie OCTET STRING }.
fn cookie_of(value: &[u8]) -> Option<Vec<u8>> {
    let (_, tag) = parse_tag(value).ok()?;
    tag.expect_constructed()?.into_iter().nth(1)?.expect_primitive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_and_nonsense_is_none() {
        let control: RawControl = PagedResults { size: 7, cookie: b"here".to_vec() }.into();
        assert_eq!(control.val.as_deref().and_then(cookie_of).as_deref(), Some(&b"here"[..]));
        for nonsense in [&b""[..], &[0x30, 0x80], &[0x04, 0x01, 0x00], &[0x30, 0x00]] {
            assert_eq!(cookie_of(nonsense), None);
        }
    }
}
