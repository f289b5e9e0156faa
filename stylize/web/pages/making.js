/** A song that is being made: how far it is, and how long it still takes. */

import { removeJob, showJob, startJob } from "./api.js";
import { timeLeft, write } from "./elements.js";
import { describe } from "./results.js";

const POLL_MILLISECONDS = 400;
const find = (id) => document.getElementById(id);
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export class Making {
  constructor() {
    this.current = null; // what is waited for; another object after each start
    this.busy(false);
  }

  get running() {
    return this.current !== null;
  }

  /**
   * Ask for a job and wait for it.
   * @param {Object} request
   * @param {(job: Object) => void} begun called when the server has taken it.
   * @returns {Promise<Object|null>} the result; null where it was cancelled.
   */
  start(request, begun) {
    return this.run(async (current) => {
      const job = await startJob(request);
      if (this.current === current) begun(job);
      else removeJob(job.job).catch(() => {});
      return job;
    });
  }

  /** Wait for a job that is there already. */
  follow(job) {
    return this.run(() => job);
  }

  async run(begin) {
    const current = (this.current = { job: null });
    this.busy(true);
    try {
      let job = await begin(current);
      current.job = job.job;
      while (this.current === current && (job.state === "waiting" || job.state === "working")) {
        this.show(job);
        await pause(POLL_MILLISECONDS);
        if (this.current === current) job = await this.ask(current);
      }
      if (this.current !== current) return null;
      if (job.state === "failed") throw new Error(job.error);
      return job;
    } catch (error) {
      if (this.current !== current) return null;
      throw error;
    } finally {
      if (this.current === current) this.end();
    }
  }

  /** A server that does not answer once may answer the next time. */
  async ask(current) {
    for (let attempt = 0; ; attempt++) {
      try {
        return await showJob(current.job);
      } catch (error) {
        if (error.status !== 0 || attempt === 5 || this.current !== current) throw error;
        await pause(1000);
      }
    }
  }

  show(job) {
    const isWaiting = job.state === "waiting" && job.ahead > 0;
    const before = job.ahead === 1 ? "1 song is before yours" : `${job.ahead} songs are before yours`;
    write(find("status"), isWaiting ? before : `Making ${describe(job)} …`);
    write(find("left"), timeLeft(job.seconds_left));
    if (job.progress > 0) find("progress").value = job.progress;
    else find("progress").removeAttribute("value"); // it moves without an end
  }

  cancel() {
    if (this.current?.job) removeJob(this.current.job).catch(() => {});
    this.end();
  }

  end() {
    this.current = null;
    this.busy(false);
    write(find("status"), "");
  }

  busy(running) {
    for (const id of ["progress", "cancel", "left"]) find(id).hidden = !running;
    find("make").disabled = running;
    find("progress").removeAttribute("value");
    write(find("left"), "");
  }
}
