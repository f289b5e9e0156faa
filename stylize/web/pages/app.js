/** The page: a song, a style, a result. */

import { about, fileOf, removeEverything, removeJob, showJob, startJob } from "./api.js";
import { Choice } from "./choice.js";
import { duration, make, write } from "./elements.js";
import { CAN_DROP, Picker } from "./picker.js";
import { Player } from "./player.js";

const POLL_MILLISECONDS = 400;
const find = (id) => document.getElementById(id);
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

class Page {
  constructor(limits) {
    this.song = new Picker(limits, { invitation: CAN_DROP ? "Drop a song here" : "Choose a song", example: true, changed: () => this.tidy() });
    this.choice = new Choice(limits, () => this.tidy());
    this.player = null;
    this.job = null;
    this.ticks = limits.ticks;
    find("song").append(this.song.element);
    find("style").append(this.choice.element);
    find("make").addEventListener("click", () => this.make());
    find("cancel").addEventListener("click", () => this.cancel());
    find("privacy").textContent =
      "Your songs go to this server only. Other visitors cannot hear them, and they are removed " +
      `${duration(60 * limits.keep_minutes)} after you last used them.`;
    find("forget").addEventListener("click", () => this.forget());
    find("forget").hidden = false;
    document.addEventListener("keydown", (event) => this.press(event));
    for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  }

  say(text) {
    write(find("status"), text);
  }

  complain(text) {
    find("trouble").textContent = text || "";
    find("trouble").hidden = !text;
  }

  /** What was said about the last attempt is no longer true. */
  tidy() {
    this.complain("");
    if (!this.job) this.say("");
  }

  async make() {
    const order = this.choice.order();
    const missing = this.song.song ? order.missing : "Choose a song first.";
    if (missing) return this.complain(missing);
    this.complain("");
    find("make").disabled = true;
    try {
      const job = await startJob({ song: this.song.song.song, ...order });
      history.replaceState(null, "", `#${job.job}`);
      await this.follow(job);
    } catch (error) {
      this.fail(error);
    }
    find("make").disabled = false;
  }

  /** Ask how a job is, until it ends. */
  async follow(job) {
    this.job = job.job;
    this.busy(true);
    while (job.state === "waiting" || job.state === "working") {
      if (job.progress > 0) find("progress").value = job.progress;
      else find("progress").removeAttribute("value"); // it moves without an end
      const waiting = job.ahead === 1 ? "1 song is before yours" : `${job.ahead} songs are before yours`;
      this.say(job.state === "working" ? "Working …" : job.ahead ? waiting : "Waiting …");
      await pause(POLL_MILLISECONDS);
      if (this.job !== job.job) return;
      job = await this.ask(job);
      if (this.job !== job.job) return;
    }
    this.busy(false);
    this.job = null;
    if (job.state === "failed") return this.fail(new Error(job.error));
    this.say("");
    this.show(job);
  }

  /** A server that does not answer once may answer the next time. */
  async ask(job) {
    for (let attempt = 0; ; attempt++) {
      try {
        return await showJob(job.job);
      } catch (error) {
        if (error.status !== 0 || attempt === 5) throw error;
        await pause(1000);
      }
    }
  }

  busy(running) {
    find("progress").hidden = find("cancel").hidden = !running;
    find("make").disabled = running;
  }

  fail(error) {
    this.job = null;
    this.busy(false);
    this.say("");
    this.complain(error.message);
    if (error.status !== 404) return;
    this.song.clear(); // what the server has forgotten must be chosen again
    if (this.choice.mode === "like") this.choice.like.clear();
    this.complain(error.message);
  }

  cancel() {
    if (this.job) removeJob(this.job).catch(() => {});
    this.job = null;
    history.replaceState(null, "", location.pathname);
    this.busy(false);
    this.say("Cancelled");
  }

  show(job) {
    this.player?.close();
    const sides = [side(job, "input", "Before", job.song.name), side(job, "output", "After", describe(job))];
    this.player = new Player(job.song.seconds, sides, this.ticks);
    const stem = job.song.name.replace(/\.[^.]*$/, "") || "song";
    const label = job.like ? "like" : Object.keys(job.to).join("+");
    const download = (suffix) =>
      make("a", {
        class: "button",
        href: fileOf(job.job, `output.${suffix}`),
        download: `${stem}.${label}.${suffix}`,
        text: `Download ${suffix.toUpperCase()}`,
      });
    const quieter = (-20 * Math.log10(job.gain)).toFixed(1);
    const note = `Peaks too loud for a file were turned down by up to ${quieter} dB.`;
    find("result").replaceChildren(
      this.player.element,
      make("div", { class: "row ends" }, download("wav"), download("flac")),
      ...(job.gain < 1 ? [make("p", { class: "quiet note", text: note })] : []),
      make(
        "p",
        { class: "quiet keys" },
        ...["Space", " plays, ", "S", " switches, ", "←", " ", "→", " go 5 s back or on"].map((text, place) =>
          place % 2 ? text : make("kbd", { text }),
        ),
      ),
    );
    const focused = document.activeElement;
    const isFree = focused === document.body || find("making").contains(focused);
    find("result").hidden = false;
    find("result").scrollIntoView({ block: "nearest" });
    if (isFree) this.player.button.focus({ preventScroll: true });
  }

  /** Remove everything that this visitor has on the server, the work that goes on included. */
  async forget() {
    if (this.job) this.cancel();
    try {
      await removeEverything();
    } catch (error) {
      this.complain(error.message);
      return;
    }
    this.player?.close();
    this.player = null;
    find("result").hidden = true;
    find("result").replaceChildren();
    history.replaceState(null, "", location.pathname);
    this.song.clear();
    this.choice.like.clear();
    this.say("Your files are removed.");
    find("status").scrollIntoView({ block: "center" });
  }

  press(event) {
    if (!this.player || event.ctrlKey || event.altKey || event.metaKey) return;
    // Buttons and links keep the space bar, and sliders and choices the arrows too.
    if (event.target.closest?.("input") && event.key !== "s") return;
    if (event.target.closest?.("button, a") && event.key === " ") return;
    const actions = {
      " ": () => this.player.toggle(),
      s: () => this.player.switch(),
      ArrowLeft: () => this.player.step(-1),
      ArrowRight: () => this.player.step(1),
    };
    if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  }

  /** After a reload: the result, or the work, whose id stands in the address. */
  async resume(id) {
    try {
      const job = await showJob(id);
      this.song.set(job.song);
      await this.follow(job);
    } catch (error) {
      history.replaceState(null, "", location.pathname);
      this.fail(error);
    }
  }
}

function side(job, key, title, detail) {
  return { key, title, detail, sound: fileOf(job.job, `${key}.flac`), picture: fileOf(job.job, `${key}.png`) };
}

/** The style in words: metal 70 %, jazz 30 % · strength 80 %. */
function describe(job) {
  const shares = Object.entries(job.to || {});
  const style = job.like
    ? `like ${job.like}`
    : shares.length === 1
      ? shares[0][0]
      : shares.map(([name, share]) => `${name} ${Math.round(100 * share)} %`).join(", ");
  return job.strength < 1 ? `${style} · strength ${Math.round(100 * job.strength)} %` : style;
}

try {
  const page = new Page(await about());
  window.studio = page;
  const id = location.hash.slice(1);
  if (/^[\w-]{32}$/.test(id)) await page.resume(id);
} catch (error) {
  find("trouble").textContent = error.message;
  find("trouble").hidden = false;
}
