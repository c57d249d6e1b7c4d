"use strict";
/* What a listener has done so far: the orders drawn for them, scores, times; kept by the browser,
   and as the JSON and CSV that `audiocodec evaluate --ratings` reads. Knows no page, no sound. */

const FORMAT = "audiocodec listening ratings 1";
const NAME_RULE = /^[\p{L}\p{N}\p{M} ._-]{1,40}$/u;
const COLUMNS = ["test", "listener", "started", "finished", "trial", "order", "seconds",
  "condition", "score", "plays", "comment", "remarks"];

/** Sessions of one test in this browser: the current one, and all by listener's name. */
class Store {
  constructor(test) {
    this.test = test;
    this.works = true; // false where the browser keeps nothing: a private window, a strict setting
    this._key = `audiocodec-listening-${test.id}`;
    this._kept = this._read();
  }

  /** The session that was open last, or null. */
  current() {
    return this._kept.sessions[this._kept.current] ?? null;
  }

  /** Open the session of a listener: their earlier one, or a new one. */
  open(listener) {
    this._kept.sessions[listener] ??= newSession(this.test, listener, new Date());
    this._kept.current = listener;
    this.save();
    return this.current();
  }

  /** Go back to the start screen; all sessions stay. */
  leave() {
    this._kept.current = "";
    this.save();
  }

  /** Write all sessions; called after each change. */
  save() {
    try {
      localStorage.setItem(this._key, JSON.stringify(this._kept));
    } catch {
      this.works = false;
    }
  }

  _read() {
    const sessions = Object.create(null); // a listener may be called "constructor"
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(this._key));
    } catch (error) {
      this.works = error instanceof SyntaxError;
    }
    for (const [name, session] of Object.entries(kept?.sessions ?? {})) {
      if (fits(session, this.test)) sessions[name] = session;
    }
    return { current: String(kept?.current ?? ""), sessions };
  }
}

/** A session with nothing rated. Orders follow from the test and the listener's name. */
function newSession(test, listener, now) {
  const seed = `${test.id} ${listener}`;
  return {
    listener,
    started: now.toISOString(),
    finished: "",
    remarks: "",
    at: 0, // index of the trial on the page; trials.length: the last page
    trials: shuffled(test.trials, seed).map((trial) => newTrial(trial, seed)),
  };
}

/** A trial with nothing rated, its conditions in this listener's order. */
function newTrial(trial, seed) {
  return {
    trial: trial.id,
    conditions: shuffled(trial.conditions, `${seed} ${trial.id}`),
    scores: {}, // by condition; absent: not rated
    plays: {},
    seconds: 0,
    comment: "",
  };
}

/** Whether a kept session is one of this test and whole enough to go on with. */
function fits(session, test) {
  const ids = (trials, id) => trials.map((trial) => `${trial[id]} ${[...trial.conditions].sort()}`);
  try {
    const found = ids(session.trials, "trial").sort().join();
    const whole = session.trials.every((trial) => trial.scores && trial.plays);
    return whole && found === ids(test.trials, "id").sort().join();
  } catch {
    return false;
  }
}

/** Conditions of a trial that have no score yet. */
function unrated(trial) {
  return trial.conditions.filter((condition) => trial.scores[condition] === undefined);
}

/** A session as a JSON text. */
function asJson(test, session) {
  const trials = session.trials.map((trial, index) => ({
    trial: trial.trial,
    order: index + 1,
    seconds: Math.round(trial.seconds),
    comment: trial.comment,
    ratings: trial.conditions.map((condition) => ({
      condition,
      score: trial.scores[condition],
      plays: trial.plays[condition] ?? 0,
    })),
  }));
  const { listener, started, finished, remarks } = session;
  const file = { format: FORMAT, test: test.id, listener, started, finished, remarks, trials };
  return `${JSON.stringify(file, null, 1)}\n`;
}

/** The same as CSV, a line a rating. */
function asCsv(test, session) {
  const file = JSON.parse(asJson(test, session));
  const rows = file.trials.flatMap((trial) =>
    trial.ratings.map((rating) => ({ ...file, ...trial, ...rating })));
  const lines = rows.map((row) => COLUMNS.map((column) => csvCell(row[column])).join(","));
  return `${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}

/** Text is quoted, and kept from looking like a formula to a spreadsheet. */
function csvCell(value) {
  if (typeof value === "number") return String(value);
  const inert = /^[=+\-@]/.test(value) ? ` ${value}` : value;
  return `"${inert.replaceAll('"', '""')}"`;
}

/** Fisher and Yates' shuffle; the same order for the same seed text. */
function shuffled(items, seedText) {
  const random = randomNumbers(seedText);
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j], result[i]];
  }
  return result;
}

/** Numbers in [0, 1) that follow from a text: FNV-1a, then mulberry32. */
function randomNumbers(text) {
  let state = 2166136261;
  for (const letter of text) state = Math.imul(state ^ letter.codePointAt(0), 16777619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}
