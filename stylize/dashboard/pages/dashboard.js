"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { trial } = data;
  const paired = trial.method === "ab";
  const byId = (id) => document.getElementById(id);

  // Properties by name; names with a hyphen are attributes. Text never becomes markup.
  const element = (tag, properties = {}, ...children) => {
    const made = document.createElement(tag);
    Object.entries(properties).forEach(([name, value]) => {
      if (name.includes("-")) made.setAttribute(name, value);
      else made[name] = value;
    });
    made.append(...children);
    return made;
  };
  const number = (value, digits) => (value === undefined || value === null ? "–" : value.toFixed(digits));
  const count = (value, name) => `${value} ${name}${value === 1 ? "" : "s"}`;
  const measureText = (name, value) => number(value, name === "timbre distance" ? 1 : 3);

  const measureNames = Object.keys(data.measures).filter((name) => data.rows.some((row) => name in row.measures));
  const questions = trial.questions.filter((name) => data.systems.some((system) => name in system.opinions));

  // Columns: title, content of a cell, value to sort by (a string or a number; undefined goes last).
  const textColumn = (title, key) => ({
    title, name: true, cell: (row) => [element("span", { textContent: row[key] })], value: (row) => row[key],
  });
  const numberColumn = (title, value, text) => ({ title, cell: (row) => [text(value(row))], value });
  const opinionCell = (opinion) => {
    if (!opinion) return ["–"];
    const interval = opinion.low === null ? "" : `${number(opinion.low, 1)} to ${number(opinion.high, 1)}, `;
    return [number(opinion.mean, 1), element("small", { textContent: `${interval}n ${opinion.count}` })];
  };
  const valueColumns = [
    ...measureNames.map((name) => numberColumn(name, (row) => row.measures[name], (value) => measureText(name, value))),
    ...questions.map((name) => ({
      title: paired ? `${name}: chosen, %` : `${name}: rating`,
      cell: (row) => opinionCell(row.opinions[name]),
      value: (row) => row.opinions[name]?.mean,
    })),
  ];

  const makeTable = (rows, columns, label) => {
    const body = element("tbody");
    const show = (ordered) => {
      body.replaceChildren(
        ...ordered.map((row) =>
          element("tr", {}, ...columns.map((column) =>
            element("td", { className: column.name ? "name" : "" }, ...column.cell(row)))),
        ),
      );
    };
    const headings = columns.map((column) => {
      const button = element("button", { type: "button", textContent: column.title });
      const heading = element("th", { scope: "col", className: column.name ? "name" : "" }, button);
      button.addEventListener("click", () => {
        const falling = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const sign = falling ? -1 : 1;
        const compare = (first, second) => {
          const [a, b] = [column.value(first), column.value(second)];
          if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
          return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
        };
        show([...rows].sort(compare));
      });
      return heading;
    });
    show(rows);
    const table = element("table", { "aria-label": label }, element("thead", {}, element("tr", {}, ...headings)), body);
    return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": `table: ${label}` }, table);
  };

  // The card that was played last: keys go there, and no other one plays.
  let current = null;

  class Card {
    constructor(song) {
      this.seconds = song.seconds;
      this.clips = [{ label: song.role, clip: song.original, details: [] }];
      if (song.example) this.clips.push({ label: `example of ${song.style || "the style"}`, clip: song.example, details: [] });
      data.rows.filter((row) => row.song === song.name).forEach((row) => {
        const details = measureNames.filter((name) => name in row.measures).map((name) => [name, measureText(name, row.measures[name])]);
        questions.filter((name) => name in row.opinions).forEach((name) => {
          const mean = number(row.opinions[name].mean, 0);
          details.push(paired ? [`${name}: chosen`, `${mean} %`] : [`${name}: rating`, mean]);
        });
        this.clips.push({ label: row.system, clip: row.output, details });
      });
      this.active = 0;
      this.wanted = undefined; // where to start a sound that is not loaded yet, a share of its length
      this.loop = false;
      this.toggle = element("button", { type: "button", textContent: "Play" });
      this.repeat = element("button", { type: "button", textContent: "Loop", "aria-pressed": "false" });
      this.seek = element("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": "position" });
      this.time = element("span", { className: "time" });
      this.toggle.addEventListener("click", () => (this.audio().paused ? this.play(this.active) : this.pause()));
      this.repeat.addEventListener("click", () => {
        this.loop = !this.loop;
        this.repeat.setAttribute("aria-pressed", String(this.loop));
      });
      this.seek.addEventListener("input", () => {
        const audio = this.audio();
        if (audio.duration) audio.currentTime = (this.seek.value / 1000) * audio.duration;
        else this.wanted = this.seek.value / 1000;
        this.update();
      });
      const tiles = this.clips.map((entry, index) => this.tile(entry, index));
      const excerpt = `${number(song.seconds, 1)} s from ${number(song.start, 1)} s, ${number(song.loudness, 1)} LUFS`;
      const heading = element("h3", {}, song.style ? `${song.name} to ${song.style}` : song.name, element("small", { textContent: excerpt }));
      const transport = element("div", { className: "transport" }, this.toggle, this.repeat, this.seek, this.time);
      this.root = element("article", { className: "song" }, heading, transport, element("div", { className: "clips" }, ...tiles));
      this.update();
    }

    tile(entry, index) {
      entry.audio = element("audio", { preload: "none", src: entry.clip.audio });
      entry.audio.addEventListener("ended", () => {
        if (index !== this.active) return;
        if (!this.loop) this.pause();
        else this.play(index);
      });
      entry.audio.addEventListener("timeupdate", () => this.update());
      entry.head = element("span", { className: "head" });
      const picture = element("img", { src: entry.clip.mel, alt: `mel spectrogram: ${entry.label}`, loading: "lazy" });
      const label = element("span", { className: "label" }, ...(index < 9 ? [element("kbd", { textContent: index + 1 })] : []), entry.label);
      const details = entry.details.flat().map((text) => element("span", { textContent: text }));
      entry.tile = element("button", { type: "button", className: "clip", "aria-pressed": "false" }, picture, entry.head, label,
        element("span", { className: "detail" }, ...details));
      entry.tile.addEventListener("click", () => this.play(index));
      return entry.tile;
    }

    audio() {
      return this.clips[this.active].audio;
    }

    async play(index) {
      if (index >= this.clips.length) return;
      if (current && current !== this) current.pause();
      current = this;
      const before = this.audio();
      const after = this.clips[index].audio;
      this.clips.forEach((entry) => (entry.audio.preload = "auto"));
      this.active = index;
      this.clips.forEach((entry, place) => entry.tile.setAttribute("aria-pressed", String(place === index)));
      this.toggle.textContent = "Pause";
      if (after.readyState < 1) {
        await new Promise((done) => {
          after.addEventListener("loadedmetadata", done, { once: true });
          after.addEventListener("error", done, { once: true });
          after.load();
        });
      }
      if (this.active !== index || current !== this) return;
      if (this.wanted !== undefined) after.currentTime = this.wanted * (after.duration || 0);
      else if (after !== before) after.currentTime = before.ended ? 0 : before.currentTime;
      this.wanted = undefined;
      // The sound before goes on until the new one is ready, so that there is no gap.
      const refused = await after.play().then(() => false, (error) => error.name !== "AbortError");
      if (this.active !== index) return;
      if (refused) return this.pause();
      this.clips.forEach((entry) => entry.audio !== after && entry.audio.pause());
      this.follow();
    }

    pause() {
      this.clips.forEach((entry) => entry.audio.pause());
      this.toggle.textContent = "Play";
      this.update();
    }

    follow() {
      this.update();
      if (!this.audio().paused) requestAnimationFrame(() => this.follow());
    }

    update() {
      const { audio, head } = this.clips[this.active];
      const share = audio.duration ? audio.currentTime / audio.duration : this.wanted ?? 0;
      this.seek.value = Math.round(1000 * share);
      this.time.textContent = `${number(share * this.seconds, 1)} / ${number(this.seconds, 1)} s`;
      head.style.left = `calc(${100 * share}% - 1px)`;
    }
  }

  const showFacts = () => {
    const methods = { "multiple-stimuli": "multiple stimuli (ITU-R BS.2132)", mushra: "MUSHRA (ITU-R BS.1534-3)", ab: "paired comparison" };
    const leftOut = data.left_out ? ` (${data.left_out} left out by post-screening)` : "";
    const answers = data.listeners ? count(data.listeners, "listener") + leftOut : "no answers yet";
    document.title = trial.title;
    byId("title").textContent = trial.title;
    byId("facts").textContent = [
      methods[trial.method], count(data.songs.length, "song"), count(data.systems.length, "system"), answers,
      `built ${trial.created.slice(0, 16).replace("T", " ")}`, `trial ${trial.id}`,
    ].join(" · ");
    const terms = measureNames.map((name) => [name, data.measures[name]]);
    if (questions.length) {
      terms.push(paired ? ["chosen", "how often a system was chosen where it could be, Wilson's 95 % interval over listeners, n choices"]
        : ["rating", "mean of 0 to 100, 95 % bootstrap interval over listeners, n ratings"]);
    }
    byId("legend").append(...terms.flatMap((pair) => [element("dt", { textContent: pair[0] }), element("dd", { textContent: pair[1] })]));
    byId("plots").append(...data.plots.map((path) => {
      const name = path.replace(/^.*\//, "").replace(/\.png$/, "").replace("_", ": ");
      return element("a", { href: path }, element("img", { src: path, alt: `plot of ${name}, whose values stand in the table above`, loading: "lazy" }));
    }));
  };

  const showTests = () => {
    const rows = paired ? data.pairs : data.differences;
    if (!rows.length) return;
    const p = (value) => (value < 0.001 ? "< 0.001" : value.toFixed(3));
    byId("tests").hidden = false;
    byId("tests-text").textContent = `${paired ? "Binomial test, in which each listener has one vote" : "Wilcoxon's signed-rank test over the listeners' means"}, two-sided; `
      + `p (Holm) is corrected for all pairs of a question. * below 0.05. ${data.caution ?? ""}`;
    byId("tests").append(makeTable(rows, [
      textColumn("question", "question"), textColumn("first", "first"), textColumn("second", "second"),
      paired ? numberColumn("first chosen, %", (row) => 100 * row.share, (value) => number(value, 1))
        : numberColumn("first minus second", (row) => row.difference, (value) => (value > 0 ? "+" : "") + number(value, 1)),
      ...(paired ? [numberColumn("votes for first", (row) => row.votes_for, String)] : []),
      numberColumn(paired ? "votes" : "listeners", (row) => (paired ? row.votes : row.pairs), String),
      numberColumn("p", (row) => row.p, p),
      numberColumn("p (Holm)", (row) => row.adjusted, (value) => p(value) + (value < 0.05 ? " *" : "")),
    ], "differences"));
  };

  const showModels = () => {
    const models = Object.entries(data.models).map(([weights, model]) => ({
      ...model, weights, systems: model.systems.join(", "), steps: model.training?.step ?? model.training?.steps,
      runs: model.wandb_runs.join(", ") || "–",
    }));
    if (models.length) {
      byId("models").append(makeTable(models, [
        textColumn("model", "role"), textColumn("folder", "folder"), textColumn("systems", "systems"),
        numberColumn("training steps", (row) => row.steps, (value) => (value === undefined ? "–" : String(value))),
        textColumn("W&B runs", "runs"),
        { title: "SHA-256 of the weights", name: true, cell: (row) => [element("code", { textContent: row.weights })], value: (row) => row.weights },
      ], "models"));
      if (models.some((row) => row.training === null)) {
        byId("models").append(element("p", { className: "quiet", textContent: "Where the steps are missing, the folder no longer holds these weights, or says nothing of them." }));
      }
    }
    const settings = data.systems.map((system) => [
      system.name, Object.entries(system.details).filter(([, value]) => typeof value !== "object").map(([name, value]) => `${name} ${value}`),
    ]);
    byId("settings").append(...settings.filter(([, parts]) => parts.length).flatMap(([name, parts]) =>
      [element("dt", { textContent: name }), element("dd", { textContent: parts.join(", ") })]));
  };

  showFacts();
  byId("systems").append(makeTable(data.systems, [textColumn("system", "name"), ...valueColumns], "systems"));
  showTests();
  const cards = data.songs.map((song) => new Card(song));
  byId("songs").append(...cards.map((card) => card.root));
  byId("rows").append(makeTable(data.rows, [textColumn("song", "song"), textColumn("system", "system"), ...valueColumns], "all sounds"));
  showModels();

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !/^[0-9]$/.test(event.key)) return;
    const card = current ?? cards[0];
    if (event.key === "0") card?.pause();
    else card?.play(Number(event.key) - 1);
  });
})();
