/** What was made: one of the results in the player, and all of them in a list, where another one can be taken. */

import { fileOf } from "./api.js";
import { clock, make } from "./elements.js";
import { Player } from "./player.js";

const KEYS = ["Space", " plays, ", "S", " switches, ", "←", " ", "→", " go 5 s back or on"];

export class Results {
  /**
   * @param {Array} ticks of the pictures.
   * @param {(job: Object) => void} shown called when another result is in the player.
   */
  constructor(ticks, shown) {
    this.ticks = ticks;
    this.shown = shown;
    this.player = null;
    this.job = null;
    this.rows = new Map(); // the newest last
    this.stage = make("div");
    this.list = make("ul", { class: "made" });
    this.history = make("section", { hidden: true, "aria-label": "Made so far" }, make("h3", { text: "Made so far" }), this.list);
    this.element = make("div", { id: "result", hidden: true }, this.stage, this.history);
  }

  /** One that was made before of the same song in the same way. */
  find({ song, to, like, strength }) {
    const jobs = [...this.rows.values()].map(({ job }) => job);
    const request = describe({ to, strength });
    return jobs.find((job) => {
      if (job.song.song !== song || job.strength !== strength) return false;
      return like ? job.like_song === like : !job.like && describe(job) === request;
    });
  }

  /** Keep a result. */
  add(job) {
    if (this.rows.has(job.job)) return;
    const detail = `${job.song.name} · ${clock(job.song.seconds)}`;
    const button = make("button", { type: "button", class: "hear", "aria-pressed": "false", on: { click: () => this.show(job) } });
    button.append(make("strong", { text: describe(job) }), make("span", { class: "quiet", text: detail }));
    const links = ["wav", "flac"].map((suffix) => download(job, suffix, suffix.toUpperCase()));
    links.forEach((link) => link.setAttribute("aria-label", `${link.textContent} of ${describe(job)}, ${job.song.name}`));
    const row = make("li", {}, button, ...links);
    this.rows.set(job.job, { job, row, button });
    this.list.prepend(row);
    this.reveal();
  }

  /** The only result needs no list while it is in the player. */
  reveal() {
    this.element.hidden = this.rows.size === 0;
    this.history.hidden = this.rows.size < (this.job ? 2 : 1);
    const songs = new Set([...this.rows.values()].map(({ job }) => job.song.song));
    this.list.classList.toggle("several", songs.size > 1); // then each row names its song
  }

  /** Put a result into the player; one of the same song goes on where the other was. */
  show(job) {
    const { playing = false, position = 0, heard = "output" } = this.job?.song.song === job.song.song ? this.player : {};
    this.player?.close();
    this.job = job;
    const sides = [side(job, "input", "Before", job.song.name), side(job, "output", "After", describe(job))];
    this.player = new Player(job.song.seconds, sides, this.ticks);
    this.stage.replaceChildren(
      this.player.element,
      make("div", { class: "row ends" }, download(job, "wav", "Download WAV"), download(job, "flac", "Download FLAC")),
      ...job.notes.map((text) => make("p", { class: "quiet note", text })),
      make("p", { class: "quiet keys" }, ...KEYS.map((text, place) => (place % 2 ? text : make("kbd", { text })))),
    );
    for (const [id, { button, row }] of this.rows) {
      button.setAttribute("aria-pressed", String(id === job.job));
      row.classList.toggle("heard", id === job.job);
    }
    this.reveal();
    this.player.select(heard);
    if (position > 0) this.player.go(position);
    if (playing) this.player.play();
    this.shown(job);
  }

  clear() {
    this.player?.close();
    this.player = this.job = null;
    this.rows.clear();
    this.list.replaceChildren();
    this.stage.replaceChildren();
    this.reveal();
  }
}

function side(job, key, title, detail) {
  return { key, title, detail, sound: fileOf(job.job, `${key}.flac`), picture: fileOf(job.job, `${key}.png`) };
}

function download(job, suffix, text) {
  const stem = job.song.name.replace(/\.[^.]*$/, "") || "song";
  const label = job.like ? "like" : Object.keys(job.to).join("+");
  return make("a", {
    class: "button",
    href: fileOf(job.job, `output.${suffix}`),
    download: `${stem}.${label}.${suffix}`,
    text,
  });
}

/** The style in words: metal 70 %, jazz 30 % · strength 80 %. */
export function describe({ to, like, strength }) {
  const shares = Object.entries(to || {});
  const total = shares.reduce((sum, [, share]) => sum + share, 0);
  const style = like
    ? `like ${like}`
    : shares.length === 1
      ? shares[0][0]
      : shares.map(([name, share]) => `${name} ${Math.round((100 * share) / total)} %`).join(", ");
  return strength < 1 ? `${style} · strength ${Math.round(100 * strength)} %` : style;
}
