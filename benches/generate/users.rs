//! Users: ids, names in many scripts, cells with commas, quotes and neither.

use std::io::Write;

use super::{Draw, uuid};

pub(crate) const HEADER: &str = "id,userName,givenName,familyName,displayName,email,department,title,managerId,phone,active,costCenter,location,lastModified";

const GIVEN: [&str; 24] = [
    "Anna",
    "Bernd",
    "Chiara",
    "Dmitri",
    "Émile",
    "Fatou",
    "Guðrún",
    "Hélène",
    "Ivo",
    "João",
    "Кирилл",
    "Lưu",
    "Marie-Luise",
    "Noor",
    "Ørjan",
    "Philippa",
    "Quirin",
    "Rasmus",
    "Σοφία",
    "Tomasz",
    "Umar",
    "Věra",
    "太郎",
    "Zeynep",
];
const FAMILY: [&str; 24] = [
    "Adebayo",
    "Brandt",
    "Castellanos",
    "D'Angelo",
    "Eriksson",
    "Fischer",
    "Grünwald",
    "Hofstädter",
    "Ivanova",
    "Jørgensen",
    "Kowalczyk",
    "Lefèvre",
    "Mbeki",
    "Nakamura",
    "O'Connell",
    "Petrović",
    "Quispe",
    "Rosenberg",
    "Świątek",
    "Thorvaldsen",
    "Uddin",
    "van den Heuvel",
    "Wójcik",
    "Yılmaz",
];
const DEPARTMENT: [&str; 10] = [
    "Engineering",
    "Customer Operations",
    "Finance & Controlling",
    "Information Security",
    "Legal",
    "Human Resources",
    "Logistics",
    "Research",
    "Sales",
    "Workplace Services",
];
const TITLE: [&str; 10] = [
    "Accountant",
    "Administrator",
    "\"Head of Sales, Nordics\"",
    "Clerk",
    "Consultant",
    "Database Engineer",
    "\"Manager, Accounts Payable\"",
    "\"Editor (\"\"Intranet\"\")\"",
    "Site Reliability Engineer",
    "Working Student",
];
const LOCATION: [&str; 10] = [
    "Amsterdam",
    "Berlin",
    "\"Boston, MA\"",
    "Göteborg",
    "Lagos",
    "Łódź",
    "\"Portland, ME\"",
    "Santiago",
    "東京",
    "Wien",
];

/// Columns that a change may be in; each of them is drawn anew until it differs.
const CHANGEABLE: [u64; 6] = [5, 6, 7, 9, 11, 12];

/// One line. A change is always one: the column's draw is moved on by one.
pub(crate) fn row(out: &mut Vec<u8>, draw: Draw, number: u64, change: Option<u64>) -> bool {
    let changed = change.map(|c| CHANGEABLE[(c % CHANGEABLE.len() as u64) as usize]);
    // A pick from a list, one further in the column that is changed.
    let pick = |column: u64, count: usize| {
        let further = u64::from(changed == Some(column));
        ((draw.pick(column, count as u64) + further) % count as u64) as usize
    };
    // Writing to a Vec cannot fail.
    let _ = write_row(out, draw, number, pick);
    true
}

fn write_row(out: &mut Vec<u8>, draw: Draw, number: u64, pick: impl Fn(u64, usize) -> usize) -> std::io::Result<()> {
    let (given, family) = (GIVEN[pick(2, GIVEN.len())], FAMILY[pick(3, FAMILY.len())]);
    uuid(out, 1, number)?;
    write!(out, ",u{number:08},{given},{family},")?;
    if draw.pick(4, 10) < 3 {
        write!(out, "\"{family}, {given}\",")?;
    } else {
        write!(out, "{given} {family},")?;
    }
    write!(out, "u{number:08}@{}.example.com,", ["mail", "post", "corp", "hq", "labs"][pick(5, 5)])?;
    write!(out, "{},{},", DEPARTMENT[pick(6, DEPARTMENT.len())], TITLE[pick(7, TITLE.len())])?;
    uuid(out, 1, draw.pick(8, number + 1))?;
    write!(out, ",+49-{:03}-555-{:04},", draw.pick(90, 1_000), pick(9, 10_000))?;
    write!(out, "{},", draw.pick(10, 20) != 0)?;
    write!(out, "CC-{:05},{},", pick(11, 100_000), LOCATION[pick(12, LOCATION.len())])?;
    let time = |question, from, count| from + draw.pick(question, count);
    let (year, month, day) = (time(130, 2018, 8), time(131, 1, 12), time(132, 1, 28));
    let (hour, minute, second) = (time(133, 0, 24), time(134, 0, 60), time(135, 0, 60));
    writeln!(out, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
