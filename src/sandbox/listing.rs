//! Lists (RFC 7644 §3.4.2): filtered, sorted, by index or by cursor.
//!
//! What the indexes of the file can answer they do: no filter, `eq` on the unique attributes, `meta.lastModified`
//! compared, members and groups by id; in the order of making, of the name, the id or the last change. Everything else
//! is read and judged row by row.

use rusqlite::types::Value as SqlValue;
use serde_json::Value;

use super::cursor::{self, Position};
use super::database::{Data, Kind, RECORD, Record, stamp};
use super::fault_engine::Tweaks;
use super::member_names;
use super::projection::Projection;
use super::protocol::{Service, clip_members};
use super::query::Query;
use super::resources;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{self, AttrExp, AttrPath, CompValue, CompareOp, Filter, ValFilter};
use crate::scim::list::ListResponse;
use crate::scim::path::{Path, member};

/// Where a page begins.
enum Start {
    /// Behind so many rows.
    Offset(u64),
    /// Behind this row.
    Behind(Option<Position>),
}

/// A page as it was found: how many there are, and the rows.
struct Page {
    total: u64,
    /// One more than was asked for where there are more.
    rows: Vec<Position>,
}

/// A condition on rows, and whether it says all that the filter says.
struct Condition {
    sql: &'static str,
    value: String,
    exact: bool,
}

/// Answers a query.
pub(super) fn list(
    service: &Service,
    kinds: &[Kind],
    mut query: Query,
    tweaks: &Tweaks,
) -> Result<ListResponse, ScimError> {
    if let Some(filter) = &query.filter {
        service.dialect.filtered(filter, kinds, &query.filter_text)?;
        if tweaks.refuse_filter {
            return Err(ScimError::bad(ScimType::InvalidFilter, "filters are not supported"));
        }
        if tweaks.empty_filter {
            return Ok(ListResponse {
                total: Some(0),
                items_per_page: Some(0),
                start_index: Some(1),
                ..ListResponse::default()
            });
        }
        if tweaks.ignore_filter {
            query.filter = None;
        }
    }
    if tweaks.ignore_attributes {
        query.projection = Projection::default();
    }
    check(&query, kinds)?;
    let most = service.max_results.min(tweaks.clip_page.unwrap_or(usize::MAX));
    let limit = query.count.map_or(most, |count| usize::try_from(count).unwrap_or(0).min(most));
    let identity =
        format!("{kinds:?} {} {:?} {} {:?}", query.filter_text, query.sort_by, query.descending, query.projection);
    let now = (service.clock)();
    let asked = u64::try_from(query.start_index.unwrap_or(1)).unwrap_or(1).max(1);
    let start = match query.cursor.as_deref() {
        None if tweaks.repeat_page => Start::Offset(0),
        None => Start::Offset(asked - 1),
        Some("") => Start::Behind(None),
        Some(text) => {
            let behind = cursor::read(text, query.count, &identity, now, service.cursor_timeout)?;
            Start::Behind((!tweaks.repeat_page).then_some(behind))
        }
    };
    service.database.read(|data| {
        if let Some(filter) = query.filter.as_mut() {
            member_names::in_filter(service.dialect, data, filter)?;
        }
        let mut page = match sql_order(&query, kinds) {
            Some((kind, column, condition)) => from_index(data, kind, column, condition, &query, &start, limit)?,
            None => from_rows(data, kinds, &query, &start, limit)?,
        };
        let more = page.rows.len() > limit;
        page.rows.truncate(limit);
        let last = page.rows.last().cloned().filter(|_| more && query.cursor.is_some());
        let mut list = ListResponse {
            total: Some(page.total),
            items_per_page: Some(page.rows.len() as u64),
            start_index: query.cursor.is_none().then_some(asked),
            next_cursor: last.map(|last| cursor::write(last, query.count, &identity, now)),
            ..ListResponse::default()
        };
        for row in &page.rows {
            let Some(record) = data.by_seq(row.seq)? else { continue };
            let mut body = resources::render(data, &record, &service.base, |name| {
                service.shows(name) && query.projection.shows(name)
            })?;
            member_names::shown(service.dialect, data, &mut body)?;
            clip_members(&mut body, tweaks);
            list.resources.push(query.projection.apply(body, record.kind.definition()));
        }
        Ok(list)
    })
}

/// Refuses filters and orders by what none of the kinds has.
fn check(query: &Query, kinds: &[Kind]) -> Result<(), ScimError> {
    if let Some(filter) = &query.filter {
        let mut refused = None;
        let usable = kinds
            .iter()
            .any(|kind| filter::check(filter, kind.definition()).map_err(|error| refused = Some(error)).is_ok());
        if let (false, Some(error)) = (usable, refused) {
            return Err(ScimError::bad(ScimType::InvalidFilter, error.to_string()));
        }
    }
    match &query.sort_by {
        Some(path) if !kinds.iter().any(|kind| kind.definition().find(path).is_some()) => {
            Err(ScimError::bad(ScimType::InvalidPath, format!("there is no attribute `{path}` to sort by")))
        }
        _ => Ok(()),
    }
}

/// The kind, the column to sort by (none: the order of making) and the condition, where the indexes can do it all.
fn sql_order(query: &Query, kinds: &[Kind]) -> Option<(Kind, Option<&'static str>, Option<Condition>)> {
    let [kind] = kinds else { return None };
    let column = match &query.sort_by {
        None => None,
        Some(path) => match (path.attribute.to_ascii_lowercase().as_str(), path.sub.as_deref()) {
            _ if path.urn.is_some() => return None,
            ("id", None) => Some("id"),
            ("meta", Some(sub)) if sub.eq_ignore_ascii_case("lastModified") => Some("modified"),
            (name, None) if kind.naming().is_some_and(|naming| name.eq_ignore_ascii_case(naming)) => Some("name_key"),
            _ => return None,
        },
    };
    match &query.filter {
        None => Some((*kind, column, None)),
        Some(filter) => {
            let condition = condition(filter, *kind).filter(|condition| condition.exact)?;
            Some((*kind, column, Some(condition)))
        }
    }
}

fn from_index(
    data: &Data<'_>,
    kind: Kind,
    column: Option<&'static str>,
    condition: Option<Condition>,
    query: &Query,
    start: &Start,
    limit: usize,
) -> Result<Page, ScimError> {
    let mut values = vec![SqlValue::Integer(kind.code())];
    let mut wheres = "kind = ?".to_owned();
    if let Some(condition) = condition {
        wheres.push_str(" AND ");
        wheres.push_str(condition.sql);
        values.push(SqlValue::Text(condition.value));
    }
    let total: i64 = data
        .0
        .prepare_cached(&format!("SELECT count(*) FROM resource WHERE {wheres}"))?
        .query_row(rusqlite::params_from_iter(&values), |row| row.get(0))?;
    let (beyond, direction) = if query.descending { ("<", "DESC") } else { (">", "ASC") };
    let mut offset = 0;
    match (start, column) {
        (Start::Offset(rows), _) => offset = i64::try_from(*rows).unwrap_or(i64::MAX),
        (Start::Behind(None), _) => {}
        (Start::Behind(Some(behind)), None) => {
            wheres.push_str(&format!(" AND seq {beyond} ?"));
            values.push(SqlValue::Integer(behind.seq));
        }
        (Start::Behind(Some(behind)), Some(column)) => {
            wheres.push_str(&format!(" AND ({column}, seq) {beyond} (?, ?)"));
            values.push(SqlValue::Text(behind.key.clone()));
            values.push(SqlValue::Integer(behind.seq));
        }
    }
    values.push(SqlValue::Integer(limit as i64 + 1));
    values.push(SqlValue::Integer(offset));
    let (key, order) = match column {
        None => ("''", format!("seq {direction}")),
        Some(column) => (column, format!("{column} {direction}, seq {direction}")),
    };
    let sql = format!("SELECT {key}, seq FROM resource WHERE {wheres} ORDER BY {order} LIMIT ? OFFSET ?");
    let mut statement = data.0.prepare_cached(&sql)?;
    let rows = statement
        .query_map(rusqlite::params_from_iter(&values), |row| Ok(Position { key: row.get(0)?, seq: row.get(1)? }))?;
    Ok(Page { total: u64::try_from(total).unwrap_or(0), rows: rows.collect::<Result<_, _>>()? })
}

fn from_rows(data: &Data<'_>, kinds: &[Kind], query: &Query, start: &Start, limit: usize) -> Result<Page, ScimError> {
    let asked = format!("{} {}", query.filter_text, query.sort_by.as_ref().map(Path::to_string).unwrap_or_default());
    let asked = asked.to_ascii_lowercase();
    let mut found = Vec::new();
    for kind in kinds {
        let narrowed = query.filter.as_ref().and_then(|filter| condition(filter, *kind));
        let mut sql = format!("SELECT {RECORD} FROM resource WHERE kind = ?");
        let mut values = vec![SqlValue::Integer(kind.code())];
        if let Some(condition) = narrowed {
            sql.push_str(" AND ");
            sql.push_str(condition.sql);
            values.push(SqlValue::Text(condition.value));
        }
        let mut statement = data.0.prepare_cached(&sql)?;
        let records = statement.query_map(rusqlite::params_from_iter(&values), Record::read)?;
        for record in records {
            let record = record?;
            let resource = resources::render(data, &record, "", |name| asked.contains(name))?;
            if query.filter.as_ref().is_none_or(|filter| filter::matches(filter, &resource, kind.definition())) {
                let key = query.sort_by.as_ref().map_or(String::new(), |path| sort_key(path, &resource, *kind));
                found.push(Position { key, seq: record.seq });
            }
        }
    }
    found.sort();
    if query.descending {
        found.reverse();
    }
    let total = found.len() as u64;
    let first = match start {
        Start::Offset(rows) => usize::try_from(*rows).unwrap_or(usize::MAX).min(found.len()),
        Start::Behind(None) => 0,
        Start::Behind(Some(behind)) => {
            found.partition_point(|row| if query.descending { row >= behind } else { row <= behind })
        }
    };
    Ok(Page { total, rows: found.into_iter().skip(first).take(limit + 1).collect() })
}

/// A text that sorts as the attribute does: what has no value comes last (RFC 7644 §3.4.2.3), of a list its primary or
/// first value counts.
fn sort_key(path: &Path, resource: &Value, kind: Kind) -> String {
    let attribute = kind.definition().find(path);
    let value = match path.get(resource) {
        Some(Value::Array(elements)) => {
            elements.iter().find(|e| e.get("primary") == Some(&Value::Bool(true))).or_else(|| elements.first())
        }
        other => other,
    };
    let value = value.map(|value| if value.is_object() { member(value, "value").unwrap_or(value) } else { value });
    let text = match value {
        None => return "1".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let exact = attribute.is_some_and(|attribute| attribute.leaf().case_exact);
    format!("0{}", if exact { text } else { text.to_lowercase() })
}

/// The condition of a filter, or of one of several that hold together.
fn condition(filter: &Filter, kind: Kind) -> Option<Condition> {
    match filter {
        Filter::And(terms) => {
            let found = terms.iter().find_map(|term| condition(term, kind))?;
            Some(Condition { exact: false, ..found })
        }
        Filter::Attr(AttrExp::Comparison(path, op, CompValue::Str(value))) if is_core(path, kind) => {
            let sub = path.sub_attr.as_deref().unwrap_or_default().to_ascii_lowercase();
            match (path.name.to_ascii_lowercase().as_str(), sub.as_str(), op) {
                ("id", "", CompareOp::Eq) => exact("id = ?", value.clone()),
                ("externalid", "", CompareOp::Eq) => exact("external_id = ?", value.clone()),
                ("meta", "lastmodified", op) => modified(op, value),
                (name, "" | "value", CompareOp::Eq) if name == "members" || name == "groups" => tied(name, value, kind),
                (name, "", CompareOp::Eq) if kind.naming().is_some_and(|naming| name.eq_ignore_ascii_case(naming)) => {
                    exact("name_key = ?", value.to_lowercase())
                }
                _ => None,
            }
        }
        Filter::ValuePath(inner) if is_core(&inner.attr, kind) => match inner.filter.as_ref() {
            ValFilter::Attr(AttrExp::Comparison(path, CompareOp::Eq, CompValue::Str(value)))
                if path.name.eq_ignore_ascii_case("value") =>
            {
                tied(&inner.attr.name.to_ascii_lowercase(), value, kind)
            }
            _ => None,
        },
        _ => None,
    }
}

fn exact(sql: &'static str, value: String) -> Option<Condition> {
    Some(Condition { sql, value, exact: true })
}

/// Groups by a member, users by a group.
fn tied(name: &str, id: &str, kind: Kind) -> Option<Condition> {
    let sql = match (kind, name) {
        (Kind::Group, "members") => {
            "seq IN (SELECT group_seq FROM member WHERE member_seq = (SELECT seq FROM resource WHERE id = ?))"
        }
        (Kind::User, "groups") => {
            "seq IN (SELECT member_seq FROM member WHERE group_seq = (SELECT seq FROM resource WHERE id = ?))"
        }
        _ => return None,
    };
    exact(sql, id.to_owned())
}

/// The file keeps microseconds: a finer moment is compared as one, and the rows are judged again.
fn modified(op: &CompareOp, value: &str) -> Option<Condition> {
    let moment = chrono::DateTime::parse_from_rfc3339(value).ok()?.to_utc();
    let whole = moment.timestamp_subsec_nanos() % 1000 == 0;
    let sql = match op {
        CompareOp::Gt if whole => "modified > ?",
        CompareOp::Gt | CompareOp::Ge => "modified >= ?",
        CompareOp::Lt if whole => "modified < ?",
        CompareOp::Lt | CompareOp::Le => "modified <= ?",
        CompareOp::Eq if whole => "modified = ?",
        _ => return None,
    };
    Some(Condition { sql, value: stamp(moment), exact: whole })
}

fn is_core(path: &AttrPath, kind: Kind) -> bool {
    let core = &kind.definition().core.id;
    path.uri.as_ref().is_none_or(|uri| uri.eq_ignore_ascii_case(core))
}
