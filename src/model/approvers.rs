//! Who may approve: an OpenSSH allowed_signers file (ssh-keygen(1), "ALLOWED SIGNERS").

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use ssh_key::PublicKey;
use ssh_key::authorized_keys::ConfigOptsIter;

use super::signature::{NAMESPACE, SigningKey};

/// Turns a time of this machine's time zone into a moment; `None` for one that does not exist there.
pub type Zone = fn(NaiveDateTime) -> Option<DateTime<Utc>>;

/// The people of an allowed_signers file. A name stands for one person, and so does a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvers(Vec<Approver>);

/// One line: a person with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// The names (principals); the first is how the person is told.
    pub names: Vec<String>,
    /// The key.
    pub key: SigningKey,
    /// What the key may sign, as patterns; `None` = anything.
    namespaces: Option<String>,
    valid_after: Option<DateTime<Utc>>,
    valid_before: Option<DateTime<Utc>>,
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineFault {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub what: String,
}

/// Why a key may not approve now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// No line names it.
    #[error("the key {0} that signed it is not listed there (any more)")]
    NotListed(SigningKey),
    /// Its line keeps it for other uses.
    #[error("the key of {name} is listed there for namespaces=\"{namespaces}\" only, and approvals are `{NAMESPACE}`")]
    Namespaces {
        /// Whose key.
        name: String,
        /// What it may sign.
        namespaces: String,
    },
    /// Its time has not come.
    #[error("the key of {name} is valid only from {at}")]
    NotYet {
        /// Whose key.
        name: String,
        /// From when.
        at: DateTime<Utc>,
    },
    /// Its time is over.
    #[error("the key of {name} was valid only until {at}")]
    Over {
        /// Whose key.
        name: String,
        /// Until when.
        at: DateTime<Utc>,
    },
}

impl Approver {
    /// How the person is told.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// Whether a login is this person's: one of the names, or such a name's part before the `@`. Case does not count.
    pub fn is_login(&self, login: &str) -> bool {
        let same = |name: &str| name.eq_ignore_ascii_case(login);
        self.names.iter().any(|name| same(name) || name.split_once('@').is_some_and(|(local, _)| same(local)))
    }

    fn may_sign(&self, now: DateTime<Utc>) -> Result<(), NotAllowed> {
        let name = self.name().to_owned();
        if let Some(namespaces) = self.namespaces.as_ref().filter(|patterns| !covers(patterns, NAMESPACE)) {
            return Err(NotAllowed::Namespaces { name, namespaces: namespaces.clone() });
        }
        match (self.valid_after, self.valid_before) {
            (Some(at), _) if now < at => Err(NotAllowed::NotYet { name, at }),
            (_, Some(at)) if now >= at => Err(NotAllowed::Over { name, at }),
            _ => Ok(()),
        }
    }
}

impl Approvers {
    /// Reads an allowed_signers file. `zone` is for times that name none.
    ///
    /// # Errors
    /// Every line that cannot be used; a file without any line.
    pub fn parse(text: &str, zone: Zone) -> Result<Self, Vec<LineFault>> {
        let (mut approvers, mut faults) = (Vec::<Approver>::new(), Vec::new());
        let mut people: BTreeMap<String, String> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match approver(line, zone)
                .and_then(|approver| one_person(&approver, &approvers, &mut people).map(|()| approver))
            {
                Ok(approver) => approvers.push(approver),
                Err(what) => faults.push(LineFault { line: number + 1, what }),
            }
        }
        if approvers.is_empty() && faults.is_empty() {
            let what = "nobody is listed; a line is a name and a public key: `jane@example.com ssh-ed25519 AAAA…`";
            faults.push(LineFault { line: 1, what: what.to_owned() });
        }
        if faults.is_empty() { Ok(Self(approvers)) } else { Err(faults) }
    }

    /// How many different people may approve.
    pub fn people(&self) -> usize {
        let names: std::collections::BTreeSet<&str> = self.0.iter().map(Approver::name).collect();
        names.len()
    }

    /// The person whose key this is, if it may sign approvals now.
    ///
    /// # Errors
    /// [`NotAllowed`].
    pub fn allowed(&self, key: &SigningKey, now: DateTime<Utc>) -> Result<&Approver, NotAllowed> {
        let mut why = None;
        for approver in self.0.iter().filter(|approver| approver.key == *key) {
            match approver.may_sign(now) {
                Ok(()) => return Ok(approver),
                Err(not) => why = Some(not),
            }
        }
        Err(why.unwrap_or_else(|| NotAllowed::NotListed(key.clone())))
    }
}

/// Makes sure that neither a name nor a key stands for two people, of whom one could count as two reviewers.
fn one_person(approver: &Approver, earlier: &[Approver], people: &mut BTreeMap<String, String>) -> Result<(), String> {
    if let Some(other) = earlier.iter().find(|other| other.key == approver.key && other.name() != approver.name()) {
        return Err(format!(
            "the key of {} stands here for {} too; give each person a key of their own, or begin both lines with the same name",
            other.name(),
            approver.name()
        ));
    }
    for name in &approver.names {
        let person = people.entry(name.to_ascii_lowercase()).or_insert_with(|| approver.name().to_owned());
        if person != approver.name() {
            return Err(format!(
                "{name} is a name of {person} already; begin each line of one person with the same name"
            ));
        }
    }
    Ok(())
}

fn approver(line: &str, zone: Zone) -> Result<Approver, String> {
    let (names, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or("the quotes around the name are not closed")?,
        None => line.split_once([' ', '\t']).ok_or("a line is a name and a public key: `jane ssh-ed25519 AAAA…`")?,
    };
    let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err("a name is empty; names are separated by one comma".to_owned());
    }
    if let Some(pattern) = names.iter().find(|name| name.contains(['*', '?', '!'])) {
        return Err(format!("`{pattern}` is a pattern, and a reviewer is one person; write the name itself"));
    }
    let rest = rest.trim_start();
    let key = |text: &str| PublicKey::from_openssh(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    // Options stand before the key, where there are any.
    let (options, public) = match key(rest) {
        Ok(public) => ("", public),
        Err(no_key) => {
            let (options, rest) = split_options(rest);
            let known = options.contains('=') || options.split(',').any(|o| o.eq_ignore_ascii_case("cert-authority"));
            if !known {
                return Err(format!("the public key cannot be read ({no_key}); paste the whole line of the .pub file"));
            }
            let public = key(rest.trim_start()).map_err(|error| {
                format!(
                    "the public key after the options cannot be read ({error}); paste the whole line of the .pub file"
                )
            })?;
            (options, public)
        }
    };
    let key = SigningKey(public.key_data().clone());
    let mut approver = Approver { names, key, namespaces: None, valid_after: None, valid_before: None };
    for option in ConfigOptsIter::new(options).map_err(|error| format!("the options cannot be read: {error}"))? {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "namespaces" => approver.namespaces = Some(value.to_owned()),
            "valid-after" => approver.valid_after = Some(moment(name, value, zone)?),
            "valid-before" => approver.valid_before = Some(moment(name, value, zone)?),
            "cert-authority" => {
                let what = "certificates are not taken (cert-authority); list each person's own key";
                return Err(what.to_owned());
            }
            _ => {
                return Err(format!("unknown option `{name}`; known are namespaces, valid-after, valid-before"));
            }
        }
    }
    Ok(approver)
}

/// The options of a line, up to the first blank outside quotes, and the rest.
fn split_options(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = text.find(|c: char| {
        quoted ^= c == '"';
        !quoted && c.is_whitespace()
    });
    text.split_at(end.unwrap_or(text.len()))
}

/// `YYYYMMDD[Z]` or `YYYYMMDDHHMM[SS][Z]`; in UTC with a `Z`, else in this machine's time zone.
fn moment(option: &str, text: &str, zone: Zone) -> Result<DateTime<Utc>, String> {
    let digits = text.strip_suffix(['Z', 'z']);
    let is_utc = digits.is_some();
    let digits = digits.unwrap_or(text);
    let time = match digits.len() {
        8 => NaiveDate::parse_from_str(digits, "%Y%m%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0)),
        12 => NaiveDateTime::parse_from_str(&format!("{digits}00"), "%Y%m%d%H%M%S").ok(),
        14 => NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok(),
        _ => None,
    };
    let at = time.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    at.and_then(|time| if is_utc { Some(time.and_utc()) } else { zone(time) }).ok_or_else(|| {
        format!("{option}=\"{text}\" is no time; write 20271231, 202712312359 or 20271231235959, with a Z for UTC")
    })
}

/// Whether a list of patterns covers a word: one of them does, and none with a `!` in front.
fn covers(patterns: &str, word: &str) -> bool {
    let mut covered = false;
    for pattern in patterns.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(no) if fits(no.as_bytes(), word.as_bytes()) => return false,
            Some(_) => {}
            None => covered |= fits(pattern.as_bytes(), word.as_bytes()),
        }
    }
    covered
}

/// A pattern of `*` (any text) and `?` (one character).
fn fits(pattern: &[u8], word: &[u8]) -> bool {
    match pattern.split_first() {
        None => word.is_empty(),
        Some((b'*', rest)) => (0..=word.len()).any(|skipped| fits(rest, &word[skipped..])),
        Some((b'?', rest)) => word.split_first().is_some_and(|(_, word)| fits(rest, word)),
        Some((byte, rest)) => word.split_first().is_some_and(|(first, word)| first == byte && fits(rest, word)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti jane at work";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7ScbJHIPzShpTsMFA6hGdGZCOXTTyhoOJFyVSEUVzd";

    /// A machine two hours east of Greenwich.
    fn parse(text: &str) -> Result<Approvers, Vec<LineFault>> {
        Approvers::parse(text, |time| Some(time.and_utc() - chrono::TimeDelta::hours(2)))
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_line_is_read_as_openssh_reads_it() {
        let file = format!(
            "# who may\n\njane@corp,jane namespaces=\"file,must?r\",valid-after=\"20260101Z\",valid-before=20270101 {KEY}\n\
             \"joe\"\t{OTHER}\n"
        );
        let approvers = parse(&file).unwrap();
        assert_eq!(approvers.people(), 2);
        let key = &approvers.0[0].key;
        assert_eq!(approvers.allowed(key, at("2026-06-01T00:00:00Z")).unwrap().name(), "jane@corp");
        assert!(approvers.0[0].is_login("JANE") && !approvers.0[0].is_login("joe"));
        let why = |now: &str| approvers.allowed(key, at(now)).unwrap_err();
        assert!(matches!(why("2025-12-31T23:59:59Z"), NotAllowed::NotYet { .. }));
        // Without a Z it is the machine's own midnight.
        assert!(approvers.allowed(key, at("2026-12-31T21:59:59Z")).is_ok());
        assert!(matches!(why("2026-12-31T22:00:00Z"), NotAllowed::Over { .. }));
        let other = parse(&format!("jane namespaces=\"*,!muster\" {OTHER}")).unwrap();
        let now = at("2026-06-01T00:00:00Z");
        assert!(matches!(other.allowed(&other.0[0].key, now), Err(NotAllowed::Namespaces { .. })));
        assert!(matches!(other.allowed(key, now), Err(NotAllowed::NotListed(_))));
    }

    #[test]
    fn what_cannot_be_used_is_named_line_by_line() {
        let file = format!(
            "jane {KEY}\n*@corp {OTHER}\nca cert-authority {OTHER}\njim ssh-ed25519 AAAA\nbob {KEY}\njoe,jane {OTHER}\n\
             eve valid-before=\"soon\" {OTHER}\nmax verify-required=1 {OTHER}\nalone\n"
        );
        let faults = parse(&file).unwrap_err();
        let words = [
            (2, "`*@corp` is a pattern"),
            (3, "certificates are not taken"),
            (4, "the public key cannot be read"),
            (5, "the key of jane stands here for bob too"),
            (6, "jane is a name of jane already"),
            (7, "valid-before=\"soon\" is no time"),
            (8, "unknown option `verify-required`"),
            (9, "a line is a name and a public key"),
        ];
        assert_eq!(faults.len(), words.len(), "{faults:#?}");
        for (fault, (line, what)) in faults.iter().zip(words) {
            assert!(fault.line == line && fault.what.contains(what), "{fault}");
        }
        assert!(parse("# nobody\n").unwrap_err()[0].what.contains("nobody is listed"));
    }
}
