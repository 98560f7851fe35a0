// The admin's own pages: countdowns, copy buttons, busy forms, probes in steps.
"use strict";

const twoDigits = (number) => String(number).padStart(2, "0");

function countDown() {
  for (const element of document.querySelectorAll("time.desk-countdown")) {
    const left = Math.max(0, Math.round((Date.parse(element.dateTime) - Date.now()) / 1000));
    const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
    const shown = `${hours}:${twoDigits(minutes)}:${twoDigits(seconds)}`;
    if (element.textContent !== shown) element.textContent = shown;
  }
}

// The clipboard's own interface is missing on plain http; selecting and copying works everywhere.
function copyText(element) {
  if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent);
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  return document.execCommand("copy") ? Promise.resolve() : Promise.reject(new Error("not copied"));
}

async function copy(button) {
  try {
    await copyText(document.getElementById(button.dataset.copy));
  } catch {
    return;
  }
  const label = button.textContent;
  button.textContent = "✓";
  setTimeout(() => { button.textContent = label; }, 1500);
}

// On a phone, rows of these tables become small cards, whose cells are named by their column.
function nameCells() {
  for (const table of document.querySelectorAll("table.desk-stack")) {
    const names = [...table.tHead.rows[0].cells].map((name) => name.textContent);
    for (const row of table.tBodies[0].rows) [...row.cells].forEach((one, index) => { one.dataset.label = names[index]; });
  }
}

function showBusy(form) {
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  button.textContent = form.dataset.busy;
}

function hidden(name, value) {
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name, value });
  return field;
}

async function importStep(form, start) {
  const body = new FormData(form);
  body.set("start", String(start));
  const answer = await fetch(location.href, { method: "POST", body });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

// Sends the keys in steps, then the form as without a script: its page tells what became of each line.
async function importAll(form) {
  const place = form.querySelector("#import-progress");
  const [bar, count] = place.children;
  const ids = [];
  let [revived, start, total] = [0, 0, 1];
  place.hidden = false;
  try {
    while (start < total) {
      const answer = await importStep(form, start);
      ids.push(...answer.ids);
      revived += answer.revived;
      [start, total] = [answer.next, answer.total];
      [bar.value, bar.max] = [start, Math.max(total, 1)];
      count.textContent = `${start} / ${total}`;
    }
  } catch {
    // The one post that follows takes up what is missing, and shows what is wrong.
  }
  form.append(hidden("imported", ids.join(",")), hidden("revived", String(revived)));
  form.submit();
}

function isLong(form) {
  return form.id === "import-form" && form.elements.keys.value.split(/\s+|,/).length > Number(form.dataset.step);
}

function cell(text) {
  const element = document.createElement("td");
  element.textContent = text;
  return element;
}

function badge(text, tone) {
  const element = document.createElement("span");
  element.className = `desk-badge desk-${tone}`;
  element.textContent = text;
  return element;
}

function probeRow(probe, words) {
  const row = document.createElement("tr");
  const result = document.createElement("td");
  result.append(badge(probe.good ? words.good : words.bad, probe.good ? "good" : "bad"));
  row.append(cell(`…${probe.tail}`), result, cell(probe.text));
  return row;
}

async function probeStep(page, ids) {
  const body = new FormData();
  body.set("ids", ids.join(","));
  body.set("step", "1");
  body.set("csrfmiddlewaretoken", page.querySelector("[name=csrfmiddlewaretoken]").value);
  const answer = await fetch(page.dataset.url, { method: "POST", body });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

async function probeAll(page) {
  const ids = page.dataset.ids.split(",").filter(Boolean);
  const step = Number(page.dataset.step);
  const [bar, count, sum] = [page.querySelector("progress"), page.querySelector("#probe-count"), page.querySelector("#probe-sum")];
  let good = 0;
  for (let start = 0; start < ids.length; start += step) {
    let answer;
    try {
      answer = await probeStep(page, ids.slice(start, start + step));
    } catch {
      sum.textContent = page.dataset.broken;
      return;
    }
    page.querySelector("#probe-rows").append(...answer.probes.map((probe) => probeRow(probe, page.dataset)));
    good += answer.probes.filter((probe) => probe.good).length;
    bar.value = Math.min(start + step, ids.length);
    count.textContent = `${bar.value} / ${ids.length}`;
    sum.textContent = `${good} ✓  ${bar.value - good} ✗`;
  }
  sum.textContent += `  ${page.dataset.done}`;
}

document.addEventListener("DOMContentLoaded", () => {
  nameCells();
  setInterval(countDown, 1000);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
    if (event.target.closest("[data-print]")) window.print();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.busy) showBusy(event.target);
    if (!isLong(event.target)) return;
    event.preventDefault();
    importAll(event.target);
  });
  const page = document.getElementById("probe");
  if (page) probeAll(page);
});
