/** A recording with the microphone, without the processing that is made for telephone calls. */

export const canRecord = Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

export class Recorder {
  /** Begin. @param {(seconds: number) => void} tick called while it runs. */
  static async start(tick) {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    return new Recorder(stream, tick);
  }

  constructor(stream, tick) {
    this.stream = stream;
    this.parts = [];
    this.recorder = new MediaRecorder(stream);
    this.recorder.addEventListener("dataavailable", (event) => this.parts.push(event.data));
    const began = performance.now();
    this.timer = setInterval(() => tick((performance.now() - began) / 1000), 200);
    this.recorder.start(1000);
  }

  /** End. @returns {Promise<Blob>} in whatever form this browser writes. */
  async stop() {
    clearInterval(this.timer);
    if (this.recorder.state !== "inactive") {
      await new Promise((done) => {
        this.recorder.addEventListener("stop", done, { once: true });
        this.recorder.stop();
      });
    }
    this.stream.getTracks().forEach((track) => track.stop());
    return new Blob(this.parts, { type: this.recorder.mimeType });
  }
}
