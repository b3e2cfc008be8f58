-- Beside the ledger and the alarms the rulebooks and the access log are archived, in the same table under their own
-- topics, as exactly. Reports about events show events of the ledger alone.

CREATE OR REPLACE VIEW dossier_events_readable AS
SELECT
    topic, partition, offset, recorded_at, occurred_at,
    event.source AS source, event.id AS id, event.type AS type, dossier_id,
    event.data.office AS office, event.data.actor.id AS actor, event.data.room AS room, event.data.step AS step,
    event.data.procedure AS procedure, event.data.channel AS channel, event.data.outcome AS outcome, promised, raw
FROM dossier_events
WHERE unreadable = '' AND endsWith(topic, 'dossier.events.v1');

-- Who looked at what, and when: one row for each read.
CREATE OR REPLACE VIEW dossier_access AS
SELECT
    topic,
    event.id AS id,
    any(event.type) AS type,
    any(dossier_id) AS subject,
    any(occurred_at) AS at,
    min(recorded_at) AS recorded_at,
    any(JSON_VALUE(raw, '$.data.actor')) AS actor,
    any(JSON_VALUE(raw, '$.data.command')) AS command,
    any(parseDateTime64BestEffortOrNull(JSON_VALUE(raw, '$.data.as_of'), 6, 'UTC')) AS as_of,
    any(parseDateTime64BestEffortOrNull(JSON_VALUE(raw, '$.data.known_at'), 6, 'UTC')) AS known_at
FROM dossier_events
WHERE unreadable = '' AND endsWith(topic, 'dossier.access.v1')
GROUP BY topic, id;
