//! Progress bars on a terminal.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::figures::{count, counted};
use super::safe_text;
use crate::model::event::Event;
use crate::model::order::OrderState;
use crate::model::resource::ResourceName;

/// How many of how many, with rate and time left.
const GAUGE: &str = "{prefix}  {bar:10} {figure}  {rate}{left}{wide_msg}";

/// The same where a screen has no room for a bar.
const NARROW: &str = "{prefix}  {figure}  {rate}{left}{wide_msg}";

/// How many, where nobody knows of how many.
const COUNTER: &str = "{prefix}  {spinner} {figure}  {rate}{wide_msg}";

/// What goes on, where nothing is counted.
const STAGE: &str = "{prefix}  {spinner} {elapsed}{wide_msg}";

/// Columns from which on there is room for a bar.
const ROOMY: usize = 72;

/// How often what is drawn moves by itself.
const TICK: Duration = Duration::from_millis(250);

/// Bars of a running export, plan and apply, drawn on standard error.
pub struct Progress {
    bars: MultiProgress,
    /// How wide the screen is.
    columns: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    exports: HashMap<ResourceName, ProgressBar>,
    plan: Option<ProgressBar>,
    apply: Option<Sending>,
}

/// An apply under way.
struct Sending {
    bar: ProgressBar,
    /// The kind of orders that are sent, and their wave.
    wave: String,
    /// Orders that failed, or of which nobody can tell.
    errors: u64,
}

impl Progress {
    /// Bars on standard error, redrawn ten times a second at most.
    pub fn on_stderr(columns: usize) -> Self {
        Self::on(ProgressDrawTarget::stderr_with_hz(10), columns)
    }

    /// Bars elsewhere.
    pub fn on(target: ProgressDrawTarget, columns: usize) -> Self {
        Self { bars: MultiProgress::with_draw_target(target), columns, state: Mutex::default() }
    }

    /// Moves the bars that an event concerns.
    pub fn event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::ExportProgress { resource, rows, total } => self.exporting(&mut state, resource, *rows, *total),
            Event::Exported { resource, .. } => {
                if let Some(bar) = state.exports.remove(resource) {
                    self.remove(&bar);
                }
            }
            Event::Planning { stage, rows } => {
                let of = rows.map(|rows| format!(" {}", counted(rows, "row"))).unwrap_or_default();
                let message = format!("  {stage}{of}");
                match &state.plan {
                    Some(bar) => bar.set_message(message),
                    None => {
                        let bar = ProgressBar::no_length().with_message(message);
                        state.plan = Some(self.add(bar, "plan", STAGE, "row"));
                    }
                }
            }
            Event::Applying { orders } => {
                if let Some(sending) = state.apply.take() {
                    self.remove(&sending.bar);
                }
                let bar = self.add(ProgressBar::new(*orders), "apply", self.gauge(), "order");
                state.apply = Some(Sending { bar, wave: String::new(), errors: 0 });
            }
            Event::Wave { kind, number, .. } => {
                if let Some(sending) = &mut state.apply {
                    sending.wave = format!("{}, wave {number}", safe_text::line(kind));
                    sending.show();
                }
            }
            Event::Ended(outcome) => {
                if let Some(sending) = &mut state.apply {
                    sending.errors += u64::from(matches!(outcome.state, OrderState::Errored | OrderState::Uncertain));
                    sending.bar.inc(1);
                    sending.show();
                }
            }
            Event::Retrying { wait, failure, .. } => {
                if let Some(sending) = &state.apply {
                    let why = format!("waiting {:.0} s: {}", wait.as_secs_f64().ceil(), failure.cause);
                    sending.bar.set_message(format!("  {}", safe_text::line(&why)));
                }
            }
            Event::ExportFailed { .. } | Event::Planned { .. } | Event::Stopped { kind: None, .. } => {
                self.clear(&mut state);
            }
            _ => {}
        }
    }

    fn exporting(&self, state: &mut State, resource: &ResourceName, rows: u64, total: Option<u64>) {
        let new = || self.add(ProgressBar::no_length(), &format!("export {resource}"), COUNTER, "row");
        let bar = state.exports.entry(resource.clone()).or_insert_with(new);
        // A total that turns out to be too small is none.
        match total.filter(|total| rows <= *total) {
            Some(total) if bar.length() != Some(total) => {
                bar.set_style(style(self.gauge(), "row"));
                bar.set_length(total);
            }
            None if bar.length().is_some() => {
                bar.set_style(style(COUNTER, "row"));
                bar.unset_length();
            }
            _ => {}
        }
        bar.set_position(rows);
    }

    /// Writes something while the bars are out of the way.
    pub fn aside<R>(&self, write: impl FnOnce() -> R) -> R {
        self.bars.suspend(write)
    }

    /// Takes all bars away.
    pub fn end(&self) {
        self.clear(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds a bar that has its label and style before it is drawn for the first time.
    fn add(&self, bar: ProgressBar, label: &str, template: &str, what: &'static str) -> ProgressBar {
        let label = safe_text::clip(&safe_text::line(label), self.columns / 3).into_owned();
        let bar = self.bars.add(bar.with_prefix(label).with_style(style(template, what)));
        bar.tick();
        bar.enable_steady_tick(TICK);
        bar
    }

    fn gauge(&self) -> &'static str {
        if self.columns < ROOMY { NARROW } else { GAUGE }
    }

    fn clear(&self, state: &mut State) {
        let exports = state.exports.drain().map(|(_, bar)| bar);
        for bar in exports.chain(state.plan.take()).chain(state.apply.take().map(|sending| sending.bar)) {
            self.remove(&bar);
        }
    }

    fn remove(&self, bar: &ProgressBar) {
        bar.disable_steady_tick();
        bar.finish_and_clear();
        self.bars.remove(bar);
    }
}

impl Sending {
    /// Which kind and wave it is at, and what failed so far.
    fn show(&self) {
        // What failed is worth the room more than what goes on.
        let errors = match self.errors {
            0 => String::new(),
            some => format!("{}; ", counted(some, "error")),
        };
        self.bar.set_message(format!("  {errors}{}", self.wave));
    }
}

fn style(template: &str, what: &'static str) -> ProgressStyle {
    // The templates are constants above; a bar in a plain style is better than none.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // Where something cannot be written there is no bar either.
    let style = style.with_key("rate", move |state: &ProgressState, out: &mut dyn Write| {
        let _ = write!(out, "{}", rate(state.per_sec(), what));
    });
    let style = style.with_key("figure", move |state: &ProgressState, out: &mut dyn Write| {
        let _ = match state.len() {
            Some(all) => write!(out, "{} of {}", count(state.pos()), counted(all, what)),
            None => write!(out, "{}", counted(state.pos(), what)),
        };
    });
    style.with_key("left", |state: &ProgressState, out: &mut dyn Write| {
        // Before anything has moved nobody can tell.
        if state.pos() > 0 && state.len().is_some_and(|all| state.pos() < all) {
            let _ = write!(out, "  {:#} left", HumanDuration(state.eta()));
        }
    })
}

/// So many a second: two digits are enough below a hundred.
fn rate(per_second: f64, what: &str) -> String {
    let figure = if per_second < 9.95 { format!("{per_second:.1}") } else { count(per_second.round() as u64) };
    format!("{figure} {what}s/s")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::sync::Arc;

    use indicatif::TermLike;

    use super::*;

    /// A terminal of 100 columns, as what is written to it.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(&format!("{line}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.write_str("\r")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_has_its_label_from_the_first_frame_on() {
        let users = ResourceName::new("idp", "users");
        let export = |total| Event::ExportProgress { resource: users.clone(), rows: 5, total };
        for (event, label) in [
            (export(None), "export idp.users  ⠁ 0 rows"),
            (Event::Applying { orders: 3 }, "apply  ░"),
            (Event::Planning { stage: "compare", rows: Some(7) }, "plan  "),
        ] {
            let screen = Screen::default();
            let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
            let progress = Progress::on(target, 100);
            progress.event(&event);
            let drawn = screen.0.lock().unwrap().clone();
            assert!(drawn.trim_start().starts_with(label), "{drawn:?}");
            progress.end();
        }
    }

    #[test]
    fn templates_parse_and_a_total_is_believed_as_long_as_it_can_be_true() {
        assert_eq!([0.04, 5.27, 1234.4].map(|n| rate(n, "row")), ["0.0 rows/s", "5.3 rows/s", "1,234 rows/s"]);
        for template in [GAUGE, NARROW, COUNTER, STAGE] {
            ProgressStyle::with_template(template).unwrap();
        }
        let bars = Progress::on(ProgressDrawTarget::hidden(), 40);
        let users = ResourceName::new("idp", "users");
        for (rows, total, length) in [(5, None, None), (9, Some(10), Some(10)), (11, Some(10), None)] {
            bars.event(&Event::ExportProgress { resource: users.clone(), rows, total });
            let state = bars.state.lock().unwrap();
            assert_eq!((state.exports[&users].position(), state.exports[&users].length()), (rows, length));
        }
        bars.end();
    }
}
