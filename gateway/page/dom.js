// Building and changing the document: text only ever becomes text.

/** An element: `make("td", { class: "number" }, "12", otherElement)`. Null and empty children are left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export const byId = (id) => document.getElementById(id);

/**
 * Bring a table to `head` (texts) and `rows` ({ key, cells }), touching only what differs.
 * A cell is a text, or { text, href, number, head, class, bar } (bar: a share from 0 to 1 drawn behind it). A row
 * whose links come or go needs another key.
 */
export function fill(table, head, rows) {
  const shape = JSON.stringify([head, rows.map((row) => row.key)]);
  if (table.dataset.shape !== shape) {
    table.dataset.shape = shape;
    table.replaceChildren(
      make("thead", {}, make("tr", {}, ...head.map((cell) => make("th", { scope: "col", class: cell.number && "number" }, cell.text ?? cell)))),
      make("tbody", {}, ...rows.map((row) => make("tr", { class: row.class }, ...row.cells.map(newCell)))),
    );
    return;
  }
  rows.forEach((row, y) => row.cells.forEach((cell, x) => update(table.tBodies[0].rows[y].cells[x], cell)));
}

function newCell(cell) {
  const { text, number, head, href } = typeof cell === "object" ? cell : { text: cell };
  const inner = href ? make("a", { href }, text) : text;
  const classes = [number && "number", cell.class].filter(Boolean).join(" ");
  const element = make(head ? "th" : "td", { scope: head && "row", class: classes || null }, inner);
  draw(element, cell);
  return element;
}

function update(element, cell) {
  const text = typeof cell === "object" ? cell.text : cell;
  if (element.textContent !== text) {
    const holder = element.firstElementChild?.tagName === "A" ? element.firstElementChild : element;
    holder.textContent = text;
    flash(element);
  }
  draw(element, cell);
}

function draw(element, cell) {
  if (cell.bar === undefined) return;
  element.classList.add("bar");
  element.style.setProperty("--share", `${(100 * cell.bar).toFixed(2)}%`);
}

/** Show for a moment that something changed (the style sheet drops it for those who want less motion). */
export function flash(element) {
  element.classList.remove("moved");
  void element.offsetWidth; // restarts the animation
  element.classList.add("moved");
}
