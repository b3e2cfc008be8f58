// One dossier: where it stands, and each of its events with both times.
import { byId, make } from "./dom.js";
import { VIETNAM, nameIn, number, say, time } from "./words.js";

const SHOWN = 500;
let asked = 0;

/** Draw the dossier from the live state and its timeline from the archive. */
export async function showDossier(id, words) {
  const mine = ++asked; // an answer that comes after the next question is not drawn
  byId("dossier-title").textContent = id;
  const place = byId("dossier");
  place.replaceChildren(make("p", { class: "notice" }, say("loading")));
  const answer = await ask(`/v1/dossiers/${encodeURIComponent(id)}`).catch((error) => ({ failed: error.message }));
  if (mine !== asked) return;
  const { dossier, history, explained, status, failed } = answer;
  if (!dossier && !history) {
    const missing = status === 404;
    place.replaceChildren(make("p", { class: "notice" }, missing ? say("not_found", { id }) : say("failed", { why: failed ?? status })));
    return;
  }
  place.replaceChildren(
    ...(dossier ? [standing(dossier, words)] : []),
    ...(explained?.clock ? [deadline(explained)] : []),
    history?.total ? timeline(history, dossier?.zone, words) : make("p", { class: "notice" }, say(history ? "archive_behind" : "no_archive")),
  );
}

/** What the live state and the archive have of it; null where one of them does not answer, or has nothing. */
async function ask(address) {
  const [state, past] = await Promise.all([fetch(address), fetch(`${address}/events?limit=${SHOWN}`)]);
  const dossier = state.ok ? await state.json() : null;
  const history = past.ok ? await past.json() : null;
  const clocks = dossier ? await fetch(`${address}/clocks`) : null;
  return { dossier, history, explained: clocks?.ok ? await clocks.json() : null, status: state.status };
}

function standing(dossier, words) {
  const zone = dossier.zone;
  const channel = dossier.channel && say(dossier.channel);
  const facts = [
    ["office", dossier.office],
    [dossier.ended_at ? "last_holder" : "holder", [dossier.room, dossier.person].filter(Boolean).join(" · ")],
    ["handed_to", dossier.ended_at ? "" : dossier.handed_to],
    ["step", dossier.step],
    ["procedure", dossier.procedure],
    ["channel", channel],
    ["received_at", time(dossier.received_at, zone)],
    ["promised", time(dossier.promised, zone)],
    ["due", dossier.due !== dossier.promised ? time(dossier.due, zone) : ""],
    ["processed_at", time(dossier.processed_at, zone) || (dossier.ended_at ? say("unknown") : "")],
    ["ended_at", time(dossier.ended_at, zone)],
    ["finish", nameIn(words.timeliness[dossier.timeliness])],
  ].filter(([, value]) => value);
  return make(
    "section",
    { class: "card standing" },
    make("p", { class: "state" }, make("span", { class: "badge", "data-state": dossier.state }, nameIn(dossier.state_name))),
    make("dl", { class: "facts" }, ...facts.map(([key, value]) => make("div", {}, make("dt", {}, say(key)), make("dd", {}, value)))),
    dossier.anomalies.length ? marks(dossier.anomalies.map((each) => each.code), words) : null,
  );
}

/** How the days to the due were counted: each stretch, whether it counts, by which rule and event. */
function deadline({ clock, zone, ahead_of: now }) {
  const left = clock.remaining ? `: ${remaining(clock.remaining)}` : "";
  const head = ["days", "counted", "why", "caused_by"].map((key) => make("th", { scope: "col" }, say(key)));
  return make(
    "section",
    { class: "card deadline", "aria-labelledby": "deadline-title" },
    make("h2", { id: "deadline-title" }, say("deadline")),
    now ? make("p", { class: "more" }, say("ahead", { time: time(now, zone) })) : null,
    make("p", { class: "state" }, make("strong", { class: `status-${clock.status.code}` }, nameIn(clock.status.name)), left),
    make("p", {}, [clock.due ? `${say("due")} ${time(clock.due, zone)}` : "", nameIn(clock.total)].filter(Boolean).join(" · ")),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "deadline-title" },
      make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...lines(clock).map((each) => stretch(each, zone))))),
  );
}

/** To the minute, while the sum below counts whole days: so it is said from when. */
const remaining = ({ late, words }) => (late ? nameIn(words) : say("from_now", { words: nameIn(words) }));

const MANY = 12; // lines past the due, of which a week has two

/** A line for each stretch; but one for all the weeks past the due in which nothing happened, if they are many. */
function lines(clock) {
  const isPast = (each) => clock.due_day && each.first > clock.due_day && !each.event;
  const groups = [];
  for (const each of clock.stretches) {
    const group = groups.at(-1);
    if (group && isPast(group[0]) && isPast(each)) group.push(each);
    else groups.push([each]);
  }
  return groups.flatMap((group) => (group.length > MANY ? together(group) : group));
}

function together(group) {
  const sum = (key) => group.reduce((total, each) => total + each[key], 0);
  const minutes = group[0].minutes === null ? null : sum("minutes");
  return { ...group[0], last: group.at(-1).last, counted: true, days: sum("days"), minutes, told: say("past_due") };
}

function stretch(each, zone) {
  const days = each.first === each.last ? day(each.first) : `${day(each.first)} – ${day(each.last)}`;
  const amount = each.minutes === null ? number(each.days) : `${Math.floor(each.minutes / 60)}:${String(each.minutes % 60).padStart(2, "0")}`;
  const cause = each.event ? `${nameIn(each.event.name)}, ${time(each.event.occurred_at, zone)}` : "";
  return make("tr", { class: each.counted ? null : "uncounted" },
    make("th", { scope: "row" }, days), make("td", {}, each.counted ? `${say("yes")}: ${amount}` : say("no")),
    make("td", {}, each.told ?? `${each.rule} ${nameIn(each.why)}`), make("td", {}, cause));
}

const day = (iso) => iso.split("-").reverse().join("/");

function timeline(history, zone = VIETNAM, words) {
  const shown = history.timeline.length;
  const text = shown < history.total
    ? say("events_cut", { n: number(shown), total: number(history.total) })
    : say("events_shown", { n: number(shown) });
  return make(
    "section",
    { class: "card", "aria-labelledby": "timeline-title" },
    make("h2", { id: "timeline-title" }, say("timeline")),
    make("p", { class: "more" }, zone === VIETNAM ? text : `${text} · ${say("in_zone", { zone })}`),
    make("ol", { class: "timeline" }, ...history.timeline.map((step) => event(step, zone, words))),
  );
}

function event(step, zone, words) {
  const rooms = [step.room, step.to].filter(Boolean).join(" → ");
  const where = [step.office, step.room ? rooms : rooms && `→ ${rooms}`, step.step].filter(Boolean).join(" · ");
  const fine = [
    step.actor && `${say("actor")} ${step.actor}`,
    say("recorded", { time: time(step.recorded_at, zone, true) }),
    step.effective_at && say("effective", { time: time(step.effective_at, zone) }),
    say("position", { p: `${step.position.partition}@${step.position.offset}` }),
    step.repeats ? say("repeats", { n: number(step.repeats) }) : "",
  ].filter(Boolean);
  return make(
    "li",
    { class: step.voided ? "voided" : null },
    make("time", { datetime: step.occurred_at }, time(step.occurred_at, zone)),
    make(
      "div",
      {},
      make("p", { class: "event" },
        make("strong", {}, nameIn(step.name)),
        step.voided ? make("span", { class: "chip" }, say("voided")) : null,
        step.corrected ? make("span", { class: "chip" }, say("corrected")) : null,
        make("span", { class: "badge", "data-state": step.state, title: say("state_after") }, nameIn(step.state_name)),
      ),
      where ? make("p", {}, where) : null,
      step.anomalies.length ? marks(step.anomalies, words) : null,
      make("p", { class: "fine" }, fine.join(" · ")),
    ),
  );
}

function marks(codes, words) {
  return make("ul", { class: "anomalies", "aria-label": say("anomalies") },
    ...codes.map((code) => make("li", {}, `⚠ ${code} ${nameIn(words.anomalies[code])}`)));
}
