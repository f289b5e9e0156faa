// Sends every answer at once, and keeps what could not be sent on this device until it can.

const FIRST_WAIT = 500; // milliseconds
const LONGEST_WAIT = 8000;

// localStorage, or memory where a browser gives none.
export class Memory {
  constructor(prefix) {
    this.prefix = prefix;
    this.values = {};
  }

  get(name) {
    try {
      const text = localStorage.getItem(this.prefix + name);
      return text === null ? this.values[name] : JSON.parse(text);
    } catch {
      return this.values[name];
    }
  }

  set(name, value) {
    this.values[name] = value;
    try {
      localStorage.setItem(this.prefix + name, JSON.stringify(value));
    } catch {
      // Full or forbidden: the page works on without it, and a reload begins anew.
    }
  }

  clear() {
    this.values = {};
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith(this.prefix)) localStorage.removeItem(key);
    } catch {
      // Nothing was kept there.
    }
  }
}

export async function request(path, { token, body } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const options = { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), cache: "no-store" };
  const response = await fetch(path, { ...options, signal: AbortSignal.timeout(15000) });
  if (response.ok) return response.json();
  const message = await response.json().then((values) => values.error, () => response.statusText);
  throw Object.assign(new Error(message), { status: response.status });
}

export class Outbox {
  // `changed` is called with the number of answers that wait, and a message where one was refused for good.
  constructor(memory, token, sequence, changed) {
    this.memory = memory;
    this.token = token;
    this.changed = changed;
    this.waiting = memory.get("waiting") ?? {};
    this.sequence = Math.max(sequence, ...Object.values(this.waiting).map((item) => item.sequence ?? 0));
    this.sending = false;
    this.pause = FIRST_WAIT;
    window.addEventListener("online", () => this.#hurry());
    this.flush();
  }

  get count() {
    return Object.keys(this.waiting).length;
  }

  // The answer takes the place of an earlier one in the same slot that is still waiting.
  put(slot, answer) {
    this.sequence = Math.max(this.sequence + 1, Date.now());
    this.#keep(slot, { path: "api/answers", body: { ...answer, sequence: this.sequence }, sequence: this.sequence });
  }

  putPlace(place) {
    this.sequence += 1;
    this.#keep("place", { path: "api/place", body: { place }, sequence: this.sequence });
  }

  // Answers that wait, so that a page that was loaded anew shows them.
  answers() {
    return Object.values(this.waiting)
      .filter((item) => item.path === "api/answers")
      .map((item) => item.body);
  }

  #keep(slot, item) {
    this.waiting[slot] = item;
    this.memory.set("waiting", this.waiting);
    this.changed(this.count);
    this.flush();
  }

  #hurry() {
    this.pause = FIRST_WAIT;
    this.wake?.();
  }

  async flush() {
    if (this.sending) return;
    this.sending = true;
    while (this.count) {
      const [slot, item] = Object.entries(this.waiting).sort((a, b) => a[1].sequence - b[1].sequence)[0];
      let refusal;
      try {
        await request(item.path, { token: this.token, body: item.body });
      } catch (error) {
        const final = error.status >= 400 && error.status < 500 && error.status !== 408;
        if (!final) {
          this.changed(this.count, undefined, true);
          await this.#wait();
          continue;
        }
        refusal = error.message;
      }
      this.pause = FIRST_WAIT;
      if (this.waiting[slot]?.sequence === item.sequence) delete this.waiting[slot]; // it may have changed meanwhile
      this.memory.set("waiting", this.waiting);
      this.changed(this.count, refusal);
    }
    this.sending = false;
  }

  async #wait() {
    await new Promise((done) => {
      this.wake = done;
      setTimeout(done, this.pause * (0.75 + Math.random() / 2));
    });
    this.pause = Math.min(this.pause * 2, LONGEST_WAIT);
  }
}
