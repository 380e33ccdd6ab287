"""One login and one query by a client that Python can load; or several, one after the other."""

import argparse
import glob
import io
import os
import struct
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True, choices=["pymssql", "python-tds", "odbc", "freetds-odbc"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1433)
    parser.add_argument("--instance")
    parser.add_argument("--encrypt", default="off", choices=["none", "off", "on", "strict"])
    parser.add_argument("--auth", default="sql", choices=["sql", "ntlm", "kerberos", "token"])
    parser.add_argument("--user", default="sa")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--old-password")
    parser.add_argument("--query", default="SELECT 1")
    parser.add_argument("--timeout", type=int, default=10)
    parser.add_argument("--errand", default="query", choices=["query", "time-out", "bulk-load", "leave", "stay", "idle"])
    parser.add_argument("--certificate")
    parser.add_argument("--check", default="as-ever", choices=["as-ever", "issuer", "name"])
    parser.add_argument("--multi-subnet-failover", action="store_true")
    parser.add_argument("--spn")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--mars", action="store_true")
    parser.add_argument("--token-from", help="is asked before the login, as who gives a machine its tokens")
    return parser.parse_args()


def pymssql(o):
    """The encryption is in the file that FREETDSCONF names."""
    import pymssql

    c = pymssql.connect(
        server="scenario", port=str(o.port), user=o.user, password=o.password, login_timeout=o.timeout, autocommit=True
    )
    rows = answered(c, o)
    c.close()
    return rows


def python_tds(o):
    import pytds

    more = {}
    if o.encrypt in ("off", "on"):
        import OpenSSL.SSL

        more = {"cafile": o.certificate, "validate_host": o.check == "name", "enc_login_only": o.encrypt == "off"}
        if o.check == "as-ever":
            # Any file will do for a list of authorities: nothing is checked.
            more["cafile"] = __file__
            verify = OpenSSL.SSL.Context.set_verify
            OpenSSL.SSL.Context.load_verify_locations = lambda *_, **__: None
            OpenSSL.SSL.Context.set_verify = lambda self, mode, callback=None: verify(self, 0, lambda *_: True)
    if o.auth == "ntlm":
        import pytds.login
        import spnego

        more["auth"] = pytds.login.SpnegoAuth(
            o.user, o.password, hostname=o.host, service="MSSQLSvc", protocol="ntlm",
            options=spnego.NegotiateOptions.use_ntlm,
        )
        user = password = None
    else:
        user, password = o.user, o.password
    if o.errand == "time-out":
        more["timeout"] = 1
    c = pytds.connect(
        dsn=f"{o.host}\\{o.instance}" if o.instance else o.host, port=None if o.instance else o.port, user=user, password=password, login_timeout=o.timeout,
        autocommit=True, use_mars=o.mars, **more,
    )
    if o.errand == "time-out":
        time_out(c)
    if o.errand == "bulk-load":
        column = pytds.Column("value", type=pytds.tds_types.NVarCharType(size=10))
        c.cursor().copy_to(io.StringIO("one\ntwo\n"), "target", columns=[column])
    rows = answered(c, o)
    if o.mars:
        one, two = c.cursor(), c.cursor()
        one.execute(o.query)
        two.execute(o.query)
        rows = len(one.fetchall()) + len(two.fetchall())
        two.close()
        one.close()
    c.close()
    return rows


def odbc(o):
    pattern = os.path.join(sys.prefix, "lib*", "python*", "site-packages", "mssql_python_odbc", "**", "debian*", "**", "libmsodbcsql*")
    drivers = glob.glob(pattern, recursive=True)
    encrypt = {"none": "no", "off": "no", "on": "yes", "strict": "strict"}[o.encrypt]
    parts = [
        f"DRIVER={drivers[0]}",
        f"SERVER=tcp:{o.host}\\{o.instance}" if o.instance else f"SERVER=tcp:{o.host},{o.port}",
        f"Encrypt={encrypt}",
        f"TrustServerCertificate={'yes' if o.check == 'as-ever' else 'no'}",
        f"MultiSubnetFailover={'yes' if o.multi_subnet_failover else 'no'}",
        f"MARS_Connection={'yes' if o.mars else 'no'}", "ConnectRetryCount=0",
    ]
    if o.certificate and o.check == "as-ever":
        parts.append(f"ServerCertificate={o.certificate}")
    more = {}
    if o.auth == "token":
        if o.token_from:
            import urllib.request

            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(o.token_from, timeout=60).read()
        token = o.password.encode("utf-16-le")
        more["attrs_before"] = {1256: struct.pack("<I", len(token)) + token}
    elif o.auth == "kerberos":
        parts += ["Trusted_Connection=yes", f"ServerSPN={o.spn}"]
    else:
        parts += [f"UID={o.user}", f"PWD={{{o.password}}}"]
    if o.old_password:
        more["attrs_before"] = {1226: o.old_password}
    return ask(o, ";".join(parts), **more)


def freetds_odbc(o):
    """The encryption is in the file that FREETDSCONF names."""
    parts = [
        "DRIVER=/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so", "SERVERNAME=scenario", f"UID={o.user}",
        f"PWD={{{o.password}}}", f"MARS_Connection={'yes' if o.mars else 'no'}",
    ]
    return ask(o, ";".join(parts))


def ask(o, source, **more):
    """By the ODBC driver that the connection string names."""
    import pyodbc

    pyodbc.pooling = False
    c = pyodbc.connect(source, timeout=o.timeout, autocommit=True, **more)
    if o.errand == "time-out":
        c.timeout = 1
        time_out(c)
    rows = answered(c, o)
    if o.mars:
        one, two = c.cursor(), c.cursor()
        one.execute(o.query)
        two.execute(o.query)
        rows = len(one.fetchall()) + len(two.fetchall())
    c.close()
    return rows


def time_out(connection):
    """Asks for something slow, and gives up after a second."""
    cursor = connection.cursor()
    try:
        cursor.execute("WAITFOR DELAY '00:00:10'")
    except Exception as error:
        print("given up:", error)
    else:
        raise AssertionError("not given up")
    cursor.close()


def answered(connection, o):
    if o.errand == "stay":
        time.sleep(2)
    if o.errand in ("leave", "stay"):
        return 0
    if o.errand == "idle":
        query(connection, o.query)
        time.sleep(66)
    return query(connection, o.query)


def query(connection, sql):
    cursor = connection.cursor()
    cursor.execute(sql)
    rows = len(cursor.fetchall())
    cursor.close()
    return rows


def main():
    o = arguments()
    log_in = {"pymssql": pymssql, "python-tds": python_tds, "odbc": odbc, "freetds-odbc": freetds_odbc}[o.driver]
    for _ in range(o.times):
        print("rows", log_in(o))


main()
