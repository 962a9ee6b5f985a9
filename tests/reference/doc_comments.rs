//! What the comment on each variant of an enum, or each field of a struct, says: read from the sources.

use std::collections::BTreeMap;

/// The comment of each part of an item (`enum Class`), by the part's name: its paragraphs.
pub(crate) fn of_parts(file: &str, item: &str) -> BTreeMap<String, Vec<String>> {
    let source = std::fs::read_to_string(crate::root().join(file)).unwrap();
    let beginning = format!("pub {item} {{\n");
    let body = source.split(&beginning).nth(1).unwrap_or_else(|| panic!("{file} has no {item}"));
    let (mut found, mut said) = (BTreeMap::new(), vec![String::new()]);
    for line in body.lines().take_while(|line| *line != "}") {
        let Some(line) = line.strip_prefix("    ").filter(|line| !line.starts_with([' ', '}', '#'])) else { continue };
        match line.strip_prefix("///") {
            Some("") => said.push(String::new()),
            Some(words) => {
                let paragraph = said.last_mut().unwrap();
                if !paragraph.is_empty() {
                    paragraph.push(' ');
                }
                paragraph.push_str(words.trim());
            }
            None => {
                let name = line.trim_start_matches("pub ").chars();
                let name: String = name.take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                found.insert(name, std::mem::replace(&mut said, vec![String::new()]));
            }
        }
    }
    found
}
