// Play and pause, position, loop, and the sounds that are played beside the rated ones.

import { element, seconds, tellHeight } from "./elements.js";

const ROLES = {
  original: { label: () => "Original song", key: "o" },
  style: { label: (screen) => `Style: ${screen.style || "example"}`, key: "s" },
  reference: { label: () => "Reference", key: "r" },
};

export class Transport {
  // `picked` is called when a sound that is named here was chosen.
  constructor(player, screen, picked) {
    this.player = player;
    this.keys = new Map();
    this.playButton = element("button", { type: "button", class: "play main", onclick: () => this.toggle() });
    this.clock = element("span", { class: "clock", "aria-hidden": "true" });
    this.range = element("input", {
      type: "range", min: 0, max: player.duration, step: 0.1, value: 0, "aria-label": "Position",
      oninput: () => this.player.seek(Number(this.range.value)),
    });
    this.region = element("div", { class: "region" });
    this.exampleButtons = (screen?.examples ?? []).map(({ role, sound }) => {
      const { label, key } = ROLES[role];
      this.keys.set(key, () => picked(sound));
      const button = element("button", { type: "button", "aria-pressed": "false", "data-sound": sound, "aria-keyshortcuts": key, onclick: () => picked(sound) });
      button.textContent = label(screen);
      return button;
    });
    this.keys.set("[", () => this.loopFrom());
    this.keys.set("]", () => this.loopTo());
    this.keys.set("\\", () => this.loopAll());
    this.update();
  }

  // What must stay in reach on a long page, and what need not.
  parts() {
    const small = (text, label, action) =>
      element("button", { type: "button", class: "plain", "aria-label": label, text, onclick: action });
    const playback = element(
      "section", { class: "card playback", "aria-label": "Playback" },
      element("div", { class: "row" }, this.playButton, ...this.exampleButtons),
      element("div", { class: "timeline" }, element("div", { class: "groove" }), this.region, this.range),
    );
    tellHeight(playback, "--playback");
    const repeat = element(
      "div", { class: "row repeat", role: "group", "aria-label": "Repeat" },
      element("span", { class: "quiet", text: "Repeat" }),
      small("from here", "Repeat from here", () => this.loopFrom()),
      small("to here", "Repeat to here", () => this.loopTo()),
      small("all", "Repeat all of it", () => this.loopAll()),
      this.clock,
    );
    return [playback, repeat];
  }

  toggle() {
    this.player.toggle();
    this.update();
  }

  loopFrom() {
    const [, to] = this.player.loop;
    const here = this.player.position();
    this.player.setLoop(here, here < to ? to : this.player.duration);
    this.update();
  }

  loopTo() {
    const [from] = this.player.loop;
    this.player.setLoop(from, this.player.position());
    this.update();
  }

  loopAll() {
    this.player.setLoop(0, this.player.duration);
    this.update();
  }

  update() {
    const { player } = this;
    const position = player.position();
    const label = player.playing ? "Pause" : "Play";
    if (this.playButton.textContent !== label) this.playButton.textContent = label;
    this.clock.textContent = `${position.toFixed(1)} / ${seconds(player.duration)}`;
    if (document.activeElement !== this.range || player.playing) this.range.value = position;
    this.range.setAttribute("aria-valuetext", seconds(position));
    const [from, to] = player.loop;
    this.region.style.left = `${(100 * from) / player.duration}%`;
    this.region.style.right = `${100 - (100 * to) / player.duration}%`;
    for (const button of this.exampleButtons) {
      button.setAttribute("aria-pressed", String(player.playing && player.selected === button.dataset.sound));
    }
  }
}
