"""ClickHouse's own engine, in this process: one request a line on standard input, one answer a line.

A request is {"sql": ..., "params": {...}, "format": ...}, an answer {"text": ...} or {"error": ...}.
"""

import json
import sys

from chdb import session

database = session.Session(sys.argv[1])
for request in map(json.loads, sys.stdin):
    try:
        text = str(database.query(request["sql"], request["format"], params=request["params"]))
        answer = {"text": text}
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
