-- Each row has its leaf in the Merkle log of its partition from the moment it is there: SHA-256 as RFC 6962 has it over
-- the bytes that replay/leaf.py defines, written here once more in SQL. Nobody relies on it: who verifies computes the
-- leaves anew from the rows, and compares roots with checkpoints that are kept elsewhere too.
ALTER TABLE dossier_events ADD COLUMN IF NOT EXISTS leaf FixedString(32) MATERIALIZED SHA256(concat(
    char(0), 'dossier-leaf/1\n',
    toString(length(topic)), ':', toString(topic), ',',
    toString(length(toString(partition))), ':', toString(partition), ',',
    toString(length(toString(offset))), ':', toString(offset), ',',
    toString(length(toString(toUnixTimestamp64Milli(recorded_at)))), ':',
    toString(toUnixTimestamp64Milli(recorded_at)), ',',
    if(isNull(key), '-', concat(toString(length(assumeNotNull(key))), ':', assumeNotNull(key), ',')),
    if(isNull(raw), '-', concat(toString(length(assumeNotNull(raw))), ':', assumeNotNull(raw), ',')),
    toString(length(toString(length(headers)))), ':', toString(length(headers)), ',',
    arrayStringConcat(arrayMap(header -> concat(
        toString(length(header.1)), ':', toString(header.1), ',',
        if(isNull(header.2), '-',
            concat(toString(length(assumeNotNull(header.2))), ':', assumeNotNull(header.2), ','))), headers))))
    CODEC(NONE);

-- Hashes of complete subtrees, every 256 leaves and every 65,536: a proof reads a few hundred hashes, not all leaves.
-- The same subtree always has the same hash, so writing it again after a crash changes nothing.
CREATE TABLE IF NOT EXISTS dossier_log_nodes
(
    topic     LowCardinality(String),
    partition UInt32,
    level     UInt8,
    number    UInt64,
    hash      FixedString(32) CODEC(NONE)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, level, number);

-- What was signed: the note (C2SP tlog-checkpoint), and the hashes with which the log goes on from there.
CREATE TABLE IF NOT EXISTS dossier_checkpoints
(
    topic     LowCardinality(String),
    partition UInt32,
    size      UInt64,
    root      FixedString(32),
    hashes    Array(FixedString(32)),
    note      String,
    made_at   DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (topic, partition, size);
