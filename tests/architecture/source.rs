//! A Rust source as tokens, without comments and literals, and the paths that it names.

use std::fmt;

/// One word or punctuation character; `::` is one token.
struct Token {
    text: String,
    line: usize,
    /// Inside an item under `#[cfg(test)]`.
    in_tests: bool,
    /// How many modules deep the token stands below the crate: 1 in src/rules/mod.rs, 2 in src/rules/mapping.rs.
    depth: usize,
}

/// A source file.
pub(crate) struct Source {
    tokens: Vec<Token>,
}

/// A path of at least one name, with its group (`a::{b, c}`) taken apart.
pub(crate) struct Path {
    names: Vec<String>,
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// Inside an item under `#[cfg(test)]`.
    pub(crate) in_tests: bool,
    depth: usize,
    is_macro: bool,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join("::"))
    }
}

impl Path {
    /// The first name: a crate, where the path is not of ours.
    pub(crate) fn first(&self) -> &str {
        &self.names[0]
    }

    /// Whether these names follow each other in it.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.names.windows(names.len()).any(|window| window.iter().zip(names).all(|(a, b)| a == b))
    }

    /// Whether it reads the process's environment; the macro `env!` reads the compiler's.
    pub(crate) fn reads_environment(&self) -> bool {
        const READS: [&str; 9] =
            ["var", "var_os", "vars", "vars_os", "args", "args_os", "current_dir", "current_exe", "temp_dir"];
        let last_is_macro = self.is_macro && self.names.last().is_some_and(|name| name == "env");
        !last_is_macro && (self.has(&["std", "env"]) || READS.iter().any(|name| self.has(&["env", name])))
    }

    /// The module of ours that it leads into, from the crate's root or by climbing up to it.
    pub(crate) fn of_ours(&self) -> Option<&str> {
        if self.first() == "crate" {
            return self.names.get(1).map(String::as_str);
        }
        let own = usize::from(self.first() == "self");
        let climbs = self.names[own..].iter().take_while(|name| *name == "super").count();
        if climbs >= self.depth && climbs > 0 { self.names.get(own + climbs).map(String::as_str) } else { None }
    }
}

impl Source {
    /// Takes a file apart. `file` says how deep its module is.
    pub(crate) fn read(file: &str, text: &str) -> Self {
        let inside = file.strip_prefix("src/").unwrap_or(file).trim_end_matches(".rs");
        let depth = inside.split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main")).count();
        let all_tests =
            inside.split('/').any(|name| name == "tests" || name.ends_with("_tests")) || !file.starts_with("src/");
        let mut tokens = tokens(&without_comments_and_literals(text), depth);
        mark(&mut tokens, all_tests);
        Self { tokens }
    }

    /// Every path that it names, in its order.
    pub(crate) fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        let mut at = 0;
        let mut in_use = false;
        while at < self.tokens.len() {
            let before = at.checked_sub(1).map(|i| self.text(i)).unwrap_or_default();
            let starts = is_name(self.text(at)) && !matches!(before, "." | "::");
            in_use = self.text(at) == "use" || (in_use && self.text(at) != ";");
            if starts && (self.text(at + 1) == "::" || (in_use && self.text(at) != "use")) {
                at = self.path(at, &[], &mut paths);
            } else {
                at += 1;
            }
        }
        paths
    }

    /// Reads the path that starts at a token, below a prefix; returns where it ends.
    fn path(&self, start: usize, prefix: &[String], paths: &mut Vec<Path>) -> usize {
        let mut names = prefix.to_vec();
        let mut at = start;
        loop {
            match self.text(at) {
                "{" => {
                    at += 1;
                    while at < self.tokens.len() && self.text(at) != "}" {
                        at = if self.text(at) == "," { at + 1 } else { self.path(at, &names, paths) };
                    }
                    return at + 1;
                }
                name if is_name(name) => names.push(name.to_owned()),
                "*" => {}
                // Generic arguments and whatever else follows `::` hold paths of their own.
                _ => break,
            }
            at += 1;
            if self.text(at) != "::" {
                break;
            }
            at += 1;
        }
        let token = &self.tokens[start];
        let is_macro = self.text(at) == "!";
        if !names.is_empty() {
            paths.push(Path { names, line: token.line, in_tests: token.in_tests, depth: token.depth, is_macro });
        }
        if self.text(at) == "as" {
            at += 2;
        }
        at.max(start + 1)
    }

    /// Macros that write to the screen, outside tests: line and name.
    pub(crate) fn prints(&self) -> Vec<(usize, &str)> {
        let prints = |(i, token): &(usize, &Token)| {
            matches!(token.text.as_str(), "print" | "println" | "eprint" | "eprintln" | "dbg")
                && self.text(i + 1) == "!"
                && !token.in_tests
        };
        self.tokens.iter().enumerate().filter(prints).map(|(_, token)| (token.line, token.text.as_str())).collect()
    }

    /// Tests that are ignored and dead code that is allowed: line and what was found.
    pub(crate) fn silenced(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (i, token) in self.tokens.iter().enumerate().filter(|(_, token)| token.text == "#") {
            let open = if self.text(i + 1) == "!" { i + 2 } else { i + 1 };
            let attribute: Vec<&str> =
                (open..self.tokens.len()).map(|j| self.text(j)).take_while(|text| *text != "]").collect();
            for silencer in [["[", "ignore"].as_slice(), &["dead_code"]] {
                if attribute.windows(silencer.len()).any(|window| window == silencer) {
                    found.push((token.line, format!("`{}` in an attribute", silencer[silencer.len() - 1])));
                }
            }
        }
        found
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits cleaned text into tokens.
fn tokens(text: &str, depth: usize) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let mut word = c.to_string();
        if c == '\n' {
            line += 1;
        }
        if c.is_whitespace() {
            continue;
        }
        if c.is_alphanumeric() || c == '_' {
            while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_') {
                word.push(next);
            }
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            word.push(':');
        }
        tokens.push(Token { text: word, line, in_tests: false, depth });
    }
    tokens
}

/// Marks what stands under `#[cfg(test)]`, and counts how many modules deep each token is.
fn mark(tokens: &mut [Token], all_tests: bool) {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let is_cfg_test = |tokens: &[Token], i: usize| {
        CFG_TEST.iter().enumerate().all(|(k, text)| tokens.get(i + k).is_some_and(|t| t.text == *text))
    };
    // One entry for each open brace: whether it opens a module, and whether it opens a test item.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut module_next = false;
    let mut test_next = false;
    for i in 0..tokens.len() {
        test_next |= is_cfg_test(tokens, i);
        module_next |= tokens[i].text == "mod";
        match tokens[i].text.as_str() {
            "{" => {
                open.push((module_next, test_next));
                (module_next, test_next) = (false, false);
            }
            ";" => (module_next, test_next) = (false, false),
            _ => {}
        }
        tokens[i].in_tests = all_tests || test_next || open.iter().any(|(_, test)| *test);
        tokens[i].depth += open.iter().filter(|(module, _)| *module).count();
        if tokens[i].text == "}" {
            open.pop();
        }
    }
}

/// The text with blanks for comments and for what stands in literals; line breaks stay.
fn without_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment_end(&chars, at);
        if end > at {
            clean.push(' ');
            clean.extend(chars[at..end].iter().filter(|c| **c == '\n'));
            at = end;
        } else {
            clean.push(chars[at]);
            at += 1;
        }
    }
    clean
}

/// Where the literal or comment that starts here ends; the same place where none starts.
fn literal_or_comment_end(chars: &[char], at: usize) -> usize {
    let get = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let find =
        |from: usize, found: &dyn Fn(usize) -> bool| (from..chars.len()).find(|i| found(*i)).unwrap_or(chars.len());
    let in_word = at > 0 && (get(at - 1).is_alphanumeric() || get(at - 1) == '_');
    match get(at) {
        '/' if get(at + 1) == '/' => find(at, &|i| get(i) == '\n'),
        '/' if get(at + 1) == '*' => {
            let (mut depth, mut i) = (1, at + 2);
            while depth > 0 && i < chars.len() {
                match (get(i), get(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
            }
            i
        }
        '"' => {
            let mut i = at + 1;
            while i < chars.len() && get(i) != '"' {
                i += if get(i) == '\\' { 2 } else { 1 };
            }
            (i + 1).min(chars.len())
        }
        'r' | 'b' | 'c' if !in_word => {
            let raw = find(at, &|i| !matches!(get(i), 'r' | 'b' | 'c'));
            let quote = find(raw, &|i| get(i) != '#');
            if get(raw - 1) != 'r' || get(quote) != '"' {
                return at;
            }
            let hashes = quote - raw;
            let closes = |i: usize| get(i) == '"' && (1..=hashes).all(|k| get(i + k) == '#');
            (find(quote + 1, &closes) + 1 + hashes).min(chars.len())
        }
        '\'' if get(at + 1) == '\\' => find(at + 3, &|i| get(i) == '\'') + 1,
        '\'' if get(at + 2) == '\'' => at + 3,
        _ => at,
    }
}
