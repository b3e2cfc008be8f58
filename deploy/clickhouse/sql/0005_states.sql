-- Where every dossier stands, as recomputed from the archive by `dossier rebuild`: for reports that ask about dossiers and
-- not about events. Each rebuild writes a version of its own beside the others; one row in dossier_state_versions then
-- makes it the one that the view shows, at once for every reader. Until that row is there nobody sees anything of it.

CREATE TABLE IF NOT EXISTS dossier_state_versions
(
    topic       LowCardinality(String),
    version     UInt64                  COMMENT 'when the rebuild began, ms since 1970 UTC',
    state_version UInt16                COMMENT 'of the packed states',
    rulebook    String                  COMMENT 'version of the newest rulebook when it was made',
    positions   Map(UInt32, UInt64)     COMMENT 'partition -> the first ledger offset that is not in it',
    dossiers    UInt64,
    made_at     DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (topic, version);

CREATE TABLE IF NOT EXISTS dossier_states
(
    topic        LowCardinality(String),
    version      UInt64,
    partition    UInt32,
    dossier_id   String                         CODEC(ZSTD(1)),
    last         Int64                          COMMENT 'ledger offset of the newest event in it' CODEC(Delta, ZSTD(1)),
    state        LowCardinality(String),
    office       LowCardinality(String),
    room         LowCardinality(String),
    step         LowCardinality(String),
    procedure    LowCardinality(String),
    channel      LowCardinality(String),
    outcome      LowCardinality(String),
    received_at  Nullable(DateTime64(6, 'UTC')) CODEC(Delta, ZSTD(1)),
    promised     Nullable(DateTime64(6, 'UTC')) COMMENT 'the first promise' CODEC(Delta, ZSTD(1)),
    due          Nullable(DateTime64(6, 'UTC')) COMMENT 'the promise in force' CODEC(Delta, ZSTD(1)),
    processed_at Nullable(DateTime64(6, 'UTC')) CODEC(Delta, ZSTD(1)),
    ended_at     Nullable(DateTime64(6, 'UTC')) CODEC(Delta, ZSTD(1)),
    anomalies    Array(LowCardinality(String))  COMMENT 'codes, A00 to A19',
    packed       String                         COMMENT 'the state as on the live topic, bytes' CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY version
ORDER BY (topic, version, dossier_id);

CREATE OR REPLACE VIEW dossier_states_now AS
SELECT * FROM dossier_states
WHERE (topic, version) IN (SELECT topic, max(version) FROM dossier_state_versions GROUP BY topic);
