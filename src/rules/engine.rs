//! The expression language: its functions, and the one context in which every rule is evaluated.

use std::sync::{Arc, LazyLock};

use cel::common::ast::IdedExpr;
use cel::context::VariableResolver;
use cel::extractors::This;
use cel::{Context, Env, ExecutionError, Value, extensions};
use unicode_normalization::UnicodeNormalization as _;

use super::problem::RuleProblem;

/// Every function that a rule may call, for the nearest right name of one that does not exist.
pub(super) const FUNCTIONS: &[&str] = &[
    "all",
    "ascii",
    "bool",
    "charAt",
    "contains",
    "distinct",
    "double",
    "duration",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "flatten",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "has",
    "indexOf",
    "int",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "map",
    "matches",
    "replace",
    "reverse",
    "size",
    "slice",
    "sort",
    "split",
    "startsWith",
    "string",
    "substring",
    "timestamp",
    "trim",
    "upperAscii",
];

/// Functions that yield a truth value.
pub(super) const TESTS: &[&str] = &["bool", "contains", "endsWith", "matches", "startsWith"];

/// Methods whose target is a list.
pub(super) const LIST_METHODS: &[&str] = &["distinct", "flatten", "join", "slice", "sort"];

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    // The optional syntax (`a.?b`) has nothing to offer here: a cell that is absent is empty.
    let mut environment = Env::stdlib().with_optional_support(false);
    // The only cause of an error is an extension that is added twice; a function that were missing would show as a
    // failing rule, and the tests of this module call each of them.
    let _ = environment.add_extension(extensions::strings);
    let _ = environment.add_extension(extensions::lists);
    Arc::new(environment)
});

static CONTEXT: LazyLock<Context<'static, 'static>> = LazyLock::new(|| {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    let _ = context.add_function("ascii", |This(text): This<Arc<String>>| Arc::new(ascii(&text)));
    context
});

/// A parsed rule, and where its parts stand in the text.
pub(super) struct Parsed {
    pub(super) expression: IdedExpr,
    /// Byte offset of a node by its id.
    pub(super) offset: Box<dyn Fn(u64) -> usize>,
}

/// Parses the text of a rule.
pub(super) fn parse(text: &str) -> Result<Parsed, Vec<RuleProblem>> {
    let program = ENVIRONMENT.compile(text).map_err(|errors| {
        let mut problems: Vec<RuleProblem> = errors
            .errors
            .iter()
            .map(|error| RuleProblem::new(text, offset_of(text, error.pos), plain(&error.msg)))
            .collect();
        // The parser goes on after an error and then stumbles over its own recovery: the first one is the mistake.
        problems.truncate(1);
        problems
    })?;
    let starts: std::collections::BTreeMap<u64, usize> = ids(program.expression())
        .into_iter()
        .filter_map(|id| program.source_info().offset_for(id).map(|(start, _)| (id, char_offset(text, start as usize))))
        .collect();
    Ok(Parsed {
        expression: program.expression().clone(),
        offset: Box::new(move |id| starts.get(&id).copied().unwrap_or(0)),
    })
}

/// Evaluates an expression with the variables of one row.
pub(super) fn evaluate(expression: &IdedExpr, variables: &dyn VariableResolver) -> Result<Value, ExecutionError> {
    let shared: &Context<'_, '_> = &CONTEXT;
    let mut scope = shared.new_inner_scope();
    scope.set_variable_resolver(variables);
    Value::resolve(expression, &scope)
}

/// Text without accents and without anything that ASCII cannot write: `Zoë Ørsted` becomes `Zoe Orsted`.
///
/// Compatibility decomposition (Unicode TR15), then the letters that have no decomposition; what is left is dropped.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.nfkd() {
        match character {
            _ if character.is_ascii() => plain.push(character),
            'ß' => plain.push_str("ss"),
            'ẞ' => plain.push_str("SS"),
            'Æ' => plain.push_str("AE"),
            'æ' => plain.push_str("ae"),
            'Œ' => plain.push_str("OE"),
            'œ' => plain.push_str("oe"),
            'Ø' => plain.push('O'),
            'ø' => plain.push('o'),
            'Đ' | 'Ð' => plain.push('D'),
            'đ' | 'ð' => plain.push('d'),
            'Ł' => plain.push('L'),
            'ł' => plain.push('l'),
            'Þ' => plain.push_str("Th"),
            'þ' => plain.push_str("th"),
            'ı' => plain.push('i'),
            '\u{2010}'..='\u{2015}' => plain.push('-'),
            '\u{2018}' | '\u{2019}' => plain.push('\''),
            '\u{201c}' | '\u{201d}' => plain.push('"'),
            _ => {}
        }
    }
    plain
}

/// The parser's message in plain words: without the list of every token that it would have liked.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("Syntax error: ").unwrap_or(line);
    let line = line.split(" expecting ").next().unwrap_or(line);
    if let Some(rest) = line.strip_prefix("token recognition error at: ") {
        return format!("cannot be read from here: {}", rest.trim_matches('\'').trim());
    }
    let token = |prefix: &str| line.strip_prefix(prefix).map(|rest| rest.trim_matches('\''));
    if let Some(missing) = token("missing ") {
        let missing = missing.split('\'').next().unwrap_or(missing);
        return format!("`{missing}` is missing here");
    }
    match token("mismatched input ").or_else(|| token("extraneous input ")) {
        Some("<EOF>") => "the expression ends too early".to_owned(),
        Some(token) => format!("`{token}` is not expected here"),
        None if line.ends_with("'<EOF>'") => "the expression ends too early".to_owned(),
        None => format!("not an expression: {}", line.replace('\'', "`")),
    }
}

/// Bytes before a place that the parser gives as line and column, both from 1, columns in characters.
fn offset_of(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    before + text.get(before..).map_or(0, |rest| char_offset(rest, column))
}

fn char_offset(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(offset, _)| offset)
}

fn ids(expression: &IdedExpr) -> Vec<u64> {
    use cel::common::ast::Expr;
    let mut found = vec![expression.id];
    match &expression.expr {
        Expr::Call(call) => {
            found.extend(call.target.iter().flat_map(|target| ids(target)));
            found.extend(call.args.iter().flat_map(ids));
        }
        Expr::Select(select) => found.extend(ids(&select.operand)),
        Expr::List(list) => found.extend(list.elements.iter().flat_map(ids)),
        Expr::Comprehension(parts) => {
            for part in [&parts.iter_range, &parts.accu_init, &parts.loop_cond, &parts.loop_step, &parts.result] {
                found.extend(ids(part));
            }
        }
        _ => {}
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ascii_keeps_what_ascii_can_write() {
        assert_eq!(ascii("Zoë Ørsted-Łuć"), "Zoe Orsted-Luc");
        assert_eq!(ascii("Straße № 5"), "Strasse No 5");
        assert_eq!(ascii("Жанна"), "");
    }

    #[test]
    fn a_syntax_error_has_a_place_and_no_jargon() {
        let problem = parse("email.lowerAscii() +").err().unwrap().remove(0);
        assert_eq!((problem.message.as_str(), problem.offset), ("the expression ends too early", 20));
        let problem = parse("a && )").err().unwrap().remove(0);
        assert_eq!((problem.message.as_str(), problem.offset), ("`)` is not expected here", 5));
    }
}
