-- Who asks the table itself, unreadable records included, finds what an event says under the same plain names as in
-- the view. Names for what is there already: they take no room, and nothing is written into them.

ALTER TABLE dossier_events
    ADD COLUMN IF NOT EXISTS source LowCardinality(String) ALIAS event.source,
    ADD COLUMN IF NOT EXISTS id String ALIAS event.id,
    ADD COLUMN IF NOT EXISTS type LowCardinality(String) ALIAS event.type,
    ADD COLUMN IF NOT EXISTS office LowCardinality(String) ALIAS event.data.office,
    ADD COLUMN IF NOT EXISTS actor LowCardinality(String) ALIAS event.data.actor.id,
    ADD COLUMN IF NOT EXISTS room LowCardinality(String) ALIAS event.data.room,
    ADD COLUMN IF NOT EXISTS step LowCardinality(String) ALIAS event.data.step,
    ADD COLUMN IF NOT EXISTS procedure LowCardinality(String) ALIAS event.data.procedure,
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) ALIAS event.data.channel,
    ADD COLUMN IF NOT EXISTS outcome LowCardinality(String) ALIAS event.data.outcome;
