// The way through the test: welcome, level, training, screens, end. Every step is remembered here and on the server.

import { element, show, tellHeight } from "./elements.js";
import { Memory, Outbox, request } from "./outbox.js";
import { Player } from "./player.js";
import { ScreenView } from "./screen.js";
import { Transport } from "./transport.js";

const WELCOME = 0, LEVEL = 1, TRAINING = 2, FIRST = 3;

const player = new Player();
let trial, memory, session, outbox;
let answers = new Map(); // screen to stimulus to value
let view = null; // what is shown, where it wants keys and frames
let place = WELCOME;
let turn = 0; // grows with every view, so that one that loads late is not shown

async function begin() {
  trial = await request("api/trial");
  document.title = trial.title;
  document.getElementById("title").textContent = trial.title;
  memory = new Memory(`listening/${trial.trial}/`);
  player.volume = memory.get("volume") ?? 0.8;
  const token = memory.get("token");
  if (!token) return showWelcome();
  try {
    await openSession(token);
  } catch (error) {
    if (error.status !== 401) throw error;
    memory.clear(); // the server does not know this listener any more
    return showWelcome();
  }
  go(memory.get("place") ?? session.place);
}

async function openSession(token) {
  session = await request("api/session", { token });
  outbox = new Outbox(memory, token, session.sequence, showSaved);
  answers = new Map(session.screens.map((screen) => [screen.id, new Map()]));
  // What a crashed browser left waiting may be older than what the server has.
  const known = [...session.answers, ...outbox.answers()].sort((a, b) => a.sequence - b.sequence);
  for (const { screen, stimulus, value } of known) remember(screen, stimulus, value);
}

function remember(screen, stimulus, value) {
  const known = answers.get(screen);
  if (!known) return;
  if (session.method === "ab") known.clear();
  known.set(stimulus, value);
}

function go(to) {
  const end = FIRST + session.screens.length;
  place = Math.min(Math.max(to, WELCOME), end);
  turn += 1;
  player.stop();
  view = null;
  if (place !== memory.get("place")) {
    memory.set("place", place);
    outbox.putPlace(place);
  }
  showProgress();
  if (place === WELCOME) showWelcome();
  else if (place === LEVEL) showLevel();
  else if (place === TRAINING) showTraining();
  else if (place < end) showScreen(place - FIRST);
  else showEnd();
}

function showWelcome() {
  const minutes = Math.max(1, Math.round(trial.seconds / 60));
  const start = async (event) => {
    event.target.disabled = true;
    try {
      if (!session) {
        const { token } = await request("api/listeners", { body: {} });
        memory.set("token", token);
        await openSession(token);
      }
      go(LEVEL);
    } catch (error) {
      event.target.disabled = false;
      showError(error, () => showWelcome());
    }
  };
  show(
    element("h1", { text: "Welcome" }),
    element("p", { text: `You will hear short pieces of music and say what you hear. There are ${trial.screens} pages; it takes about ${minutes} minutes.` }),
    element(
      "ul", {},
      element("li", { text: "Use headphones if you can, in a quiet room." }),
      element("li", { text: "There are no right answers. Trust your ears, and listen as often as you like." }),
      element("li", { text: "Every answer is saved at once. You can close this page and go on later, on the same device." }),
      element("li", { text: "Only your answers are kept: no name, no address." }),
    ),
    element("div", { class: "ends" }, element("button", { type: "button", class: "main", text: "Start", onclick: start })),
  );
}

async function showLevel() {
  if (!(await load([session.level]))) return;
  const transport = new Transport(player, null, () => {});
  view = { tick: () => transport.update(), key: (event) => levelKey(event, transport) };
  const volume = element("input", {
    type: "range", class: "volume grow", min: 0, max: 1, step: 0.01, value: memory.get("volume") ?? 0.8, "aria-label": "Volume of this page",
    oninput: () => {
      player.volume = Number(volume.value);
      memory.set("volume", Number(volume.value));
    },
  });
  show(
    element("p", { class: "step", text: "Before the test" }),
    element("h1", { text: "Set the level" }),
    element("p", { text: "Play this music and set the volume of your device, or the slider, so that it is pleasant and you hear every detail. Then leave both as they are." }),
    ...transport.parts(),
    element("div", { class: "card row" }, element("span", { text: "Volume" }), volume),
    ends(() => go(WELCOME), () => go(TRAINING)),
  );
}

function levelKey(event, transport) {
  if (event.key !== " " || event.target.closest("button")) return false;
  transport.toggle();
  return true;
}

async function showTraining() {
  const screen = session.training;
  const range = screen.choice ? "" : " The best and the worst that you will meet are about like this, so you know how to use the whole scale.";
  const shown = new ScreenView(player, screen, {
    step: "Practice: nothing on this page is kept",
    intro: element("p", { text: `Listen to every sound and try the page.${range}` }),
    answers: new Map(),
    answered: () => {},
    back: () => go(LEVEL),
    next: () => go(FIRST),
  });
  await showView(shown, [], () => go(TRAINING));
}

async function showScreen(index) {
  const screen = session.screens[index];
  const following = session.screens[index + 1];
  const shown = new ScreenView(player, screen, {
    step: `${index + 1} of ${session.screens.length}`,
    answers: answers.get(screen.id),
    answered: (stimulus, value) => {
      const slot = session.method === "ab" ? screen.id : `${screen.id}/${stimulus}`;
      outbox.put(slot, { screen: screen.id, stimulus, value });
    },
    back: () => go(place - 1),
    next: () => go(place + 1),
  });
  const soon = following ? [...following.stimuli, ...following.examples].map(({ sound }) => sound) : [];
  if (await showView(shown, soon)) for (const sound of soon) player.fetch(sound).catch(() => {});
}

async function showView(shown, soon) {
  if (!(await load(shown.addresses, soon))) return false;
  shown.show();
  view = shown;
  return true;
}

// Loads sounds; false where another view has taken over meanwhile, or where they could not be had.
async function load(addresses, soon = []) {
  const mine = turn;
  show(element("p", { class: "quiet", text: "Loading the sounds …" }));
  try {
    await player.load(addresses, soon);
  } catch (error) {
    if (mine === turn) showError(error, () => go(place));
    return false;
  }
  return mine === turn;
}

function showEnd() {
  show(
    element("h1", { text: "Thank you!" }),
    element("p", { id: "end", text: "" }),
    element("div", { class: "ends" }, element("button", { type: "button", class: "plain", text: "Back", onclick: () => go(place - 1) })),
  );
  showSaved(outbox.count);
}

function ends(back, next) {
  return element(
    "div", { class: "ends" },
    element("button", { type: "button", class: "plain", text: "Back", onclick: back }),
    element("button", { type: "button", class: "main", text: "Next", onclick: next }),
  );
}

function showError(error, again) {
  view = null;
  show(
    element("h1", { text: "That did not work" }),
    element("p", { class: "alert", role: "alert", text: String(error.message || error) }),
    element("div", { class: "ends" }, element("button", { type: "button", class: "main", text: "Try again", onclick: again })),
  );
}

function showProgress() {
  const share = Math.round((100 * Math.max(0, place - FIRST)) / session.screens.length);
  const bar = document.getElementById("progress");
  bar.setAttribute("aria-valuenow", share);
  document.getElementById("progress-fill").style.width = `${share}%`;
}

function showSaved(waiting, refusal, offline = false) {
  const shown = document.getElementById("saved");
  shown.classList.toggle("waiting", Boolean(refusal) || offline);
  if (refusal) shown.textContent = `Not saved: ${refusal}`;
  else if (offline) shown.textContent = `No connection; ${waiting} kept on this device`;
  else shown.textContent = waiting ? "Saving …" : "Saved";
  const end = document.getElementById("end");
  if (end) {
    end.textContent = waiting
      ? "Your last answers are being saved; please leave this page open."
      : "All your answers are saved. You can close this page.";
  }
}

function frame() {
  view?.tick();
  requestAnimationFrame(frame);
}

document.addEventListener("keydown", (event) => {
  if (!view || event.ctrlKey || event.metaKey || event.altKey) return;
  if (view.key(event)) event.preventDefault();
});
window.addEventListener("beforeunload", (event) => {
  if (outbox?.count) event.preventDefault();
});
// The playback stays below the bar, which is as high as its title needs.
tellHeight(document.querySelector(".bar"), "--bar");
globalThis.listeningTest = { player, go };
requestAnimationFrame(frame);
begin().catch((error) => showError(error, () => location.reload()));
