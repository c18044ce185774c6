// The stepper: walks the messages of a transcript. It only draws and moves a cursor; nothing is computed here.
const NS = "http://www.w3.org/2000/svg";
const ICONS = {
  kms: "M7 14a4 4 0 1 1 3.9-5H21v3h-2v3h-3v-3h-5.1A4 4 0 0 1 7 14zm0-2.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z",
  coordinator: "M4 4h16v6H4zM4 13h16v6H4zM7 6v2h2V6zM7 15v2h2v-2z",
  auditor: "M12 2l8 3v6c0 5-3.4 9.3-8 11-4.6-1.7-8-6-8-11V5zm-1.2 14l6-6-1.5-1.5-4.5 4.5-2-2L7.300 12.500z",
  client: "M4 21V8l8-5 8 5v13h-6v-6h-4v6zm7-13v2H9v2h2v2h2v-2h2v-2h-2V8z",
};
const LOCK = "M5 8V6a4 4 0 0 1 8 0v2h1v8H4V8zm2 0h4V6a2 2 0 0 0-4 0z";
const OPEN = "M5 8V5.500a4 4 0 0 1 7.600-1.700l-1.700 1A2 2 0 0 0 7 5.500V8h7v8H4V8z";
const ENVELOPE = "M2 4h14v10H2zm1.800 1.500L9 9l5.200-3.500z";
const KINDS = ["open", "ciphertext", "sealed", "opened"];
const GLYPH = (lock) => lock === "open" ? ENVELOPE : lock === "opened" ? OPEN : LOCK;
const COLOUR = { open: "var(--open)", ciphertext: "var(--cipher)", sealed: "var(--sealed)", opened: "var(--opened)", absent: "currentColor" };
const states = new WeakMap();

const make = (tag, attributes = {}, parent = null) => {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (parent) parent.appendChild(node);
  return node;
};

const digits = (value, places, tongue) => value.toLocaleString(tongue, { minimumFractionDigits: places, maximumFractionDigits: places });
const bytes = (n, tongue) => n === null ? "" : n < 1000 ? `${n} B` : n < 1e6 ? `${digits(n / 1000, 1, tongue)} kB` : `${digits(n / 1e6, 2, tongue)} MB`;
const millis = (s, tongue) => s < 1e-4 ? `< ${digits(0.1, 1, tongue)} ms` : s < 1 ? `${digits(s * 1000, 1, tongue)} ms` : `${digits(s, 2, tongue)} s`;

class Stepper {
  constructor(root) {
    this.root = root.querySelector(".stepper");
    this.find = (name) => this.root.querySelector(name);
    this.svg = this.find("svg.scene");
    this.playing = false;
    this.shown = -1;
    this.keys = (event) => this.key(event);
    document.addEventListener("keydown", this.keys, true); // before a radio takes the arrow for itself
    this.follow = new MutationObserver(() => this.compare());
    this.follow.observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-shown"] });
    this.touched = -Infinity;
    this.touch = () => { this.touched = performance.now(); };
    document.addEventListener("pointerdown", this.touch, true);
    this.root.addEventListener("click", (event) => {
      const go = event.target.closest("[data-go]");
      if (go) this.go(go.dataset.go);
    });
    this.find("input").addEventListener("input", (event) => { this.stop(); this.move(Number(event.target.value)); });
    this.watch = new ResizeObserver(() => this.layout());
    this.watch.observe(this.find(".stage"));
  }

  // What another session shows: the run comes when it changes, else only the cursor and what stands beside it.
  listen(data) {
    this.look = { dark: data.dark, presenter: data.presenter, height: data.height, position: 0 };
    this.find(".caption").textContent ||= data.words.nobody;
    if (this.source) return;
    this.root.classList.add("led");
    let last = Promise.resolve();
    this.source = new EventSource(`${data.follow}/events`);
    this.source.onmessage = (event) => { last = last.then(() => this.led(JSON.parse(event.data), data)).catch(console.error); };
  }

  async led(said, { follow, words }) {
    const pane = document.querySelector("[data-led]");
    if (pane) pane.innerHTML = said.pane;
    if (said.scene && said.scene !== this.scened) {
      this.take({ ...await (await fetch(`${follow}/scene`)).json(), ...this.look, run: said.scene }, () => {});
      this.scened = said.scene;
    }
    if (said.scene) this.move(said.cursor);
    else this.find(".caption").textContent = words.nobody;
  }

  close() {
    this.source?.close();
    this.stop();
    cancelAnimationFrame(this.flight);
    clearTimeout(this.telling);
    document.removeEventListener("keydown", this.keys, true);
    this.follow.disconnect();
    document.removeEventListener("pointerdown", this.touch, true);
    this.watch.disconnect();
  }

  take(data, tell) {
    const same = JSON.stringify(data.messages) === this.signature && data.dark === this.data?.dark && data.presenter === this.data?.presenter;
    this.signature = JSON.stringify(data.messages);
    const fresh = this.data === undefined || data.run !== this.data.run;
    const moved = this.data !== undefined && String(data.mine) !== String(this.data.mine);
    this.data = data;
    this.tell = tell;
    // A seat chosen by mouse keeps the focus, and with it the arrow keys: give them back to the stepper.
    if (moved && performance.now() - this.touched < 5000) this.root.focus({ preventScroll: true });
    this.root.classList.toggle("dark", data.dark);
    this.root.classList.toggle("presenter", data.presenter);
    if (fresh || this.position === undefined) this.position = Math.min(data.position, data.messages.length);
    if (!same) this.layout();
    else this.paint(false);
    if (fresh && data.autoplay) this.go("play");
  }

  key(event) {
    if (this.source) return;
    const at = event.composedPath()[0];
    // Left and right always step, also where a choice has the focus: up and down move in it.
    const chosen = at.closest?.("[role=radiogroup], input[type=radio]") && (event.key === "ArrowRight" || event.key === "ArrowLeft");
    const role = at.closest ? at.closest("input:not([type=checkbox]), textarea, select, [contenteditable], [role=slider], [role=radiogroup], [role=combobox], [role=tablist]") : null;
    if (event.altKey || event.ctrlKey || event.metaKey || (role && role.type !== "range" && !chosen)) return;
    const onButton = at.tagName === "BUTTON";
    const what = { ArrowRight: "step", PageDown: "step", ArrowLeft: "back", PageUp: "back", Home: "first", End: "last", " ": "play" }[event.key];
    if (!what || (what === "play" && (onButton && !at.dataset.go || at.type === "checkbox"))) return;
    event.preventDefault();
    event.stopPropagation();
    this.go(what);
  }

  go(what) {
    if (this.source) return;
    if (what.startsWith("seat:")) return this.tell("seat", what.slice(5));
    if (what.startsWith("to:")) { this.stop(); return this.move(Number(what.slice(3))); }
    if (what === "play") return this.playing ? this.stop() : this.play();
    this.stop();
    const last = this.data.messages.length;
    this.move({ step: this.position + 1, back: this.position - 1, first: 0, last }[what]);
  }

  play() {
    if (this.position >= this.data.messages.length) this.position = 0;
    this.playing = true;
    const beat = () => {
      if (!this.playing) return;
      if (this.position >= this.data.messages.length) return this.stop();
      this.move(this.position + 1);
      this.timer = setTimeout(beat, 1300 / Number(this.find(".speed").value));
    };
    beat();
    this.paint(false);
  }

  stop() {
    this.playing = false;
    clearTimeout(this.timer);
    if (this.data) this.buttons();
  }

  move(to) {
    const target = Math.max(0, Math.min(this.data.messages.length, to));
    if (target === this.position) return;
    const forward = target === this.position + 1;
    this.position = target;
    this.paint(forward);
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell("position", target), forward ? 20 : 60);
  }

  chapter() {
    const at = Math.max(1, this.position);
    return this.data.chapters.find((c) => c.first <= at && at <= c.last) ?? this.data.chapters[0];
  }

  layout() {
    if (!this.data) return;
    const width = Math.max(320, this.find(".stage").clientWidth);
    const big = this.data.presenter && width > 480, phone = width < 420;
    this.row = big ? 52 : 42;
    this.gutter = big ? 240 : phone ? 118 : 190;
    this.height = this.data.height;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.svg.style.height = `${this.height}px`;
    const lanes = this.data.lanes;
    const weights = lanes.map((name) => name.startsWith("client-") ? 1 : lanes.length > 9 ? 2.3 : big ? 1.8 : 1.35);
    const unit = (width - this.gutter - 8) / weights.reduce((a, b) => a + b, 0);
    this.narrow = unit < (big ? 74 : 54);
    let at = this.gutter;
    this.x = {};
    lanes.forEach((name, i) => { this.x[name] = at + weights[i] * unit / 2; at += weights[i] * unit; });
    this.heads(lanes);
    this.chapters();
    this.shown = -1;
    this.paint(false);
  }

  heads(lanes) {
    const mine = new Set(this.data.mine);
    const all = mine.has("observer") || mine.has("eavesdropper");
    this.find(".heads").replaceChildren(...lanes.map((name) => {
      const head = document.createElement("button");
      head.className = "head" + (mine.has(name) ? " mine" : all ? "" : " others");
      head.style.left = `${this.x[name]}px`;
      head.dataset.go = `seat:${name}`;
      head.title = this.data.words.see_as;
      const icon = make("svg", { viewBox: "0 0 24 24", fill: "currentColor" });
      make("path", { d: ICONS[name] ?? ICONS.client, "fill-rule": "evenodd" }, icon);
      const label = document.createElement("span");
      label.className = "label";
      const whole = this.data.words.parties[name] ?? name;
      label.textContent = this.narrow && name.startsWith("client-") ? name.slice(7) : whole;
      head.setAttribute("aria-label", `${this.data.words.see_as}: ${whole}`);
      head.append(icon, label);
      return head;
    }));
    const labels = [...this.find(".heads").querySelectorAll(".label")];
    const side = (label) => label.getBoundingClientRect();
    if (!labels.some((label, i) => i && side(label).left < side(labels[i - 1]).right + 4)) return;
    for (const label of labels) if (label.textContent.length > 6) label.textContent = `${label.textContent.slice(0, 5)}.`;
  }

  chapters() {
    this.find(".chapters").replaceChildren(...this.data.chapters.map((c) => {
      const button = document.createElement("button");
      button.dataset.go = `to:${c.first}`;
      button.dataset.first = c.first;
      button.textContent = c.round === 0 ? `${this.data.words.keys} ${c.epoch}` : `${this.data.words.round} ${c.round}`;
      return button;
    }));
    this.find(".legend").replaceChildren(...KINDS.map((kind) => {
      const item = document.createElement("span");
      const swatch = document.createElement("i");
      swatch.style.background = COLOUR[kind];
      item.append(swatch, this.data.words.locks[kind]);
      return item;
    }));
  }

  scene(chapter) {
    this.svg.replaceChildren();
    const mine = new Set(this.data.mine);
    for (const name of this.data.lanes) {
      make("line", { class: "life" + (mine.has(name) ? " mine" : ""), x1: this.x[name], x2: this.x[name], y1: 0, y2: this.height }, this.svg);
    }
    this.camera = make("g", {}, this.svg);
    this.rows = new Map();
    for (let n = chapter.first; n <= chapter.last; n++) this.rows.set(n, this.message(this.data.messages[n - 1], n - chapter.first));
    this.packets = make("g", {}, this.camera);
    this.shown = chapter.first;
  }

  message(message, index) {
    const y = this.row * (index + 0.6);
    const colour = COLOUR[message.lock];
    const group = make("g", { class: "row", "data-number": message.number }, this.camera);
    make("rect", { class: "band", x: 0, y: y - this.row / 2, width: "100%", height: this.row }, group);
    const from = this.x[message.sender];
    const targets = message.receivers.map((name) => this.x[name]).filter((x) => x !== undefined && x !== from);
    if (from === undefined || !targets.length) return group;
    const low = Math.min(from, ...targets), high = Math.max(from, ...targets);
    make("line", { class: "wire", x1: low, x2: high, y1: y, y2: y, stroke: colour }, group);
    make("circle", { cx: from, cy: y, r: 5, fill: colour }, group);
    for (const x of targets) {
      const d = x > from ? -9 : 9;
      make("path", { d: `M${x} ${y} l${d} -6 v12 z`, fill: colour }, group);
    }
    const middle = message.receivers.length === 1 || targets.length === 1 ? (from + targets[0]) / 2 : null;
    if (message.lock !== "absent") this.badge(group, message.lock, middle ?? from, y, colour);
    this.label(group, message, y);
    return group;
  }

  badge(group, lock, x, y, colour) {
    make("circle", { class: "badge", cx: x, cy: y, r: 11, fill: colour }, group);
    make("path", { d: GLYPH(lock), fill: "var(--st-background-color)", "fill-rule": "evenodd", "data-lock": lock, transform: `translate(${x - 7.2} ${y - 7.6}) scale(.8)` }, group);
  }

  label(group, message, y) {
    if (message.lock === "absent") return;
    const words = this.data.words;
    const name = make("text", { class: "name", x: 10, y: y - 2 }, group);
    name.textContent = `${message.number}. ${words.steps[message.step] ?? message.step}`;
    const work = message.work.filter(([, s]) => s >= 1e-4).map(([step, s]) => `${words.work[step] ?? step} ${millis(s, words.language)}`);
    const note = make("text", { class: "work", x: 10, y: y + (this.data.presenter ? 17 : 14) }, group);
    note.textContent = [bytes(message.nbytes, words.language), ...work.slice(0, this.gutter < 150 ? 0 : this.gutter < 200 ? 1 : 2)].join(" · ");
  }

  paint(fly) {
    const chapter = this.chapter();
    if (!chapter) return;
    if (this.shown !== chapter.first) this.scene(chapter);
    for (const [number, group] of this.rows) {
      const absent = this.data.messages[number - 1].lock === "absent" ? " absent" : "";
      group.setAttribute("class", "row " + (number === this.position ? "now" : number < this.position ? "past" : "future") + absent);
    }
    const index = this.position - chapter.first;
    const room = Math.floor(this.height / this.row) - 1;
    const shift = Math.max(0, index - room) * this.row;
    this.camera.setAttribute("transform", `translate(0 ${-shift})`);
    for (const button of this.find(".chapters").children) button.classList.toggle("now", Number(button.dataset.first) === chapter.first);
    this.buttons();
    cancelAnimationFrame(this.flight);
    this.packets.replaceChildren();
    if (fly) this.fly(this.data.messages[this.position - 1], index);
  }

  buttons() {
    const words = this.data.words;
    const last = this.data.messages.length;
    const range = this.find("input");
    range.max = last;
    range.value = this.position;
    range.setAttribute("aria-label", words.jump);
    this.find(".count").textContent = `${this.position} / ${last}`;
    this.find(".play").textContent = this.playing ? `❚❚ ${words.pause}` : `▶ ${words.play}`;
    for (const name of ["first", "back", "step", "speed"]) { this.find(`.${name}`).title = words[name]; this.find(`.${name}`).setAttribute("aria-label", words[name]); }
    const message = this.data.messages[this.position - 1];
    const caption = this.find(".caption");
    caption.textContent = message ? this.say(message) : words.nothing_yet;
    this.tell_story(message);
    this.root.dataset.position = this.position;
    this.compare();
  }

  tell_story(message) {
    const parts = (message && this.data.stories?.[message.number - 1] || "").split("**");
    this.find(".story").replaceChildren(...parts.map((text, i) => {
      const piece = document.createElement(i % 2 ? "b" : "span");
      piece.textContent = text;
      return piece;
    }));
  }

  // The server's side of the screen is dimmed while it still shows another message.
  compare() {
    const side = document.querySelector(".st-key-follows");
    const shown = side?.querySelector("[data-shown]");
    if (!shown) return;
    const behind = Number(shown.dataset.shown) !== this.position;
    if (side.hasAttribute("data-behind") !== behind) side.toggleAttribute("data-behind", behind);
  }

  say(message) {
    const words = this.data.words;
    const name = (party) => words.parties[party] ?? party;
    const step = words.steps[message.step] ?? message.step;
    if (message.lock === "absent") return words.absent;
    const several = (all) => {
      const clients = all.filter((party) => party.startsWith("client-")).length;
      const others = all.filter((party) => !party.startsWith("client-")).map(name);
      return [words.clients.replace("{n}", clients), ...others].join(", ");
    };
    const to = message.receivers.length > 3 ? several(message.receivers) : message.receivers.map(name).join(", ");
    return `${message.number}. ${step}: ${name(message.sender)} → ${to}, ${message.nbytes.toLocaleString(words.language)} ${words.bytes}, ${words.locks[message.lock]}`;
  }

  fly(message, index) {
    if (!message || message.lock === "absent" && message.sender === undefined) return;
    const from = this.x[message.sender];
    const y = this.row * (index + 0.6);
    const colour = COLOUR[message.lock];
    const packets = message.receivers.map((name) => this.x[name]).filter((x) => x !== undefined && x !== from).map((x) => {
      const group = make("g", {}, this.packets);
      make("circle", { r: 14, fill: colour, stroke: "var(--st-background-color)", "stroke-width": 2 }, group);
      make("path", { d: GLYPH(message.lock), fill: "var(--st-background-color)", "fill-rule": "evenodd", transform: "translate(-9 -9.500)" }, group);
      return [group, x];
    });
    if (!packets.length || from === undefined) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const duration = still ? 1 : 650 / Number(this.find(".speed").value);
    const start = performance.now();
    const frame = (now) => {
      const t = Math.min(1, (now - start) / duration);
      const eased = t < 0.5 ? 2 * t * t : 1 - (2 - 2 * t) ** 2 / 2;
      for (const [group, x] of packets) group.setAttribute("transform", `translate(${from + (x - from) * eased} ${y})`);
      if (t < 1) this.flight = requestAnimationFrame(frame);
      else this.packets.replaceChildren();
    };
    this.flight = requestAnimationFrame(frame);
  }
}

export default function (component) {
  const { parentElement, data, setStateValue, setTriggerValue } = component;
  let stepper = states.get(parentElement);
  if (!stepper || !stepper.root.isConnected) {
    stepper?.close();
    stepper = new Stepper(parentElement);
    states.set(parentElement, stepper);
  }
  if (data.follow) stepper.listen(data);
  else stepper.take(data, (what, value) => what === "seat" ? setTriggerValue("seat", value) : setStateValue("position", value));
  const mine = stepper;
  return () => setTimeout(() => { if (!mine.root.isConnected) { mine.close(); states.delete(parentElement); } }, 0);
}
