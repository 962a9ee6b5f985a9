//! Functions that rules have besides those of the language and its extensions.

use cel::common::types::{CelBool, CelInt, CelList, CelNull, CelString, CelTimestamp};
use cel::common::value::{CowVal, Val};
use cel::{Context, ExecutionError, FunctionContext};
use regex::Regex;
use unicode_normalization::UnicodeNormalization as _;

use super::cells;
use super::constant::Constant;
use super::dates;

/// Every function that a rule may call, for the nearest right name of one that does not exist.
pub(super) const FUNCTIONS: &[&str] = &[
    "addDays",
    "all",
    "ascii",
    "bool",
    "charAt",
    "contains",
    "default",
    "distinct",
    "double",
    "duration",
    "endsWith",
    "exists",
    "exists_one",
    "extract",
    "filter",
    "flatten",
    "format",
    "formatDate",
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
    "lookup",
    "lowerAscii",
    "map",
    "matches",
    "padLeft",
    "padRight",
    "parseDate",
    "replace",
    "replaceAll",
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

/// Functions whose first argument is a regular expression.
pub(super) const PATTERNED: &[&str] = &["extract", "matches", "replaceAll"];

/// Functions whose first argument is the format of a date.
pub(super) const DATED: &[&str] = &["formatDate", "parseDate"];

/// `timestamp` that takes what the dates of this module are.
pub(super) const TIMESTAMP: &str = "timestampOf";

/// `matches` with a pattern that is compiled already.
pub(super) const MATCHES: &str = "matchesOnce";

/// Names that other languages have for a function of this one.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("coalesce", "default"),
    ("ifEmpty", "default"),
    ("len", "size"),
    ("length", "size"),
    ("lower", "lowerAscii"),
    ("lowercase", "lowerAscii"),
    ("orElse", "default"),
    ("padStart", "padLeft"),
    ("padEnd", "padRight"),
    ("regexExtract", "extract"),
    ("regexReplace", "replaceAll"),
    ("substr", "substring"),
    ("toLower", "lowerAscii"),
    ("toLowerCase", "lowerAscii"),
    ("toUpper", "upperAscii"),
    ("toUpperCase", "upperAscii"),
    ("upper", "upperAscii"),
    ("uppercase", "upperAscii"),
];

type Call<'f, 'c, 'v> = &'f mut FunctionContext<'c, 'v>;
type Yield<'c, 'v> = Result<CowVal<'c, 'v>, ExecutionError>;
type Boxed =
    Box<dyn for<'c, 'v> Fn(&mut FunctionContext<'c, 'v>) -> Result<CowVal<'c, 'v>, ExecutionError> + Send + Sync>;

/// Adds the functions to a context.
pub(super) fn add(context: &mut Context<'_, '_>) {
    let functions: [(&str, Boxed); 12] = [
        ("addDays", Box::new(add_days)),
        ("ascii", Box::new(to_ascii)),
        ("default", Box::new(default)),
        ("extract", Box::new(extract)),
        ("formatDate", Box::new(format_date)),
        ("lookup", Box::new(lookup)),
        (MATCHES, Box::new(matches)),
        ("padLeft", Box::new(|call| pad(call, true))),
        ("padRight", Box::new(|call| pad(call, false))),
        ("parseDate", Box::new(parse_date)),
        ("replaceAll", Box::new(replace_all)),
        (TIMESTAMP, Box::new(timestamp)),
    ];
    for (name, function) in functions {
        // Fails only for a name that is no identifier; the tests of this module call each of them.
        let _ = context.add_function(name, function);
    }
}

fn text_of(text: String) -> CowVal<'static, 'static> {
    CowVal::owned(CelString::from(text))
}

/// A value as text: what a function that works on text is applied to.
fn as_text<'b>(call: &FunctionContext<'_, '_>, value: &'b (dyn Val + '_)) -> Result<&'b str, ExecutionError> {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Ok(text.inner());
    }
    let what = match () {
        () if value.downcast_ref::<CelList<'_>>().is_some() => "a list; write LIST.map(x, x.FUNCTION(…)), or LIST[0]",
        () if value.downcast_ref::<CelInt>().is_some() => "a number; string(…) makes text of it",
        () if value.downcast_ref::<CelBool>().is_some() => "a truth value; string(…) makes text of it",
        () => "something else",
    };
    Err(call.error(format!("it works on text, and this is {what}")))
}

/// The text that a function is called on, and how many arguments it has besides.
fn subject<'b>(call: &'b FunctionContext<'_, '_>, wanted: &[usize]) -> Result<&'b str, ExecutionError> {
    let Some(this) = &call.this else {
        return Err(call.error(format!("it is written after what it works on: name.{}(…)", call.name)));
    };
    if !wanted.contains(&call.args.len()) {
        let wanted: Vec<String> = wanted.iter().map(usize::to_string).collect();
        return Err(call.error(format!("it takes {} arguments, not {}", wanted.join(" or "), call.args.len())));
    }
    as_text(call, &**this)
}

fn argument<'b>(call: &'b FunctionContext<'_, '_>, at: usize) -> Result<&'b str, ExecutionError> {
    as_text(call, &*call.args[at])
}

fn number(call: &FunctionContext<'_, '_>, at: usize) -> Result<i64, ExecutionError> {
    let number = call.args[at].downcast_ref::<CelInt>().map(|number| *number.inner());
    number.ok_or_else(|| call.error("it needs a whole number there; int(…) makes one of text"))
}

/// The regular expression of an argument: compiled with the rule where it is written there.
fn with_pattern<T>(call: &FunctionContext<'_, '_>, each: impl FnOnce(&Regex) -> T) -> Result<T, ExecutionError> {
    if let Some(Constant::Pattern(pattern)) = call.args[0].downcast_ref::<Constant>() {
        return Ok(each(pattern));
    }
    let text = argument(call, 0)?;
    let pattern = pattern(text).map_err(|_| call.error(format!("`{text}` is not a regular expression")))?;
    Ok(each(&pattern))
}

/// Compiles a regular expression; how large it may become is limited.
pub(super) fn pattern(text: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(text).size_limit(1 << 20).build()
}

/// `$name` in the replacement of a pattern that names no group of it.
pub(super) fn wrong_group(pattern: &Regex, replacement: &str) -> Option<String> {
    let mut rest = replacement;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let name = match after.strip_prefix('{') {
            Some(inner) => inner.split('}').next().unwrap_or(inner),
            None => after.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or(after),
        };
        let is_group = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|known| known == name),
        };
        if !is_group {
            let hint = match name.find(|c: char| !c.is_ascii_digit()) {
                Some(end) if end > 0 => format!("write ${{{}}}{}", &name[..end], &name[end..]),
                _ => "write $$ for a dollar sign".to_owned(),
            };
            return Some(format!("`${name}` names no group of the pattern; {hint}"));
        }
        rest = after;
    }
    None
}

fn matches<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    let text = subject(call, &[1])?;
    let found = with_pattern(call, |pattern| pattern.is_match(text))?;
    Ok(CowVal::owned(CelBool::from(found)))
}

/// The first place that fits: its first group, or the whole where there is none; or the group that is asked for.
fn extract<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    let text = subject(call, &[1, 2])?;
    let asked = if call.args.len() == 2 { Some(number(call, 1)?) } else { None };
    let found = with_pattern(call, |pattern| {
        let last = pattern.captures_len() - 1;
        let group = match asked {
            None => last.min(1),
            Some(group) => match usize::try_from(group) {
                Ok(group) if group <= last => group,
                _ => return Err(format!("the pattern has no group {group}, its last one is {last}")),
            },
        };
        let found = pattern.captures(text).and_then(|found| Some(found.get(group)?.as_str().to_owned()));
        Ok(found.unwrap_or_default())
    })?;
    found.map(text_of).map_err(|why| call.error(why))
}

fn replace_all<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    let text = subject(call, &[2])?;
    let with = argument(call, 1)?;
    let replaced = with_pattern(call, |pattern| match wrong_group(pattern, with) {
        Some(problem) => Err(problem),
        None => Ok(pattern.replace_all(text, with).into_owned()),
    })?;
    replaced.map(text_of).map_err(|why| call.error(why))
}

/// Text of so many characters at least, filled up on one side. Nothing stays nothing.
fn pad<'c, 'v>(call: Call<'_, 'c, 'v>, left: bool) -> Yield<'c, 'v> {
    const MOST: i64 = 1_000;
    let text = subject(call, &[1, 2])?;
    let length = number(call, 0)?;
    let filling = if call.args.len() == 2 { argument(call, 1)? } else { " " };
    let mut characters = filling.chars();
    let (Some(filling), None) = (characters.next(), characters.next()) else {
        return Err(call.error(format!("it fills up with one character, not with `{filling}`")));
    };
    if length > MOST {
        return Err(call.error(format!("it fills up to {MOST} characters, not to {length}")));
    }
    let lacking = usize::try_from(length).unwrap_or(0).saturating_sub(text.chars().count());
    if text.is_empty() || lacking == 0 {
        return Ok(text_of(text.to_owned()));
    }
    let filling = filling.to_string().repeat(lacking);
    Ok(text_of(if left { filling + text } else { text.to_owned() + &filling }))
}

/// The value, or another one where there is none.
fn default<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    let Some(this) = call.this.clone() else {
        return Err(call.error("it is written after what it works on: title.default('none')"));
    };
    let [other] = call.args.as_slice() else {
        return Err(call.error(format!("it takes 1 argument, not {}", call.args.len())));
    };
    let is_nothing = this.downcast_ref::<CelString<'_>>().is_some_and(|text| text.inner().is_empty())
        || this.downcast_ref::<CelNull>().is_some()
        || this.downcast_ref::<CelList<'_>>().is_some_and(|list| list.inner().is_empty());
    Ok(if is_nothing { other.clone() } else { this })
}

/// What another snapshot holds. The rule's constants say where; the argument says under which key.
fn lookup<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    let [table, key] = call.args.as_slice() else { return Err(call.error("it takes 4 arguments")) };
    let Some(Constant::Table { lookup, directory, reading }) = table.downcast_ref::<Constant>() else {
        return Err(call.error("nothing can be looked up here"));
    };
    let key = as_text(call, &**key)?;
    let cell = lookup.find(directory, key).map_err(|why| call.error(why))?;
    cells::value(cell.to_owned(), *reading).ok_or_else(|| {
        call.error(format!("{} of {} is `{cell}`, which is neither true nor false", lookup.wanted, lookup.resource))
    })
}

fn parse_date<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    let text = subject(call, &[1])?;
    dates::parse(text, argument(call, 0)?).map(text_of).map_err(|why| call.error(why))
}

fn format_date<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    let told = instant(call);
    let text = match &told {
        Some(text) => text,
        None => subject(call, &[1])?,
    };
    dates::format(text, argument(call, 0)?).map(text_of).map_err(|why| call.error(why))
}

fn add_days<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    let told = instant(call);
    let text = match &told {
        Some(text) => text,
        None => subject(call, &[1])?,
    };
    dates::add_days(text, number(call, 0)?).map(text_of).map_err(|why| call.error(why))
}

/// The instant that a text says, a day's being its beginning in UTC; the language's own takes no day alone.
fn timestamp<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    let [argument] = call.args.as_slice() else {
        return Err(call.error(format!("it takes 1 argument, not {}", call.args.len())));
    };
    if argument.downcast_ref::<CelTimestamp>().is_some() {
        return Ok(argument.clone());
    }
    let time = dates::instant(as_text(call, &**argument)?).map_err(|why| call.error(why))?;
    Ok(CowVal::owned(CelTimestamp::from(time.fixed_offset())))
}

/// The text of an instant, where a function is called on one and has one argument.
fn instant(call: &FunctionContext<'_, '_>) -> Option<String> {
    let time = call.this.as_ref().filter(|_| call.args.len() == 1)?.downcast_ref::<CelTimestamp>()?;
    Some(dates::written(&time.inner().to_utc()))
}

fn to_ascii<'c, 'v>(call: Call<'_, 'c, 'v>) -> Yield<'c, 'v> {
    Ok(text_of(ascii(subject(call, &[0])?)))
}

/// Text in ASCII alone: `Zoë Ørsted` becomes `Zoe Orsted`, `Жанна` becomes `Zhanna`.
///
/// Compatibility composition (Unicode TR15), then the letters that people have conventions for, then, for letters and
/// digits of any other script, the table of the `any_ascii` crate, of which letters, digits and blanks are kept. What is
/// left (signs, pictures) is dropped.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.nfkc() {
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
            _ if character.is_alphanumeric() => {
                let others = any_ascii::any_ascii_char(character).chars();
                plain.extend(others.filter(|c| c.is_ascii_alphanumeric() || *c == ' '));
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_writes_what_any_script_says() {
        assert_eq!(ascii("Zoë Ørsted-Łuć"), "Zoe Orsted-Luc");
        assert_eq!(ascii("Straße № 5"), "Strasse No 5");
        assert_eq!(ascii("Жанна Игорь"), "Zhanna Igor");
        assert_eq!(ascii("Αθηνά"), "Athina");
        assert_eq!(ascii("Nguyễn Müller 👑"), "Nguyen Muller ");
    }
}
