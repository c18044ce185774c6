// The story of one record. Every number and every pixel comes from the computation on the server; here it is only shown.
const ALTOGETHER = 30; // seconds
const boards = new WeakMap();

const mix = (value, dark) => {
  const ground = dark ? [34, 48, 61] : [236, 240, 244];
  const colour = value > 0 ? (dark ? [86, 180, 233] : [0, 114, 178]) : [230, 159, 0];
  const t = Math.min(1, Math.abs(value));
  return `rgb(${ground.map((g, i) => Math.round(g + (colour[i] - g) * t)).join(",")})`;
};

const grey = (value) => { const v = Math.round(255 * value); return `rgb(${v},${v},${v})`; };
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function grid(canvas, values, columns, dark, shown = values.length, colour = mix) {
  const rows = Math.ceil(values.length / columns);
  const size = Math.max(4, Math.floor(300 / columns));
  canvas.width = columns * size;
  canvas.height = rows * size;
  const gap = colour === mix && size > 14 ? 2 : 0;
  const pen = canvas.getContext("2d");
  for (let i = 0; i < Math.min(values.length, shown); i++) {
    pen.fillStyle = colour(values[i], dark);
    pen.fillRect((i % columns) * size, Math.floor(i / columns) * size, size - gap, size - gap);
  }
}

class Board {
  constructor(root) {
    this.root = root.querySelector(".board");
    this.find = (name) => this.root.querySelector(name);
    this.at = -1;
    this.keys = (event) => this.key(event);
    document.addEventListener("keydown", this.keys);
    this.find(".play").addEventListener("click", () => this.playing ? this.pause() : this.play());
  }

  close() {
    cancelAnimationFrame(this.frame);
    document.removeEventListener("keydown", this.keys);
  }

  take(data) {
    const fresh = JSON.stringify(data.scenes) !== this.signature;
    this.signature = JSON.stringify(data.scenes);
    this.data = data;
    this.root.classList.toggle("dark", data.dark);
    this.root.classList.toggle("presenter", data.presenter);
    this.root.classList.toggle("picture", data.columns > 0);
    this.seconds = ALTOGETHER / data.scenes.length;
    this.find(".hospital .title").textContent = data.words.hospital;
    this.find(".coordinator .title").textContent = data.words.coordinator;
    for (const canvas of this.root.querySelectorAll("canvas")) canvas.setAttribute("aria-label", data.words.nothing);
    if (fresh) {
      this.find(".dots").replaceChildren(...data.scenes.map((_, i) => {
        const dot = document.createElement("button");
        dot.setAttribute("aria-label", `${data.words.scene} ${i + 1}`);
        dot.append(document.createElement("i"));
        dot.addEventListener("click", () => { this.pause(); this.show(i, 1); });
        return dot;
      }));
      this.elapsed = 0;
      this.at = -1;
      if (still()) this.show(0, 1); else this.play();
    } else {
      this.show(Math.max(0, this.at), this.part ?? 1);
    }
  }

  key(event) {
    const at = event.composedPath()[0];
    if (event.altKey || event.ctrlKey || event.metaKey || (at.closest && at.closest("input, textarea, select, [contenteditable], [role=slider], [role=radiogroup], [role=combobox]"))) return;
    const last = this.data.scenes.length - 1;
    if (["ArrowRight", "PageDown"].includes(event.key)) { this.pause(); this.show(Math.min(last, this.at + 1), 1); }
    else if (["ArrowLeft", "PageUp"].includes(event.key)) { this.pause(); this.show(Math.max(0, this.at - 1), 1); }
    else if (event.key === " " && at.tagName !== "BUTTON") { this.playing ? this.pause() : this.play(); }
    else return;
    event.preventDefault();
  }

  play() {
    if (this.at >= this.data.scenes.length - 1 && this.part >= 1) { this.at = 0; this.part = 0; }
    this.playing = true;
    this.elapsed = (Math.max(0, this.at) + ((this.part ?? 0) % 1)) * this.seconds;
    let before = performance.now();
    const beat = (now) => {
      if (!this.playing) return;
      this.elapsed += Math.max(0, now - before) / 1000;
      before = now;
      const scene = Math.floor(this.elapsed / this.seconds);
      if (scene >= this.data.scenes.length) { this.show(this.data.scenes.length - 1, 1); return this.pause(); }
      this.show(scene, this.elapsed / this.seconds - scene);
      this.frame = requestAnimationFrame(beat);
    };
    this.frame = requestAnimationFrame(beat);
    this.label();
  }

  pause() { this.playing = false; cancelAnimationFrame(this.frame); this.label(); }

  label() {
    const { pause, play, replay } = this.data.words;
    const over = this.at >= this.data.scenes.length - 1 && this.part >= 1;
    this.find(".play").textContent = this.playing ? `❚❚ ${pause}` : over ? `↻ ${replay}` : `▶ ${play}`;
  }

  show(index, part) {
    const { scenes, dark, words } = this.data;
    const scene = scenes[index];
    const changed = index !== this.at;
    this.at = index;
    this.part = part;
    [...this.find(".dots").children].forEach((dot, i) => {
      dot.firstChild.style.setProperty("--done", i < index ? "100%" : i === index ? `${part * 100}%` : "0%");
    });
    if (changed) {
      this.find(".text").textContent = scene.text;
      this.find(".hospital .under").textContent = scene.left ?? "";
      this.find(".coordinator .under").textContent = scene.right ?? "";
      this.root.dataset.scene = index;
      this.fill(".hospital", "here", 1);
      this.find(".packet").className = `packet ${scene.wire}`;
      this.find(".thing").textContent = scene.thing ?? "";
      this.find(".size").textContent = scene.size ?? "";
      if (scene.wire !== "none") grid(this.find(".packet canvas"), this.data[scene.wire], 40, dark);
      this.find(".packet canvas").setAttribute("aria-label", scene.thing ?? words.nothing);
      this.find(".coordinator").classList.toggle("leaking", Boolean(scene.leaks));
      this.find(".coordinator").classList.toggle("safe", scene.shows === "from_cipher" && !scene.leaks);
    }
    const travel = Math.min(1, part / 0.35);
    const eased = travel < 0.5 ? 2 * travel * travel : 1 - (2 - 2 * travel) ** 2 / 2;
    this.root.style.setProperty("--travel", eased * (scene.arrives ? 1 : 0.5));
    if (changed || scene.reveal) this.fill(".coordinator", scene.shows, scene.reveal ? Math.min(1, part / 0.6) : 1);
    this.label();
  }

  // The values that a place has by now: of a table line by line, of a picture pixel by pixel.
  fill(place, which, share) {
    const { rows, pictures, columns, words, dark } = this.data;
    const canvas = this.find(`${place} canvas`);
    if (columns) {
      const values = which ? pictures[which] : pictures.here.map(() => 0.5);
      canvas.setAttribute("aria-label", which ? words[which] : words.nothing);
      grid(canvas, values, columns, dark, which ? Math.ceil(values.length * share) : undefined, grey);
    }
    const known = which ? Math.ceil(rows.length * share) : 0;
    const list = this.find(`${place} .rows`);
    if (list.children.length !== rows.length) list.replaceChildren(...rows.map(() => this.line()));
    rows.forEach((row, at) => {
      const [name, value, unit] = list.children[at].querySelectorAll("span, b span, i");
      name.textContent = row.name;
      value.textContent = at < known ? row[which] : "?";
      unit.textContent = at < known && row.unit ? ` ${row.unit}` : "";
    });
    this.find(`${place} .diagnosis`).textContent = which === "here" ? this.data.diagnosis : "";
  }

  line() {
    const row = document.createElement("div");
    row.className = "row";
    const value = document.createElement("b");
    value.append(document.createElement("span"), document.createElement("i"));
    row.append(document.createElement("span"), value);
    return row;
  }
}

export default function (component) {
  const { parentElement, data } = component;
  let board = boards.get(parentElement);
  if (!board || !board.root.isConnected) {
    board?.close();
    board = new Board(parentElement);
    boards.set(parentElement, board);
  }
  board.take(data);
  const mine = board;
  return () => setTimeout(() => { if (!mine.root.isConnected) { mine.close(); boards.delete(parentElement); } }, 0);
}
