// Docsheet: what makes its forms quicker. Every screen works without it.

"use strict";

const tag = document.documentElement.lang;

// --- the reader's time zone ---

function rememberZone() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  document.cookie = `zone=${timeZone};path=/;max-age=31536000;samesite=lax`;
}

function showTimes(root) {
  const format = new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "short" });
  const exact = new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "medium" });
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    const written = "seconds" in time.dataset ? exact : format;
    if (!Number.isNaN(date.valueOf())) time.textContent = written.format(date);
  }
}

// --- what happened, said to who can't see it ---

function announce(text) {
  document.getElementById("status").textContent = text;
}

function announceDone() {
  const done = document.querySelector("[data-announce]");
  if (done !== null) announce(done.textContent);
}

// --- what went wrong, shown above a screen that stays as it is ---

const problem = document.getElementById("problem");
const silence = problem.querySelector("div").textContent;

function showProblem(...nodes) {
  problem.querySelector("div").replaceChildren(...nodes);
  if (!problem.open) problem.showModal();
}

function isPoll(event) {
  return event.detail.elt.matches("[hx-trigger^='every']");
}

document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  if (isPoll(event)) return; // the next one may be answered
  const main = new DOMParser().parseFromString(xhr.responseText, "text/html").querySelector("main");
  showProblem(...(main === null ? [`${xhr.status} ${xhr.statusText}`] : main.childNodes));
});
document.addEventListener("htmx:sendError", (event) => {
  if (!isPoll(event)) showProblem(silence);
});

// --- copying: values, and what a button names ---

function textOf(element) {
  const time = element.querySelector("time[datetime]");
  return time === null ? element.textContent.trim() : time.dateTime;
}

async function copy(text) {
  await navigator.clipboard.writeText(text);
  announce(text.slice(0, 100));
}

function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copies]")) button.hidden = false;
  const label = document.querySelector("[data-copy-label]")?.dataset.copyLabel;
  for (const value of document.querySelectorAll("[data-copy]:not(:has(.note))")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = label;
    value.parentElement.append(button);
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copies], .copy");
  if (button === null) return;
  const named = button.dataset.copies;
  copy(textOf(named ? document.querySelector(named) : button.parentElement.querySelector("[data-copy]")));
});

// --- a download: its id is chosen here, so that how far it is can be asked for ---

const POLL = 1000; // milliseconds

function makeId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function writeSize(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const format = new Intl.NumberFormat(tag, { maximumFractionDigits: 1 });
  return `${format.format(bytes / 1024 ** power)} ${units[power]}`;
}

function fill(text, record) {
  const format = new Intl.NumberFormat(tag);
  const values = {
    documents: format.format(record.documents),
    rows: format.format(record.rows),
    size: writeSize(record.bytes),
    bytes: format.format(record.bytes),
    seconds: format.format(Math.round(record.seconds)),
    detail: record.detail ?? "",
  };
  return text.replaceAll(/\{(\w+)\}/g, (_, name) => values[name]);
}

function showProgress(place, record) {
  const bar = place.querySelector("progress");
  const line = place.querySelector("[data-complete]");
  if (record.state === "running") bar.value = record.documents;
  bar.hidden = record.state !== "running";
  line.textContent = fill(line.dataset[record.state], record);
  place.querySelector("[data-proof]").hidden = record.state !== "complete";
  place.querySelector("[data-sha256]").textContent = record.sha256 ?? "";
  if (record.state !== "running") announce(line.textContent);
}

async function followDownload(place, address) {
  place.dataset.follows = address;
  place.hidden = false;
  showProgress(place, { state: "running", documents: 0, rows: 0, bytes: 0, seconds: 0 });
  const begin = Date.now();
  while (place.dataset.follows === address) {
    await new Promise((resolve) => setTimeout(resolve, POLL));
    const answer = await fetch(address).catch(() => null); // the next one may be answered
    if (answer === null || (!answer.ok && Date.now() - begin < 30 * POLL)) continue;
    if (!answer.ok) return;
    const record = await answer.json();
    if (place.dataset.follows === address) showProgress(place, record);
    if (record.state !== "running") return;
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-known]");
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const id = makeId();
  const place = document.getElementById("progress");
  location.href = link.dataset.known.replace("{id}", id);
  followDownload(place, place.dataset.records + id);
});

// --- links: what may be meant by what is typed ---

let asking = 0;
let picking = new AbortController();

document.addEventListener("input", ({ target }) => {
  if (target.dataset.pick === undefined) return;
  clearTimeout(asking);
  picking.abort();
  asking = setTimeout(listPicks, 300, target);
});

async function listPicks(field) {
  picking = new AbortController();
  const { signal } = picking;
  const query = new URLSearchParams({ q: field.value });
  const answer = await fetch(`${field.dataset.pick}?${query}`, { signal }).catch(() => null);
  const options = answer?.ok ? await answer.text().catch(() => null) : null;
  const list = document.getElementById(field.getAttribute("list")); // of the form that is there now
  if (options !== null && list !== null && !signal.aborted) list.innerHTML = options;
}

// --- rows that are ticked ---

function showTicks() {
  const button = document.querySelector("#bulk [data-some]");
  if (button === null) return;
  const boxes = [...document.querySelectorAll("[form=bulk][name=_id]")];
  const count = boxes.filter((box) => box.checked).length;
  const text = count === 0 ? button.dataset.none : button.dataset.some;
  button.textContent = text.replace("{number}", new Intl.NumberFormat(tag).format(count));
  button.disabled = count === 0;
  const all = document.querySelector("[data-tick-all]");
  all.hidden = boxes.length === 0;
  all.checked = count > 0 && count === boxes.length;
  all.indeterminate = count > 0 && count < boxes.length;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-tick-all]")) {
    const { checked } = event.target;
    for (const box of document.querySelectorAll("[form=bulk][name=_id]")) box.checked = checked;
  }
  if (event.target.matches("[data-tick-all], [form=bulk]")) showTicks();
});

// --- forms of documents: nothing that was typed is lost by a click beside it ---

let unsaved = document.querySelector("[data-unsaved]") !== null;

function onChange(event) {
  if (event.target.closest("[data-guard]") !== null) unsaved = true;
}

document.addEventListener("input", onChange);
document.addEventListener("htmx:beforeRequest", onChange); // a button adds a row, or removes one
let isThere = false; // whether the server has just answered
let isSaving = false; // whether that is being asked

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-guard]")) return;
  if (isThere) {
    unsaved = isThere = false;
    return;
  }
  event.preventDefault();
  const size = String(new URLSearchParams(new FormData(form))).length;
  if (size > Number(form.dataset.most)) showProblem(form.dataset.tooLarge);
  else if (!isSaving) sendOnceThere(form, event.submitter);
});

// A browser that finds no server has its own page for that, in the place of the form.
async function sendOnceThere(form, button) {
  isSaving = true;
  stopSteps();
  const answer = await fetch(form.dataset.guard).catch(() => null);
  isSaving = false;
  if (answer === null || !answer.ok) {
    showProblem(silence);
    return;
  }
  isThere = true;
  form.requestSubmit(button);
}
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });

// --- their buttons, one after the other: each changes what the one before has left ---

const MOVES = /^(up|down|drop) /; // after them a row has another number
let step = null; // the button whose answer is under way, and its request
let steps = []; // the values of those that were pressed meanwhile

function isStep(element) {
  return element.matches("button[name=do]");
}

function onStep(event) {
  const { elt } = event.detail;
  if (!isStep(elt) || (step === null && !isSaving)) return;
  event.preventDefault();
  if (isSaving || elt === step.elt || MOVES.test(step.elt.value)) return;
  if (!steps.includes(elt.value)) steps.push(elt.value);
}

function onStepDone({ detail }) {
  if (detail.xhr !== step?.xhr) return;
  step = null;
  if (detail.xhr === dropped) return; // it is asked for again
  const [value] = steps;
  steps = detail.successful ? steps.slice(1) : [];
  const buttons = [...document.querySelectorAll("#form button[name=do]")];
  if (detail.successful) buttons.find((button) => button.value === value)?.click();
}

function stopSteps() {
  steps = [];
  if (step !== null) htmx.trigger(step.elt, "htmx:abort");
}

document.addEventListener("htmx:confirm", onStep);
document.addEventListener("htmx:beforeRequest", ({ detail: { elt, xhr } }) => {
  if (isStep(elt)) step = { elt, xhr };
});
document.addEventListener("htmx:afterRequest", onStepDone);

// --- what is typed while an answer is under way: the same is asked for again, with it ---

const typings = new WeakMap(); // when each field was changed
const issues = new WeakMap(); // how each element asks
let typed = null; // the last field that was changed
let dropped = null; // the last request whose answer is not shown for that
let again = null; // what it came from

function onAnswer(event) {
  const { target, requestConfig, xhr } = event.detail;
  const { elt, triggeringEvent, time } = requestConfig;
  const { form = elt } = elt;
  const isMove = triggeringEvent?.submitter?.name === "move";
  if (!form?.elements || (form === elt && !isMove)) return;
  const isNewer = (field) => typings.get(field) > time && target.contains(field);
  if (![...form.elements].some(isNewer)) return;
  event.preventDefault();
  dropped = xhr;
  again = elt;
  const ask = isMove ? () => triggeringEvent.submitter.click() : () => issues.get(elt)(true);
  setTimeout(ask); // once the request is over
}

document.addEventListener("input", ({ target }) => {
  typed = target;
  typings.set(target, performance.now());
});
document.addEventListener("htmx:confirm", ({ detail }) => issues.set(detail.elt, detail.issueRequest));
document.addEventListener("htmx:configRequest", ({ detail }) => { detail.time = performance.now(); });
document.addEventListener("htmx:beforeSwap", onAnswer);
document.addEventListener("htmx:afterSettle", ({ detail }) => {
  const isAgain = again !== null && detail.requestConfig?.elt === again;
  if (isAgain) document.getElementById(typed.id)?.focus({ preventScroll: true });
});

// --- a form is sent once, however often its button is pressed before the answer is there ---

const AGAIN = 60_000; // milliseconds; then it may have been stopped by the reader
let sent = new WeakMap(); // when each form was sent

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (Date.now() - (sent.get(form) ?? 0) < AGAIN) event.preventDefault();
  else sent.set(form, Date.now());
});
window.addEventListener("pageshow", () => { sent = new WeakMap(); });

// --- keys ---

function isField(element) {
  return element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isField(event.target)) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search === null) return;
    event.preventDefault();
    search.focus();
    search.select();
  }
  if (event.key === "?") document.getElementById("keys").showModal();
}

document.addEventListener("keydown", onKey);

// --- the table: what was asked for last is shown, with all that was asked for before it ---

const search = document.getElementById("search");
const box = document.getElementById("keyword");
let shown = readShown(box?.defaultValue); // the query of the table that is there
let listed = shown; // that of the lists beside it
let asked = shown; // that of the table that is under way
let latest = 0; // when it was asked for
let applied = null; // its path, if that is the form of a filter or of columns, which is applied
const WHOLE = "value"; // the target for which a form comes with its table, which is another one now

function readShown(keyword) {
  const query = new URLSearchParams(search === null ? "" : new FormData(search));
  return setKeyword(query, keyword);
}

function setKeyword(query, keyword) {
  if (keyword) query.set("keyword", keyword);
  else query.delete("keyword");
  return query;
}

// What a link or a form asks for that was written when `base` was shown, and what else is asked
// for by now: the text in the box, and what no answer has come for yet.
function rebase(query, base) {
  const wanted = setKeyword(new URLSearchParams(asked), box.value);
  if (String(wanted) === String(base)) return query;
  for (const [name, value] of base) if (!query.has(name, value)) wanted.delete(name, value);
  const news = [...query].filter(([name, value]) => !base.has(name, value));
  for (const [name] of news) {
    for (const value of wanted.getAll(name)) if (!base.has(name, value)) wanted.delete(name, value);
  }
  for (const [name, value] of news) wanted.append(name, value);
  return withoutPlace(wanted);
}

function withoutPlace(query) {
  query.delete("after");
  query.delete("skip");
  return query;
}

// The query of an address; that of a form's step is the one that it leads back to.
function rebaseAll(sent, base) {
  const back = sent.get("back");
  const query = rebase(new URLSearchParams(back ?? sent), base);
  if (back === null) return [query, query];
  const all = new URLSearchParams(sent);
  all.set("back", query);
  return [query, all];
}

function onOrder(event) {
  const { elt, triggeringEvent } = event.detail;
  if (search === null || elt.id === "facets") return;
  if (triggeringEvent.timeStamp < latest) event.preventDefault(); // it waited while one was newer
  else latest = triggeringEvent.timeStamp;
}

function onList(detail) {
  const { elt } = detail;
  const address = new URL(detail.path, location.href);
  const sent = new URLSearchParams([...address.searchParams, ...detail.formData]);
  const isAlone = elt === search && asked === shown;
  const base = elt.closest("#facets") ? listed : shown;
  const [query, all] = isAlone ? [sent, sent] : rebaseAll(sent, base);
  asked = withoutPlace(new URLSearchParams(query));
  address.search = all;
  const isOfForm = all.has("back") || elt.closest(".panel") !== null;
  const { pathname, searchParams } = isOfForm || !applied ? address : applyAgain(query);
  const isBehind = String(asked) !== String(shown);
  if (searchParams.has("back") && isBehind) detail.headers["HX-Target"] = WHOLE;
  detail.path = `${pathname}?${searchParams}`;
  detail.parameters = {};
  const isApplied = ["add", "show"].some((name) => searchParams.has(name));
  applied = searchParams.has("back") && isApplied ? detail.path : null;
}

// What a form makes of the query is known when it is answered. What is asked for until then is
// what it leads back to now, and the same is asked of the form again.
function applyAgain(query) {
  const again = new URL(applied, location.href);
  again.searchParams.set("back", query);
  return again;
}

// Going back loads the address anew: no answer may change it meanwhile.
function onBack({ state }) {
  if (!state?.htmx || search === null) return;
  latest = Infinity;
  clearTimeout(resting);
  counting.abort();
  htmx.trigger(search, "htmx:abort");
}

// What leads on from the table, with all that it is asked for, is of what was asked for last.
function onWayOn({ target }) {
  const link = target.closest("a[data-asked]");
  if (link === null) return;
  const address = new URL(link.href);
  const query = rebase(address.searchParams, shown);
  for (const name of ["limit", "count"]) query.delete(name); // which are the table's alone
  address.search = query;
  link.href = address;
}

// A menu that was opened meanwhile stays open, with what was typed into it.
function keepMenu({ detail }) {
  const { target, fragment } = detail;
  for (const menu of target.querySelectorAll("details[id]")) {
    fragment.querySelector(`#${menu.id}`)?.toggleAttribute("open", menu.open);
  }
  for (const field of target.querySelectorAll("input[id]")) {
    const same = fragment.querySelector(`#${field.id}`);
    if (same !== null) same.value = field.value;
  }
}

document.addEventListener("click", onWayOn, true);
window.addEventListener("popstate", onBack);
document.addEventListener("htmx:oobBeforeSwap", keepMenu);
document.addEventListener("htmx:confirm", onOrder);
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.target.id === "list" && detail.failed) asked = shown;
  const isOver = detail.successful || detail.failed; // it was not aborted
  if (isOver && detail.requestConfig.path === applied) applied = null;
});

// --- a search that is being typed: counted when it rests, one step back for all of it ---

const REST = 500; // milliseconds after the last answer
let isTyped = false; // whether the address is that of a search that is being typed
let resting;
let counting = new AbortController();

const TYPING = "Docsheet-Typing"; // the header that says so

function onRequest(event) {
  const { elt, target, parameters, headers, triggeringEvent } = event.detail;
  if (elt.id === "facets") return;
  clearTimeout(resting);
  counting.abort();
  if (parameters.sort === "") delete parameters.sort;
  if (parameters.keyword === "") delete parameters.keyword;
  if (target.id === "list") onList(event.detail);
  if (elt !== search) return;
  if (triggeringEvent.isComposing) event.preventDefault(); // no characters yet
  if (triggeringEvent.type !== "submit") headers[TYPING] = "true";
}

function onAddress(event) {
  const { history, requestConfig } = event.detail;
  const wasTyped = isTyped;
  isTyped = TYPING in requestConfig.headers;
  const isHere = history.path === location.pathname + location.search;
  if (isHere || (isTyped && wasTyped)) history.type = "replace";
}

async function countAtRest() {
  counting = new AbortController();
  try {
    const answer = await fetch(location.href, { signal: counting.signal });
    const seen = new DOMParser().parseFromString(await answer.text(), "text/html");
    replaceCount(seen.getElementById("count"));
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

function replaceCount(count) {
  if (count === null) return;
  document.getElementById("count").replaceWith(count);
  htmx.process(count);
  announce(count.firstElementChild.textContent);
  htmx.trigger(document.body, LISTED);
}

// --- a file that is chosen ---

document.addEventListener("change", ({ target }) => {
  if (target.dataset.most === undefined) return;
  const isTooLarge = [...target.files].some((file) => file.size > Number(target.dataset.most));
  target.setCustomValidity(isTooLarge ? target.dataset.tooLarge : "");
  target.reportValidity();
});

// --- the lists beside the table: asked for after it, open where there is room ---

const LISTED = "listed"; // what they wait for
let isUnfolded = matchMedia("(min-width: 48rem)").matches;
let focused = ""; // the id of what has the focus in lists that are being replaced

function onLists({ target }) {
  const { activeElement } = document;
  const isInside = target.id === "facets" && target.contains(activeElement);
  focused = isInside ? activeElement.id : "";
}

function unfold() {
  document.querySelector("#facets > details")?.toggleAttribute("open", isUnfolded);
  if (focused !== "") document.getElementById(focused)?.focus({ preventScroll: true });
  focused = "";
}

document.addEventListener("htmx:beforeSwap", onLists);
document.addEventListener("htmx:afterSwap", unfold);
document.addEventListener("click", (event) => {
  const details = event.target.closest("#facets summary")?.parentElement;
  if (details) isUnfolded = !details.open;
});

// --- from a cell: only these, not these ---

const MAX_VALUE = 500; // characters of a value that goes into an address

// The value of a cell as a filter has it, null for none, undefined for what no filter finds.
function readValue(element) {
  const link = element.closest("td a") ?? element.querySelector("a");
  if (link !== null) return decodeURIComponent(link.pathname.split("/").pop());
  const one = element.querySelector(".note, .yes, .no, time, code, data") ?? element;
  if (one.matches(".missing, .null")) return null;
  if (one.matches(".empty")) return "";
  if (one.matches(".note")) return undefined; // a list without elements
  if (one.matches(".yes, .no")) return String(one.matches(".yes"));
  if (one.matches("data")) return one.value;
  if (one.matches("time")) return one.title || one.textContent;
  const text = one.textContent;
  if (!one.matches("code")) return text;
  return /^[[{]/.test(text) ? undefined : text;
}

let cell = null; // the last one that was opened: its heading's data, and its value

function addressOf({ heading, value }, isNot) {
  const { path, equals = path } = heading;
  const query = readShown(box.value);
  if (value === null) query.set(`${path}__exists`, isNot);
  else query.append(isNot ? `${path}__ne` : equals, value);
  return `${search.getAttribute("action")}?${query}`;
}

function openCell(place, element) {
  const dialog = document.getElementById("cell");
  const heading = [...place.closest("table").tHead.rows].pop().cells[place.cellIndex];
  if (dialog === null || !heading.dataset.path || "odd" in place.dataset) return;
  if (element === place && place.querySelector("details, a + a")) return; // of several values none
  const value = readValue(element);
  if (value === undefined || value?.length > MAX_VALUE) return;
  const [name, text] = document.getElementById("cell-title").children;
  name.textContent = heading.innerText;
  text.textContent = element.innerText;
  cell = { heading: heading.dataset, value };
  leadFromCell();
  dialog.showModal();
}

function leadFromCell() {
  if (cell === null) return;
  const dialog = document.getElementById("cell");
  for (const link of dialog.querySelectorAll("a")) {
    link.href = addressOf(cell, Boolean(link.dataset.not));
  }
  htmx.process(dialog);
}

function onCell(event) {
  const cell = event.target.closest("#documents tbody td:not(.tick)");
  if (event.target.closest("#cell a")) document.getElementById("cell").close();
  if (cell === null || event.target.closest("a, summary, button, input, label")) return;
  if (String(getSelection()) === "") openCell(cell, event.target.closest("td li") ?? cell);
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function onCellKey(event) {
  const { target, key } = event;
  const region = target.closest("#documents .table");
  if (region === null || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target === region && key === "Enter") focusCell(region.querySelector("tbody td:not(.tick)"));
  else if (!target.matches("td")) return;
  else if (key === "Enter") openCell(target, target);
  else if (key === "Escape") region.focus();
  else if (key in STEPS) focusCell(cellBeside(target, ...STEPS[key]));
  else return;
  event.preventDefault();
}

function cellBeside(cell, down, right) {
  const row = cell.parentElement.parentElement.rows[cell.parentElement.sectionRowIndex + down];
  return row?.cells[cell.cellIndex + right];
}

function focusCell(cell) {
  if (!cell?.matches("td:not(.tick)")) return;
  cell.tabIndex = -1;
  cell.focus();
}

document.addEventListener("click", onCell);
document.addEventListener("keydown", onCellKey);

// --- after every answer ---

function onSettle(event) {
  const { requestConfig } = event.detail;
  showTimes(event.target);
  showTicks();
  if (event.target.id === "list") {
    asked = shown = readShown(asked.get("keyword"));
    leadFromCell();
  }
  if (event.target.id === "facets") listed = new URLSearchParams(requestConfig.formData);
  const isWrong = document.querySelector("#faults [data-of=keyword]") !== null;
  box?.setAttribute("aria-invalid", isWrong);
  const isLost = document.activeElement === document.body && event.target.id === "list";
  if (isLost) event.target.focus({ preventScroll: true });
  if (requestConfig && TYPING in requestConfig.headers) {
    clearTimeout(resting);
    resting = setTimeout(countAtRest, REST);
    return;
  }
  if (event.target.id === "list") htmx.trigger(document.body, LISTED);
  const count = document.querySelector("#count > :first-child");
  const news = count ?? event.target.querySelector("[data-announce]");
  if (news !== null) announce(news.textContent.trim());
}

document.addEventListener("htmx:configRequest", onRequest);
document.addEventListener("htmx:beforeHistoryUpdate", onAddress);
document.addEventListener("htmx:afterSettle", onSettle);
rememberZone();
showTimes(document);
announceDone();
offerCopies();
showTicks();
