//! When a job runs next by its schedule: by this machine's clock, as timers and cron go.

use chrono::{DateTime, Days, Local, NaiveTime, TimeDelta, TimeZone as _, Utc};

use crate::model::settings::ScheduleSettings;
use crate::report::status::Due;

/// The next times after `now`.
pub(super) fn next(schedule: &ScheduleSettings, now: DateTime<Utc>) -> Due {
    Due {
        incremental: schedule.incremental.and_then(|every| {
            let here = now.with_timezone(&Local);
            let midnight = local(here, 0, NaiveTime::MIN)?;
            let every = TimeDelta::from_std(every).ok()?;
            let past = (now - midnight).num_seconds().div_euclid(every.num_seconds());
            let due = midnight + every * i32::try_from(past + 1).ok()?;
            // A day begins anew at midnight.
            Some(local(here, 1, NaiveTime::MIN).map_or(due, |tomorrow| due.min(tomorrow)))
        }),
        complete: schedule.complete.and_then(|at| {
            let here = now.with_timezone(&Local);
            let time = NaiveTime::from_hms_opt(u32::from(at.hour), u32::from(at.minute), 0)?;
            let days = [0, 1, 2].into_iter();
            days.filter_map(|days| local(here, days, time)).find(|due| *due > now)
        }),
    }
}

/// A time of day, so many days after another one; `None` where the clocks leap over it.
fn local(here: DateTime<Local>, days: u64, time: NaiveTime) -> Option<DateTime<Utc>> {
    let day = here.date_naive().checked_add_days(Days::new(days))?;
    Some(Local.from_local_datetime(&day.and_time(time)).earliest()?.to_utc())
}
