//! What a job did in a time, as a page with pictures that stands alone: no script, nothing from elsewhere.

use std::fmt::Write as _;

use super::figures::{count, time};
use super::page_text::{CLOSED, escaped, opened, sections_html};
use super::period::{Day, PeriodReport};

/// Pixels of a picture's height.
const HEIGHT: f64 = 90.0;

/// Days that are drawn: the newest.
const DAYS: usize = 120;

/// The page; commands name the job by `about`.
pub fn trend_page(report: &PeriodReport, about: &str) -> String {
    let title = format!("{}: {} to {}", report.job, time(report.from), time(report.to));
    let mut page = opened(&title, STYLE);
    let days = report.days();
    let days = &days[days.len().saturating_sub(DAYS)..];
    if days.len() > 1 {
        let most = days.iter().map(|day| day.applied + day.failed).max().unwrap_or(0);
        picture(
            &mut page,
            "Orders a day: in effect, and on top, in red, failed",
            days,
            most as f64,
            &count(most),
            |day| vec![("applied", day.applied as f64), ("failed", day.failed as f64)],
        );
        let longest = days.iter().filter_map(|day| day.longest).fold(0.0, f64::max);
        let said = format!("{longest:.1} s");
        picture(&mut page, "The longest run of each day", days, longest, &said, |day| {
            vec![("applied", day.longest.unwrap_or_default())]
        });
        let resources: std::collections::BTreeSet<_> = days.iter().flat_map(|day| day.rows.keys()).collect();
        for resource in resources {
            let most = days.iter().filter_map(|day| day.rows.get(resource)).max().copied().unwrap_or(0);
            let title = format!("Rows of {resource}");
            picture(&mut page, &title, days, most as f64, &count(most), |day| {
                vec![("applied", day.rows.get(resource).copied().unwrap_or(0) as f64)]
            });
        }
    }
    page.push_str(&sections_html(&report.sections(about)));
    page.push_str(CLOSED);
    page
}

/// Bars, one a day, of parts that stand on each other.
fn picture(
    page: &mut String,
    title: &str,
    days: &[Day],
    most: f64,
    said: &str,
    parts: impl Fn(&Day) -> Vec<(&str, f64)>,
) {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return };
    if most <= 0.0 {
        return;
    }
    let title = escaped(title);
    let _ = write!(
        page,
        "<h2>{title}</h2>\n<svg class=\"days\" viewBox=\"0 0 {} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{title}, {} to {}; the most is {said}\">",
        days.len() * 10,
        first.day,
        last.day
    );
    for (at, day) in days.iter().enumerate() {
        let mut below = 0.0;
        for (class, value) in parts(day) {
            let height = value / most * (HEIGHT - 2.0);
            if height > 0.0 {
                let y = HEIGHT - below - height;
                let _ = write!(
                    page,
                    "<rect class=\"{class}\" x=\"{}\" y=\"{y:.1}\" width=\"8\" height=\"{height:.1}\"/>",
                    at * 10
                );
                below += height;
            }
        }
    }
    let _ = writeln!(page, "</svg>\n<p class=\"soft\">{} to {}; the most is {said}</p>", first.day, last.day);
}

const STYLE: &str = "
p { margin: 4px 0; overflow-wrap: anywhere; } p.detail { margin-left: 1.5em; } .soft, p.detail { color: var(--soft); }
table { border-collapse: collapse; background: var(--panel); border: 1px solid var(--line); }
th, td { text-align: left; padding: 4px 10px; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th { font-size: 12px; color: var(--soft); overflow-wrap: normal; } .number { text-align: right; font-variant-numeric: tabular-nums; }
svg.days { width: 100%; height: 90px; background: var(--panel); border: 1px solid var(--line); }
@media (max-width: 560px) { th, td { padding: 4px 5px; font-size: 12px; } th { font-size: 11px; } }
rect.applied { fill: var(--accent); } rect.failed { fill: var(--no); }
";
