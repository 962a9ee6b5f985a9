"""Runs muster and its peers in turn on generated pairs, and prints what they took. Started by `run`, which has the help."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time

TOOLS = ["muster", "muster-1", "muster-memory", "duckdb", "duckdb-hash", "csv-diff"]
KEYS = {"users": ("id", "0"), "memberships": ("groupId,userId", "0,1")}
ROW = {"users": 236, "memberships": 74}


def asked():
    parser = argparse.ArgumentParser(prog="benches/peers/run", add_help=False, usage="see benches/peers/run --help")
    parser.add_argument("pairs", nargs="*", default=["users:100k", "users:1M"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--memory", default="256M")
    parser.add_argument("--remove", action="store_true")
    for path in ["--cache", "--muster", "--generator"]:
        parser.add_argument(path, type=pathlib.Path, required=True)
    words = parser.parse_args()
    words.tools = words.tools.split(",")
    for tool in words.tools:
        if tool not in TOOLS:
            parser.error(f"there is no tool {tool}; there are {', '.join(TOOLS)}")
    pairs = []
    for pair in words.pairs:
        kind, _, count = pair.partition(":")
        unit = {"k": 1_000, "m": 1_000_000}.get(count[-1:].lower(), 1)
        digits = count[:-1] if unit > 1 else count
        if kind not in KEYS or not digits.isdecimal():
            parser.error(f"{pair} is no pair; write users:1M or memberships:10M")
        pairs.append((kind, int(digits) * unit))
    words.pairs = pairs
    if words.rounds < 1:
        parser.error("--rounds needs at least 1")
    return words


def generated(words, kind, rows):
    """The pair's files and how many rows of each kind differ; generated once."""
    folder = words.cache / "pairs" / f"{kind}-{rows}"
    told = folder / "planted.json"
    if not told.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        needed = 2.2 * rows * ROW[kind]
        free = shutil.disk_usage(folder).free
        if free < needed:
            sys.exit(f"{folder} needs {needed / 1e9:.1f} GB for the pair, and {free / 1e9:.1f} GB are free")
        print(f"generating {kind} of {rows:,} rows", file=sys.stderr)
        count = rows // 10 if kind == "memberships" else rows
        command = [words.generator, "generate", kind, str(count), "42", folder]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        figures = dict(zip(said[-6::2], map(int, said[-5::2])))
        told.write_text(json.dumps({"files": said[:2], **figures}))
    planted = json.loads(told.read_text())
    return planted["files"], planted


def commands(words, kind, files, output):
    """What to run, by tool; the environment apart."""
    names, positions = KEYS[kind]
    muster = [words.muster, "diff", *files, "--key", names, "--format", "csv", "--output", output]
    here = pathlib.Path(__file__).parent
    memory = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') * 3 // 4 // 2**30}GB"
    duck = lambda mode: [sys.executable, here / "duckdb_diff.py", mode, names, *files, output, memory]
    return {
        "muster": (muster, {"RAYON_NUM_THREADS": "2"}),
        "muster-1": (muster, {"RAYON_NUM_THREADS": "1"}),
        "muster-memory": (muster + ["--memory", words.memory], {"RAYON_NUM_THREADS": "2"}),
        "duckdb": (duck("full"), {}),
        "duckdb-hash": (duck("hash"), {}),
        "csv-diff": ([words.cache / "csv-diff/target/release/csv-diff-peer", positions, *files, output], {"RAYON_NUM_THREADS": "2"}),
    }


def once(command, environment):
    """Wall and processor seconds and peak MiB of one run (at least this process's own, some 12); None where it failed."""
    os.sync()
    time.sleep(0.2)
    command = [str(word) for word in command]
    start = time.monotonic()
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(command[0], command, {**os.environ, **environment}, file_actions=nowhere)
    _, status, usage = os.wait4(process, 0)
    wall = time.monotonic() - start
    if status != 0:
        return None
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "mib": usage.ru_maxrss / 1024}


def check(tool, output, planted):
    """Refuses figures of a tool that found something else than was planted."""
    with open(output, "rb") as file:
        lines = sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
    rows = planted["removed"] + planted["added"] + planted["changed"]
    # csv-diff writes no header, and a changed row twice.
    expected = rows + planted["changed"] if tool == "csv-diff" else rows + 1
    if lines != expected:
        sys.exit(f"{tool} wrote {lines:,} lines where {expected:,} were planted")


def measure(words, kind, rows):
    files, planted = generated(words, kind, rows)
    folder = words.cache / "answers"
    folder.mkdir(exist_ok=True)
    output = folder / "answer.csv"
    tools = commands(words, kind, files, output)
    samples = {tool: [] for tool in words.tools}
    for number in range(words.rounds + 1):
        order = [tool for tool in words.tools if samples[tool] is not None]
        random.Random(number).shuffle(order)
        for tool in order:
            output.unlink(missing_ok=True)
            if sys.stderr.isatty():
                print(f"\r\033[K{kind} of {rows:,}: round {number} of {words.rounds}, {tool}", end="", file=sys.stderr)
            sample = once(*tools[tool])
            if sample is None:
                print(f"\n{tool} failed on this pair and is left out", file=sys.stderr)
                samples[tool] = None
                continue
            check(tool, output, planted)
            if number > 0:
                samples[tool].append(sample)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    output.unlink(missing_ok=True)
    if words.remove:
        shutil.rmtree(pathlib.Path(files[0]).parent)
    return samples


def median(samples, figure):
    return statistics.median(sample[figure] for sample in samples)


def ratio(samples, tool, peer, figure="wall"):
    """The median over the rounds of one tool's figure divided by the other's."""
    if not samples.get(tool) or not samples.get(peer):
        return "–"
    return f"{statistics.median(a[figure] / b[figure] for a, b in zip(samples[tool], samples[peer])):.2f}"


def rows_of_table(kind, rows, samples):
    measured = {tool: seen for tool, seen in samples.items() if seen}
    plans = [tool for tool in ("duckdb", "duckdb-hash") if tool in measured]
    best = min(plans, key=lambda tool: median(measured[tool], "wall")) if plans else ""
    for tool, seen in measured.items():
        walls = [sample["wall"] for sample in seen]
        pair = f"{rows:,} {kind}" if tool == next(iter(measured)) else ""
        print(
            f"| {pair} | {tool} | {statistics.median(walls):.3f} ({min(walls):.3f}–{max(walls):.3f}) "
            f"| {median(seen, 'cpu'):.3f} | {median(seen, 'mib'):,.0f} | {ratio(samples, tool, 'duckdb')} "
            f"| {ratio(samples, tool, best)} | {ratio(samples, tool, 'csv-diff')} "
            f"| {ratio(samples, tool, 'duckdb', 'mib')} |",
            flush=True,
        )


def machine(words):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    version = subprocess.run([words.muster, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    # Not imported here: a process begins with the peak memory of the one that starts it.
    duckdb = subprocess.run(
        [sys.executable, "-c", "import duckdb; print(duckdb.__version__)"], capture_output=True, text=True, check=True
    ).stdout.strip()
    at = datetime.datetime.now().strftime("%d %B %Y")
    print(
        f"{at}: {version}, DuckDB {duckdb}, csv-diff 0.1.2; {os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, "
        f"Linux {platform.release()}; load {os.getloadavg()[0]:.1f} at the start; medians of {words.rounds} rounds.\n"
    )


def main():
    words = asked()
    machine(words)
    print("| pair | tool | wall s (least–most) | cpu s | peak MiB | × DuckDB full | × DuckDB best | × csv-diff | memory × DuckDB full |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    everything = {}
    for kind, rows in words.pairs:
        samples = measure(words, kind, rows)
        everything[f"{kind}:{rows}"] = samples
        rows_of_table(kind, rows, samples)
    stored = words.cache / f"samples-{datetime.datetime.now():%Y%m%dT%H%M%S}.json"
    stored.write_text(json.dumps(everything, indent=1))
    print(f"\nevery sample: {stored}", file=sys.stderr)


main()
