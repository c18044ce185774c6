// The phone's page: it joins, listens to the class's state, and does what a state asks of this phone, one thing after
// the other. Screens are in views.js, texts in texts.js; everything about ciphertexts happens in worker.js.

import { unhex } from "./hash.js";
import * as views from "./views.js";

const STORE = "hefl-class";
const kept = JSON.parse(localStorage.getItem(STORE) ?? "{}"); // what outlives a reload: no share, no secret
const code = decodeURIComponent(location.hash.slice(1));

const me = {
  language: kept.language ?? (navigator.language.startsWith("de") ? "de" : "en"),
  name: kept.name ?? "",
  token: kept.token ?? null,
  seat: kept.seat ?? null,
  code: code,
  codeGiven: code !== "",
  answers: kept.answers ?? [], // { text, answer }
  sent: kept.sent ?? {}, // topic -> { digest, chosen, body? }
  expected: kept.expected ?? {}, // question -> what this phone predicted
  asked: {},
  holder: null,
  share: "none",
  parameters: null,
  fingerprint: null,
  hashes: null,
  examined: {},
  said: {},
  parted: new Set(),
  allRounds: false,
  aloud: null,
  agreed: false,
  stopped: false,
  ceremony: new Set(),
  rows: null,
  trains: false,
  update: null,
  updates: new Set(),
  busy: false,
};
let state = null;

function keep() {
  const { language, name, token, seat, answers, expected } = me;
  const sent = Object.fromEntries(
    Object.entries(me.sent).map(([topic, { digest, chosen }]) => [topic, { digest, chosen }]),
  );
  localStorage.setItem(STORE, JSON.stringify({ language, name, token, seat, answers, expected, sent }));
}

// -- the class's computer

async function ask(path, how = {}) {
  const answer = await fetch(path, {
    ...how,
    headers: { ...how.headers, ...(me.token ? { "X-Hefl-Token": me.token } : {}) },
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({ error: answer.statusText }));
  throw Object.assign(new Error(said.error), { status: answer.status });
}
const json = async (path) => (await ask(path)).json();
const bytes = async (path) => new Uint8Array(await (await ask(path)).arrayBuffer());
const post = async (path, body, headers = {}) =>
  (await ask(path, { method: "POST", body, headers: { "X-Hefl": "1", ...headers } })).json();
const postJson = (path, body) => post(path, JSON.stringify(body), { "Content-Type": "application/json" });

// -- the worker

const worker = new Worker("/web/worker.js", { type: "module" });
const waiting = new Map();
let number = 0;
worker.onmessage = ({ data }) => {
  const { resolve, reject } = waiting.get(data.number);
  waiting.delete(data.number);
  data.error === undefined ? resolve(data.found) : reject(new Error(data.error));
};
const compute = (job, given) =>
  new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject });
    worker.postMessage({ number, job, given });
  });

// -- drawing

const element = (id) => document.getElementById(id);
const t = (name, filled) => views.texts(me)(name, filled);
let drawn = "";

// Which screen, and a text that changes exactly when it must be drawn again: a half-filled form stays as it is.
function screen() {
  if (me.token === null) return ["join", ""];
  if (state === null) return ["connecting", ""];
  const { phase, question, opening, result, round, ceremony } = state,
    asked = opening && [
      opening.id,
      opening.yes,
      opening.no,
      me.examined[opening.id],
      me.said[opening.id],
      me.parted.has(opening.id),
    ];
  const topic = views.topicOf(state);
  switch (phase) {
    case "predict":
      return ["predict", [question.id, question.id in me.expected]];
    case "question":
      return me.sent[topic] ? ["sent", [topic, me.holder, me.share]] : ["question", [question.id, me.busy]];
    case "sum":
      return ["sum", topic];
    case "opening":
      return opening && me.parameters ? ["opening", asked] : ["sum", topic];
    case "result":
      return ["result", [result?.id, result?.kind]];
    case "ceremony":
      return ceremony ? ["ceremony", [ceremony, me.aloud, me.agreed, me.stopped]] : ["lobby", ""];
    case "training":
      return ["training", [round, asked, me.trains, me.rows !== null, me.update?.number, topic in me.sent]];
    case "leak":
      return ["leak", [state.leak, me.rows !== null]];
    case "closed":
      return ["closed", ""];
    default:
      return ["lobby", [me.holder, me.share, me.fingerprint, me.parameters !== null]];
  }
}

function draw() {
  const [name, about] = screen(),
    now = JSON.stringify([name, about, me.language]);
  document.documentElement.lang = me.language;
  document.title = t("title");
  element("language").textContent = t("language");
  element("where").textContent = me.seat === null || me.token === null ? t("title") : t("seat", { seat: me.seat });
  element("status").textContent = statusLine();
  drawFoot();
  if (now === drawn) return;
  const before = element("main").querySelector("h1")?.textContent;
  drawn = now;
  const made =
    name === "connecting" ? [views.h("h1", { tabindex: "-1" }, t("connecting"))] : views[name](me, state, act);
  element("main").replaceChildren(...made.filter(Boolean));
  // A screen reader follows to a new heading, but not on the first drawing.
  const heading = element("main").querySelector("h1");
  if (before && before !== heading.textContent) heading.focus();
}

let footDrawn = "";
function drawFoot() {
  const now = JSON.stringify([me.language, me.token, me.answers.length, me.fingerprint, me.hashes !== null]);
  if (now === footDrawn) return;
  footDrawn = now;
  const open = [...document.querySelectorAll("#more details[open]")].map((one) => one.id);
  element("more").replaceChildren(...(me.token === null ? [] : views.foot(me, act)));
  for (const id of open) element(id)?.setAttribute("open", "");
}

function statusLine() {
  if (state === null || me.token === null) return "";
  const bots = state.seats.filter((seat) => seat.bot).length;
  const here = t("phones", { n: state.seats.length, bots });
  if (state.paused) return t("paused");
  return ["question", "sum", "training"].includes(state.phase)
    ? `${t("waiting", { arrived: state.arrived, of: state.of })} ${here}`
    : here;
}

// A trouble of the owner's stays until the owner does something else: forty phones that answer must not wipe it away.
const troubles = { owner: "", work: "" };
function tell(source, text) {
  troubles[source] = text;
  const shown = troubles.owner || troubles.work;
  if (element("alert").textContent !== shown) element("alert").textContent = shown;
}
const hint = (text) => tell("owner", text);

// -- what the owner does

async function guarded(work) {
  hint("");
  try {
    await work();
  } catch (error) {
    hint(t("error", { why: error.message }));
  }
  draw();
}

const act = {
  join: (name, typed) =>
    guarded(async () => {
      const found = await postJson("/join", {
        code: me.codeGiven ? me.code : typed.toUpperCase(),
        name,
        lang: me.language,
      });
      Object.assign(me, { token: found.token, seat: found.seat, holder: found.holder, name: found.name ?? name });
      // What another class left on this phone is of no use here: its questions have the same numbers.
      Object.assign(me, { answers: [], sent: {}, expected: {} });
      keep();
      listen();
    }),

  predict: (chosen, why) =>
    guarded(async () => {
      if (chosen === null) return hint(why);
      const { id } = state.question;
      await postJson(`/prediction/${id}`, { choice: chosen });
      me.expected[id] = chosen;
      keep();
    }),

  answer: (chosen, why) =>
    guarded(async () => {
      if (chosen === null) return hint(why);
      const { question } = state;
      me.busy = true;
      draw();
      try {
        await openKey();
        await send(
          `question ${question.id}`,
          `/answer/${question.id}`,
          integersOf(question, chosen),
          [0],
          question,
          chosen,
        );
      } finally {
        me.busy = false;
      }
      question.questions.forEach((part, at) =>
        me.answers.push({
          text: part.text,
          answer: part.kind === "number" ? String(chosen[at]) : part.choices[chosen[at]],
        }),
      );
      keep();
    }),

  consent: (id, yes, allRounds = false) =>
    guarded(async () => {
      await postJson(`/consent/${id}`, { yes });
      me.said[id] = yes;
      me.allRounds ||= yes && allRounds;
      react();
    }),

  agree: (same) =>
    guarded(async () => {
      me[same ? "agreed" : "stopped"] = true;
      react();
    }),

  train: () =>
    guarded(async () => {
      me.trains = true;
      react();
    }),

  // Not encrypted, and only when its owner says so: one step on the first patient.
  plain: () =>
    guarded(async () => {
      const { length, learning_rate, bound } = state.leak,
        { features, labels, classes } = me.rows;
      const { update } = await compute("train", {
        model: new Array(length).fill(0),
        rows: { features: features.slice(0, 1), labels: labels.slice(0, 1) },
        classes: classes.length,
        how: { local_epochs: 1, learning_rate },
        bound,
      });
      await post("/plain", Float64Array.from(update));
    }),

  save: () => {
    const page = document.implementation.createHTMLDocument(t("answers_head"));
    page.documentElement.lang = me.language;
    page.head.append(views.h("meta", { charset: "utf-8" }));
    page.body.append(
      views.h("h1", {}, `${t("answers_head")}: ${me.name}`),
      views.h(
        "ol",
        {},
        me.answers.map(({ text, answer }) => views.h("li", {}, `${text} ${answer}`)),
      ),
      views.h("h2", {}, t("digest")),
      views.h(
        "ul",
        {},
        Object.entries(me.sent).map(([topic, { digest }]) => views.h("li", {}, `${topic}: ${digest}`)),
      ),
      views.h("h2", {}, t("key_head")),
      views.h("p", {}, me.fingerprint ?? ""),
    );
    const blob = new Blob([`<!doctype html>\n${page.documentElement.outerHTML}`], { type: "text/html" });
    const link = views.h("a", { href: URL.createObjectURL(blob), download: "hefl-class.html" });
    link.click();
    URL.revokeObjectURL(link.href);
  },

  forget: () => {
    localStorage.removeItem(STORE);
    location.reload();
  },
};

// Choices become 0 and 1, a number becomes itself and a 1 that counts it.
const integersOf = (question, chosen) =>
  question.questions.flatMap((part, at) =>
    part.kind === "number" ? [chosen[at], 1] : part.choices.map((_, place) => Number(place === chosen[at])),
  );

// Encrypt and send. The server's digest of what arrived must be the digest of what was made here.
async function send(topic, path, integers, values, how, chosen) {
  const { body, digest } = await compute("encrypt", {
    topic,
    integers,
    values,
    how: { bound: how.bound, max_terms: how.max_terms },
  });
  const found = await post(path, body);
  if (found.digest !== digest) throw new Error(`${found.digest} ≠ ${digest}`);
  me.sent[topic] = { digest, chosen, body };
  keep();
}

// -- what the class asks of this phone

let chain = Promise.resolve();

// One thing after the other; what fails is shown, and tried again at the next state.
function react() {
  chain = chain
    .then(() => work(state))
    .then(
      () => tell("work", ""),
      (error) => tell("work", t("error", { why: error.message })),
    )
    .then(draw);
}

async function work(now) {
  if (now === null || me.token === null || now.phase === "closed") return;
  if (now.question) me.asked[now.question.id] = now.question;
  me.hashes ??= await json("/hashes");
  if (now.phase === "ceremony") await makeKey(now.ceremony);
  else if (now.custody === "dealer-free" && me.holder !== null) await finishKey();
  else await openKey();
  if (me.holder !== null && now.custody === "dealt" && me.share === "none") await takeShare();
  if (now.opening && me.holder !== null && me.share === "have") await attend(now);
  if (now.phase === "training") await train(now);
  if (now.leak?.seat === me.seat) me.rows ??= await json("/patients");
}

async function openKey() {
  if (me.fingerprint) return;
  const parameters = await json("/parameters");
  me.parameters = parameters;
  if (!parameters.fingerprint) return;
  me.fingerprint = (await compute("openKey", { parameters, raw: await bytes("/key") })).fingerprint;
}

async function takeShare() {
  try {
    const material = await bytes("/share");
    await compute("takeShare", { parameters: me.parameters, material, index: me.holder });
    me.share = "have";
  } catch (error) {
    if (error.status === undefined) throw error;
    me.share = "lost"; // handed out once, to the page that was here before
  }
}

async function attend(now) {
  const { opening } = now,
    topic = views.topicOf(now);
  if (me.parted.has(opening.id) || me.said[opening.id] === false) return;
  const given = async () => ({ opening, topic, c1: await bytes(opening.c1), addends: await bytes(opening.addends) });
  if (me.examined[opening.id] === undefined) {
    me.examined[opening.id] = await compute("examine", await given()).then(
      () => "",
      (error) => error.message,
    );
    draw();
  }
  // A yes to the first round of a training is a yes to the next ones that pass the same checks.
  if (me.allRounds && opening.kind === "round" && me.said[opening.id] === undefined && me.examined[opening.id] === "") {
    await postJson(`/consent/${opening.id}`, { yes: true });
    me.said[opening.id] = true;
  }
  if (!me.said[opening.id] || !opening.active?.includes(me.holder)) return;
  me.parted.add(opening.id);
  let body;
  try {
    ({ body } = await compute("partial", await given()));
  } catch (error) {
    await post(`/partial/${opening.id}`, "", { "X-Hefl-Refuse": encodeURIComponent(error.message).slice(0, 200) });
    throw error;
  }
  await post(`/partial/${opening.id}`, body);
}

async function train(now) {
  const { round } = now;
  me.rows ??= await json("/patients");
  const name = `${round.number}.${round.attempt}`;
  if (!me.trains || now.opening || now.paused || me.updates.has(name) || !round.members.includes(me.seat)) return;
  const how = { local_epochs: round.local_epochs, learning_rate: round.learning_rate };
  // A second attempt of a round sends the same update, encrypted afresh.
  if (me.update?.number !== round.number) {
    const found = await compute("train", {
      model: round.model,
      rows: me.rows,
      classes: round.classes,
      how,
      bound: round.bound,
    });
    me.update = { number: round.number, values: found.update, accuracy: found.accuracy };
  }
  await send(`round ${round.number}`, `/update/${round.number}`, [1], me.update.values, round);
  me.updates.add(name);
}

// A key without a dealer, in the steps that the class's state names; ceremony.js says why there are three.
async function makeKey({ step, seed }) {
  if (me.holder === null || me.stopped) return;
  const once = async (name, deed) => {
    if (me.ceremony.has(name)) return;
    await deed();
    me.ceremony.add(name);
  };
  if (step === "commitment") {
    await once("commitment", async () => {
      me.parameters = await json("/parameters");
      await post(
        "/commitment",
        (await compute("commit", { parameters: me.parameters, seed: unhex(seed), index: me.holder })).body,
      );
    });
  } else if (!me.ceremony.has("commitment")) {
    me.share = "lost"; // this page came too late, or was loaded again
  } else if (step === "contribution") {
    await once("contribution", async () => {
      await post("/contribution", (await compute("contribute", { commitments: await bytes("/commitments") })).body);
    });
  } else if (step === "dealing") {
    await once("gather", async () => {
      me.aloud = (await compute("gather", { contributions: await bytes("/contributions") })).aloud;
    });
    if (me.agreed) await once("dealing", async () => post("/dealing", (await compute("deal", {})).body));
  }
}

// When the key is there: compare it with the contributions, and put the share together.
async function finishKey() {
  if (me.share !== "none") return;
  await openKey(); // the worker compares it with the contributions
  if (!me.ceremony.has("dealing")) {
    me.share = "lost";
    return;
  }
  await compute("receive", { sealed: await bytes("/dealing"), parameters: me.parameters });
  me.share = "have";
}

// -- begin

function listen() {
  const events = new EventSource(`/events?token=${encodeURIComponent(me.token)}`);
  events.addEventListener("state", ({ data }) => {
    state = JSON.parse(data);
    me.holder = state.seats.find((seat) => seat.seat === me.seat)?.holder ?? null;
    draw();
    react();
  });
  events.onerror = async () => {
    if (me.token === null || state?.phase === "closed") return events.close();
    element("status").textContent = t("again");
    // A browser connects again by itself, unless the class answered with a refusal.
    if (events.readyState !== EventSource.CLOSED) return;
    const left = await ask("/patients").then(
      () => false,
      (error) => error.status === 401,
    );
    if (left) {
      me.token = null;
      keep();
      draw();
    } else setTimeout(listen, 2000);
  };
}

element("language").addEventListener("click", () => {
  me.language = me.language === "de" ? "en" : "de";
  keep();
  draw();
});
draw();
if (me.token !== null) listen();
