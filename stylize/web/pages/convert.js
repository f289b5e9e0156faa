/** Any audio that this browser can play, as a WAV file that the server can read. */

const SIGNS = ["RIFF", "RIFX", "RF64", "FORM", ".snd", "dns.", "fLaC", "OggS", "ID3"];
/** From the best downwards: the first that is not too large is taken. */
const FORMS = [
  { rate: 44100, channels: 2 },
  { rate: 22050, channels: 2 },
  { rate: 22050, channels: 1 },
];
const HEADER_BYTES = 44;

/** Whether a file begins like one that the server can read. */
export async function isReadable(file) {
  const bytes = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const text = String.fromCharCode(...bytes);
  const isMp3Frame = bytes[0] === 0xff && (bytes[1] & 0xe6) === 0xe2; // layer 3; AAC has other bits here
  return isMp3Frame || SIGNS.some((sign) => text.startsWith(sign));
}

/**
 * Decode and write as WAV with 16 bits.
 * @param {Blob} blob
 * @param {number} maxBytes
 * @param {(seconds: number) => void} check called with the length; what it throws is passed on.
 * @returns {Promise<Blob|null>} null where this browser cannot decode it either.
 */
export async function toWav(blob, maxBytes, check) {
  let decoded;
  try {
    const context = new OfflineAudioContext(1, 1, FORMS[0].rate);
    decoded = await context.decodeAudioData(await blob.arrayBuffer());
  } catch {
    return null;
  }
  check(decoded.duration);
  const fits = ({ rate, channels }) => HEADER_BYTES + decoded.duration * rate * channels * 2 <= maxBytes;
  const forms = FORMS.map((form) => ({ ...form, channels: Math.min(form.channels, decoded.numberOfChannels) }));
  const form = forms.find(fits) || forms[forms.length - 1];
  return writeWav(await render(decoded, form));
}

async function render(decoded, { rate, channels }) {
  if (decoded.sampleRate === rate && decoded.numberOfChannels === channels) return decoded;
  const context = new OfflineAudioContext(channels, Math.max(1, Math.round(decoded.duration * rate)), rate);
  const source = context.createBufferSource();
  source.buffer = decoded;
  source.connect(context.destination);
  source.start();
  return context.startRendering();
}

function writeWav(buffer) {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, number) => buffer.getChannelData(number));
  const dataBytes = buffer.length * channels.length * 2;
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + dataBytes));
  const text = (at, letters) => [...letters].forEach((letter, place) => view.setUint8(at + place, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + dataBytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, channels.length, true);
  view.setUint32(24, buffer.sampleRate, true);
  view.setUint32(28, buffer.sampleRate * channels.length * 2, true);
  view.setUint16(32, channels.length * 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, dataBytes, true);
  let at = HEADER_BYTES;
  for (let sample = 0; sample < buffer.length; sample++) {
    for (const channel of channels) {
      view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(channel[sample] * 32768))), true);
      at += 2;
    }
  }
  return new Blob([view], { type: "audio/wav" });
}
