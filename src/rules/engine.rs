//! The expression language, and the one context in which every rule is evaluated.

use std::sync::{Arc, LazyLock};

use cel::common::ast::IdedExpr;
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value, extensions};

use super::functions;
use super::problem::RuleProblem;

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
    functions::add(&mut context);
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
    fn a_syntax_error_has_a_place_and_no_jargon() {
        let problem = parse("email.lowerAscii() +").err().unwrap().remove(0);
        assert_eq!((problem.message.as_str(), problem.offset), ("the expression ends too early", 20));
        let problem = parse("a && )").err().unwrap().remove(0);
        assert_eq!((problem.message.as_str(), problem.offset), ("`)` is not expected here", 5));
    }
}
