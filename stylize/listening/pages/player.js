// Plays several sounds at once from one clock and lets one of them through, so that switching keeps the position.

const CROSSFADE = 0.012; // seconds
const EDGE = 0.005; // fade at both ends of a loop, seconds
const AHEAD = 2.5; // seconds that are scheduled ahead; browsers slow timers of hidden pages down to one a second
const SHORTEST_LOOP = 0.5;

export class Player {
  constructor() {
    if (navigator.audioSession) navigator.audioSession.type = "playback"; // else the silent switch of an iPhone mutes it
    this.context = new AudioContext();
    this.output = this.context.createGain();
    this.output.connect(this.context.destination);
    this.buffers = new Map(); // address to a promise of a buffer
    this.sounds = [];
    this.selected = null;
    this.run = null;
    this.duration = 0;
    this.paused = 0;
    this.loop = [0, 0];
    setInterval(() => this.#scheduleAhead(), 200);
  }

  set volume(value) {
    this.output.gain.setTargetAtTime(value, this.context.currentTime, 0.02);
  }

  get playing() {
    return this.run !== null;
  }

  // Downloads and decodes; a failure is forgotten, so that it can be tried again.
  fetch(address) {
    if (!this.buffers.has(address)) {
      const promise = (async () => {
        const response = await fetch(address);
        if (!response.ok) throw new Error(`the sound could not be loaded (${response.status})`);
        return this.context.decodeAudioData(await response.arrayBuffer());
      })();
      promise.catch(() => this.buffers.delete(address));
      this.buffers.set(address, promise);
    }
    return this.buffers.get(address);
  }

  // Makes these the sounds that are played together; `keep` are addresses that will be needed soon.
  async load(addresses, keep = []) {
    this.stop();
    const buffers = await Promise.all(addresses.map((address) => this.fetch(address)));
    for (const known of [...this.buffers.keys()]) {
      if (!addresses.includes(known) && !keep.includes(known)) this.buffers.delete(known);
    }
    this.sounds = addresses.map((address, index) => ({ address, buffer: buffers[index] }));
    this.duration = Math.min(...buffers.map((buffer) => buffer.duration));
    this.loop = [0, this.duration];
    this.paused = 0;
    this.selected = addresses[0];
  }

  async play() {
    if (this.context.state !== "running") await this.context.resume();
    if (!this.run && this.sounds.length) this.#start(this.paused);
  }

  stop() {
    if (!this.run) return;
    this.paused = this.position();
    this.#end(this.run);
    this.run = null;
  }

  toggle() {
    if (this.run) this.stop();
    else return this.play();
  }

  select(address) {
    this.selected = address;
    if (!this.run) return;
    const now = this.context.currentTime;
    for (const [name, gain] of this.run.gains) {
      gain.gain.cancelScheduledValues(now);
      gain.gain.setValueAtTime(gain.gain.value, now);
      gain.gain.linearRampToValueAtTime(name === address ? 1 : 0, now + CROSSFADE);
    }
  }

  seek(time) {
    const [from, to] = this.loop;
    this.paused = Math.min(Math.max(time, from), to - 0.01);
    if (this.run) this.#restart(this.paused);
  }

  // The region that is repeated; it is at least half a second long, or all there is.
  setLoop(from, to) {
    const here = this.position();
    const shortest = Math.min(SHORTEST_LOOP, this.duration);
    from = Math.max(0, Math.min(from, this.duration - shortest));
    to = Math.min(this.duration, Math.max(to, from + shortest));
    this.loop = [from, to];
    const inside = here >= from && here < to ? here : from;
    this.paused = inside;
    if (this.run) this.#restart(inside);
  }

  position() {
    if (!this.run) return this.paused;
    const now = this.context.currentTime;
    const pass = this.run.passes.find((each) => now < each.end) ?? this.run.passes.at(-1);
    return Math.min(Math.max(pass.from + (now - pass.start), pass.from), this.duration);
  }

  #restart(time) {
    this.#end(this.run);
    this.#start(time);
  }

  #start(time) {
    const context = this.context;
    const run = { gains: new Map(), gate: context.createGain(), out: context.createGain(), sources: new Set(), passes: [] };
    run.gate.connect(run.out).connect(this.output);
    for (const { address } of this.sounds) {
      const gain = context.createGain();
      gain.gain.value = address === this.selected ? 1 : 0;
      gain.connect(run.gate);
      run.gains.set(address, gain);
    }
    run.gate.gain.value = 0;
    run.next = context.currentTime + 0.03;
    run.offset = time;
    this.run = run;
    this.#scheduleAhead();
  }

  // Every pass through the loop starts all sounds at the same instant of the audio clock.
  #scheduleAhead() {
    const run = this.run;
    if (!run) return;
    const now = this.context.currentTime;
    run.passes = run.passes.filter((pass) => pass.end > now - 1);
    while (run.next < now + AHEAD) {
      const start = run.next;
      const length = this.loop[1] - run.offset;
      const end = start + length;
      for (const { address, buffer } of this.sounds) {
        const source = new AudioBufferSourceNode(this.context, { buffer });
        source.connect(run.gains.get(address));
        source.start(start, run.offset, length);
        run.sources.add(source);
        source.onended = () => run.sources.delete(source);
      }
      const edge = Math.min(EDGE, length / 4);
      run.gate.gain.setValueAtTime(0, start);
      run.gate.gain.linearRampToValueAtTime(1, start + edge);
      run.gate.gain.setValueAtTime(1, end - edge);
      run.gate.gain.linearRampToValueAtTime(0, end);
      run.passes.push({ start, end, from: run.offset });
      run.next = end;
      run.offset = this.loop[0];
    }
  }

  #end(run) {
    const now = this.context.currentTime;
    run.out.gain.setValueAtTime(1, now);
    run.out.gain.linearRampToValueAtTime(0, now + CROSSFADE);
    for (const source of run.sources) source.stop(now + CROSSFADE + 0.01);
    setTimeout(() => run.out.disconnect(), 200);
  }
}
