//! Progress bars on a terminal.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::figures::count;
use super::safe_text;
use crate::model::event::Event;
use crate::model::resource::ResourceName;

/// How many of how many, with rate and time left.
const GAUGE: &str = "{prefix}  {bar:20} {human_pos}/{human_len}  {rate}  {eta} left  {wide_msg}";

/// How many, where nobody knows of how many.
const COUNTER: &str = "{prefix}  {spinner} {human_pos}  {rate}  {wide_msg}";

/// Bars of a running export and apply, drawn on standard error.
pub struct Progress {
    bars: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    exports: HashMap<ResourceName, ProgressBar>,
    wave: Option<ProgressBar>,
}

impl Progress {
    /// Bars on standard error, redrawn ten times a second at most.
    pub fn on_stderr() -> Self {
        Self::on(ProgressDrawTarget::stderr_with_hz(10))
    }

    /// Bars elsewhere.
    pub fn on(target: ProgressDrawTarget) -> Self {
        Self { bars: MultiProgress::with_draw_target(target), state: Mutex::default() }
    }

    /// Moves the bars that an event concerns.
    pub fn event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::ExportProgress { resource, rows, total } => {
                let bar = state
                    .exports
                    .entry(resource.clone())
                    .or_insert_with(|| self.add(ProgressBar::no_length(), &format!("export {resource}"), COUNTER));
                if let Some(total) = total
                    && bar.length() != Some(*total)
                {
                    bar.set_style(style(GAUGE));
                    bar.set_length(*total);
                }
                bar.set_position(*rows);
            }
            Event::Exported { resource, .. } => {
                if let Some(bar) = state.exports.remove(resource) {
                    self.remove(&bar);
                }
            }
            Event::Wave { kind, number, orders } => {
                if let Some(bar) = state.wave.take() {
                    self.remove(&bar);
                }
                let label = format!("{kind}, wave {number}");
                state.wave = Some(self.add(ProgressBar::new(*orders as u64), &label, GAUGE));
            }
            Event::Ended(_) => {
                if let Some(bar) = &state.wave {
                    bar.set_message("");
                    bar.inc(1);
                }
            }
            Event::Retrying { wait, failure, .. } => {
                if let Some(bar) = &state.wave {
                    let why = format!("waiting {:.0} s: {}", wait.as_secs_f64().ceil(), failure.cause);
                    bar.set_message(safe_text::clip(&safe_text::line(&why), 60).into_owned());
                }
            }
            Event::ExportFailed { .. } | Event::Planned { .. } | Event::Stopped { .. } => self.clear(&mut state),
            _ => {}
        }
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
    fn add(&self, bar: ProgressBar, label: &str, template: &str) -> ProgressBar {
        let bar = self.bars.add(bar.with_prefix(safe_text::line(label).into_owned()).with_style(style(template)));
        bar.tick();
        bar
    }

    fn clear(&self, state: &mut State) {
        for bar in state.exports.drain().map(|(_, bar)| bar).chain(state.wave.take()) {
            self.remove(&bar);
        }
    }

    fn remove(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.bars.remove(bar);
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants above; a bar in a plain style is better than none.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
        // Where it cannot be written there is no bar either.
        let _ = write!(out, "{}", rate(state.per_sec()));
    })
}

/// So many a second: two digits are enough below a hundred.
fn rate(per_second: f64) -> String {
    if per_second < 9.95 { format!("{per_second:.1}/s") } else { format!("{}/s", count(per_second.round() as u64)) }
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
        let export = Event::ExportProgress { resource: ResourceName::new("idp", "users"), rows: 5, total: None };
        let wave = Event::Wave { kind: "create vault.users".to_owned(), number: 1, orders: 3 };
        for (event, label) in [(export, "export idp.users"), (wave, "create vault.users, wave 1  ░")] {
            let screen = Screen::default();
            let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
            Progress::on(target).event(&event);
            let drawn = screen.0.lock().unwrap().clone();
            assert!(drawn.trim_start().starts_with(label), "{drawn:?}");
        }
    }

    #[test]
    fn templates_parse() {
        assert_eq!([0.04, 5.27, 51.7449, 1234.4].map(rate), ["0.0/s", "5.3/s", "52/s", "1,234/s"]);
        for template in [GAUGE, COUNTER] {
            ProgressStyle::with_template(template).unwrap();
        }
        let bars = Progress::on(ProgressDrawTarget::hidden());
        let users = ResourceName::new("idp", "users");
        bars.event(&Event::ExportProgress { resource: users.clone(), rows: 5, total: None });
        bars.event(&Event::ExportProgress { resource: users.clone(), rows: 9, total: Some(10) });
        let state = bars.state.lock().unwrap();
        assert_eq!((state.exports[&users].position(), state.exports[&users].length()), (9, Some(10)));
    }
}
