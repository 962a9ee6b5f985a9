//! `muster diff`, as people and scripts use it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use flate2::{Compression, write::GzEncoder};
use support::{Said, World};

const OLD: &str = "id,name,department,fax\n3,Cleo,Sales,1\n1,Ann,Sales,2\n2,Bob,Legal,3\n5,Eve,Legal,4\n";
const NEW: &str =
    "id,department,name,mail\n4,Sales,\"Dora, Dr.\",d@x\n1,Sales,Ann,a@x\n2,Sales,Böb,b@x\n5,Sales,Eve,e@x\n";
const LIST: &str = "change,key,columns\nchanged,2,department;name\nremoved,3,\nadded,4,\nchanged,5,department\n";

fn pair() -> World {
    let world = World::new();
    world.write("a.csv", OLD);
    world.write("b.csv", NEW);
    world
}

fn diff(world: &World, more: &[&str]) -> Said {
    world.muster(&[&["diff", "a.csv", "b.csv", "--key", "id"], more].concat())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

fn zstd(text: &str) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    ruzstd::encoding::compress_to_vec(text.as_bytes(), level)
}

/// Runs with bytes on standard input.
fn fed(world: &World, args: &[&str], input: &[u8]) -> Said {
    let mut child =
        world.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The program may refuse its arguments before it reads.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

#[test]
fn the_list_is_the_same_whatever_holds_the_files() {
    let world = pair();
    world.write("a.of-any-name", gzip(OLD));
    let (first, second) = NEW.split_at(40);
    world.write("b.zst", [b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(first), zstd(second)].concat());
    world.write("two.gz", [gzip(&OLD[..30]), gzip(&OLD[30..])].concat());
    for (old, new) in [("a.csv", "b.csv"), ("a.of-any-name", "b.zst"), ("two.gz", "b.csv")] {
        assert_eq!(world.muster(&["diff", old, new, "--key", "id"]).ended(0).out, LIST, "{old} {new}");
    }
    for input in [OLD.as_bytes().to_vec(), gzip(OLD), zstd(OLD)] {
        assert_eq!(fed(&world, &["diff", "-", "b.csv", "--key", "id"], &input).ended(0).out, LIST);
    }
    assert_eq!(fed(&world, &["diff", "a.csv", "-", "--key", "id"], NEW.as_bytes()).ended(0).out, LIST);
    // A file on standard input is read where it lies.
    let mut command = world.command(&["diff", "-", "b.csv", "--key", "id", "--temp", "/nowhere"]);
    let said: Said = command.stdin(File::open(world.path().join("a.csv")).unwrap()).output().unwrap().into();
    assert_eq!(said.ended(0).out, LIST);
    world.muster(&["diff", "-", "-", "--key", "id"]).ended(2).says(&["one standard input"]);
}

#[test]
fn packed_files_that_were_cut_or_damaged_are_never_taken_for_whole() {
    let world = pair();
    let long =
        format!("{OLD}{}", (10..3000).map(|n| format!("{n},name {},Sales,\n", n * 7919 % 997)).collect::<String>());
    for (word, packed) in [("gzip", gzip(&long)), ("zstd", zstd(&long))] {
        for cut in [5, 12, packed.len() / 2, packed.len() - 5, packed.len() - 1] {
            world.write("cut", &packed[..cut]);
            let said = world.muster(&["diff", "cut", "b.csv", "--key", "id", "--temp", "."]).ended(2);
            assert_eq!(said.out, "", "{word} cut at {cut}");
            said.says(&[&format!("muster: cut ends in the middle of its {word} data")]);
        }
        let mut damaged = packed.clone();
        let last = damaged.len() - 6;
        damaged[last] ^= 0x55;
        world.write("damaged", &damaged);
        world.muster(&["diff", "damaged", "b.csv", "--key", "id"]).ended(2).says(&[&format!("damaged {word} data")]);
    }
    assert_eq!(std::fs::read_dir(world.path()).unwrap().count(), 4, "nothing is left of what was unpacked");
    world.write("a.xlsx", b"PK\x03\x04rest of it");
    world.muster(&["diff", "a.xlsx", "b.csv", "--key", "id"]).ended(2).says(&["zip archive", "save the sheet as CSV"]);
    world.write("packed", gzip(OLD));
    let full = world.muster(&["diff", "packed", "b.csv", "--key", "id", "--temp", "/proc/no"]).ended(2);
    full.says(&["cannot keep the rows of packed in /proc/no", "--temp"]);
}

#[test]
fn a_summary_counts_and_shows_before_and_after() {
    let world = pair();
    let said = diff(&world, &["--format", "summary"]).ended(0);
    for text in [
        "before  a.csv  4 rows\nafter   b.csv  4 rows\nkey     id\n",
        "\n+ 1 added\n- 1 removed\n~ 2 changed\n= 1 unchanged\n",
        "\n  + mail  only in b.csv\n  - fax  only in a.csv\n",
        "\n  department: 2 rows\n  name:       1 row\n",
        "\n  ~ 2\n      department  Legal → Sales\n      name        Bob → Böb\n",
        "\n  + 4  department: Sales, name: Dora, Dr., mail: d@x\n",
        "\n  - 3  name: Cleo, department: Sales, fax: 1\n",
    ] {
        assert!(said.out.contains(text), "{text}\nis not in\n{}", said.out);
    }
    assert!(!said.out.contains('\u{1b}'), "no colour without a terminal");
    let coloured = diff(&world, &["--format", "summary", "--color", "always"]).ended(0).out;
    assert_eq!(coloured.matches("\u{1b}[32m+").count(), 3, "{coloured}");
    let equal = world.muster(&["diff", "a.csv", "a.csv", "--key", "id", "--format", "summary", "--exit-code"]);
    equal.ended(0).says(&["no differences: 4 rows alike"]);
}

#[test]
fn the_summary_is_what_a_terminal_gets() {
    let world = pair();
    // Whoever names a column may not steer the terminal of whoever looks.
    let hostile = "\u{1b}[2J\u{202e}x";
    world.write("b.csv", format!("{}6,Sa les,\"{hostile}\nline two\",\n", NEW.replace("Böb", "田中\u{9b}31m")));
    let on_terminal = |environment: &[(&str, &str)], more: &str| {
        let line = format!("stty cols 60; {} diff a.csv b.csv --key id {more}", env!("CARGO_BIN_EXE_muster"));
        let mut command = Command::new("script");
        command.args(["-qc", &line, "/dev/null"]).current_dir(world.path()).env_remove("NO_COLOR");
        let output = command.envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
    };
    let plain = on_terminal(&[("NO_COLOR", "1")], "");
    assert!(plain.contains("+ 2 added") && plain.contains(r"Bob → 田中\u{9b}31m"), "{plain}");
    assert!(!plain.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')), "{plain:?}");
    assert!(plain.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 60), "{plain}");
    assert!(on_terminal(&[], "").contains("\u{1b}[32m+ 2 added\u{1b}[0m"));
    for form in ["--format csv", "--format ndjson", "--values"] {
        let list = on_terminal(&[("NO_COLOR", "1")], form);
        assert!(!list.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')), "{list:?}");
        assert!(list.contains("4 rows") || list.contains("2 added"), "the counts are told beside: {list}");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let world = World::new();
    let rows: String = (0..50_000).map(|n| format!("{n},{n}\n")).collect();
    world.write("a.csv", "id,n\n");
    world.write("b.csv", format!("id,n\n{rows}"));
    for form in ["csv", "ndjson"] {
        let mut command = world.command(&["diff", "a.csv", "b.csv", "--key", "id", "--format", form]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).unwrap();
        drop(out);
        Said::from(child.wait_with_output().unwrap()).ended(0).never_says(&["muster", "pipe"]);
    }
}

#[test]
fn values_are_told_before_and_after() {
    let world = pair();
    let lines = diff(&world, &["--format", "ndjson"]).ended(0).out;
    let want = [
        r#"{"change":"changed","key":{"id":"2"},"columns":["department","name"],"before":{"department":"Legal","name":"Bob"},"after":{"department":"Sales","name":"Böb"}}"#,
        r#"{"change":"removed","key":{"id":"3"},"before":{"id":"3","name":"Cleo","department":"Sales","fax":"1"}}"#,
        r#"{"change":"added","key":{"id":"4"},"after":{"id":"4","department":"Sales","name":"Dora, Dr.","mail":"d@x"}}"#,
        r#"{"change":"changed","key":{"id":"5"},"columns":["department"],"before":{"department":"Legal"},"after":{"department":"Sales"}}"#,
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), want);
    let values = diff(&world, &["--values"]).ended(0).out;
    let want = "change,key,column,before,after\nchanged,2,department,Legal,Sales\nchanged,2,name,Bob,Böb\n\
        removed,3,name,Cleo,\nremoved,3,department,Sales,\nremoved,3,fax,1,\n\
        added,4,department,,Sales\nadded,4,name,,\"Dora, Dr.\"\nadded,4,mail,,d@x\nchanged,5,department,Legal,Sales\n";
    assert_eq!(values, want);
}

#[test]
fn a_key_of_several_columns_can_be_taken_apart_again() {
    let world = World::new();
    world.write("a.csv", "group,user,role\n\"a,b\",c,x\n");
    world.write("b.csv", "user,role,group\nc,y,\"a,b\"\nd,,a\n");
    let diff = |format: &str| {
        world.muster(&["diff", "a.csv", "b.csv", "--key", "group,user", "--format", format]).ended(0).out
    };
    assert_eq!(diff("csv"), "change,key,columns\nadded,\"a,d\",\nchanged,\"\"\"a,b\"\",c\",role\n");
    assert!(diff("ndjson").contains(r#""key":{"group":"a,b","user":"c"}"#));
    assert!(diff("summary").contains("  ~ a,b / c\n      role  x → y\n"));
}

#[test]
fn what_makes_no_difference_can_be_named() {
    let world = World::new();
    world.write("a.csv", "id,name,seen\nX1, Ann ,1\nX2,Bob,2\n");
    world.write("b.csv", "id,name,seen\nx1,ANN,8\nx2,bob.,9\n");
    let more = ["--normalise", "id=case", "--normalise", "name=trim,case", "--ignore", "seen", "--verify"];
    let said = diff(&world, &[&more[..], &["--memory", "64M"]].concat()).ended(0);
    assert_eq!(said.out.lines().skip(1).collect::<Vec<_>>().len(), 1, "{}", said.out);
    assert!(said.out.ends_with(",name\n"), "{}", said.out);
    diff(&world, &["--normalise", "name=lower"]).ended(2).says(&["`lower` is no normaliser", "case, trim"]);
    diff(&world, &["--memory", "some"]).ended(2).says(&["256M"]);
}

#[test]
fn rows_that_cannot_be_told_apart_are_named_on_both_sides() {
    let world = World::new();
    world.write("a.csv", "id,n\n1,a\n1,b\n,x\n2,c\n");
    world.write("b.csv", "id,n\n2,c\n2,\"d\ne\"\n3,f\n");
    let named = ["1: rows 2 and 3", "without a key", "row 4", "2: rows 2 and 3"];
    let listed = diff(&world, &["--output", "list.csv"]).ended(2).says(&named).says(&["--key"]);
    assert_eq!(listed.out, "");
    assert!(!world.path().join("list.csv").exists());
    let said = diff(&world, &["--format", "summary"]).ended(2).says(&named);
    said.says(&["+ 1 added", "3 rows could not be compared", "--key"]);
}

#[test]
fn the_answer_appears_whole_or_not_at_all() {
    let world = pair();
    assert_eq!(diff(&world, &["--output", "list.csv", "--exit-code"]).ended(1).out, "");
    assert_eq!(world.read("list.csv"), LIST);
    world.write("bad.csv", "id,name\n1,\"open\n");
    world.muster(&["diff", "a.csv", "bad.csv", "--key", "id", "--output", "list.csv"]).ended(2);
    assert_eq!(world.read("list.csv"), LIST, "the old answer stays");
    diff(&world, &["--output", "/dev/full"]).ended(2).says(&["cannot write /dev/full: No space left"]);
    diff(&world, &["--output", "/dev/null"]).ended(0);
    diff(&world, &["--output", "."]).ended(2).says(&["is a folder"]);
    assert_eq!(std::fs::read_dir(world.path()).unwrap().count(), 4, "nothing lies beside");
}

#[test]
fn mistakes_are_told_once_with_what_was_probably_meant() {
    let world = pair();
    let muster = |args: &[&str]| world.muster(&[&["diff"], args].concat()).ended(2);
    let missing = muster(&["a.csv", "c.csv", "--key", "id"]).says(&["cannot open c.csv", "did you mean"]);
    assert_eq!(missing.err.matches("No such file").count(), 1, "{}", missing.err);
    muster(&["none.csv", "nope.csv", "--key", "id"]).says(&["none.csv", "nope.csv"]);
    muster(&["a.csv", "b.csv"]).says(&["--key", "both files have `id`, `name`, `department`"]);
    muster(&["a.csv", "b.csv", "--key", "name,departmant"]).says(&["`departmant`", "did you mean `department`?"]);
    let other = muster(&["a.csv", "b.csv", "--key", "fax"]).says(&["`fax` is not in b.csv"]);
    assert!(!other.err.contains("not in a.csv"), "{}", other.err);
    muster(&["a.csv", "b.csv", "--key", "id,id"]).says(&["`id` is given twice"]);
    muster(&["a.csv", "b.csv", "--key", "id", "--ignore", "nam"]).says(&["`nam` of --ignore", "did you mean `name`?"]);
    muster(&["a.csv", "b.csv", "--key", "id", "--ignore", "id"]).says(&["cannot be ignored"]);
    muster(&[".", "b.csv", "--key", "id"]).says(&["is a folder"]);
    world.write("utf16.csv", b"\xff\xfei\0d\0\n\0");
    muster(&["utf16.csv", "b.csv", "--key", "id"]).says(&["UTF-16", "save it as UTF-8"]);
    world.write("semicolon.csv", "id;name\n1;a\n");
    muster(&["semicolon.csv", "b.csv", "--key", "id"]).says(&["with `;` in it", "separate the columns with commas"]);
}

/// Runs with a disk of 1 MiB as its folder `temp`, where this user may have one: as root, or as root of a namespace.
/// What lies there in the end is told on standard output.
fn on_a_small_disk(world: &World, args: &[&str]) -> Option<Said> {
    let may = |flags: &&str| Command::new("unshare").args([flags, "true"]).output().is_ok_and(|o| o.status.success());
    let flags = ["-m", "-rm"].into_iter().find(may)?;
    let script = "mount -t tmpfs -o size=1M none temp || exit 99; \"$0\" \"$@\"; status=$?; \
                  ls -A temp; stat -f -c '%b blocks, %f free' temp; exit $status";
    let muster = world.command(args);
    let mut shell = Command::new("unshare");
    shell.args([flags, "sh", "-c", script]).arg(muster.get_program()).args(muster.get_args());
    shell.envs(muster.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(shell.current_dir(world.path()).output().unwrap().into())
}

#[test]
fn a_disk_without_room_is_told_apart_from_a_folder_that_cannot_be_written_and_nothing_is_left() {
    let world = World::new();
    let many: String = (0..1_200_000).map(|n| format!("{n}\n")).collect();
    world.write("a.csv", format!("id\n{many}"));
    world.write("a.gz", gzip(&format!("id\n{}", &many[..9_000])));
    std::fs::create_dir(world.path().join("temp")).unwrap();
    let spilling = |temp| ["diff", "a.csv", "a.csv", "--key", "id", "--memory", "64M", "--temp", temp, "-o", "list"];
    world.cramped(1, &spilling("temp")).ended(2).says(&["do not fit into the memory", "temp has no room", "--temp"]);
    let said = world.muster(&spilling("none")).ended(2).says(&["cannot be kept in none", "--temp"]);
    said.never_says(&["no room"]);
    let unpacking = |temp| ["diff", "a.gz", "a.gz", "--key", "id", "--temp", temp, "-o", "list"];
    world.cramped(1, &unpacking("temp")).ended(2).says(&["temp has no room for the rows of a.gz", "--temp"]);
    world.muster(&unpacking("none")).ended(2).says(&["in none", "can be written"]).never_says(&["no room"]);
    if let Some(said) = on_a_small_disk(&world, &spilling("temp")) {
        let said = said.ended(2).says(&["do not fit into the memory", "temp has no room", "No space left", "--temp"]);
        assert_eq!(said.out, "256 blocks, 256 free\n");
    }
    assert_eq!(std::fs::read_dir(world.path().join("temp")).unwrap().count(), 0);
    assert!(!world.path().join("list").exists());
    world.muster(&spilling("temp")).ended(0);
}
