-- The alarms topic is archived beside the ledger, in the same table under its own topic, as exactly. Reports about
-- events do not show alarms; alarms have a view of their own.

CREATE OR REPLACE VIEW dossier_events_readable AS
SELECT
    topic, partition, offset, recorded_at, occurred_at,
    event.source AS source, event.id AS id, event.type AS type, dossier_id,
    event.data.office AS office, event.data.actor.id AS actor, event.data.room AS room, event.data.step AS step,
    event.data.procedure AS procedure, event.data.channel AS channel, event.data.outcome AS outcome, promised, raw
FROM dossier_events
WHERE unreadable = '' AND NOT endsWith(topic, 'dossier.alarms.v1');

-- One row for each alarm: what was sent twice has one id. A breach and what took it back share a row; the later of the
-- two on the partition holds.
CREATE OR REPLACE VIEW dossier_alarms AS
WITH
    event.type = 'dossier.breach-cleared' AS clears,
    JSON_VALUE(raw, '$.data.due') AS said_due
SELECT
    topic,
    if(clears, JSON_VALUE(raw, '$.data.alarm'), event.id) AS id,
    argMinIf(event.type, offset, NOT clears) AS type,
    any(dossier_id) AS dossier_id,
    any(occurred_at) AS at,
    any(JSON_VALUE(raw, '$.data.clock')) AS clock,
    any(JSON_VALUE(raw, '$.data.name')) AS name,
    any(parseDateTime64BestEffortOrNull(said_due, 6, 'UTC')) AS due,
    argMinIf(event.data.office, offset, NOT clears) AS office,
    argMinIf(event.data.room, offset, NOT clears) AS room,
    argMinIf(JSON_VALUE(raw, '$.data.person'), offset, NOT clears) AS person,
    argMinIf(event.data.step, offset, NOT clears) AS step,
    argMinIf(event.data.procedure, offset, NOT clears) AS procedure,
    argMinIf(JSON_VALUE(raw, '$.data.rulebook'), offset, NOT clears) AS rulebook,
    minIf(recorded_at, NOT clears) AS said_at,
    argMax(clears, offset) AS cleared,
    if(cleared, maxIf(recorded_at, clears), NULL) AS cleared_at
FROM dossier_events
WHERE unreadable = '' AND endsWith(topic, 'dossier.alarms.v1')
GROUP BY topic, id;
