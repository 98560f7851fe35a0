"use strict";

// The password stays in this variable: no cookie and no storage ever holds it. A reload asks for it again.
let password = "";

// What is sent goes one after the other: an answer that comes late replaces no newer page.
let last = Promise.resolve();

function send(form) {
  const body = new FormData(form);
  if (!body.get("password")) body.set("password", password);
  return post(form.action, body, form.querySelector("button"));
}

function post(action, body, button) {
  if (button) button.disabled = true;
  last = last.then(async () => {
    try {
      const answer = await fetch(action, { method: "POST", body, headers: { accept: "text/html" } });
      show(await answer.text(), body);
    } catch {
      if (button) button.disabled = false;
    }
  });
  return last;
}

function show(html, sent) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const made = page.getElementById("made");
  const isIn = page.querySelector("[data-again]") !== null;
  const isChanged = page.querySelector("[role=status]") !== null;
  if (!isIn) password = "";
  else if (made) password = made.textContent;
  else password = isChanged ? sent.get("new_password") : sent.get("password");
  document.title = page.title;
  document.documentElement.lang = page.documentElement.lang;
  document.getElementById("main").replaceWith(page.getElementById("main"));
  dress();
}

// With the password at hand nobody needs to type it again.
function dress() {
  for (const form of document.querySelectorAll("form[data-enter], form[data-again]")) {
    form.addEventListener("submit", (event) => { event.preventDefault(); send(form); });
  }
  for (const form of document.querySelectorAll("form[data-change]")) {
    form.addEventListener("submit", (event) => { event.preventDefault(); ask(form); });
  }
  for (const form of document.querySelectorAll("form[data-language]")) {
    form.addEventListener("submit", (event) => { event.preventDefault(); speak(form, event.submitter); });
  }
  const again = document.querySelector("[data-again]");
  if (again && password) again.hidden = false;
  const current = document.querySelector("[data-current]");
  if (current && password) {
    current.hidden = true;
    current.querySelector("input").required = false;
  }
  const recordings = document.querySelector("[data-recordings]");
  if (recordings && password) recordings.hidden = false;
  for (const button of document.querySelectorAll("button[data-record]")) {
    button.addEventListener("click", () => record(button.dataset.record));
  }
  for (const button of document.querySelectorAll("button[data-copy]")) button.addEventListener("click", () => copy(button));
}

// What a member recorded is shown as text, whatever is in it.
async function record(method) {
  const headers = { authorization: `Bearer ${password}`, "content-type": "application/json" };
  const count = Number(document.getElementById("record-count").value);
  const body = method === "POST" ? JSON.stringify({ count }) : undefined;
  const answer = await fetch("/v1/me/recordings", { method, headers, body });
  const told = await answer.json();
  const left = document.getElementById("record-left");
  left.textContent = answer.ok ? told.left : told.error.message;
  if (answer.ok) document.getElementById("recordings").replaceChildren(...told.recordings.map(recording));
}

function recording(one) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = `${new Date(one.at).toLocaleTimeString()} ${one.path} ${one.status} ${one.request_id}`;
  details.append(summary, ...[one.request, one.answer].map(block));
  return details;
}

function block(text) {
  const pre = document.createElement("pre");
  pre.textContent = text;
  // It scrolls, so the keyboard must reach it.
  pre.tabIndex = 0;
  return pre;
}

// What is copied has the password in it; what is seen has not.
function textOf(element) {
  const twin = element.cloneNode(true);
  for (const place of twin.querySelectorAll("[data-password]")) place.textContent = password || place.textContent;
  return twin.textContent;
}

// The clipboard's own interface is missing on plain http; selecting and copying works everywhere.
async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (!isCopied) throw new Error("not copied");
}

async function copy(button) {
  const label = button.textContent;
  try {
    await copyText(textOf(document.getElementById(button.dataset.copy)));
  } catch {
    return;
  }
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = label; }, 1500);
}

// A password is replaced only after a second look.
function ask(form) {
  const dialog = document.querySelector("[data-sure]");
  dialog.returnValue = "";
  dialog.onclose = () => { if (dialog.returnValue === "yes") send(form); };
  dialog.showModal();
}

// The page comes anew in the other language; a reload would ask for the password again.
async function speak(form, button) {
  const body = new FormData(form);
  body.set(button.name, button.value);
  await fetch(form.action, { method: "POST", body });
  const again = document.querySelector("[data-again]");
  if (again && password) send(again);
  else location.reload();
}

// A link with the password behind its #: also one that is opened while another member's page is shown.
function enterByLink() {
  const given = location.hash.slice(1);
  if (!given) return;
  history.replaceState(null, "", location.pathname);
  const body = new FormData();
  body.set("password", decoded(given));
  post(document.querySelector("form[data-enter], form[data-again]").action, body);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

dress();
enterByLink();
window.addEventListener("hashchange", enterByLink);
