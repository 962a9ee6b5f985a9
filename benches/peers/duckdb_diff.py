"""duckdb_diff.py full|hash KEY,… OLD NEW OUTPUT MEMORY: the differences between two CSV files by DuckDB, two threads.

full: one outer join, with the cells of both sides in the list, which is what a person wants to see.
hash: the key and a hash of the row on each side, which is the least that a list of keys needs."""

import sys

import duckdb

mode, key, old, new, output, memory = sys.argv[1:]
key = key.split(",")
with open(old, encoding="utf-8") as file:
    columns = file.readline().strip().split(",")
values = [column for column in columns if column not in key]


def rows(path):
    types = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
    return (
        f"read_csv('{path}', header=true, quote='\"', escape='\"', delim=',', auto_detect=false, columns={{{types}}})"
    )


first = key[0]
joined = " AND ".join(f'o."{column}" = n."{column}"' for column in key)
kind = f"CASE WHEN n.\"{first}\" IS NULL THEN 'removed' WHEN o.\"{first}\" IS NULL THEN 'added' ELSE 'changed' END AS change"
keys = ", ".join(f'coalesce(o."{column}", n."{column}") AS "{column}"' for column in key)
alone = f'o."{first}" IS NULL OR n."{first}" IS NULL'
if mode == "full":
    cells = "".join(f', o."{column}" AS "old_{column}", n."{column}" AS "new_{column}"' for column in values)
    differs = "".join(f' OR o."{column}" IS DISTINCT FROM n."{column}"' for column in values)
    sides = [rows(old), rows(new)]
else:
    cells = ""
    # A row of nothing but its key has nothing to hash.
    hashed = "hash(" + ", ".join(f'"{column}"' for column in values) + ")" if values else "0"
    differs = " OR o.h <> n.h"
    names = ", ".join(f'"{column}"' for column in key)
    sides = [f"(SELECT {names}, {hashed} AS h FROM {rows(path)})" for path in (old, new)]
query = f"""COPY (SELECT {kind}, {keys}{cells} FROM {sides[0]} o FULL OUTER JOIN {sides[1]} n ON {joined}
    WHERE {alone}{differs}) TO '{output}' (HEADER)"""

connection = duckdb.connect()
connection.execute(f"SET threads=2; SET preserve_insertion_order=false; SET memory_limit='{memory}'")
connection.execute(query)
