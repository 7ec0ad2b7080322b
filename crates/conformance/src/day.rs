//! Days of the calendar, as certificates count them: in UTC, without a time of day.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, Result};

/// A day between 1970 and 9999, by the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

const SECONDS: u64 = 86_400;

impl Day {
    /// A day that is known to be one; for tables.
    pub(crate) const fn of(year: u16, month: u8, day: u8) -> Day {
        Day { year, month, day }
    }

    /// The day that this machine's clock shows.
    pub fn today() -> Day {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Day::of(1970, 1, 1).plus_days(seconds / SECONDS)
    }

    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// [`Kind::Request`] for any other form, and for days that the calendar does not have.
    pub fn parse(text: &str) -> Result<Day> {
        let wrong = || Error::new(Kind::Request, format!("no day of the form YYYY-MM-DD: {text:?}"));
        let shaped = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let mut numbers = text.split('-').map(str::parse::<u16>);
        match (shaped, numbers.next(), numbers.next(), numbers.next()) {
            (true, Some(Ok(year @ 1970..)), Some(Ok(month @ 1..=12)), Some(Ok(day @ 1..))) => {
                let (month, day) = (month as u8, u8::try_from(day).map_err(|_| wrong())?);
                if day > days_in(year, month) { Err(wrong()) } else { Ok(Day { year, month, day }) }
            }
            _ => Err(wrong()),
        }
    }

    /// The day so many months later, or the last day of that month where it is shorter.
    #[must_use]
    pub fn plus_months(self, months: u16) -> Day {
        let count = self.year * 12 + u16::from(self.month - 1) + months;
        let (year, month) = (count / 12, (count % 12) as u8 + 1);
        Day { year, month, day: self.day.min(days_in(year, month)) }
    }

    /// The day so many days later.
    #[must_use]
    pub fn plus_days(self, days: u64) -> Day {
        let (mut year, mut month) = (self.year, self.month);
        let mut day = u64::from(self.day) + days;
        while day > u64::from(days_in(year, month)) && year < 9999 {
            day -= u64::from(days_in(year, month));
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        Day { year, month, day: u8::try_from(day).unwrap_or(31) }
    }
}

fn days_in(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_of_the_calendar_are_read() {
        for good in ["1970-01-01", "2024-02-29", "2000-02-29", "9999-12-31"] {
            assert_eq!(Day::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "2023-02-29",
            "2100-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-1-1",
            "1969-12-31",
            "2024-02-+1",
            "",
            "2024-02-290",
            "２024-02-2",
        ] {
            let error = Day::parse(bad).unwrap_err();
            assert_eq!(error.to_string(), format!("no day of the form YYYY-MM-DD: {bad:?}"));
        }
    }

    #[test]
    fn months_and_days_are_added() {
        let day = |text| Day::parse(text).unwrap();
        assert_eq!(day("2025-11-04").plus_months(12), day("2026-11-04"));
        assert_eq!(day("2024-05-31").plus_months(9), day("2025-02-28"));
        assert_eq!(day("2024-01-30").plus_days(31), day("2024-03-01"));
        assert_eq!(day("1970-01-01").plus_days(20_000), day("2024-10-04"));
    }
}
