// One question about the sounds of one song: sliders, or a choice between two.

import { element, show } from "./elements.js";
import { Transport } from "./transport.js";

const HEARD_AFTER = 0.3; // seconds of a sound that count as having heard it

export class ScreenView {
  // `answers` has a value for each stimulus that was answered; `answered`, `back` and `next` are called.
  constructor(player, screen, { step, answers, answered, back, next, intro }) {
    Object.assign(this, { player, screen, step, answers, answered, back, next, intro });
    this.heard = new Map(screen.stimuli.map(({ id }) => [id, answers.has(id) || (screen.choice && answers.size > 0)]));
    this.time = new Map(screen.stimuli.map(({ id }) => [id, 0]));
    this.before = null;
  }

  get addresses() {
    return [...this.screen.stimuli, ...this.screen.examples].map(({ sound }) => sound);
  }

  name(index) {
    return this.screen.choice ? "AB"[index] : String(index + 1);
  }

  show() {
    const { screen } = this;
    this.transport = new Transport(this.player, screen, (sound) => this.pick(sound));
    this.rows = screen.choice ? this.#sides() : this.#sliders();
    this.message = element("p", { class: "message alert", role: "alert" });
    show(
      element("p", { class: "step", text: this.step }),
      element("h1", { text: screen.title }),
      element("p", { class: "quiet", text: screen.text }),
      this.intro,
      ...this.transport.parts(),
      screen.choice ? this.#pair() : this.#ratings(),
      element(
        "div", { class: "ends" },
        this.message,
        element("button", { type: "button", class: "plain", text: "Back", onclick: () => this.back() }),
        element("button", { type: "button", class: "main", text: "Next", onclick: () => this.#next() }),
      ),
      this.#keyHelp(),
    );
    this.tick();
  }

  #sliders() {
    return this.screen.stimuli.map(({ id, sound }, index) => {
      const name = this.name(index);
      const value = this.answers.get(id);
      const output = element("output", { text: value ?? "–" });
      const slider = element("input", {
        type: "range", min: 0, max: 100, step: 1, value: value ?? 50, class: value === undefined ? "untouched" : null,
        "aria-label": `Rating of sound ${name}`, "data-stimulus": id,
        oninput: () => this.#mark(row),
        onchange: () => this.#rate(row),
        // A click on the very middle changes nothing and is meant all the same.
        onpointerup: () => this.#rate(row),
        onkeydown: (event) => event.key === "Enter" && this.#rate(row),
      });
      slider.setAttribute("aria-valuetext", value === undefined ? "not rated yet" : String(value));
      const button = element("button", {
        type: "button", text: name, "aria-pressed": "false", "aria-label": `Listen to sound ${name}`,
        "aria-keyshortcuts": index < 10 ? String((index + 1) % 10) : null, onclick: () => this.pick(sound),
      });
      const root = element("div", { class: "stimulus" }, button, element("div", { class: "track" }, slider), output);
      const row = { id, sound, slider, output, button, root };
      return row;
    });
  }

  #ratings() {
    const labels = this.screen.labels.map((text) => element("li", { text }));
    return element(
      "section", { class: "card ratings", "aria-label": "Ratings" },
      element("div", { class: "scale", "aria-hidden": "true" }, element("ol", {}, ...labels)),
      ...this.rows.map((row) => row.root),
    );
  }

  #sides() {
    return this.screen.stimuli.map(({ id, sound }, index) => {
      const name = this.name(index);
      const button = element("button", { type: "button", class: "listen", text: name, "aria-pressed": "false", "aria-label": `Listen to ${name}`, "aria-keyshortcuts": String(index + 1), onclick: () => this.pick(sound) });
      const radio = element("input", { type: "radio", name: "choice", value: id, checked: this.answers.has(id), onchange: () => this.#choose(id) });
      const root = element("div", { class: "side" }, button, element("label", {}, radio, `${name} is better`));
      return { id, sound, button, root };
    });
  }

  #pair() {
    return element("fieldset", { class: "pair" }, element("legend", { text: "Listen to both, then choose." }), ...this.rows.map((row) => row.root));
  }

  #keyHelp() {
    const entries = [
      [["1", "2", "…"], "listen to a sound"],
      [["Space"], "play, pause"],
      this.screen.choice ? [["←", "→"], "choose, when a choice has the focus"] : [["←", "→"], "move the slider of the sound that plays"],
      [["[", "]", "\\"], "repeat from here, to here, all of it"],
    ];
    const keys = { original: ["O", "the original song"], style: ["S", "the style"], reference: ["R", "the reference"] };
    for (const { role } of this.screen.examples) entries.push([[keys[role][0]], keys[role][1]]);
    const list = element("dl", { class: "keys" });
    for (const [names, meaning] of entries) {
      list.append(element("dt", {}, ...names.flatMap((name) => [element("kbd", { text: name }), " "])), element("dd", { text: meaning }));
    }
    return element("details", {}, element("summary", { text: "Keyboard" }), list);
  }

  pick(sound) {
    this.player.select(sound);
    this.player.play();
    this.tick();
  }

  #mark(row) {
    row.slider.classList.remove("untouched");
    row.output.textContent = row.slider.value;
    row.slider.setAttribute("aria-valuetext", row.slider.value);
  }

  #rate(row) {
    this.#mark(row);
    const value = Number(row.slider.value);
    if (this.answers.get(row.id) === value) return;
    this.answers.set(row.id, value);
    this.answered(row.id, value);
    this.message.textContent = "";
  }

  #choose(id) {
    this.answers.clear();
    this.answers.set(id, 1);
    this.answered(id, 1);
    this.message.textContent = "";
  }

  #next() {
    const missing = (test) => this.screen.stimuli.map((each, index) => (test(each.id) ? null : this.name(index))).filter(Boolean);
    const unheard = missing((id) => this.heard.get(id));
    const unrated = this.screen.choice ? [] : missing((id) => this.answers.has(id));
    const parts = [];
    if (unheard.length) parts.push(`not heard yet: ${unheard.join(", ")}`);
    if (unrated.length) parts.push(`not rated yet: ${unrated.join(", ")}`);
    if (this.screen.choice && !this.answers.size) parts.push("nothing chosen yet");
    if (!parts.length) return this.next();
    const text = parts.join("; ");
    this.message.textContent = text[0].toUpperCase() + text.slice(1) + ".";
  }

  // Called for every frame of the display.
  tick() {
    const { player } = this;
    const now = performance.now() / 1000;
    const elapsed = this.before === null ? 0 : now - this.before;
    this.before = now;
    for (const row of this.rows) {
      const current = player.selected === row.sound;
      row.root.classList.toggle("current", current && player.playing);
      row.button.setAttribute("aria-pressed", String(current && player.playing));
      if (current && player.playing && !this.heard.get(row.id)) {
        this.time.set(row.id, this.time.get(row.id) + elapsed);
        if (this.time.get(row.id) >= HEARD_AFTER) this.heard.set(row.id, true);
      }
    }
    this.transport.update();
  }

  // Returns whether the key was one of ours.
  key(event) {
    const digit = "1234567890".indexOf(event.key);
    if (digit >= 0 && digit < this.rows.length) {
      const row = this.rows[digit];
      this.pick(row.sound);
      (row.slider ?? row.button).focus();
      return true;
    }
    if (event.key === " ") {
      const target = event.target;
      // A focused button does its own work; that of the sound that is playing pauses it.
      if (target.closest("button:not([aria-pressed=true]), summary, input[type=radio]:not(:checked)")) return false;
      this.transport.toggle();
      return true;
    }
    const action = this.transport.keys.get(event.key.toLowerCase());
    action?.();
    return Boolean(action);
  }
}
