/** What is asked of the server. */

/** A refusal, with the one line that says why. */
export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(method, path, values) {
  let response;
  try {
    response = await fetch(path, {
      method,
      cache: "no-store",
      ...(values && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) }),
    });
  } catch {
    throw new ServerError(0, "the server does not answer; is it still running?");
  }
  const reply = await response.json().catch(() => ({}));
  if (!response.ok) throw new ServerError(response.status, reply.error || `the server answered ${response.status}`);
  return reply;
}

export const about = () => ask("GET", "api/about");
/** All that this visitor has on the server; what an open page asks for is kept. */
export const listEntries = () => ask("GET", "api/entries");
export const sendExample = () => ask("POST", "api/songs/example", {});
export const removeSong = (id) => ask("DELETE", `api/songs/${id}`);
export const removeEverything = () => ask("DELETE", "api/songs");
export const startJob = (request) => ask("POST", "api/jobs", request);
export const showJob = (id) => ask("GET", `api/jobs/${id}`);
export const removeJob = (id) => ask("DELETE", `api/jobs/${id}`);
export const fileOfSong = (id) => `api/songs/${id}/input.flac`;
export const fileOf = (job, name) => `api/jobs/${job}/${name}`;

/**
 * Send a file.
 * @param {Blob} blob
 * @param {string} name
 * @param {(share: number) => void} progress called with 0 to 1.
 */
export function sendSong(blob, name, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much was sent
    request.open("POST", `api/songs?name=${encodeURIComponent(name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => event.total && progress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status === 201) resolve(request.response);
      else reject(new ServerError(request.status, request.response?.error || `the server answered ${request.status}`));
    });
    request.addEventListener("error", () => reject(new ServerError(0, "the file could not be sent; try again")));
    request.send(blob);
  });
}
