//! Which faults fire at a request, and what they do to it and to its answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::faults::{Action, Faults, Rule, When};
use super::protocol::{Answer, Content};
use crate::scim::error::ScimError;
use crate::scim::urn;

/// The rules with their counts.
pub(super) struct Engine {
    state: Mutex<State>,
}

struct State {
    faults: Faults,
    /// By rule: requests it covered.
    seen: Vec<u64>,
    /// By rule: requests it acted on.
    fired: Vec<u64>,
    dice: u64,
}

/// How a request is to be understood differently.
#[derive(Clone, Debug, Default)]
pub(super) struct Tweaks {
    pub(super) refuse_filter: bool,
    pub(super) ignore_filter: bool,
    pub(super) empty_filter: bool,
    pub(super) repeat_page: bool,
    pub(super) ignore_attributes: bool,
    pub(super) ignore_preconditions: bool,
    pub(super) ignore_member_path: bool,
    pub(super) strict_references: bool,
    pub(super) clip_page: Option<usize>,
    pub(super) clip_members: Option<usize>,
    /// A message of the product, and what it is about.
    pub(super) says: Option<(String, String)>,
}

/// What happens instead of a request.
pub(super) enum Instead {
    /// This answer.
    Answer(Answer),
    /// A body that never ends.
    Endless,
    /// No answer.
    Cut,
}

/// How an answer reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    /// Half of the body, as if it were all.
    Half,
    /// Half of the body, then the connection ends.
    Broken,
    /// No answer.
    Cut,
}

impl Engine {
    pub(super) fn new(faults: Faults) -> Self {
        Self { state: Mutex::new(State::new(faults)) }
    }

    /// Puts other rules in place; counts and dice start anew.
    pub(super) fn set(&self, faults: Faults) {
        *self.lock() = State::new(faults);
    }

    /// The rules with what they did, for `/_faults`.
    pub(super) fn describe(&self) -> Value {
        let state = self.lock();
        let rules: Vec<Value> = (state.faults.rules.iter().zip(&state.seen).zip(&state.fired))
            .map(|((rule, seen), fired)| json!({"rule": rule, "seen": seen, "fired": fired}))
            .collect();
        json!({"seed": state.faults.seed, "rules": rules})
    }

    /// By rule, how many requests it acted on.
    pub(super) fn fired(&self) -> Vec<u64> {
        self.lock().fired.clone()
    }

    /// The actions that fire at a request, in the order of the rules. `path` is below the base path.
    pub(super) fn decide(&self, method: &str, path: &str, query: &str) -> Vec<Action> {
        let mut state = self.lock();
        let State { faults, seen, fired, dice } = &mut *state;
        let mut actions = Vec::new();
        for (at, rule) in faults.rules.iter().enumerate() {
            if !covers(rule, method, path, query) {
                continue;
            }
            seen[at] += 1;
            let number = seen[at];
            let fires = match rule.when {
                When::Every => true,
                When::Nth(n) => number == n,
                When::EveryNth(n) => n > 0 && number % n == 0,
                When::First(n) => number <= n,
                When::After(n) => number > n,
                When::Probability(p) => roll(dice) < p,
            };
            if fires {
                fired[at] += 1;
                actions.push(rule.action.clone());
            }
        }
        actions
    }

    /// A poisoned lock only means that a request ended badly; the counts are still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(faults: Faults) -> Self {
        let rules = faults.rules.len();
        Self { seen: vec![0; rules], fired: vec![0; rules], dice: faults.seed, faults }
    }
}

fn covers(rule: &Rule, method: &str, path: &str, query: &str) -> bool {
    rule.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
        && rule.prefix.as_ref().is_none_or(|prefix| path.starts_with(prefix.as_str()))
        && rule.contains.as_ref().is_none_or(|part| format!("{path}?{query}").contains(part.as_str()))
}

/// The next number from 0 to 1 (SplitMix64: small, seeded, good enough for dice).
fn roll(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// How long the request waits before it is done, and its answer after.
pub(super) fn delays(actions: &[Action]) -> (Duration, Duration) {
    let (mut before, mut after) = (0, 0);
    for action in actions {
        match action {
            Action::Delay { ms } => before += ms,
            Action::DelayAfter { ms } => after += ms,
            _ => {}
        }
    }
    (Duration::from_millis(before), Duration::from_millis(after))
}

/// What happens instead of the request, if anything.
pub(super) fn instead(actions: &[Action], method: &str) -> Option<Instead> {
    actions.iter().find_map(|action| {
        Some(match action {
            Action::Status { code, body, headers } => {
                let mut answer = match body {
                    Some(body) => Answer::raw(*code, crate::scim::MEDIA_TYPE, body.clone()),
                    None => Answer::error(&ScimError::new(*code, "a scripted fault")),
                };
                answer.headers.extend(headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
                Instead::Answer(answer)
            }
            Action::Throttle { retry_after } => Instead::Answer(
                Answer::error(&ScimError::new(429, "too many requests")).header("retry-after", retry_after.to_string()),
            ),
            Action::Unavailable { retry_after } => Instead::Answer(
                Answer::error(&ScimError::new(503, "the service is being maintained"))
                    .header("retry-after", retry_after.to_string()),
            ),
            Action::Html { code } => Instead::Answer(Answer::raw(
                *code,
                "text/html; charset=utf-8",
                "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Please sign in</h1></body></html>"
                    .to_owned(),
            )),
            Action::ForeignJson => {
                Instead::Answer(Answer::raw(200, "application/json", r#"{"ok":true,"service":"gateway"}"#.to_owned()))
            }
            Action::RefusePatch if method.eq_ignore_ascii_case("PATCH") => {
                Instead::Answer(Answer::error(&ScimError::new(501, "PATCH is not supported")))
            }
            Action::EndlessBody => Instead::Endless,
            Action::DropBefore => Instead::Cut,
            _ => return None,
        })
    })
}

/// How the request is to be understood.
pub(super) fn tweaks(actions: &[Action]) -> Tweaks {
    let mut tweaks = Tweaks::default();
    for action in actions {
        match action {
            Action::RefuseFilter => tweaks.refuse_filter = true,
            Action::IgnoreFilter => tweaks.ignore_filter = true,
            Action::EmptyFilter => tweaks.empty_filter = true,
            Action::RepeatPage => tweaks.repeat_page = true,
            Action::IgnoreAttributes => tweaks.ignore_attributes = true,
            Action::IgnorePreconditions => tweaks.ignore_preconditions = true,
            Action::IgnoreMemberPath => tweaks.ignore_member_path = true,
            Action::StrictReferences => tweaks.strict_references = true,
            Action::ClipPage { max } => tweaks.clip_page = Some(*max),
            Action::ClipMembers { max } => tweaks.clip_members = Some(*max),
            Action::Says { message, about } => tweaks.says = Some((message.clone(), about.clone())),
            _ => {}
        }
    }
    tweaks
}

/// Changes an answer, and says how it reaches the client.
pub(super) fn after(actions: &[Action], mut answer: Answer) -> (Answer, Delivery) {
    let mut delivery = Delivery::Whole;
    for action in actions {
        match action {
            Action::FailAfter { code } => answer = Answer::error(&ScimError::new(*code, "an internal error")),
            Action::DropAfter => delivery = Delivery::Cut,
            Action::CutBody => delivery = Delivery::Half,
            Action::CutConnection => delivery = Delivery::Broken,
            Action::TruncatePage { keep } => {
                if let Some(list) = list_of(&mut answer) {
                    if let Some(rows) = list["Resources"].as_array_mut() {
                        rows.truncate(*keep);
                    }
                    if let Some(members) = list.as_object_mut() {
                        members.shift_remove("nextCursor");
                    }
                }
            }
            Action::WrongTotal { by } => {
                if let Some(list) = list_of(&mut answer) {
                    let total = list["totalResults"].as_i64().unwrap_or_default();
                    list["totalResults"] = json!((total + by).max(0));
                }
            }
            Action::Loosely => {
                if let Content::Json(body) = &mut answer.content {
                    loosely(body);
                }
            }
            Action::EndlessPaging => {
                if let Some(list) = list_of(&mut answer) {
                    let start = list["startIndex"].as_u64();
                    let rows = list["Resources"].as_array().map_or(0, Vec::len) as u64;
                    match start {
                        Some(start) => list["totalResults"] = json!(start + rows + 1),
                        None if list.get("nextCursor").is_none() => list["nextCursor"] = json!("once-more"),
                        None => {}
                    }
                }
            }
            _ => {}
        }
    }
    (answer, delivery)
}

/// Writes a message as lenient servers do.
fn loosely(body: &mut Value) {
    if let Some(rows) = body.get_mut("Resources").and_then(Value::as_array_mut) {
        rows.iter_mut().for_each(loosely);
    }
    let Some(members) = body.as_object_mut() else { return };
    members.shift_remove("schemas");
    if let Some(status) = members.get("status").and_then(Value::as_str).and_then(|text| text.parse::<u16>().ok()) {
        members.insert("status".to_owned(), json!(status));
    }
    if let Some(manager) = members.get_mut(urn::ENTERPRISE_USER).and_then(|user| user.get_mut("manager")) {
        *manager = manager.get("value").cloned().unwrap_or_default();
    }
    if members.contains_key("userName") {
        members.insert("urn:example:acme:1.0:User".to_owned(), json!({"badge": "42"}));
    }
}

fn list_of(answer: &mut Answer) -> Option<&mut Value> {
    match &mut answer.content {
        Content::Json(body) if body.get("totalResults").is_some() => Some(body),
        _ => None,
    }
}
