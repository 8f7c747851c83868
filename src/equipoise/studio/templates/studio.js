// Forms become tasks: their fields are sent, progress is shown, the result is put in its place.
"use strict";

const result = document.querySelector("#result");
const working = document.querySelector(".working");
const fault = document.querySelector(".fault[role]");
let turn = 0;  // the latest run of a form; what an earlier one brings is not shown
let task = 0;  // its task, once it has one

async function send(place, fields) {
  const answer = await fetch(place, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function encode(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("A file could not be read."));
    reader.readAsDataURL(file);
  });
}

async function collect(form) {
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    if (!(value instanceof File)) fields[name] = value;
    else if (value.size) (fields[name] ??= []).push(await encode(value));
  }
  return fields;
}

function tell(message) {
  fault.textContent = message;
  fault.hidden = !message;
}

function cancel(number) {
  send(`/task/${number}/cancel`, {}).catch((error) => tell(error.message));
}

async function follow(number, mine) {
  for (;;) {
    const answer = await fetch(`/task/${number}`);
    if (!answer.ok) throw new Error(await answer.text());
    const { state, done, total, doing, html, error } = await answer.json();
    if (mine !== turn) return false;
    working.querySelector(".doing").textContent = doing;
    const bar = working.querySelector("progress");
    bar.max = total;
    if (done) bar.value = done; else bar.removeAttribute("value");
    if (state === "failed") throw new Error(error);
    if (state === "finished") result.innerHTML = html;  // escaped by the server
    if (state === "finished" || state === "cancelled") return state === "finished";
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

async function run(form) {
  const mine = ++turn;
  if (task) cancel(task);
  task = 0;
  tell("");
  working.hidden = false;
  let done = false;
  try {
    const started = (await send(`/task/${form.dataset.task}`, await collect(form))).task;
    if (mine !== turn) return cancel(started);
    task = started;
    done = await follow(started, mine);
  } catch (error) {
    if (mine === turn) tell(error.message);
  }
  if (mine !== turn) return;
  working.hidden = true;
  task = 0;
  const again = form.elements.again?.checked && Number(form.dataset.again);
  if (done && again) setTimeout(() => { if (mine === turn) run(form); }, 1000 * again);
}

function showChosen(form) {
  for (const part of form.querySelectorAll("[data-when]")) {
    part.hidden = form.elements.source.value !== part.dataset.when;
  }
}

for (const form of document.querySelectorAll("form[data-task]")) {
  let waiting;
  form.addEventListener("submit", (event) => { event.preventDefault(); run(form); });
  form.addEventListener("input", (event) => {
    const shown = event.target.parentElement?.querySelector("output");
    if (shown) shown.textContent = event.target.value;
    if (form.elements.source) showChosen(form);
    if ("live" in form.dataset) {
      clearTimeout(waiting);
      waiting = setTimeout(() => run(form), 400);
    }
  });
  if (form.elements.source) showChosen(form);
  if ("live" in form.dataset) run(form);
}
working.querySelector(".cancel").addEventListener("click", () => {
  if (task) cancel(task);
});
