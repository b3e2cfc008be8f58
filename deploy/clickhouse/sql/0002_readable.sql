-- What reports read: events only, their columns under plain names.

CREATE OR REPLACE VIEW dossier_events_readable AS
SELECT
    topic, partition, offset, recorded_at, occurred_at,
    event.source AS source, event.id AS id, event.type AS type, dossier_id,
    event.data.office AS office, event.data.actor.id AS actor, event.data.room AS room, event.data.step AS step,
    event.data.procedure AS procedure, event.data.channel AS channel, event.data.outcome AS outcome, promised, raw
FROM dossier_events
WHERE unreadable = '';
