// Draws the snapshots that live.js brings. All texts are set as text, never as markup.
import { follow } from "./dashboard_live.js";
import { Charts } from "./dashboard_charts.js";

const page = JSON.parse(document.getElementById("dash-words").textContent);
const root = document.getElementById("dashboard");
const at = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat(page.language, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(page.language, { maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat(page.language, { maximumFractionDigits: 2 });
const shares = new Intl.NumberFormat(page.language, { style: "percent", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(page.language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minuteClock = new Intl.DateTimeFormat(page.language, { hour: "numeric", minute: "2-digit" });
const dayClock = new Intl.DateTimeFormat(page.language, { weekday: "short", hour: "2-digit", minute: "2-digit" });

const say = (name, ...values) => page.words[name].replace(/\{(\d)\}/g, (_, index) => values[index]);
const time = (seconds) => clock.format(seconds * 1000);
const dayTime = (seconds) => dayClock.format(seconds * 1000);
const outcome = (name) => page.outcomes[name] ?? name;

function duration(seconds) {
  if (seconds < 120) return say("seconds", (seconds < 1 ? hundredths : seconds < 10 ? tenths : numbers).format(seconds));
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? say("minutes", minutes) : say("hours", Math.floor(minutes / 60), minutes % 60);
}

// What does not change is not touched, so nothing flickers and no reading voice is disturbed.
function put(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

// Rows of a table: `cells` are texts, or functions that fill their cell.
function rows(body, items, cellsOf) {
  if (!items.length) {
    if (!body.querySelector(".dash-nothing")) {
      const cell = document.createElement("td");
      cell.className = "dash-nothing";
      cell.colSpan = 9;
      cell.textContent = body.dataset.empty;
      const row = document.createElement("tr");
      row.append(cell);
      body.replaceChildren(row);
    }
    return;
  }
  body.querySelector(".dash-nothing")?.closest("tr").remove();
  while (body.rows.length > items.length) body.deleteRow(-1);
  items.forEach((item, index) => {
    const row = body.rows[index] ?? body.insertRow();
    const { cells, over } = cellsOf(item);
    row.toggleAttribute("data-over", Boolean(over));
    cells.forEach((cell, column) => {
      const place = row.cells[column] ?? named(row.insertCell(), body, column);
      if (typeof cell === "function") cell(place);
      else put(place, cell);
    });
  });
}

function named(cell, body, column) {
  cell.dataset.label = body.closest("table").tHead.rows[0].cells[column].textContent;
  return cell;
}

function tiles(snapshot) {
  const rates = snapshot.rates;
  const shown = {
    in_flight: numbers.format(snapshot.in_flight),
    requests: tenths.format(rates.requests),
    tokens: numbers.format(rates.tokens),
    errors: rates.errors === null ? "–" : shares.format(rates.errors),
    empties: rates.empties === null ? "–" : shares.format(rates.empties),
    first_median: rates.first_median === null ? "–" : duration(rates.first_median),
    first_slow: rates.first_slow === null ? "–" : duration(rates.first_slow),
  };
  for (const [name, text] of Object.entries(shown)) put(root.querySelector(`[data-rate="${name}"]`), text);
}

function running(snapshot) {
  const items = [...snapshot.running, ...snapshot.ended];
  rows(at("dash-running"), items, (one) => {
    const isOver = "outcome" in one;
    const seconds = isOver ? one.seconds : snapshot.now - one.started;
    const state = isOver ? outcome(one.outcome) : say(one.speaks ? "speaking" : "working");
    const keys = one.keys.map((tail) => `…${tail}`).join(" ");
    return { cells: [one.member, one.model, keys || "–", duration(seconds), one.attempt || "–", state], over: isOver };
  });
  const more = snapshot.in_flight - snapshot.running.length;
  const title = at("dash-running-title");
  title.dataset.text ??= title.textContent;
  put(title, more > 0 ? `${title.dataset.text} (${say("and_more", more)})` : title.dataset.text);
}

function forecast(one) {
  if (!one.serving) return say("no_key");
  if (one.left === 0) return say("gone", dayTime(one.resets_at));
  if (!one.ready) return say("returns", dayTime(one.returns_at));
  if (one.exhausted_at) return say("ends", dayTime(one.exhausted_at));
  return one.left === null ? "–" : say("lasts");
}

function left(one) {
  const text = one.left === null ? say("no_limit") : say(one.is_guessed ? "guessed" : "left", numbers.format(one.left));
  return (cell) => {
    const label = cell.firstElementChild ?? cell.appendChild(document.createElement("span"));
    put(label, text);
    const bar = cell.querySelector("progress") ?? cell.appendChild(document.createElement("progress"));
    bar.className = "desk-use dash-bar";
    bar.hidden = one.left === null;
    bar.max = Math.max(one.used + (one.left ?? 0), 1);
    bar.value = one.left ?? 0;
    bar.setAttribute("aria-label", text);
  };
}

function models(snapshot) {
  rows(at("dash-models"), snapshot.models, (one) => ({
    cells: [one.model, left(one), say("used", numbers.format(one.used)), say("ready_keys", one.ready, one.serving), forecast(one)],
  }));
  if (snapshot.models.length) put(at("dash-reset"), dayTime(snapshot.models[0].resets_at));
}

function health(snapshot) {
  const { state, outcomes, outages, last_answer: answered, fault } = snapshot.upstream;
  at("dash-health").dataset.state = state;
  put(at("dash-health"), say(`state_${state}`));
  const lines = outages.map((one) =>
    say(one.model ? "outage_model" : "outage", one.upstream, time(one.until), one.faults, one.model));
  lists(at("dash-outages"), lines, "li", put);
  const counts = Object.entries(outcomes).sort((a, b) => b[1] - a[1]);
  lists(at("dash-outcomes"), counts, "div", (row, [name, count]) => {
    const [label, value] = row.children.length ? row.children : [row.appendChild(document.createElement("dt")), row.appendChild(document.createElement("dd"))];
    put(label, outcome(name));
    put(value, numbers.format(count));
  });
  put(at("dash-last-answer"), answered ? say("last_answer", time(answered)) : "");
  put(at("dash-last-fault"), fault ? say("last_fault", time(fault.at), fault.message || outcome(fault.outcome)) : "");
}

function lists(list, items, tag, fill) {
  while (list.children.length > items.length) list.lastElementChild.remove();
  items.forEach((item, index) => fill(list.children[index] ?? list.appendChild(document.createElement(tag)), item));
}

function firstSteps(snapshot) {
  const panel = at("first-steps");
  if (!panel) return;
  const done = (step) => panel.querySelector(`[data-step="${step}"]`).setAttribute("data-done", "");
  const { partly, ...states } = snapshot.keys;
  if (Object.values(states).some((count) => count)) done("key");
  if (snapshot.upstream.last_answer) done("works");
  if (snapshot.minutes.answered.some((count) => count)) {
    done("message");
    panel.hidden = true;
  }
}

const charts = new Charts(say);

const told = (refusal) => (refusal.count > 1 ? `${refusal.text} (${say("times", refusal.count)})` : refusal.text);

function draw(snapshot) {
  tiles(snapshot);
  charts.draw(snapshot.minutes, (minute) => minuteClock.format(minute * 60000));
  running(snapshot);
  models(snapshot);
  for (const [name, count] of Object.entries(snapshot.keys)) put(root.querySelector(`[data-key="${name}"]`), numbers.format(count));
  health(snapshot);
  rows(at("dash-members"), snapshot.members, (one) => ({ cells: [one.name, numbers.format(one.requests), numbers.format(one.tokens)] }));
  rows(at("dash-refusals"), snapshot.refusals, (one) => ({
    cells: [time(one.at), one.who || say("nobody"), one.model || "–", `${told(one)} ${one.id}`],
  }));
  at("dash-waiting").hidden = snapshot.waiting < 20;
  put(at("dash-waiting"), say("waiting", numbers.format(snapshot.waiting)));
  firstSteps(snapshot);
}

let latest = 0;
follow(page, {
  snapshot(snapshot) {
    latest = snapshot.now;
    draw(snapshot);
  },
  state(name) {
    root.dataset.state = name;
    put(at("dash-status"), name === "lost" ? say(name, latest ? time(latest) : "–") : say(name));
    at("dash-login").hidden = name !== "logged_out";
  },
});
