/** What style is wanted: one, a mixture, or that of a recording; and how strongly. */

import { make } from "./elements.js";
import { CAN_DROP, Picker } from "./picker.js";

const MODES = [
  ["one", "One style"],
  ["mixture", "A mixture"],
  ["like", "Like a recording"],
];

export class Choice {
  /**
   * @param {Object} about as the server says it.
   * @param {() => void} changed called when something else is wanted.
   */
  constructor(about, changed) {
    this.styles = about.styles;
    this.changed = changed;
    this.mode = "one";
    const invitation = `${CAN_DROP ? "Drop" : "Choose"} a song in the wanted style`;
    this.like = new Picker(about, { invitation, example: false, changed });
    this.panels = { one: this.makeStyles(), mixture: this.makeMixture(), like: this.like.element };
    this.strength = make("input", { type: "range", min: "0", max: "100", value: "100", id: "strength" });
    this.strengthShown = make("output", { for: "strength", text: "100 %" });
    this.strength.addEventListener("input", () => {
      this.showStrength();
      changed();
    });
    this.modes = this.makeModes();
    this.element = make("div", {}, this.modes, ...Object.values(this.panels), this.makeStrength());
    this.showStrength();
    this.show();
  }

  /** Show what a job was made with. @param {Object} job as the server says it. @param {Object} [like] its example. */
  set({ to, strength }, like) {
    const shares = Object.entries(to || {});
    const styles = [...this.panels.one.querySelectorAll("input")];
    this.mode = !to ? "like" : shares.length > 1 ? "mixture" : "one";
    this.modes.querySelector(`[value=${this.mode}]`).checked = true;
    if (this.mode === "one") styles.forEach((input) => (input.checked = input.value === shares[0][0]));
    if (this.mode === "mixture") this.sliders.forEach(({ style, input }) => (input.value = 100 * (to[style] || 0)));
    if (this.mode === "like" && like) this.like.set(like);
    this.strength.value = 100 * strength;
    this.showStrength();
    this.showShares();
    this.show();
  }

  makeModes() {
    const modes = MODES.map(([value, text]) => {
      const input = make("input", { type: "radio", name: "mode", value, checked: value === this.mode });
      input.addEventListener("change", () => {
        this.mode = value;
        this.show();
        this.changed();
      });
      return make("label", {}, input, make("span", { text }));
    });
    return make("fieldset", { class: "segments" }, make("legend", { class: "unseen", text: "How to choose" }), ...modes);
  }

  makeStyles() {
    const styles = this.styles.map((style, number) => {
      const input = make("input", { type: "radio", name: "style", value: style, checked: number === 0 });
      input.addEventListener("change", this.changed);
      return make("label", {}, input, make("span", { text: style }));
    });
    return make("fieldset", { class: "chips" }, make("legend", { class: "unseen", text: "Style" }), ...styles);
  }

  makeMixture() {
    this.sliders = this.styles.map((style, number) => {
      const input = make("input", { type: "range", min: "0", max: "100", value: number < 2 ? "50" : "0" });
      const shown = make("output", {});
      input.id = `weight-${number}`;
      input.addEventListener("input", () => {
        this.showShares();
        this.changed();
      });
      return { style, input, shown };
    });
    const rows = this.sliders.map(({ style, input, shown }) =>
      make("div", { class: "slider" }, make("label", { for: input.id, text: style }), input, shown),
    );
    const panel = make("div", { class: "mixture", role: "group", "aria-label": "Shares of the styles" }, ...rows);
    this.showShares();
    return panel;
  }

  makeStrength() {
    const label = make("label", { for: "strength", text: "Strength" });
    return make(
      "div",
      { class: "strength" },
      make("div", { class: "slider" }, label, this.strength, this.strengthShown),
      make("p", { class: "quiet hint", text: "0 % keeps the song's own sound, 100 % takes the style as it is." }),
    );
  }

  show() {
    for (const [mode, panel] of Object.entries(this.panels)) panel.hidden = mode !== this.mode;
  }

  showStrength() {
    this.strengthShown.textContent = `${this.strength.value} %`;
    this.showTrack(this.strength);
  }

  showTrack(input) {
    input.style.setProperty("--share", `${input.value}%`);
  }

  /** The weights add up to 100 %, whatever the sliders say. */
  showShares() {
    const total = this.sliders.reduce((sum, { input }) => sum + Number(input.value), 0);
    for (const { style, input, shown } of this.sliders) {
      const share = total > 0 ? Math.round((100 * Number(input.value)) / total) : 0;
      shown.textContent = `${share} %`;
      input.setAttribute("aria-valuetext", `${style}: ${share} % of the mixture`);
      this.showTrack(input);
    }
  }

  /**
   * What to ask the server for.
   * @returns {{to?: Object, like?: string, strength: number} | {missing: string}}
   */
  request() {
    const strength = Number(this.strength.value) / 100;
    if (this.mode === "like") {
      return this.like.song ? { like: this.like.song.song, strength } : { missing: "Give a recording in the wanted style." };
    }
    if (this.mode === "one") return { to: { [this.panels.one.querySelector("input:checked").value]: 1 }, strength };
    const weights = this.sliders.map(({ style, input }) => [style, Number(input.value)]).filter(([, weight]) => weight > 0);
    return weights.length ? { to: Object.fromEntries(weights), strength } : { missing: "Move at least one slider." };
  }
}
