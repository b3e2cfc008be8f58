// The board: counts that follow the live stream. What a view shows is drawn from `now` alone, so a fuller board is
// another function in `BOARD`, and another language is drawing once more.
import { byId, fill, flash, make } from "./dom.js";
import { showDossier } from "./timeline.js";
import { language, nameIn, number, percent, say, setLanguage, time } from "./words.js";

const FINAL = ["REFUSED", "RETURNED", "WITHDRAWN", "STOPPED", "CLOSED"];
const QUEUES_SHOWN = 40;
const LIST_SHOWN = 100;
const ANNOUNCE_EVERY_MS = 20_000;
const CLOCK_EVERY_MS = 250;
const BREACHES_SHOWN = 20;
const BREACHES_EVERY_MS = 5_000; // remaining time is told in minutes; the counts beside it come by the second

const now = { summary: null, offices: [], queues: new Map(), breaches: null, words: null, clock: null, connection: "connecting" };

// -- The live stream ---------------------------------------------------------------------------------------------

function follow() {
  const stream = new EventSource("/v1/stream");
  let first = true; // of this connection: what comes first is everything, then only changes
  stream.onopen = () => { first = true; connectionIs("live"); askClock(); };
  stream.onerror = () => {
    connectionIs("lost");
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 3000); // the browser has given up: go on
  };
  stream.addEventListener("summary", ({ data }) => {
    const before = now.summary;
    now.summary = JSON.parse(data);
    // Else the list would say for seconds that nothing is overdue, beside a count of what is.
    if (!before || (before.overdue > 0) !== (now.summary.overdue > 0)) askBreaches();
  });
  stream.addEventListener("offices", ({ data }) => { now.offices = JSON.parse(data).offices; });
  stream.addEventListener("queues", ({ data }) => {
    if (first) now.queues.clear();
    first = false;
    for (const queue of JSON.parse(data).queues) {
      const key = JSON.stringify([queue.office, queue.room, queue.step, queue.waits]);
      if (queue.count) now.queues.set(key, queue);
      else now.queues.delete(key);
    }
    draw();
  });
}

function connectionIs(state) {
  now.connection = state;
  drawFreshness();
  announce();
}

// -- Drawing -----------------------------------------------------------------------------------------------------

const BOARD = [drawTiles, drawOffices, drawBreaches, drawTimeliness, drawQueues, drawMonths];

function draw() {
  drawFreshness();
  if (now.summary && now.words) BOARD.forEach((part) => part());
}

function drawFreshness() {
  const connection = byId("connection");
  connection.dataset.connection = now.connection;
  connection.textContent = say(now.connection);
  byId("freshness").textContent = freshnessText();
}

/** A simulated clock, which may have been set otherwise while the connection was lost. */
async function askClock() {
  try {
    const answer = await fetch("/v1/clock");
    if (answer.ok) now.clock = { ...(await answer.json()), asked: Date.now() };
  } catch {
    return; // asked again with the next connection
  }
  drawClock();
}

function drawClock() {
  const element = byId("clock");
  element.hidden = !now.clock?.simulated;
  if (element.hidden) return;
  const shown = Date.parse(now.clock.now) + (Date.now() - now.clock.asked) * now.clock.speed;
  element.textContent = say("simulated", { time: time(shown), n: number(now.clock.speed) });
}

function freshnessText() {
  const freshness = now.summary?.freshness;
  if (!freshness) return "";
  if (!freshness.recorded_at) return say("fresh_none");
  const lag = freshness.lag === null ? say("lag_unknown") : number(freshness.lag);
  return say("fresh", { time: time(freshness.recorded_at, undefined, true), lag });
}

function drawTiles() {
  const { dossiers, by_state: states, by_timeliness: timeliness, overdue, quarantined } = now.summary;
  const soon = [...now.queues.values()].reduce((sum, queue) => sum + queue.soon, 0);
  const ended = FINAL.reduce((sum, state) => sum + (states[state] ?? 0), 0);
  const tiles = [
    ["dossiers", dossiers, "#/list"],
    ["open", dossiers - ended],
    ["overdue", overdue],
    ["soon", soon],
    ["ended", ended],
    ["late", timeliness.late],
    ["quarantined", quarantined],
  ];
  const list = byId("tiles");
  if (list.children.length !== tiles.length) {
    list.replaceChildren(...tiles.map(([key]) => make("div", { "data-tile": key }, make("dt"), make("dd"))));
  }
  tiles.forEach(([key, count], index) => {
    const [name, value] = list.children[index].children;
    name.textContent = say(key);
    if (value.textContent !== number(count)) {
      value.textContent = number(count);
      flash(value);
    }
    list.children[index].classList.toggle("warn", ["overdue", "late", "quarantined"].includes(key) && count > 0);
  });
}

function drawOffices() {
  const states = Object.keys(now.words.states).filter((state) => now.summary.by_state[state]);
  const counts = new Map();
  for (const { office, state, count } of now.offices) {
    if (!counts.has(office)) counts.set(office, {});
    counts.get(office)[state] = count;
  }
  const cell = (count = 0, office, state) => ({
    text: number(count), number: true, class: count ? "" : "zero", href: count ? listAddress(office, state) : undefined,
  });
  const rows = [...counts].map(([office, of]) => ({
    key: [office, states.map((state) => Boolean(of[state]))],
    cells: [
      { text: office || "–", head: true },
      cell(Object.values(of).reduce((a, b) => a + b, 0), office),
      ...states.map((state) => cell(of[state], office, state)),
    ],
  }));
  const sums = states.map((state) => ({ text: number(now.summary.by_state[state]), number: true }));
  if (rows.length > 1) {
    rows.push({ key: "total", class: "total", cells: [{ text: say("total"), head: true }, { text: number(now.summary.dossiers), number: true }, ...sums] });
  }
  const head = [say("office"), { text: say("total"), number: true }, ...states.map((state) => ({ text: nameIn(now.words.states[state]), number: true }))];
  fillOr(byId("offices"), head, rows, "nothing");
}

function drawTimeliness() {
  const counts = now.summary.by_timeliness;
  const whole = Object.values(counts).reduce((a, b) => a + b, 0);
  const rows = Object.entries(counts).map(([kind, count]) => ({
    key: kind,
    class: `timeliness-${kind}`,
    cells: [
      { text: nameIn(now.words.timeliness[kind]), head: true },
      { text: number(count), number: true },
      { text: percent(count, whole), number: true, bar: whole ? count / whole : 0 },
    ],
  }));
  fill(byId("timeliness"), ["", { text: say("dossiers"), number: true }, { text: say("share"), number: true }], rows);
}

function drawQueues() {
  const queues = [...now.queues.values()].sort((a, b) => b.count - a.count || compare(a, b));
  const rows = queues.slice(0, QUEUES_SHOWN).map(({ office, room, step, waits, count, late, soon }) => ({
    key: [office, room, step, waits],
    cells: [
      { text: room || (waits ? "–" : say("no_room")), head: true },
      [step, waits && nameIn(now.words.states[waits])].filter(Boolean).join(" · ") || "–",
      { text: number(count), number: true, bar: count / queues[0].count },
      { text: number(late), number: true, class: late ? "late" : "zero" },
      { text: number(soon), number: true, class: soon ? "" : "zero" }, office || "–",
    ],
  }));
  const counts = ["waiting", "overdue", "soon"].map((key) => ({ text: say(key), number: true }));
  const head = [say("room"), say("step"), ...counts, say("office")];
  fillOr(byId("queues"), head, rows, "no_queues");
  const rest = queues.length - QUEUES_SHOWN;
  byId("queues-more").textContent = rest > 0 ? say("more_queues", { n: number(rest) }) : "";
}

function drawBreaches() {
  if (!now.breaches) return;
  const { deadlines, total } = now.breaches;
  const rows = deadlines.map((each) => ({
    key: [each.dossier, each.clock, each.step],
    cells: [
      { text: each.dossier, head: true, href: `#/dossier/${encodeURIComponent(each.dossier)}` },
      { text: nameIn(each.remaining.words), class: "late" }, nameIn(each.clock_name), time(each.due),
      each.office || "–", [each.room, each.person].filter(Boolean).join(" · ") || "–",
    ],
  }));
  fillOr(byId("breaches"), ["dossier", "how_late", "clock", "due", "office", "holder"].map((key) => say(key)), rows, "no_breaches");
  const rest = total - deadlines.length;
  byId("breaches-more").textContent = rest > 0 ? say("more_breaches", { n: number(rest) }) : "";
}

let asked = 0; // of several answers on their way the last one asked for holds

async function askBreaches() {
  const number = ++asked;
  try {
    const answer = await fetch(`/v1/breaches?limit=${BREACHES_SHOWN}`);
    const breaches = answer.ok ? await answer.json() : now.breaches;
    if (number === asked) now.breaches = breaches;
  } catch {
    return; // the live stream tells that the connection is lost
  }
  draw();
}

function drawMonths() {
  const months = Object.entries(now.summary.received_by_month).reverse();
  const most = Math.max(1, ...months.map(([, count]) => count));
  const rows = months.map(([month, count]) => ({
    key: month,
    cells: [{ text: `${month.slice(5)}/${month.slice(0, 4)}`, head: true }, { text: number(count), number: true, bar: count / most }],
  }));
  fillOr(byId("months"), [say("month"), { text: say("received"), number: true }], rows, "nothing");
}

function fillOr(table, head, rows, whenEmpty) {
  if (rows.length) fill(table, head, rows);
  else {
    table.dataset.shape = "";
    table.replaceChildren(make("tbody", {}, make("tr", {}, make("td", { class: "empty" }, say(whenEmpty)))));
  }
}

const compare = (a, b) => (a.office + a.room + a.step).localeCompare(b.office + b.room + b.step);

// -- A listing ---------------------------------------------------------------------------------------------------

const listAddress = (office, state) => {
  const query = new URLSearchParams({ office, ...(state && { state }) });
  return `#/list?${query}`;
};

async function showList(query) {
  const parameters = new URLSearchParams([...new URLSearchParams(query), ["limit", LIST_SHOWN]]);
  const state = parameters.get("state");
  const parts = [say("list_title"), parameters.get("office"), state && nameIn(now.words.states[state])];
  byId("list-title").textContent = parts.filter(Boolean).join(" · ");
  const answer = await fetch(`/v1/dossiers?${parameters}`);
  if (!answer.ok) throw new Error(String(answer.status));
  const { dossiers, more } = await answer.json();
  const rows = dossiers.map((each) => ({
    key: each.dossier,
    cells: [
      { text: each.dossier, head: true, href: `#/dossier/${encodeURIComponent(each.dossier)}` },
      nameIn(now.words.states[each.state]), each.room || "–", each.step || "–", each.office || "–",
      nameIn(now.words.timeliness[each.timeliness]),
    ],
  }));
  const head = ["dossier", "state", "room", "step", "office", "finish"].map((key) => say(key));
  fillOr(byId("list"), head, rows, "nothing");
  byId("list-more").textContent = more ? say("list_more", { n: number(LIST_SHOWN) }) : "";
}

// -- Which view --------------------------------------------------------------------------------------------------

async function route(focus = true) {
  const [, view = "", rest = ""] = location.hash.match(/^#\/(\w*)[/?]?(.*)$/) ?? [];
  const shown = (view === "dossier" && rest) || view === "list" ? view : "board";
  for (const name of ["board", "list", "dossier"]) byId(`view-${name}`).hidden = name !== shown;
  if (focus) byId("main").focus({ preventScroll: false });
  try {
    if (shown === "dossier") await showDossier(decodeURIComponent(rest), now.words);
    if (shown === "list") await showList(rest);
  } catch (error) {
    byId(`${shown}-title`).textContent = say("failed", { why: error.message });
  }
}

function speak(chosen) {
  setLanguage(chosen);
  document.documentElement.lang = language;
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}

function announce() {
  byId("announcement").textContent = [say(now.connection), freshnessText()].filter(Boolean).join(", ");
}

// -- Start -------------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => { speak(button.dataset.language); draw(); route(false); });
}
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = byId("dossier-id").value.trim();
  if (asked) location.hash = `#/dossier/${encodeURIComponent(asked)}`;
});
addEventListener("hashchange", () => { if (/^#\//.test(location.hash)) route(); });
setInterval(announce, ANNOUNCE_EVERY_MS);
setInterval(drawClock, CLOCK_EVERY_MS);
setInterval(askBreaches, BREACHES_EVERY_MS);

speak(language);
drawFreshness();
now.words = await (await fetch("/v1/words")).json();
route(false);
follow();
