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
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (!Number.isNaN(date.valueOf())) time.textContent = format.format(date);
  }
}

// --- what happened, said to who can't see it ---

function announce(text) {
  document.getElementById("status").textContent = text;
}

// --- what went wrong, shown above a screen that stays as it is ---

const problem = document.getElementById("problem");
const silence = problem.querySelector("div").textContent;

function showProblem(...nodes) {
  problem.querySelector("div").replaceChildren(...nodes);
  if (!problem.open) problem.showModal();
}

document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  const main = new DOMParser().parseFromString(xhr.responseText, "text/html").querySelector("main");
  showProblem(...(main === null ? [`${xhr.status} ${xhr.statusText}`] : main.childNodes));
});
document.addEventListener("htmx:sendError", () => showProblem(silence));

// --- keys ---

function isTyping(element) {
  return element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
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
document.addEventListener("htmx:afterSettle", (event) => {
  showTimes(event.target);
  const count = document.getElementById("count");
  if (count !== null) announce(count.textContent.trim());
});
rememberZone();
showTimes(document);
