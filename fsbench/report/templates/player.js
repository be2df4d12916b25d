// Plays clips: input, output and exact swap side by side, their difference, and the metric's curve with a cursor.

const FACTORS = [1, 2, 4, 8, 16, 32], SPEEDS = { "1×": 1, "1/2": 1 / 2, "1/4": 1 / 4 }, LEAP = 10;

const svg = (tag, attributes, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

const chooser = (label, names, act) => {
  const select = element("select", {}, ...names.map((name, i) => element("option", { value: i }, name)));
  select.addEventListener("change", act);
  return { label: element("label", {}, `${label} `, select), select, get at() { return Number(select.value); } };
};

// One picture: a canvas of as many pixels as a tile has, so that nothing is resampled before it is compared.
class Panel {
  constructor(role, edge) {
    this.title = element("figcaption", {}, role);
    this.canvas = element("canvas", { width: edge, height: edge, role: "img" });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.figure = element("figure", {}, this.title, this.canvas);
  }

  name(title, description) {
    this.title.textContent = title;
    this.canvas.setAttribute("aria-label", description);
  }

  missing() {
    const { width, height } = this.canvas;
    this.context.fillStyle = "#808080";
    this.context.fillRect(0, 0, width, height);
    this.context.fillStyle = "#000000";
    this.context.textAlign = "center";
    this.context.fillText("missing", width / 2, height / 2, width);
  }

  get pixels() {
    return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }
}

class Player {
  constructor(place, film) {
    Object.assign(this, { place, film, frame: 0, playing: null, sheets: new Map(), loaded: [] });
    this.clip = chooser("Clip", film.clips.map((clip) => clip.title), () => this.open());
    this.model = chooser("Model", [], () => this.load());
    this.metric = chooser("Curve", [], () => this.plot());
    this.against = chooser("Difference", ["|output − input|", "|output − exact|"], () => this.draw());
    this.factor = chooser("amplified", FACTORS.map((factor) => `× ${factor}`), () => this.draw());
    this.factor.select.value = FACTORS.indexOf(4);
    this.speed = chooser("Speed", Object.keys(SPEEDS), () => this.playing && this.play());
    this.panels = Object.fromEntries(["input", "output", "exact", "difference"].map((role) => [role, new Panel(role, film.edge)]));
    this.stage = element("div", { class: "stage", tabindex: 0, role: "group", "aria-label": "Frames, played with the keyboard", "aria-describedby": "player-keys" },
      ...Object.values(this.panels).map((panel) => panel.figure));
    this.range = element("input", { type: "range", min: 0, value: 0, "aria-label": "Frame" });
    this.toggle = button("Play", () => (this.playing ? this.pause() : this.play()));
    this.status = element("span", { class: "status" });
    this.curve = element("div", { class: "curve" });
    this.worst = element("div", { class: "tools worst" });
    const tools = (...parts) => element("div", { class: "tools" }, ...parts);
    place.replaceChildren(
      tools(this.clip.label, this.model.label),
      this.stage,
      tools(this.toggle, button("Previous", () => this.step(-1)), button("Next", () => this.step(1)), this.speed.label, this.against.label, this.factor.label),
      tools(this.range, this.status),
      tools(this.metric.label), this.curve, this.worst,
      element("p", { class: "note", id: "player-keys" }, "Keys, after a click into the player: space plays and pauses, ← and → step by one frame, with Shift by ten, Home and End go to the first and the last frame."),
    );
    this.range.addEventListener("input", () => this.go(Number(this.range.value)));
    this.stage.addEventListener("click", () => this.toggle.click());
    this.curve.addEventListener("pointerdown", (event) => this.point(event));
    this.curve.addEventListener("pointermove", (event) => event.buttons && this.point(event));
    place.addEventListener("keydown", (event) => this.press(event));
    this.open();
  }

  get n() { return this.film.clips[this.clip.at].numbers.length; }

  get answer() { return this.film.clips[this.clip.at].models[this.model.at]; }

  get shown() { return this.answer.curves[this.metric.at]; }

  // Shows another clip: its models, from its first frame.
  open() {
    const clip = this.film.clips[this.clip.at], wanted = this.model.at;
    this.fill(this.model, clip.models.map((model) => model.name), wanted);
    this.range.max = this.n - 1;
    this.frame = 0;
    this.sheets.clear();
    this.against.select.disabled = clip.exact === null;
    if (clip.exact === null) this.against.select.value = 0;
    this.load();
  }

  fill({ label, select }, names, wanted) {
    select.replaceChildren(...names.map((name, i) => element("option", { value: i }, name)));
    select.value = Math.max(0, Math.min(wanted, names.length - 1));
    label.hidden = !names.length;
  }

  // Decodes all sheets before the first frame of a choice is drawn: no frame is drawn late, or for another.
  async load() {
    const clip = this.film.clips[this.clip.at], tracks = { input: clip.input, output: this.answer.output, exact: clip.exact };
    const key = this.metric.select.selectedOptions[0]?.textContent;
    const names = this.answer.curves.map((curve) => curve.name);
    this.fill(this.metric, names, names.indexOf(key));
    this.panels.exact.figure.hidden = clip.exact === null;
    for (const [role, panel] of Object.entries(this.panels)) panel.name(role, `${role}${role === "output" ? ` of ${this.answer.name}` : ""}: ${clip.title}`);
    this.loaded = [];
    const wanted = Object.entries(tracks).filter(([, track]) => track !== null);
    const loaded = await Promise.all(wanted.map(async ([role, track]) => [role, this.film.tracks[track].tiles, await this.decoded(track)]));
    if (clip !== this.film.clips[this.clip.at] || tracks.output !== this.answer.output) return;  // chosen anew meanwhile
    this.loaded = loaded;
    this.plot();
    this.draw();
  }

  decoded(track) {
    if (!this.sheets.has(track)) {
      this.sheets.set(track, Promise.all(this.film.tracks[track].sheets.map(async (uri) => {
        const image = new Image();
        image.src = uri;
        await image.decode();
        return image;
      })));
    }
    return this.sheets.get(track);
  }

  draw() {
    const { edge, stride, columns, rows } = this.film, there = new Set();
    for (const [role, tiles, sheets] of this.loaded) {
      const tile = tiles[this.frame], at = tile % (columns * rows), panel = this.panels[role];
      if (tile < 0) { panel.missing(); continue; }
      const [row, column] = [Math.floor(at / columns), at % columns];
      panel.context.drawImage(sheets[Math.floor(tile / (columns * rows))], column * stride, row * stride, edge, edge, 0, 0, edge, edge);
      there.add(role);
    }
    if (this.loaded.length) this.compare(there);
    this.tell();
  }

  compare(there) {
    const other = ["input", "exact"][this.against.at], factor = FACTORS[this.factor.at], panel = this.panels.difference;
    panel.title.textContent = `|output − ${other}| × ${factor}`;
    if (!there.has("output") || !there.has(other)) return panel.missing();
    const made = this.panels.output.pixels, beside = this.panels[other].pixels.data;
    for (let i = 0; i < beside.length; i++) made.data[i] = i % 4 === 3 ? 255 : factor * Math.abs(made.data[i] - beside[i]);
    panel.context.putImageData(made, 0, 0);
  }

  tell() {
    const { first, whole, numbers } = this.film.clips[this.clip.at], place = first + this.frame + 1, number = numbers[this.frame];
    const value = this.shown?.values[this.frame];
    const frame = `frame ${place} of ${whole}`;
    this.status.textContent = frame + (number !== place && number !== place - 1 ? `, number ${number}` : "") +
      (this.shown ? ` · ${this.shown.name} ${value === null ? "not known" : `${value} ${this.shown.unit}`}` : "");
    this.range.value = this.frame;
    this.range.setAttribute("aria-valuetext", frame);
    this.cursor?.setAttribute("transform", `translate(${this.frame + 0.5} 0)`);
  }

  // The curve is drawn in frames (across) and thousandths of its span (down).
  plot() {
    const curve = this.shown, { first } = this.film.clips[this.clip.at];
    this.worst.replaceChildren();
    this.curve.replaceChildren();
    this.cursor = null;
    if (!curve) return;
    const known = curve.values.filter((value) => value !== null), [low, high] = [Math.min(...known), Math.max(...known)];
    const y = (value) => (high > low ? (1000 * (high - value)) / (high - low) : 500).toFixed(0);
    const path = curve.values.map((value, i) => (value === null ? "" : `${i && curve.values[i - 1] !== null ? "L" : "M"}${i + 0.5} ${y(value)}h0`)).join("");
    const marks = curve.worst.map(([start, stop]) => svg("rect", { class: "mark", x: start, y: -60, width: stop - start, height: 1120 }));
    this.cursor = svg("path", { class: "cursor", d: "M0 -60V1060" });
    const ends = [high, ...(high > low ? [low] : [])].map((value) => element("span", {}, `${value} ${curve.unit}`));
    this.curve.append(
      svg("svg", { viewBox: `0 -60 ${this.n} 1120`, preserveAspectRatio: "none", role: "img", "aria-label": `${curve.name} by frame, from ${low} to ${high} ${curve.unit}` }, ...marks, svg("path", { class: "line", d: path }), this.cursor),
      element("div", { class: "ends", "aria-hidden": "true" }, ...ends),
    );
    const jumps = curve.worst.map(([start, stop, value]) => button(`frames ${first + start + 1} to ${first + stop}: ${value} ${curve.unit}`, () => { this.pause(); this.go(start); }));
    this.worst.append(...(jumps.length ? [`Worst seconds of ${curve.name}`, ...jumps] : [`${curve.name} is nowhere worse than in the whole clip`]));
    this.tell();
  }

  point(event) {
    const box = this.curve.querySelector("svg")?.getBoundingClientRect();
    if (box) this.go(Math.floor((this.n * (event.clientX - box.left)) / box.width));
  }

  go(frame) {
    this.frame = Math.max(0, Math.min(frame, this.n - 1));
    if (this.playing) this.play();
    this.draw();
  }

  step(by) {
    this.pause();
    this.go(this.frame + by);
  }

  // From the frame that is shown, and from the beginning again after the last one.
  play() {
    cancelAnimationFrame(this.playing?.request);
    const start = this.frame, rate = this.film.clips[this.clip.at].rate * Object.values(SPEEDS)[this.speed.at];
    const playing = { begun: null };
    const tick = (now) => {
      playing.begun ??= now;
      this.frame = (start + Math.floor(((now - playing.begun) / 1000) * rate)) % this.n;
      this.draw();
      playing.request = requestAnimationFrame(tick);
    };
    playing.request = requestAnimationFrame(tick);
    this.playing = playing;
    this.toggle.textContent = "Pause";
  }

  pause() {
    cancelAnimationFrame(this.playing?.request);
    this.playing = null;
    this.toggle.textContent = "Play";
  }

  press(event) {
    if (event.target.matches("select") || event.altKey || event.ctrlKey || event.metaKey) return;
    const by = event.shiftKey ? LEAP : 1;
    const acts = {
      " ": event.target.matches("button") ? null : () => this.toggle.click(),
      ArrowLeft: () => this.step(-by),
      ArrowRight: () => this.step(by),
      Home: () => this.step(-this.n),
      End: () => this.step(this.n),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }
}

for (const place of document.querySelectorAll(".player")) new Player(place, JSON.parse(place.querySelector("script").textContent));
