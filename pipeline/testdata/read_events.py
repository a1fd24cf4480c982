"""Loads the events of outputs as docs/outputs.md says and prints what pandas and DuckDB
see: a JSON line for each output, with the rows by camera, and the types of the columns."""

import json
import sys

import duckdb

query, program = sys.argv[1:3]  # SQL, and Python that makes the table "events"
for output in sys.argv[3:]:
    con = duckdb.connect()
    rows = con.execute(query.replace("/mnt/faces", output)).fetchall()
    types = {row[0]: row[1] for row in con.execute("DESCRIBE events").fetchall()}
    print(json.dumps({"reader": "DuckDB", "rows": dict((row[0], list(row[1:])) for row in rows), "types": types}))

    names = {}
    exec(program.replace("/mnt/faces", output), names)
    events = names["events"]
    rows = {
        str(camera): [len(group), int(group["timestamp"].count()), int((group["crop"] != "").sum()), int(group["landmarks"].dropna().str["nose_tip"].str["x"].count())]
        for camera, group in events.groupby("camera")
    }
    print(json.dumps({"reader": "pandas", "rows": rows, "types": {name: str(t) for name, t in events.dtypes.items()}}))
