//! Examples for the job file's reference, cut out of fixtures that the program reads.

use toml::Value;

/// The lines of one job file, and what they mean.
pub(crate) struct Fixture {
    text: String,
    table: Value,
}

/// The most lines that an example has.
const MOST_LINES: usize = 14;

/// Every valid fixture, the one that holds nearly everything first.
pub(crate) fn all() -> Vec<Fixture> {
    let folder = crate::root().join("fixtures/jobs/valid");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort_by_key(|file| (file.file_stem() != Some("everything".as_ref()), file.clone()));
    let read = |file| {
        let text = std::fs::read_to_string(file).unwrap();
        Fixture { table: text.parse::<toml::Table>().unwrap().into(), text }
    };
    files.into_iter().map(read).collect()
}

/// The fullest example of a table: `path` as in `sync.match`, with `*` for a name that jobs choose. A system also says its
/// kind; and the keys that a table needs tell apart what may stand at one place.
pub(crate) fn example(fixtures: &[Fixture], path: &[&str], kind: Option<&str>, needs: &[&str]) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for fixture in fixtures {
        for (keys, size) in places(&fixture.table, path, kind, needs) {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let Some(text) = cut(&fixture.text, &keys).filter(|text| text.lines().count() <= MOST_LINES) else {
                continue;
            };
            if best.as_ref().is_none_or(|(largest, _)| size > *largest) {
                best = Some((size, text));
            }
        }
    }
    best.map(|(_, text)| text)
}

/// Where a file has such a table: the keys that lead there, and how many keys the table has.
fn places(value: &Value, path: &[&str], kind: Option<&str>, needs: &[&str]) -> Vec<(Vec<String>, usize)> {
    let entries: Vec<&Value> = match value {
        Value::Array(entries) => entries.iter().collect(),
        other => vec![other],
    };
    let mut found = Vec::new();
    for entry in entries {
        let Some((first, rest)) = path.split_first() else {
            if let Value::Table(table) = entry
                && needs.iter().all(|key| table.contains_key(*key))
            {
                found.push((Vec::new(), table.len()));
            }
            continue;
        };
        let Value::Table(table) = entry else { continue };
        for (key, inner) in table.iter().filter(|(key, _)| *first == "*" || key == first) {
            // Of a system, only one of this kind.
            let is_kind = inner.get("kind").and_then(Value::as_str);
            if kind.is_some() && is_kind.is_some() && is_kind != kind {
                continue;
            }
            for (mut keys, size) in places(inner, rest, kind, needs) {
                keys.insert(0, key.clone());
                found.push((keys, size));
            }
        }
    }
    found
}

/// The lines that write the table at these keys: below its own header, or as a value below the header of what holds it.
fn cut(text: &str, keys: &[&str]) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    for depth in (0..=keys.len()).rev() {
        let (heads, inline) = keys.split_at(depth);
        let starts = match heads {
            [] => vec![None],
            heads => (0..lines.len()).filter(|at| header(lines[*at]).is_some_and(|h| h == heads)).map(Some).collect(),
        };
        for start in starts {
            let from = start.map_or(0, |at| at + 1);
            let block = lines[from..].iter().take_while(|line| header(line).is_none());
            let block: Vec<&str> = block.copied().collect();
            let body = match inline {
                [] => block.iter().copied().take_while(|line| !line.is_empty()).collect(),
                [key, ..] => value_of(&block, key)?,
            };
            if !body.is_empty() {
                let head: Vec<&str> = start.map(|at| lines[at]).into_iter().collect();
                return Some([head, body].concat().join("\n"));
            }
        }
    }
    None
}

/// The keys of a header line: `[[sync]]`, `[snapshot."idp.users"]`.
fn header(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix('[')?.trim_start_matches('[').split(']').next()?;
    let (mut keys, mut is_quoted) = (vec![String::new()], false);
    for c in inner.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            '.' if !is_quoted => keys.push(String::new()),
            c => keys.last_mut()?.push(c),
        }
    }
    Some(keys)
}

/// The lines of one key's value: as many as it takes until they can be read.
fn value_of<'a>(block: &[&'a str], key: &str) -> Option<Vec<&'a str>> {
    let is_key = |line: &&str| line.starts_with(&format!("{key} = ")) || line.starts_with(&format!("\"{key}\" = "));
    let Some(first) = block.iter().position(is_key) else { return Some(Vec::new()) };
    (first..block.len()).map(|last| &block[first..=last]).find_map(|lines| {
        let whole = lines.join("\n").parse::<toml::Table>().is_ok();
        whole.then(|| lines.to_vec())
    })
}
