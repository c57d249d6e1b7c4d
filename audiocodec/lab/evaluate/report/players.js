// Players of the report: one clip each, switching between conditions at the same position.
"use strict";

document.documentElement.classList.add("js");

// Browsers limit how many sounds a page may hold open, so only one player's are loaded at a time.
let open = null;

class Player {
  constructor(root) {
    this.root = root;
    this.audios = [...root.querySelectorAll("audio")];
    this.items = [...root.querySelectorAll(".sources li")];
    this.buttons = [...root.querySelectorAll(".choices button")];
    this.play = root.querySelector(".play");
    this.loop = root.querySelector(".loop");
    this.seek = root.querySelector(".seek");
    this.seconds = Number(root.dataset.seconds);
    this.index = Number(root.dataset.start); // what is heard
    this.chosen = this.index; // what will be heard, once loaded
    this.at = 0; // seconds; where to go on
    this.playing = false; // what the listener wants, also while a sound is loading
    this.turn = 0; // counts choices, so that only the last one takes effect
    this.listen();
    this.show();
  }

  get audio() {
    return this.audios[this.index];
  }

  listen() {
    this.play.addEventListener("click", () => this.toggle());
    this.loop.addEventListener("click", () => this.setLoop(!this.audio.loop));
    this.seek.addEventListener("input", () => this.moveTo(Number(this.seek.value)));
    this.buttons.forEach((button, i) => button.addEventListener("click", () => this.choose(i)));
    for (const picture of this.root.querySelectorAll(".picture")) {
      picture.addEventListener("click", (event) => {
        const box = picture.getBoundingClientRect();
        this.moveTo((this.seconds * (event.clientX - box.left)) / box.width);
      });
    }
    for (const audio of this.audios) {
      audio.addEventListener("ended", () => audio === this.audio && this.rewind());
      audio.addEventListener("error", () => this.recover(audio));
    }
    this.setLoop(true);
  }

  setLoop(on) {
    this.loop.setAttribute("aria-pressed", on);
    for (const audio of this.audios) audio.loop = on;
  }

  // Load all conditions, so that switching is instant; let the last player's go.
  prepare() {
    if (open === this) return;
    if (open) open.release();
    open = this;
    for (const audio of this.audios) {
      audio.preload = "auto";
      audio.load();
    }
  }

  release() {
    this.pause();
    this.turn += 1;
    for (const audio of this.audios) {
      const source = audio.getAttribute("src");
      audio.preload = "none";
      audio.removeAttribute("src");
      audio.load();
      audio.setAttribute("src", source);
    }
  }

  toggle() {
    if (this.playing) this.pause();
    else this.start();
  }

  pause() {
    this.at = this.position();
    this.playing = false;
    this.audio.pause();
    this.show();
  }

  // Chromium cannot move to some places near the end of a FLAC of little but silence: the sound
  // fails for good until it is loaded again. Go on a second before; give up at the start.
  recover(audio) {
    if (open !== this) return;
    const again = this.playing && this.at > 0;
    this.at = Math.max(0, this.at - 1);
    audio.load();
    if (again) this.choose(this.chosen);
    else this.pause();
  }

  rewind() {
    this.pause();
    this.moveTo(0);
  }

  start() {
    this.playing = true;
    this.choose(this.chosen);
  }

  position() {
    return this.audio.paused ? this.at : this.audio.currentTime;
  }

  moveTo(seconds) {
    this.at = Math.min(Math.max(seconds, 0), this.seconds);
    if (this.audio.readyState) this.audio.currentTime = this.at;
    this.show();
  }

  // Go on with another condition from the same position. The old one plays until the new one is
  // ready there, then stops.
  async choose(index) {
    const turn = (this.turn += 1);
    this.prepare();
    this.mark(index);
    const next = this.audios[index];
    await ready(next);
    if (next.paused) await sought(next, this.position());
    if (turn !== this.turn) return;
    this.at = this.position();
    if (next !== this.audio) this.audio.pause();
    this.index = index;
    if (this.playing) await next.play().catch(() => this.playing && this.pause());
    this.show();
    this.follow(turn);
  }

  follow(turn) {
    if (turn !== this.turn || !this.playing) return;
    this.at = this.audio.currentTime;
    this.show();
    requestAnimationFrame(() => this.follow(turn));
  }

  mark(index) {
    this.chosen = index;
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === index));
    const item = this.items[index];
    const picture = this.root.querySelector(".chosen img");
    picture.src = item.dataset.spectrogram;
    picture.alt = `Spectrogram of ${item.dataset.label}`;
    this.root.querySelector(".heard").textContent = item.dataset.label;
    this.root.querySelector(":scope > .figures").textContent =
      item.querySelector(".figures").textContent;
  }

  show() {
    this.play.setAttribute("aria-pressed", this.playing);
    this.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.seek.value = this.at;
    this.root.style.setProperty("--at", this.seconds ? this.at / this.seconds : 0);
    this.root.querySelector(".clock").textContent =
      `${this.at.toFixed(1)} / ${this.seconds.toFixed(1)} s`;
  }

  key(event) {
    const onSlider = event.target === this.seek;
    if (event.key === " ") this.toggle();
    else if (/^[0-9]$/.test(event.key) && this.buttons[event.key]) this.choose(Number(event.key));
    else if (event.key === "ArrowRight" && !onSlider) this.step(1);
    else if (event.key === "ArrowLeft" && !onSlider) this.step(-1);
    else return;
    event.preventDefault();
  }

  step(by) {
    this.choose((this.chosen + by + this.buttons.length) % this.buttons.length);
  }
}

function ready(audio) {
  if (audio.readyState >= 3) return Promise.resolve();
  return new Promise((resolve) => audio.addEventListener("canplay", resolve, { once: true }));
}

function sought(audio, seconds) {
  const done = new Promise((resolve) => audio.addEventListener("seeked", resolve, { once: true }));
  audio.currentTime = seconds;
  return done;
}

const players = new Map();
for (const root of document.querySelectorAll(".player")) {
  const player = new Player(root);
  player.mark(player.index);
  players.set(root, player);
}

// The player with the focus, or else the one last used; links and buttons elsewhere keep their keys.
function playerOf(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return null;
  if (event.target === document.body) return open;
  return players.get(event.target.closest(".player")) ?? null;
}

document.addEventListener("keydown", (event) => {
  const player = playerOf(event);
  if (player) player.key(event);
});

// A button acts when the space bar comes up again; the player has acted already.
document.addEventListener("keyup", (event) => {
  if (event.key === " " && playerOf(event)) event.preventDefault();
});
