-- Of a recomputed state reports need columns, and who compares it with the live topic needs its hash. The packed state
-- itself was nine tenths of what a rebuild wrote, and nobody read it: the live topic has it. In versions that were made
-- before, both new columns are zeros, until the next rebuild.

ALTER TABLE dossier_states
    ADD COLUMN IF NOT EXISTS events UInt32 COMMENT 'that are in it, each once' AFTER last,
    ADD COLUMN IF NOT EXISTS sha256 FixedString(32) COMMENT 'of the state packed, as on the live topic' CODEC(NONE),
    DROP COLUMN IF EXISTS packed;

CREATE OR REPLACE VIEW dossier_states_now AS
SELECT * FROM dossier_states
WHERE (topic, version) IN (SELECT topic, max(version) FROM dossier_state_versions GROUP BY topic);
