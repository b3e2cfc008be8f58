"""ClickHouse's own engine (chDB) behind the ClickHouse HTTP interface, as one small process.

Started by the supervisor, once per data folder:

    DOSSIER_CLICKHOUSE_USERS='{"archiver": {"password": "…", "access": "write"},
                               "report":   {"password": "…", "access": "read"}}' \\
    python -m deploy.embedded.clickhouse --data-dir DIR --temp-dir DIR --port N [--host 127.0.0.1] [--parent PID]

Ready when `GET /ping` answers 200 with `Ok.`; SIGTERM stops it after the requests in hand. It ends when its parent
does. Exit codes: 0 stopped, 2 wrong options or users, 3 the data folder belongs to another process.

What it serves is what clickhouse-connect and curl use of the interface. What it leaves out is refused with
ClickHouse's own error codes, never ignored: sessions that remember, native block compression (`compress=1`),
external data, roles, and everything that reads or writes outside the data folder.
"""
