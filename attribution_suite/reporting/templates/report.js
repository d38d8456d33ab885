"use strict";
// Sorting, filtering, choosing and downloading. The page is whole without it: what is here only rearranges its numbers.
// Names come from data sets and may hold anything: they reach the page as text alone, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const MOST = 200; // rows drawn of a choice; the rest is counted
document.documentElement.classList.add("script");

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A table's cells as they stand, filtered and sorted. A cell that a spreadsheet would run as a formula is made text.
const numeric = /^[+\-\u2212]?[\d.,]+( ?%)?$/;
function csv(table) {
  const cell = (element) => {
    const small = element.querySelector("small");
    let text = small ? `${element.textContent.slice(0, -small.textContent.length)} (${small.textContent})` : element.textContent;
    text = text.replace(/\s+/g, " ").trim();
    if (numeric.test(text)) text = text.replace("\u2212", "-").replace(/,(?=\d{3})/g, "");
    else if (/^[=+\-@\u2212]/.test(text)) text = `'${text}`;
    return `"${text.replaceAll('"', '""')}"`;
  };
  const rows = [...table.rows].filter((row) => !row.hidden);
  return "\ufeff" + rows.map((row) => [...row.cells].map(cell).join(",")).join("\r\n") + "\r\n";
}

function download(table) {
  const url = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
  make("a", { href: url, download: `${table.dataset.file || "table"}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const order = (cell) => (cell.dataset.order === undefined ? NaN : Number(cell.dataset.order));
function compare(a, b) {
  const [x, y] = [order(a), order(b)];
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  return a.textContent.trim().localeCompare(b.textContent.trim(), "en", { numeric: true });
}

function sort(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const down = heads[column].getAttribute("aria-sort") === "ascending";
  heads.forEach((head, place) => head.setAttribute("aria-sort", place !== column ? "none" : down ? "descending" : "ascending"));
  const unknown = (row) => row.cells[column].dataset.order === undefined;
  const some = [...table.tBodies[0].rows].some((row) => !unknown(row));
  const rows = [...table.tBodies[0].rows].sort((a, b) =>
    (some && unknown(a) - unknown(b)) || compare(a.cells[column], b.cells[column]) * (down ? -1 : 1));
  table.tBodies[0].append(...rows);
}

function filter(table, words, count) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  count.textContent = wanted.length ? `${shown} of ${table.tBodies[0].rows.length} rows` : "";
}

// Buttons in the headings, and above the table a filter and the download.
function equip(table) {
  const tools = make("div", { class: "tools" });
  if (table.classList.contains("data")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.setAttribute("aria-sort", "none");
      const button = make("button", { type: "button" }, ...head.childNodes);
      button.addEventListener("click", () => sort(table, column));
      head.append(button);
    });
    if (table.tBodies[0].rows.length > 3) {
      const field = make("input", { type: "search", placeholder: "fold proved", autocomplete: "off" });
      const count = make("span", { role: "status" });
      field.addEventListener("input", () => filter(table, field.value, count));
      tools.append(make("label", {}, "Filter rows ", field), count);
    }
  }
  const save = make("button", { type: "button" }, "Save as CSV");
  save.setAttribute("aria-label", `Save as CSV: ${table.getAttribute("aria-label") || table.dataset.file}`);
  save.addEventListener("click", () => download(table));
  tools.append(save);
  table.parentElement.before(tools);
}

// The chooser. `chosen`: by part the places of feature, method and scorer; -1 is every one.
const chosen = {};
const forms = document.querySelectorAll("form.chooser");

function fill(form) {
  const part = data[form.dataset.part];
  const select = (field, label, names, every) => {
    const box = make("select", { name: field });
    if (every) box.append(make("option", { value: -1 }, every));
    names.forEach((name, place) => box.append(make("option", { value: place }, name)));
    box.value = chosen[form.dataset.part][field];
    box.addEventListener("change", () => choose(form.dataset.part, field, Number(box.value)));
    form.append(make("label", {}, `${label} `, box));
  };
  select("feature", "Removed feature", part.features, form.dataset.all && "every feature");
  if (!form.dataset.all) return;
  select("method", "Method", part.methods.map(([code, plain]) => (code === plain ? code : `${plain} (${code})`)), "every method");
  select("scorer", "Scorer", part.columns.slice(1), "every scorer");
}

function choose(name, field, value) {
  chosen[name][field] = value;
  for (const form of forms) {
    const box = form.dataset.part === name && form.elements[field];
    if (box && [...box.options].some((option) => Number(option.value) === value)) box.value = value;
  }
  if (field === "feature" && value >= 0 && data[name].answers) drawAnswer(name, value);
  drawMatrix(name);
}

function heat(shift) {
  if (shift === null) return ["n/a", "none", 0];
  if (typeof shift === "string") return [shift === "?" ? "not measured" : shift, "none", 0];
  const sign = shift < 0 ? "\u2212" : shift > 0 ? "+" : "";
  const kind = shift === -100 ? "gone" : shift < 0 ? "down" : shift > 0 ? "up" : "";
  return [sign + Math.abs(shift), kind, Math.min(Math.abs(shift), 100)];
}

function drawMatrix(name) {
  const part = data[name];
  const { feature, method, scorer } = chosen[name];
  const table = document.querySelector(`table[data-matrix="${name}"]`);
  const columns = scorer < 0 ? part.columns.map((_, place) => place) : [0, scorer + 1];
  const heads = ["method", ...columns.map((place) => part.columns[place]), ...(scorer < 0 ? [] : ["what it is worth"])];
  table.tHead.rows[0].replaceChildren(...heads.map((text, place) =>
    make("th", { scope: "col" }, place && scorer < 0 ? make("span", {}, text) : text)));
  table.classList.toggle("narrow", scorer >= 0);
  const features = feature < 0 ? part.features.map((_, place) => place) : [feature];
  const rows = [];
  let left = 0;
  for (const place of features) {
    (part.rows[place] || part.methods.map(([code], number) => [number, code])).forEach(([number, label], line) => {
      if (method >= 0 && number !== method) return;
      if (rows.length === MOST) { left += 1; return; }
      const row = make("tr", {}, make("th", { scope: "row" }, feature < 0 ? `${part.features[place]}: ${label}` : label));
      for (const column of columns) {
        const [text, kind, depth] = heat(part.shifts[place][line][column]);
        const cell = make("td", { class: kind }, text);
        cell.style.setProperty("--depth", depth);
        row.append(cell);
      }
      if (scorer >= 0) row.append(make("td", { class: "none" }, part.judgements[part.judged[place][line][scorer]] || "not judged"));
      rows.push(row);
    });
  }
  table.tBodies[0].replaceChildren(...rows);
  const about = feature < 0 ? "every removed feature" : part.features[feature];
  table.caption.querySelector("bdi").textContent = about + (left ? ` (the first ${MOST} rows; ${left} more: choose a method)` : "");
}

function drawAnswer(name, feature) {
  const part = data[name], { columns, words, kinds, values } = part.answers;
  const place = document.querySelector(`[data-answer="${name}"]`);
  const [headline, cheapest, before, proxies] = words[feature];
  place.querySelector(".headline").textContent = `${headline} ${cheapest}`;
  place.querySelector(".facts").textContent = before + (proxies ? ` Its proxies, which can tell it without it: ${proxies}.` : "");
  place.querySelectorAll("details, .tools").forEach((element) => element.remove());
  const head = make("tr", { role: "row" }, ...[`${part.features[feature]} removed by`, ...columns].map((text) =>
    make("th", { scope: "col", role: "columnheader" }, text)));
  const lines = part.methods.map(([code, plain, note], line) => {
    const first = make("th", { scope: "row", role: "rowheader" }, make("span", { class: "dot", "aria-hidden": true }), plain);
    if (plain !== code) first.append(" ", make("code", {}, code));
    if (note) first.append(make("small", {}, note));
    return make("tr", { role: "row", class: kinds[feature][line] }, first, ...columns.map((column, number) => {
      const [text, small, rank] = values[feature][number].map((list) => (Array.isArray(list) ? list[line] : list));
      const cell = make("td", { role: "cell", "data-head": column }, number ? text : make("b", {}, text));
      if (rank !== null) cell.dataset.order = rank;
      if (small) cell.append(make("small", {}, small));
      return cell;
    }));
  });
  const table = place.querySelector("table");
  table.setAttribute("aria-label", `${part.features[feature]} removed, ${part.name}`);
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...lines);
  equip(table);
}

for (const [name, part] of Object.entries(data)) chosen[name] = { feature: part.first, method: -1, scorer: -1 };
forms.forEach((form) => { form.addEventListener("submit", (event) => event.preventDefault()); fill(form); });
document.querySelectorAll("table.data, table[data-matrix]").forEach(equip);
