"""Loads the events and the pictures of outputs as docs/outputs.md says, and prints what DuckDB and
pandas see: a JSON line for each output and reader, with the rows of events by camera, the types of their
columns, the rows of pictures by camera, and the picture of the record that the page names."""

import hashlib
import json
import os
import sys
import tempfile

import duckdb

query, program, pictures_query, pictures_program = sys.argv[1:5]  # SQL, and Python that makes the tables

folder = tempfile.TemporaryDirectory()
os.chdir(folder.name)


def saved():
    with open("face.jpg", "rb") as f:
        data = f.read()
    return hashlib.sha256(data).hexdigest()


for output in sys.argv[5:]:
    con = duckdb.connect()
    rows = con.execute(query.replace("/mnt/faces", output)).fetchall()
    types = {row[0]: row[1] for row in con.execute("DESCRIBE events").fetchall()}
    offset = output.rsplit("-", 1)[1]  # of the picture
    create, count, copy = pictures_query.replace("41", offset).replace("/mnt/faces", output).split(";")
    con.execute(create)
    pictures = {row[0]: [int(n) for n in row[1:]] for row in con.execute(count).fetchall()}
    con.execute(copy)
    print(json.dumps({"output": output, "reader": "DuckDB", "rows": dict((row[0], list(row[1:])) for row in rows), "types": types, "pictures": pictures, "saved": saved()}))

    names = {}
    exec(program.replace("/mnt/faces", output), names)
    events = names["events"]
    rows = {
        str(camera): [len(group), int(group["timestamp"].count()), int((group["crop"] != "").sum()), int(group["landmarks"].dropna().str["nose_tip"].str["x"].count())]
        for camera, group in events.groupby("camera")
    }
    exec(pictures_program.replace("41", offset).replace("/mnt/faces", output), names)
    pictures = {
        str(camera): [len(group), int(group["timestamp"].count()), int(group["faces"].map(len).sum()), int(group["picture_bytes"].sum())]
        for camera, group in names["frames"].groupby("camera")
    }
    print(json.dumps({"output": output, "reader": "pandas", "rows": rows, "types": {name: str(t) for name, t in events.dtypes.items()}, "pictures": pictures, "saved": saved()}))
