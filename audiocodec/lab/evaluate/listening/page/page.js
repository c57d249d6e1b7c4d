"use strict";
/* Start, trials and end of the listening test; what buttons, sliders and keys do. */

const REFERENCE = "reference";
const UNRATED_AT = 50; // where a slider stands before it is moved
const LETTERS = "ABCDEFGHIJKL";

const test = window.LISTENING_TEST;
const store = new Store(test);
const player = new Player(test.sampleRate);
const wave = new Wave(player, showPlayback);
window.LISTENING_AUDIO = {}; // filled by the script of a trial
window.listening = { test, store, player }; // to look at from the console

const element = (id) => document.getElementById(id);
let session = null; // of the listener; null: on the start page, or practising
let trial = null; // the record of the trial on the page; null: none

/* ---- which page ---- */

function show(screen) {
  for (const name of ["start", "trial", "finish"]) element(name).hidden = name !== screen;
  scrollTo(0, 0);
}

function showStart() {
  session = trial = null;
  player.pause();
  show("start");
  if (!store.works) {
    element("start-note").textContent =
      "This browser keeps nothing: do not reload or close the page before you have saved.";
  }
}

function begin(event) {
  event.preventDefault();
  const name = element("listener").value.trim();
  if (!NAME_RULE.test(name)) {
    element("start-note").textContent = "A name has letters, digits, space, dot, dash: up to 40.";
    return;
  }
  element("start-note").textContent = "";
  session = store.open(name);
  goTo(session.at);
}

function practise() {
  openTrial(newTrial(test.trials[0], "practice"), "Try it out: nothing is kept");
}

/** Go to a trial of the session, by index; past the last one is the end. */
function goTo(index) {
  const at = Math.min(Math.max(0, Math.trunc(index) || 0), session.trials.length);
  session.at = at;
  if (at === session.trials.length) showFinish();
  else openTrial(session.trials[at], `Trial ${at + 1} of ${session.trials.length}`);
  store.save();
}

function showFinish() {
  player.pause();
  trial = null;
  session.finished ||= new Date().toISOString();
  element("remarks").value = session.remarks;
  element("saved").textContent = "";
  show("finish");
  element("thanks").focus();
}

/* ---- a trial ---- */

async function openTrial(record, heading) {
  trial = record;
  player.clear(); // or keys would act on the audio of the trial before while this one loads
  show("trial");
  showTrial(heading);
  say("Loading the audio ...");
  try {
    if (!(await player.load(await audioOf(record.trial))) || trial !== record) return;
  } catch (error) {
    if (trial === record) say(`The audio of this trial cannot be loaded: ${error.message}`);
    return;
  }
  say("");
  choose(REFERENCE);
  wave.draw();
  showPlayback();
}

/** The audio that a trial's script sets: {reference, conditions: {id: base64}}, as one object. */
async function audioOf(id) {
  const script = document.createElement("script");
  script.src = `listening/${test.trials.find((each) => each.id === id).file}`;
  await new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${script.getAttribute("src")} is missing`));
    document.head.append(script);
  });
  script.remove();
  const { reference, conditions } = window.LISTENING_AUDIO[id];
  delete window.LISTENING_AUDIO[id]; // a few MB
  return { [REFERENCE]: reference, ...conditions };
}

function showTrial(heading) {
  element("heading").textContent = heading;
  element("heading").focus({ preventScroll: true });
  element("progress").hidden = !session;
  element("progress").max = session?.trials.length ?? 1;
  element("progress").value = session?.at ?? 0;
  element("comment").value = trial.comment;
  element("previous").textContent = session ? "Previous" : "Back";
  element("previous").disabled = session?.at === 0;
  element("next").textContent = session ? "Next" : "Done";
  element("conditions").replaceChildren(...trial.conditions.map(conditionColumn));
  trial.conditions.forEach(showScore);
}

/** A condition's score, slider and button. */
function conditionColumn(condition, index) {
  const letter = LETTERS[index];
  const column = document.createElement("div");
  column.className = "condition";
  column.dataset.condition = condition;
  const score = document.createElement("output");
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: 100, step: 1, value: UNRATED_AT });
  slider.setAttribute("aria-label", `Rating of ${letter}`);
  slider.addEventListener("focus", () => choose(condition));
  slider.addEventListener("pointerdown", () => choose(condition));
  slider.addEventListener("input", () => rate(condition, Number(slider.value)));
  slider.addEventListener("pointerup", () => rate(condition, Number(slider.value)));
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "sound choose", textContent: letter });
  button.setAttribute("aria-label", `Version ${letter}`);
  button.addEventListener("click", () => choose(condition));
  column.append(score, slider, button);
  return column;
}

const columnOf = (condition) =>
  element("conditions").children[trial.conditions.indexOf(condition)];

/** Show a condition's score; one that has none is marked. */
function showScore(condition) {
  const column = columnOf(condition);
  const score = trial.scores[condition];
  const slider = column.querySelector("input");
  column.classList.toggle("unrated", score === undefined);
  column.querySelector("output").textContent = score ?? "–";
  slider.value = score ?? UNRATED_AT;
  if (score === undefined) slider.setAttribute("aria-valuetext", "not rated");
  else slider.removeAttribute("aria-valuetext");
}

function rate(condition, score) {
  trial.scores[condition] = Math.min(100, Math.max(0, score));
  columnOf(condition).classList.remove("missed");
  showScore(condition);
  hintAtReference();
  store.save();
}

/** Rate the condition that is heard, by a step up or down. */
function rateBy(step) {
  rate(player.chosen, (trial.scores[player.chosen] ?? UNRATED_AT) + step);
}

function hintAtReference() {
  const best = Math.max(...Object.values(trial.scores));
  const done = unrated(trial).length === 0;
  say(done && best < 100 ? "One of the versions is the reference itself: rate it 100." : "");
}

function say(text) {
  element("hint").textContent = text;
}

function next() {
  if (!session) return showStart();
  const missing = unrated(trial);
  if (missing.length === 0) return goTo(session.at + 1);
  missing.forEach((condition) => columnOf(condition).classList.add("missed"));
  const letters = missing.map((condition) => LETTERS[trial.conditions.indexOf(condition)]);
  say(`Not rated yet: ${letters.join(", ")}. Move each slider, even if only a little.`);
}

function previous() {
  if (!session) showStart();
  else if (session.at > 0) goTo(session.at - 1);
}

/* ---- playback ---- */

/** Let the reference or a condition be heard. */
function choose(name) {
  if (!player.samples) return;
  const switched = player.chosen !== name;
  player.choose(name);
  if (switched && player.playing) countPlay();
  element("reference").setAttribute("aria-pressed", name === REFERENCE);
  for (const column of element("conditions").children) {
    const chosen = column.dataset.condition === name;
    column.classList.toggle("chosen", chosen);
    column.querySelector("button").setAttribute("aria-pressed", chosen);
  }
  focusFollows(name);
}

/** Arrows move the slider in focus: let that be the one of what is heard, or none. */
function focusFollows(name) {
  const column = document.activeElement.closest(".condition");
  if (!column || document.activeElement.type !== "range" || column.dataset.condition === name) return;
  if (name === REFERENCE) document.activeElement.blur();
  else columnOf(name).querySelector("input").focus();
}

async function playOrPause() {
  if (player.playing) player.pause();
  else {
    await player.play();
    if (player.playing) countPlay();
  }
  showPlayback();
}

function countPlay() {
  if (player.chosen === REFERENCE) return;
  trial.plays[player.chosen] = (trial.plays[player.chosen] ?? 0) + 1;
  store.save();
}

function setLoop(start, end) {
  if (!player.samples) return;
  player.setLoop(start, end);
  showPlayback();
}

/** Bring all that shows the player's state up to date, and go on doing so while it plays. */
function showPlayback() {
  element("play").textContent = player.playing ? "Pause" : "Play";
  for (const [id, time] of [["loop-start", player.loopStart], ["loop-end", player.loopEnd]]) {
    element(id).max = player.duration;
    element(id).value = time;
    element(id).setAttribute("aria-valuetext", `${time.toFixed(1)} seconds`);
  }
  wave.showLoop();
  showPosition();
}

function showPosition() {
  wave.showPosition();
  const [at, of] = [player.position.toFixed(1), player.duration.toFixed(1)];
  element("position").textContent = `${at} s of ${of} s`;
  if (player.playing && !showPosition.asked) {
    showPosition.asked = true; // one chain of frames, however often this is called
    requestAnimationFrame(() => {
      showPosition.asked = false;
      showPosition();
    });
  }
}

/* ---- keys ---- */

/** What a key does in a trial, or undefined. */
function actionOf(event) {
  const key = event.key.toLowerCase();
  const name = conditionOfKey(key);
  if (name) return () => choose(name);
  const step = { arrowup: 1, arrowright: 1, arrowdown: -1, arrowleft: -1 }[key];
  const slides = event.target.type === "range"; // moves by itself
  if (step && !slides && player.chosen !== REFERENCE && player.samples) {
    return () => rateBy(event.shiftKey ? 5 * step : step);
  }
  return {
    " ": playOrPause,
    "[": () => setLoop(player.position, player.loopEnd),
    "]": () => setLoop(player.loopStart, player.position),
    escape: () => setLoop(0, player.duration),
    n: next,
    p: previous,
  }[key];
}

function conditionOfKey(key) {
  if (key === "0" || key === "r") return REFERENCE;
  if (key.length !== 1) return undefined;
  return trial.conditions["123456789".indexOf(key)]
    ?? trial.conditions[LETTERS.indexOf(key.toUpperCase())];
}

function onKey(event) {
  const { target } = event;
  const typing = target.matches("textarea, input:not([type=range])");
  const pressing = event.key === " " && target.matches("button:not(.sound), summary");
  if (!trial || typing || pressing || event.ctrlKey || event.altKey || event.metaKey) return;
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow")) action();
}

/* ---- saving ---- */

function save(text, type, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  const name = session.listener.replace(/[ .]+/g, "_");
  link.download = `ratings_${test.id}_${name}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  element("saved").textContent = `Saved as ${link.download}. Thank you for listening.`;
}

/* ---- start ---- */

/** Once a second: time spent on the trial, while it can be seen. */
function countSecond() {
  if (!session || !trial || document.hidden) return;
  trial.seconds += 1;
  store.save();
}

function listen() {
  const on = (id, type, action) => element(id).addEventListener(type, action);
  on("start-form", "submit", begin);
  on("practise", "click", practise);
  on("play", "click", playOrPause);
  on("reference", "click", () => choose(REFERENCE));
  on("loop-start", "change", () => setLoop(Number(element("loop-start").value), player.loopEnd));
  on("loop-end", "change", () => setLoop(player.loopStart, Number(element("loop-end").value)));
  on("whole", "click", () => setLoop(0, player.duration));
  on("previous", "click", previous);
  on("next", "click", next);
  on("comment", "input", () => keep(trial, "comment"));
  on("remarks", "input", () => keep(session, "remarks"));
  on("save-json", "click", () => save(asJson(test, session), "application/json", "json"));
  on("save-csv", "click", () => save(asCsv(test, session), "text/csv", "csv"));
  on("back", "click", () => goTo(session.trials.length - 1));
  on("another", "click", leave);
  document.addEventListener("keydown", onKey);
  setInterval(countSecond, 1000);
}

/** Keep the text of the field that is named like it. */
function keep(record, field) {
  record[field] = element(field).value;
  store.save();
}

function leave() {
  store.leave();
  element("listener").value = "";
  showStart();
}

function main() {
  document.title = test.title;
  document.querySelector(".title").textContent = test.title;
  const count = test.trials.length;
  element("trial-count").textContent = `${count} ${count === 1 ? "trial" : "trials"}`;
  listen();
  session = store.current();
  if (session) goTo(session.at);
  else showStart();
}

main();
