"use strict";
/* Plays a trial's signals. All of them are channels of one buffer that one source plays, so they
   run sample by sample together; choosing one is a cross-fade of gains. Knows no page. */

const FADE_S = 0.005; // of a switch, and of both ends of a loop
const AHEAD_S = 0.01; // a source starts this much after the call, so that its start is known
const LEAST_LOOP_S = 0.5; // BS.1534-3 wants none shorter

class Player {
  /** sampleRate: in Hz, of all signals; others are resampled on decoding. */
  constructor(sampleRate) {
    this.sampleRate = sampleRate;
    this.chosen = "";
    this._turn = 0; // of loads
    this._context = null; // made at the first play: before a click the browser would mute it
    this._unload();
  }

  /** Decode signals, {name: FLAC in base64}, in place of those before. Rejects what is damaged.
      Resolves to false, and changes nothing, where a later load has been asked for meanwhile. */
  async load(signals) {
    const turn = ++this._turn;
    this._unload();
    const decoder = new OfflineAudioContext(1, 1, this.sampleRate);
    const decoded = {};
    for (const [name, text] of Object.entries(signals)) {
      const buffer = await decoder.decodeAudioData(bytesOf(text));
      decoded[name] = buffer.getChannelData(0);
    }
    if (turn !== this._turn) return false;
    this._signals = decoded;
    this.samples = Math.min(...Object.values(decoded).map((signal) => signal.length));
    this.setLoop(0, this.duration);
    return true;
  }

  /** Forget all signals: nothing is heard or chosen until others are loaded. */
  clear() {
    this._turn += 1;
    this._unload();
  }

  /** Length of each signal, in seconds. */
  get duration() {
    return this.samples / this.sampleRate;
  }

  /** Where the listener is, in seconds from the start of the clip. */
  get position() {
    if (!this.playing) return this._pausedAt;
    const elapsed = Math.max(0, this._context.currentTime - this._startedAt);
    const length = this.loopEnd - this.loopStart;
    return this.loopStart + ((this._offset + elapsed) % length);
  }

  /** One signal's samples, as full scale 1.0; for drawing. */
  signal(name) {
    return this._signals[name];
  }

  /** Let one signal be heard, at the position where the other was. */
  choose(name) {
    this.chosen = name;
    for (const [each, { gain }] of Object.entries(this._gains)) {
      ramp(gain, each === name ? 1 : 0, this._context.currentTime);
    }
  }

  /** Play on from the position. Resolves when the sound runs. */
  async play() {
    if (this.playing || !this.samples) return;
    this._context ??= newContext(this.sampleRate);
    await this._context.resume();
    if (!this.playing && this.samples) this._start(this._pausedAt);
  }

  pause() {
    if (!this.playing) return;
    this._pausedAt = this.position;
    this._stop();
  }

  /** Go to a time, in seconds; stays within the loop. */
  seek(time) {
    const last = Math.max(this.loopStart, this.loopEnd - 1 / this.sampleRate);
    this._pausedAt = Math.min(Math.max(time, this.loopStart), last);
    if (this.playing) {
      this._stop();
      this._start(this._pausedAt);
    }
  }

  /** Play from `start` to `end`, in seconds, over and over; at least LEAST_LOOP_S of the clip. */
  setLoop(start, end) {
    const at = this.position;
    const least = Math.min(LEAST_LOOP_S, this.duration);
    this.loopStart = Math.min(Math.max(0, start), this.duration - least);
    this.loopEnd = Math.max(Math.min(end, this.duration), this.loopStart + least);
    this._region = null;
    this.seek(at >= this.loopEnd ? this.loopStart : at);
  }

  _unload() {
    if (this.playing) this._stop();
    for (const gain of Object.values(this._gains ?? {})) gain.disconnect();
    this.playing = false;
    this.samples = 0;
    this._signals = {};
    this._gains = {}; // by name; of this trial, once it plays
    this._splitter = this._region = this._source = this._fade = null;
    this._pausedAt = this._offset = this._startedAt = 0;
    this.loopStart = this.loopEnd = 0;
  }

  _start(position) {
    if (!this._splitter) this._connect();
    this._region ??= this._loopBuffer();
    this._source = this._context.createBufferSource();
    this._source.buffer = this._region;
    this._source.loop = true;
    this._fade = this._context.createGain();
    this._offset = position - this.loopStart;
    this._startedAt = this._context.currentTime + AHEAD_S;
    this._fade.gain.value = 0;
    ramp(this._fade.gain, 1, this._startedAt);
    this._source.connect(this._fade).connect(this._splitter);
    this._source.start(this._startedAt, this._offset);
    this.playing = true;
  }

  _stop() {
    ramp(this._fade.gain, 0, this._context.currentTime);
    const fade = this._fade;
    this._source.onended = () => fade.disconnect();
    this._source.stop(this._context.currentTime + 2 * FADE_S);
    this.playing = false;
  }

  /** A gain for each channel, all into the loudspeakers; only the chosen one is open. */
  _connect() {
    const names = Object.keys(this._signals);
    this._splitter = this._context.createChannelSplitter(names.length);
    names.forEach((name, channel) => {
      const gain = this._context.createGain();
      gain.gain.value = name === this.chosen ? 1 : 0;
      this._splitter.connect(gain, channel);
      gain.connect(this._context.destination);
      this._gains[name] = gain;
    });
  }

  /** The looped part of all signals, its ends faded so that the jump does not click. */
  _loopBuffer() {
    const from = Math.round(this.loopStart * this.sampleRate);
    const to = Math.max(from + 1, Math.round(this.loopEnd * this.sampleRate));
    const signals = Object.values(this._signals);
    const buffer = this._context.createBuffer(signals.length, to - from, this.sampleRate);
    signals.forEach((signal, channel) => {
      buffer.copyToChannel(signal.subarray(from, to), channel);
      fadeEnds(buffer.getChannelData(channel), Math.round(FADE_S * this.sampleRate));
    });
    return buffer;
  }
}

/** A context at the clips' own rate, where the browser allows that rate. */
function newContext(sampleRate) {
  try {
    return new AudioContext({ sampleRate, latencyHint: "interactive" });
  } catch {
    return new AudioContext();
  }
}

/** Move a gain to `target` within FADE_S of `start`, from wherever it is. */
function ramp(gain, target, start) {
  gain.cancelScheduledValues(0);
  gain.setValueAtTime(gain.value, start);
  gain.linearRampToValueAtTime(target, start + FADE_S);
}

/** Fade a signal in and out, in place, over at most half of it each. */
function fadeEnds(signal, samples) {
  const length = Math.min(samples, Math.floor(signal.length / 2));
  for (let i = 0; i < length; i++) {
    const weight = 0.5 - 0.5 * Math.cos((Math.PI * i) / length);
    signal[i] *= weight;
    signal[signal.length - 1 - i] *= weight;
  }
}

/** An ArrayBuffer of what base64 stands for. */
function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes.buffer;
}
