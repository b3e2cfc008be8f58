"""ClickHouse's own engine (chDB) behind the ClickHouse HTTP interface, as one small process.

Started by the supervisor, once per data folder:

    DOSSIER_CLICKHOUSE_USERS='{"archiver": {"password": "…", "access": "write"},
                               "report":   {"password": "…", "access": "read"}}' \\
    python -m deploy.embedded.clickhouse --data-dir DIR --temp-dir DIR --port N [--host 127.0.0.1] [--parent PID]

Ready when `GET /ping` answers 200 with `Ok.`. SIGTERM and SIGINT stop it within 12 seconds: the requests in hand have
5 to finish, then their queries are killed (the client is told so, code 394); after 8 what still waits for its client
is dropped; whatever hangs after 12, the engine included, the kernel ends the process (SIGALRM; the log shows where
each thread stood). That costs nothing acknowledged. It ends when its parent does, too (`--parent 0`: it does not).
It logs to standard error, as every process of ours: JSON lines, but for that last dump of Python's.
Exit codes: 0 stopped, 1 the port is taken or the engine does not start, 2 wrong options or users, 3 the data folder
belongs to another process.

What it serves is what clickhouse-connect and curl use of the interface. What it leaves out is refused with
ClickHouse's own error codes, never ignored: sessions that remember (SET, USE, temporary tables), native block
compression (`compress=1`), external data, roles, and everything that could read or write outside the data folder,
table functions that take a structure as text (`values`, `format`, `generateRandom`) and expressions among the VALUES of
an INSERT among them. An insert counts when
it is answered: it survives a kill of the process, and its rows are one block up to a million rows or 256 MB.

The way of a request: `http` (the flow) takes it apart with `request` and `statement`, asks `access` and `syntax` what
it may do, runs it in an `engine` session and answers through `answer`; `compression` serves both directions.
"""
