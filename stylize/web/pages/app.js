/** The page: a song, a style, results. */

import { about, listEntries, removeEverything, showJob } from "./api.js";
import { Choice } from "./choice.js";
import { listenForDrops } from "./drops.js";
import { duration, write } from "./elements.js";
import { Making } from "./making.js";
import { CAN_DROP, Picker } from "./picker.js";
import { Results } from "./results.js";

const CHOSEN = "chosen"; // in this tab's storage: ids of the songs in the pickers
const find = (id) => document.getElementById(id);

class Page {
  constructor(limits) {
    const invitation = CAN_DROP ? "Drop a song here" : "Choose a song";
    this.song = new Picker(limits, { invitation, example: true, changed: () => this.tidy() });
    this.choice = new Choice(limits, () => this.tidy());
    this.making = new Making();
    this.results = new Results(limits.ticks, (job) => this.making.running || mark(job.job));
    find("song").append(this.song.element);
    find("style").append(this.choice.element);
    find("making").append(this.results.element);
    find("make").addEventListener("click", () => this.make());
    find("cancel").addEventListener("click", () => this.cancel());
    find("privacy").textContent =
      "Your songs go to this server only. Other visitors cannot hear them, and they are removed " +
      `${duration(60 * limits.keep_minutes)} after you leave this page.`;
    find("forget").addEventListener("click", () => this.forget());
    find("forget").hidden = false;
    document.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("play", (event) => this.quiet(event.target), true);
    listenForDrops([this.song, this.choice.like]);
    setInterval(() => listEntries().catch(() => {}), 20000 * limits.keep_minutes); // a third of that time
  }

  get player() {
    return this.results.player;
  }

  say(text) {
    write(find("status"), text);
  }

  complain(text) {
    find("trouble").textContent = text || "";
    find("trouble").hidden = !text;
  }

  /** Something else was chosen: what was said about the last attempt is no longer true. */
  tidy() {
    this.complain("");
    if (!this.making.running) this.say("");
    const { song, choice } = this;
    sessionStorage.setItem(CHOSEN, JSON.stringify({ song: song.song?.song, like: choice.like.song?.song }));
  }

  async make() {
    const request = this.choice.request();
    const missing = this.song.song ? request.missing : "Choose a song first.";
    if (missing) return this.complain(missing);
    this.complain("");
    const wanted = { song: this.song.song.song, ...request };
    const earlier = this.results.find(wanted);
    if (earlier && (await showJob(earlier.job).catch(() => null))) {
      this.present(earlier);
      return this.say("This was made already.");
    }
    return this.attempt(() => this.making.start(wanted, (job) => mark(job.job)));
  }

  /** Wait for a job, and show what comes of it. */
  async attempt(work) {
    try {
      const job = await work();
      if (job) this.present(job);
    } catch (error) {
      this.fail(error);
    }
  }

  present(job) {
    this.results.add(job);
    this.results.show(job);
    const focused = document.activeElement;
    const isFree = focused === document.body || find("making").contains(focused);
    this.results.element.scrollIntoView({ block: "nearest" });
    if (isFree) this.player.button.focus({ preventScroll: true });
  }

  fail(error) {
    mark(this.results.job?.job);
    if (error.status === 404) {
      this.song.clear(); // what the server has forgotten must be chosen again
      if (this.choice.mode === "like") this.choice.like.clear();
    }
    this.complain(error.message);
  }

  /** The song, and what was made before, stay. */
  cancel() {
    this.making.cancel();
    mark(this.results.job?.job);
    this.say("Cancelled");
  }

  /** Remove everything that this visitor has on the server, the work that goes on included. */
  async forget() {
    if (this.making.running) this.making.cancel();
    try {
      await removeEverything();
    } catch (error) {
      this.complain(error.message);
      return;
    }
    this.results.clear();
    mark(null);
    this.song.clear();
    this.choice.like.clear();
    this.say("Your files are removed.");
    find("status").scrollIntoView({ block: "center" });
  }

  /** One sound at a time: the results, or a song in a picker. */
  quiet(sounding) {
    for (const { audio } of [this.song, this.choice.like]) if (audio !== sounding) audio.pause();
    if (sounding.matches(".preview") && this.player?.playing) this.player.pause();
  }

  press(event) {
    if (!this.player || event.ctrlKey || event.altKey || event.metaKey) return;
    // Buttons, links and players keep the space bar, and sliders, choices and players the arrows too.
    if (event.target.closest?.("input, audio") && event.key !== "s") return;
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

  /** After a reload: the songs, the results, and the work that goes on. The result that was shown stands in the address. */
  async resume() {
    const { songs, jobs } = await listEntries();
    const wanted = location.hash.slice(1);
    const done = jobs.filter((job) => job.state === "done");
    const open = jobs.findLast((job) => job.state === "waiting" || job.state === "working");
    const shown = wanted && wanted !== open?.job ? done.find((job) => job.job === wanted) : done.at(-1);
    const last = open || shown || done.at(-1);
    const chosen = JSON.parse(sessionStorage.getItem(CHOSEN) || "{}");
    const songOf = (id) => songs.find((song) => song.song === id);
    const song = songOf(chosen.song) || last?.song;
    const like = songOf(chosen.like) || songOf(last?.like_song);
    if (song) this.song.set(song);
    if (like) this.choice.like.set(like);
    if (last) this.choice.set(last);
    done.forEach((job) => this.results.add(job));
    if (shown) this.results.show(shown);
    if (open) {
      mark(open.job);
      await this.attempt(() => this.making.follow(open));
    } else if (/^[\w-]{32}$/.test(wanted) && wanted !== shown?.job) {
      mark(null);
      const failed = jobs.find((job) => job.job === wanted);
      this.complain(failed?.error || "this result is not here any more; make it again");
    }
  }
}

/** Let the address say which result is shown; it can be opened in this browser only. */
function mark(id) {
  history.replaceState(null, "", id ? `#${id}` : location.pathname);
}

try {
  const page = new Page(await about());
  window.app = page;
  await page.resume();
} catch (error) {
  find("trouble").textContent = error.message;
  find("trouble").hidden = false;
}
