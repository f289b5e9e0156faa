/** Input and output side by side: two sounds that run at the same position, of which one is heard. */

import { clock, make } from "./elements.js";

const FADE_SECONDS = 0.02;
const NEAR_SECONDS = 0.03;
const JUMP_SECONDS = 0.4;
const STEP_SECONDS = 5;

export class Player {
  /**
   * @param {number} seconds of the song.
   * @param {Array<{key: string, title: string, detail: string, sound: string, picture: string}>} sides
   * @param {Array<[number, string]>} ticks shares of the pictures' height, from the bottom, and their frequencies.
   */
  constructor(seconds, sides, ticks) {
    this.seconds = seconds;
    this.ticks = ticks;
    this.heard = sides[sides.length - 1].key;
    this.sides = new Map(sides.map((side) => [side.key, this.makeSide(side)]));
    this.playing = false;
    this.button = make("button", { type: "button", class: "play", text: "Play", on: { click: () => this.toggle() } });
    this.seek = make("input", { type: "range", min: "0", max: "1000", step: "1", value: "0", "aria-label": "Position" });
    this.seek.addEventListener("input", () => this.go((this.seek.value / 1000) * this.seconds));
    this.time = make("span", { class: "clock" });
    this.element = make(
      "div",
      { class: "player" },
      make("div", { class: "sides" }, ...[...this.sides.values()].map((side) => side.element)),
      make("div", { class: "transport" }, this.button, this.seek, this.time),
    );
    this.select(this.heard);
    this.draw();
  }

  makeSide({ key, title, detail, sound, picture }) {
    const audio = make("audio", { id: key, src: sound, preload: "auto" });
    audio.addEventListener("ended", () => key === this.heard && this.pause());
    audio.addEventListener("error", () => (side.problem.hidden = false));
    const button = make("button", {
      type: "button",
      class: "hear",
      "aria-pressed": "false",
      on: { click: () => this.select(key) },
    });
    button.append(make("strong", { text: title }), make("span", { class: "quiet", text: detail }));
    const image = make("img", { src: picture, alt: `Mel spectrogram: ${title}`, draggable: "false" });
    const line = make("div", { class: "line" });
    const ticks = this.ticks.map(([share, text]) => {
      const tick = make("span", { class: "tick", text });
      tick.style.bottom = `${100 * share}%`;
      return tick;
    });
    const mel = make("div", { class: "mel" }, image, ...ticks, line);
    mel.addEventListener("pointerdown", (event) => {
      const box = mel.getBoundingClientRect();
      this.select(key);
      this.go(((event.clientX - box.left) / box.width) * this.seconds);
    });
    const problem = make("p", { class: "alert", hidden: true, text: "This sound cannot be played any more; make it again." });
    const element = make("div", { class: "side" }, button, mel, problem, audio);
    const side = { audio, button, element, line, problem, gain: null };
    return side;
  }

  /** The browser makes sound only after somebody has asked for it. */
  async open() {
    if (!this.context) {
      if (navigator.audioSession) navigator.audioSession.type = "playback"; // else an iPhone's silent switch mutes it
      this.context = new AudioContext();
      for (const [key, side] of this.sides) {
        side.gain = new GainNode(this.context, { gain: key === this.heard ? 1 : 0 });
        this.context.createMediaElementSource(side.audio).connect(side.gain).connect(this.context.destination);
      }
    }
    await this.context.resume();
  }

  get current() {
    return this.sides.get(this.heard).audio;
  }

  get position() {
    return this.current.currentTime;
  }

  async toggle() {
    if (this.playing) this.pause();
    else await this.play();
  }

  async play() {
    await this.open();
    if (this.position >= this.seconds - 0.05) this.go(0);
    this.playing = true;
    this.draw();
    try {
      await Promise.all([...this.sides.values()].map(({ audio }) => audio.play()));
    } catch {
      if (!this.current.error) return; // paused meanwhile
      this.pause();
    }
    this.run();
  }

  pause() {
    this.playing = false;
    const { position } = this;
    for (const { audio } of this.sides.values()) {
      audio.pause();
      audio.playbackRate = 1;
      if (audio !== this.current) audio.currentTime = position;
    }
    this.draw();
  }

  /** Follow the sound until it stops. */
  run() {
    if (!this.playing) return;
    this.align();
    this.draw();
    requestAnimationFrame(() => this.run());
  }

  /** The sound that is not heard is brought to the position of the other, so that a switch finds it there. */
  align() {
    for (const [key, { audio }] of this.sides) {
      if (key === this.heard || audio.seeking || audio.ended) continue;
      const lag = this.position - audio.currentTime;
      if (Math.abs(lag) > JUMP_SECONDS) audio.currentTime = this.position;
      audio.playbackRate = Math.abs(lag) < NEAR_SECONDS / 3 ? 1 : 1 + Math.max(-0.25, Math.min(0.25, lag * 2));
    }
  }

  /** Hear the other side from here on. */
  select(key) {
    const { position } = this;
    const changes = key !== this.heard;
    this.heard = key;
    if (changes && Math.abs(this.current.currentTime - position) > NEAR_SECONDS) this.current.currentTime = position;
    this.current.playbackRate = 1;
    for (const [name, side] of this.sides) {
      side.button.setAttribute("aria-pressed", String(name === key));
      side.element.classList.toggle("heard", name === key);
      side.gain?.gain.setTargetAtTime(name === key ? 1 : 0, this.context.currentTime, FADE_SECONDS / 3);
    }
  }

  /** Hear the side that is not heard now. */
  switch() {
    const keys = [...this.sides.keys()];
    this.select(keys[(keys.indexOf(this.heard) + 1) % keys.length]);
  }

  go(seconds) {
    const target = Math.max(0, Math.min(this.seconds, seconds));
    for (const { audio } of this.sides.values()) audio.currentTime = target;
    this.draw(target);
  }

  step(sign) {
    this.go(this.position + sign * STEP_SECONDS);
  }

  draw(position = this.position) {
    const share = Math.min(1, position / this.seconds);
    this.button.textContent = this.playing ? "Pause" : "Play";
    this.seek.value = String(Math.round(1000 * share));
    this.seek.style.setProperty("--share", `${100 * share}%`);
    this.seek.setAttribute("aria-valuetext", `${clock(position)} of ${clock(this.seconds)}`);
    this.time.textContent = `${clock(position)} / ${clock(this.seconds)}`;
    for (const { line } of this.sides.values()) line.style.left = `${100 * share}%`;
  }

  /** No more sound. */
  close() {
    this.pause();
    this.context?.close();
    for (const { audio } of this.sides.values()) audio.removeAttribute("src");
  }
}
