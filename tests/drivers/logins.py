#!/usr/bin/env python3
"""usage: logins.py HOST:PORT COUNT

Logins by ODBC inside TLS, one after the other; how long each took is printed, in nanoseconds.
"""

import glob
import os
import sys
import time

import pyodbc

server, count = sys.argv[1].replace(":", ","), int(sys.argv[2])
pattern = os.path.join(sys.prefix, "lib*", "python*", "site-packages", "mssql_python_odbc", "**", "debian*", "**", "libmsodbcsql*")
driver = glob.glob(pattern, recursive=True)[0]
source = f"DRIVER={driver};SERVER=tcp:{server};Encrypt=yes;TrustServerCertificate=yes;UID=sa;PWD=secret;ConnectRetryCount=0"
pyodbc.pooling = False
for _ in range(count):
    begun = time.perf_counter_ns()
    connection = pyodbc.connect(source, timeout=10, autocommit=True)
    print(time.perf_counter_ns() - begun)
    connection.close()
