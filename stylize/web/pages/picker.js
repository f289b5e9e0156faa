/** A place where a song is dropped, chosen or recorded, and sent at once. */

import { ServerError, fileOfSong, removeSong, sendExample, sendSong } from "./api.js";
import { isReadable, toWav } from "./convert.js";
import { clock, duration, make, write } from "./elements.js";
import { Recorder, canRecord } from "./recorder.js";

export const CAN_DROP = matchMedia("(any-hover: hover)").matches; // a mouse, not only fingers
const UNREADABLE = 415;
const MOST_TIMES_LARGER = 4; // a file to be converted may be than one to be sent: films have sound too

export class Picker {
  /**
   * @param {Object} limits as the server says them.
   * @param {{invitation: string, example: boolean, changed: () => void}} settings
   */
  constructor(limits, { invitation, example, changed }) {
    this.limits = limits;
    this.changed = changed;
    this.song = null;
    this.recorder = null;
    this.attempt = 0; // counts choices, so that only the last one is shown
    this.input = make("input", {
      type: "file",
      accept: "audio/*,video/mp4,video/webm,.wav,.flac,.ogg,.opus,.mp3,.aiff,.au,.m4a",
      class: "unseen",
      tabindex: "-1",
      "aria-label": invitation,
      on: { change: () => this.input.files[0] && this.take(this.input.files[0]) },
    });
    this.record = make("button", { type: "button", text: "Record", on: { click: () => this.toggleRecording() } });
    this.record.hidden = !canRecord;
    const buttons = [
      make("button", { type: "button", text: "Choose a file", on: { click: () => this.open() } }),
      this.record,
    ];
    if (example && limits.example) {
      buttons.push(make("button", { type: "button", text: "Use the example", on: { click: () => this.takeExample() } }));
    }
    this.name = make("p", { class: "invitation", text: invitation });
    this.status = make("p", { class: "status", role: "status", text: this.rules() });
    this.trouble = make("p", { class: "alert", role: "alert", hidden: true });
    this.note = make("p", { class: "quiet note", role: "status", hidden: true });
    this.audio = make("audio", { class: "preview", controls: true, preload: "metadata", hidden: true });
    this.bar = make("progress", { max: "1", value: "0", "aria-label": "Sent", hidden: true });
    const row = make("div", { class: "row" }, ...buttons, this.input);
    const parts = [this.name, this.status, this.audio, row, this.bar, this.note, this.trouble];
    this.element = make("div", { class: "picker" }, ...parts);
  }

  rules() {
    const { max_seconds: seconds, max_bytes: bytes } = this.limits;
    return `Any audio file, up to ${duration(seconds)} and ${Number((bytes / 1e6).toFixed(2))} MB.`;
  }

  open() {
    this.input.value = ""; // the same file can be chosen again
    this.input.click();
  }

  /** Take the first sound of what was dropped, and say so where there is more. */
  takeDropped(files) {
    if (!files.length) return this.complain("that is no file; drop one from a folder of this computer");
    const file = files.find(({ type }) => /^(audio|video)/.test(type)) || files[0];
    const earlier = this.song?.name;
    this.take(file);
    if (files.length > 1) this.remark(`${files.length} files were dropped, and one song is made at a time: this is ${file.name}.`);
    else if (earlier) this.remark(`Taken in place of ${earlier}.`);
    return undefined;
  }

  remark(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  /** Send a file, converted here first where the server could not read it. */
  take(file, name = file.name) {
    return this.attemptTo(name, async (say) => {
      const readable = await isReadable(file).catch(() => {
        throw new ServerError(0, `${name} cannot be read; give a file, and no folder`);
      });
      let refusal = null;
      if (readable) {
        try {
          return await this.send(file, name, say);
        } catch (error) {
          if (error.status !== UNREADABLE) throw error;
          refusal = error;
        }
      }
      say("Converting …");
      const wav = file.size > 0 ? await this.convert(file, name) : null;
      if (wav) return this.send(wav, name, say);
      throw refusal || new ServerError(UNREADABLE, file.size > 0 ?
        `${name} is not audio that this browser or the server can read; convert it to wav, flac or mp3` :
        `${name} is empty (0 bytes); choose a recording`);
    });
  }

  /** A WAV file, or null where this browser cannot read the file either. */
  convert(file, name) {
    const { max_bytes: bytes, max_seconds: seconds } = this.limits;
    // All of it will be in memory, several times.
    if (file.size > MOST_TIMES_LARGER * bytes) throw this.tooLarge(name);
    return toWav(file, bytes, (found) => {
      if (found <= seconds) return;
      throw new ServerError(422, `${name} is longer than ${seconds} s of music (${Math.ceil(found)} s); send a part of it`);
    });
  }

  tooLarge(name) {
    const most = Number((this.limits.max_bytes / 1e6).toFixed(2));
    return new ServerError(413, `${name} has more than ${most} MB; send a shorter one, or an mp3 or ogg of it`);
  }

  async send(blob, name, say) {
    if (blob.size > this.limits.max_bytes) throw this.tooLarge(name);
    say("Sending …", 0);
    return sendSong(blob, name, (share) => say(share < 1 ? "Sending …" : "Checking …", share));
  }

  takeExample() {
    return this.attemptTo("the example", () => sendExample());
  }

  /** Do what brings a song, and show how it goes; a later attempt takes its place. */
  async attemptTo(name, bring) {
    const attempt = ++this.attempt;
    this.dropRecording();
    this.song = null;
    this.remark("");
    this.show(name, "Checking …");
    this.changed();
    const say = (text, share = null) => attempt === this.attempt && this.show(name, text, share);
    try {
      const song = await bring(say);
      if (attempt !== this.attempt) {
        removeSong(song.song).catch(() => {});
        return;
      }
      this.set(song);
    } catch (error) {
      if (attempt !== this.attempt) return;
      this.show("No song yet", this.rules());
      this.complain(error.message);
    }
    this.changed();
  }

  complain(text) {
    this.trouble.textContent = text;
    this.trouble.hidden = false;
  }

  /** Show a song that the server has. */
  set(song) {
    this.song = song;
    this.show(song.name, `${clock(song.seconds)} · ${song.sample_rate} Hz · ${song.channels > 1 ? "stereo" : "mono"}`);
    this.audio.src = fileOfSong(song.song);
    this.audio.setAttribute("aria-label", `Hear ${song.name}`);
    this.audio.hidden = false;
    this.element.classList.add("ready");
  }

  /** The server has forgotten the song. */
  clear() {
    this.attempt++;
    this.dropRecording();
    this.song = null;
    this.remark("");
    this.show("No song yet", this.rules());
    this.changed();
  }

  show(name, text, share = null) {
    write(this.name, name);
    write(this.status, text);
    this.trouble.hidden = true;
    this.bar.hidden = share === null || share >= 1;
    this.bar.value = share ?? 0;
    if (!this.audio.hidden) {
      this.audio.hidden = true;
      this.audio.removeAttribute("src");
      this.audio.load(); // which ends what was playing
    }
    this.element.classList.remove("ready");
  }

  async toggleRecording() {
    if (this.recorder) {
      await this.take(await this.dropRecording(), "recording.wav");
      return;
    }
    const attempt = ++this.attempt;
    this.record.disabled = true;
    try {
      const recorder = await Recorder.start((seconds) => {
        if (recorder !== this.recorder) return;
        this.show("Recording", clock(seconds));
        if (seconds >= this.limits.max_seconds - 1) this.toggleRecording();
      });
      this.record.disabled = false;
      if (attempt !== this.attempt) {
        recorder.stop(); // something else was chosen while the browser asked for leave
        return;
      }
      this.recorder = recorder;
      this.song = null;
      this.showRecording(true);
      this.show("Recording", clock(0));
      this.changed();
    } catch {
      this.record.disabled = false;
      if (attempt === this.attempt) this.complain("the microphone cannot be used; allow it in the browser, or choose a file");
    }
  }

  /** Stop recording, if that goes on. @returns {Promise<Blob>|undefined} */
  dropRecording() {
    const recorder = this.recorder;
    if (!recorder) return undefined;
    this.recorder = null;
    this.showRecording(false);
    return recorder.stop();
  }

  showRecording(running) {
    this.record.textContent = running ? "Stop and use it" : "Record";
    this.record.classList.toggle("recording", running);
  }
}
