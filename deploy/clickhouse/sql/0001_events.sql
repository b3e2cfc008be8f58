-- The archive: every record of the ledger once, readable or not, so that the archive can be compared with the ledger
-- offset by offset, byte by byte.
--
-- Plain MergeTree, never Replacing: two rows for one position must be seen, not hidden. What keeps a row from being
-- there twice is the archiver's token for each block (non_replicated_deduplication_window: how many the table knows).
--
-- In the order of the ledger: what arrives is sorted already, a range of offsets is a range of the primary key, and
-- the whole archive can be read in order without sorting. A dossier's history is found by a bloom filter.
--
-- The archiver writes what is on the ledger, the verdict of the one decoder, and instants. Texts the table takes from
-- the bytes itself, so that they can never disagree with them; what an event does not say is empty.

CREATE TABLE IF NOT EXISTS dossier_events
(
    topic       LowCardinality(String),
    partition   UInt32                         CODEC(T64, ZSTD(1)),
    offset      UInt64                         CODEC(Delta, ZSTD(1)),
    recorded_at DateTime64(3, 'UTC')           COMMENT 'append time of the broker' CODEC(Delta, ZSTD(1)),
    key         Nullable(String)               COMMENT 'bytes' CODEC(ZSTD(1)),
    raw         Nullable(String)               COMMENT 'the value: bytes exactly as on the ledger' CODEC(ZSTD(3)),
    headers     Array(Tuple(name LowCardinality(String), value Nullable(String))) CODEC(ZSTD(1)),
    unreadable  LowCardinality(String)         COMMENT 'why this is no event; empty where it is one',
    occurred_at DateTime64(6, 'UTC')           COMMENT '1970 where unreadable' CODEC(Delta, ZSTD(1)),
    promised    Nullable(DateTime64(6, 'UTC')) COMMENT 'date on the receipt, or the one that replaces it' CODEC(ZSTD(1)),
    writer      UUID                           COMMENT 'run of the archiver that wrote the row' CODEC(ZSTD(1)),

    dossier_id  String MATERIALIZED if(unreadable = '', assumeNotNull(key), '') CODEC(ZSTD(1)),
    event       Tuple(
                    type LowCardinality(String),
                    source LowCardinality(String),
                    id String,
                    data Tuple(
                        office LowCardinality(String),
                        room LowCardinality(String),
                        step LowCardinality(String),
                        actor Tuple(id LowCardinality(String)),
                        procedure LowCardinality(String),
                        channel LowCardinality(String),
                        outcome LowCardinality(String)))
                MATERIALIZED JSONExtract(if(unreadable = '', assumeNotNull(raw), '{}'),
                    'Tuple(type LowCardinality(String), source LowCardinality(String), id String, data Tuple('
                    || 'office LowCardinality(String), room LowCardinality(String), step LowCardinality(String), '
                    || 'actor Tuple(id LowCardinality(String)), procedure LowCardinality(String), '
                    || 'channel LowCardinality(String), outcome LowCardinality(String)))')
                CODEC(ZSTD(1)),

    INDEX of_dossier dossier_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX of_event event.id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX of_time occurred_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(recorded_at)
ORDER BY (topic, partition, offset)
SETTINGS non_replicated_deduplication_window = 10000;
