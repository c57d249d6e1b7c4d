"use strict";
/* The waveform of the reference, the part that repeats, and where playing is. */

class Wave {
  /** player: what is drawn and steered; onChange: called when the listener marks or seeks. */
  constructor(player, onChange) {
    this.player = player;
    this.onChange = onChange;
    this._box = document.getElementById("wave");
    this._from = null; // of a drag, as a share of the width
    this._box.addEventListener("pointerdown", (event) => this._press(event));
    this._box.addEventListener("pointermove", (event) => this._drag(event));
    this._box.addEventListener("pointerup", (event) => this._release(event));
    this._box.addEventListener("pointercancel", () => this._cancel());
    const redraw = () => this.draw();
    new ResizeObserver(redraw).observe(this._box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  /** Draw the signal anew: for a new trial, width or colour. */
  draw() {
    const canvas = document.getElementById("canvas");
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(this._box.clientWidth * ratio);
    canvas.height = Math.round(this._box.clientHeight * ratio);
    const signal = this.player.signal("reference");
    if (!signal || !canvas.width) return;
    const pen = canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(this._box).color;
    const peak = signal.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1e-4);
    const middle = canvas.height / 2;
    for (let x = 0; x < canvas.width; x++) {
      const [low, high] = extremes(signal, x / canvas.width, (x + 1) / canvas.width);
      const top = middle - (high / peak) * middle * 0.95;
      pen.fillRect(x, top, 1, Math.max(ratio, ((high - low) / peak) * middle * 0.95));
    }
  }

  /** Show the part that repeats. */
  showLoop(start = this.player.loopStart, end = this.player.loopEnd) {
    const percent = (time) => `${(100 * time) / (this.player.duration || 1)}%`;
    document.getElementById("before").style.width = percent(start);
    document.getElementById("after").style.left = percent(end);
  }

  /** Show where playing is. */
  showPosition() {
    const share = this.player.position / (this.player.duration || 1);
    document.getElementById("playhead").style.left = `${100 * share}%`;
  }

  _share(event) {
    const box = this._box.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  _press(event) {
    if (event.button !== 0 || !this.player.samples) return;
    this._from = this._share(event);
    this._box.setPointerCapture(event.pointerId);
  }

  _drag(event) {
    if (this._from !== null && this._marks(event)) this.showLoop(...this._marked(event));
  }

  _release(event) {
    if (this._from === null) return;
    if (this._marks(event)) this.player.setLoop(...this._marked(event));
    else this.player.seek(this._from * this.player.duration);
    this._cancel();
    this.onChange();
  }

  _cancel() {
    this._from = null;
    this.showLoop();
  }

  /** Whether the pointer went far enough for a mark; less is a click. */
  _marks(event) {
    return Math.abs(this._share(event) - this._from) * this._box.clientWidth > 5;
  }

  /** Start and end of the mark, in seconds. */
  _marked(event) {
    const ends = [this._from, this._share(event)].sort((a, b) => a - b);
    return ends.map((share) => share * this.player.duration);
  }
}

/** Least and greatest sample between two shares of a signal. */
function extremes(signal, from, to) {
  const first = Math.floor(from * signal.length);
  const last = Math.max(first + 1, Math.floor(to * signal.length));
  let [low, high] = [0, 0];
  for (let i = first; i < last && i < signal.length; i++) {
    if (signal[i] < low) low = signal[i];
    if (signal[i] > high) high = signal[i];
  }
  return [low, high];
}
