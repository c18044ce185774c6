// What the phone shows: each function makes the elements of one screen. Texts are set as text, never as HTML.

import { say } from "./texts.js";

export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A view is (me, state, act) => elements; `t` says a text in the owner's language.
export const texts = (me) => (name, filled) => say(me.language, name, filled);

const head = (text) => h("h1", { tabindex: "-1" }, text);
const button = (text, onclick, more = {}) => h("button", { type: "button", onclick, ...more }, text);
export const grouped = (hex) => hex.match(/.{1,4}/g).join(" ");

export function join(me, _, act) {
  const t = texts(me);
  const name = h("input", { id: "name", type: "text", maxlength: "24", autocomplete: "off", required: true });
  const code = h("input", {
    id: "code",
    type: "text",
    maxlength: "12",
    autocomplete: "off",
    autocapitalize: "characters",
    value: me.code,
  });
  const submit = (event) => {
    event.preventDefault();
    act.join(name.value.trim(), code.value.trim());
  };
  return [
    head(t("join_head")),
    h("p", {}, t("encrypts")),
    h(
      "form",
      { onsubmit: submit },
      h("label", { for: "name" }, t("name")),
      name,
      h("label", { for: "code", hidden: me.codeGiven }, t("code")),
      me.codeGiven ? null : code,
      h("button", { type: "submit" }, t("join")),
    ),
  ];
}

export function lobby(me, state) {
  const t = texts(me),
    custody = me.parameters?.custody;
  return [
    head(t("lobby_head", { name: me.name })),
    h("p", {}, t("lobby")),
    h("p", {}, t("encrypts")),
    custody && h("p", {}, t(state.custody, { t: custody.threshold, n: custody.holders })),
    ...holderCard(me),
    ...keyCard(me),
  ];
}

function holderCard(me) {
  if (me.holder === null || !me.parameters) return [];
  const t = texts(me);
  return [
    h(
      "div",
      { class: "card" },
      h("h2", {}, t("holder_head", { index: me.holder, n: me.parameters.custody.holders })),
      h("p", {}, t(me.share === "lost" ? "holder_lost" : "holder")),
    ),
  ];
}

function keyCard(me) {
  if (!me.fingerprint) return [];
  const t = texts(me);
  return [
    h(
      "div",
      { class: "card" },
      h("h2", {}, t("key_head")),
      h("code", {}, grouped(me.fingerprint.slice(0, 32))),
      h("p", {}, t("key_text")),
    ),
  ];
}

// -- questions

function fields(me, question) {
  const t = texts(me);
  return question.questions.map((part, at) => {
    if (part.kind === "number") {
      return h(
        "p",
        {},
        h("label", { for: `field${at}` }, part.text),
        h("br"),
        h("span", { id: `range${at}` }, t("number_range", { most: part.most })),
        h("input", {
          id: `field${at}`,
          name: `q${at}`,
          type: "number",
          inputmode: "numeric",
          min: "0",
          max: part.most,
          step: "1",
          "aria-describedby": `range${at}`,
        }),
      );
    }
    return h(
      "fieldset",
      {},
      h("legend", {}, part.text),
      part.choices.map((choice, place) =>
        h("label", { class: "choice" }, h("input", { type: "radio", name: `q${at}`, value: place }), choice),
      ),
    );
  });
}

// What was chosen: the place of a choice or the number, for each question; null where nothing was.
export function picks(form, question) {
  return question.questions.map((part, at) => {
    const given = new FormData(form).get(`q${at}`);
    if (given === null || given === "") return null;
    const value = Number(given),
      most = part.kind === "number" ? part.most : part.choices.length - 1;
    return Number.isInteger(value) && value >= 0 && value <= most ? value : null;
  });
}

function form(me, question, submitText, submit) {
  const t = texts(me);
  const send = (event) => {
    event.preventDefault();
    const chosen = picks(event.target, question);
    if (chosen.includes(null)) submit(null, t("choose"));
    else submit(chosen);
  };
  return h(
    "form",
    { onsubmit: send, novalidate: true },
    fields(me, question),
    h("button", { type: "submit" }, submitText),
  );
}

export function predict(me, state, act) {
  const t = texts(me);
  if (state.question.id in me.expected) return [head(t("predicted")), h("p", {}, t("predict_text"))];
  return [head(t("predict_head")), h("p", {}, t("predict_text")), form(me, state.question, t("predict"), act.predict)];
}

export function question(me, state, act) {
  const t = texts(me);
  if (me.busy) return [head(t("encrypting"))];
  return [head(t("question_head")), h("p", {}, t("encrypts")), form(me, state.question, t("answer"), act.answer)];
}

export function sent(me, state) {
  const t = texts(me),
    mine = me.sent[topicOf(state)];
  return [head(t("sent_head")), ...ciphertext(me, mine), ...holderCard(me)];
}

function ciphertext(me, mine) {
  const t = texts(me);
  if (!mine) return [];
  return [
    mine.body && h("p", {}, t("sent_text", { kb: Math.round(mine.body.length / 1000) })),
    mine.body && picture(mine.body, t("picture")),
    h("h2", {}, t("digest")),
    h("code", { id: "digest" }, grouped(mine.digest)),
  ];
}

function picture(bytes, label) {
  const canvas = h("canvas", { role: "img", "aria-label": label, width: "128", height: "48" });
  const context = canvas.getContext("2d"),
    image = context.createImageData(128, 48);
  // Of each word of 8 bytes the lower five: a residue of 42 bits leaves the others without noise.
  const noise = bytes.filter((_, at) => at % 8 < 5);
  for (let at = 0; at < 128 * 48; at++) image.data.set([noise[at], noise[at], noise[at], 255], 4 * at);
  context.putImageData(image, 0, 0);
  return canvas;
}

export function sum(me, state) {
  const t = texts(me);
  return [head(t("sum_head")), h("p", {}, t("sum_text")), ...ciphertext(me, me.sent[topicOf(state)])];
}

// -- opening

export function opening(me, state, act) {
  const t = texts(me),
    { opening: asked } = state,
    { threshold } = me.parameters.custody;
  const about = h(
    "p",
    {},
    t("opening_text", { terms: asked.terms, t: threshold, yes: asked.yes.length, no: asked.no.length }),
  );
  if (me.holder === null || me.share !== "have") return [head(t("opening_head")), h("p", {}, t("opening_wait")), about];
  const found = me.examined[asked.id];
  return [head(t("opening_head")), about, ...consent(me, asked, found, act, state.phase)];
}

function consent(me, asked, found, act, phase) {
  const t = texts(me),
    said = me.said[asked.id];
  if (me.parted.has(asked.id)) return [h("p", {}, t("partial_sent"))];
  if (said !== undefined) return [h("p", {}, t(said ? "said_yes" : "said_no"))];
  if (found === undefined) return [h("p", {}, t("checking"))];
  if (found !== "")
    return [h("p", {}, t("refused", { why: found })), button(t("no"), () => act.consent(asked.id, false))];
  return [
    h("p", {}, t("checked", { terms: asked.terms })),
    button(t("yes"), () => act.consent(asked.id, true, phase === "training")),
    button(t("no"), () => act.consent(asked.id, false), { class: "second" }),
  ];
}

export function result(me, state) {
  const t = texts(me),
    { result: found } = state;
  if (found.kind !== "question")
    return [head(t("result_head")), h("p", {}, percent(t, "class_accuracy", found.accuracy))];
  const asked = me.asked[found.id] ?? state.question,
    mine = me.sent[`question ${found.id}`]?.chosen,
    expected = me.expected[found.id];
  return [
    head(t("result_head")),
    h("p", {}, t("result_of", { voters: found.voters })),
    ...found.questions.flatMap((answer, at) => [
      h("h2", {}, asked?.questions[at].text ?? ""),
      answer.counts
        ? bars(me, asked, answer.counts, found, at, mine)
        : h("p", {}, t("mean", { mean: answer.mean, count: answer.count })),
      !answer.counts && mine ? h("p", {}, t("my_number", { value: mine[at] })) : null,
      !answer.counts && expected ? h("p", {}, t("expected_number", { value: expected[at] })) : null,
      found.checks?.[at] ? h("p", { role: "note" }, found.checks[at]) : null,
    ]),
  ];
}

function bars(me, asked, counts, found, at, mine) {
  const t = texts(me),
    expected = me.expected[found.id]?.[at],
    most = Math.max(1, ...counts);
  return h(
    "ul",
    { class: "bars" },
    counts.map((count, place) => {
      const bar = h("div", { class: "bar", "aria-hidden": "true" });
      bar.style.width = `${(100 * count) / most}%`;
      const marks = [mine?.[at] === place && t("mine"), expected === place && t("expected")].filter(Boolean);
      return h(
        "li",
        {},
        `${asked?.questions[at].choices[place] ?? place}: ${t("votes", { count, voters: found.voters })}`,
        marks.length ? h("strong", {}, ` (${marks.join(", ")})`) : null,
        bar,
      );
    }),
  );
}

// -- ceremony

export function ceremony(me, state, act) {
  const t = texts(me),
    { arrived, of } = state.ceremony;
  const about = h("p", {}, t("ceremony_wait", { arrived, of }));
  if (me.holder === null) return [head(t("ceremony_head")), about];
  if (me.stopped) return [head(t("stopped"))];
  if (!me.aloud || me.agreed)
    return [
      head(t("ceremony_head")),
      h("p", {}, t("ceremony_run")),
      about,
      me.aloud && h("p", { class: "aloud" }, me.aloud),
    ];
  return [
    head(t("aloud_head")),
    h("p", { class: "aloud" }, me.aloud),
    h("p", {}, t("aloud")),
    button(t("aloud_yes"), () => act.agree(true)),
    button(t("aloud_no"), () => act.agree(false), { class: "second" }),
  ];
}

// -- training

export function training(me, state, act) {
  const t = texts(me),
    { round } = state,
    { rows } = me;
  if (state.opening && me.holder !== null && me.share === "have" && me.said[state.opening.id] === undefined)
    return opening(me, state, act);
  const began = [head(t("training_head"))];
  if (rows) {
    const counts = rows.classes.map((name, c) => `${rows.labels.filter((label) => label === c).length} ${name}`);
    began.push(h("p", {}, t("training_text", { n: rows.labels.length, classes: counts.join(", ") })));
  }
  if (!me.trains) return [...began, rows && button(t("train"), act.train), ...firstPatient(me)];
  const last = me.update;
  return [
    ...began,
    h("p", {}, t("training_on", { number: round.number, of: round.of })),
    round.accuracy !== null ? h("p", {}, percent(t, "class_accuracy", round.accuracy)) : null,
    round.members.length && !round.members.includes(me.seat) ? h("p", {}, t("left_out")) : null,
    ...(last
      ? [
          h("p", {}, percent(t, "own_accuracy", last.accuracy)),
          changes(last.values, t("update_picture")),
          h("p", {}, t("trained")),
        ]
      : []),
    ...ciphertext(me, me.sent[topicOf(state)]),
  ];
}

function firstPatient(me) {
  if (!me.rows) return [];
  const { names, features, labels, classes } = me.rows,
    t = texts(me);
  return [
    h(
      "div",
      { class: "card" },
      h("h2", {}, `${t("patient")}: ${classes[labels[0]]}`),
      h(
        "ul",
        {},
        names.slice(0, 5).map((name, f) => h("li", {}, `${name}: ${features[0][f].toFixed(2)}`)),
      ),
    ),
  ];
}

function changes(values, label) {
  const canvas = h("canvas", { role: "img", "aria-label": label, width: "320", height: "96" });
  const context = canvas.getContext("2d"),
    largest = Math.max(1e-9, ...values.map(Math.abs)),
    width = 320 / values.length;
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--act");
  values.forEach((value, k) => {
    const size = (46 * value) / largest;
    context.fillRect(k * width, size > 0 ? 48 - size : 48, Math.max(1, width - 1), Math.abs(size));
  });
  return canvas;
}

const percent = (t, name, share) => t(name, { percent: (100 * share).toFixed(0) });

export const closed = (me) => [head(texts(me)("closed_head")), h("p", {}, texts(me)("closed"))];

// A volunteer shows what an update gives away that is not encrypted.
export function leak(me, { leak: asked, seats }, act) {
  const t = texts(me),
    came = asked.read.length > 0;
  if (asked.seat !== me.seat) {
    const name = seats.find((seat) => seat.seat === asked.seat)?.name ?? asked.seat;
    return [head(t("leak_head")), h("p", {}, t(came ? "leak_came" : "leak_other", { name }))];
  }
  if (came) return [head(t("leak_head")), h("p", {}, t("leak_mine"))];
  return [head(t("volunteer_head")), h("p", {}, t("volunteer")), ...firstPatient(me), button(t("plain"), act.plain)];
}

// -- the foot of the page

export function foot(me, act) {
  const t = texts(me),
    modules = Object.entries(me.hashes ?? {});
  const fold = (name, ...inside) => h("details", { id: name }, h("summary", {}, t(name)), ...inside);
  const list = me.answers.length
    ? h(
        "ol",
        {},
        me.answers.map(({ text, answer }) => h("li", {}, `${text} `, h("strong", {}, answer))),
      )
    : h("p", {}, t("no_answers"));
  return [
    fold(
      "answers_head",
      list,
      button(t("save"), act.save, { class: "second" }),
      button(t("forget"), act.forget, { class: "second" }),
    ),
    fold("trust_head", h("p", {}, t("trust")), ...keyCard(me)),
    fold(
      "code_head",
      h("p", {}, t("code_text")),
      h(
        "ul",
        {},
        modules.map(([name, digest]) =>
          h(
            "li",
            {},
            h("a", { href: name === "phone.html" ? "/" : `/web/${name}` }, name),
            " ",
            h("code", {}, grouped(digest)),
          ),
        ),
      ),
    ),
  ];
}

// A question or a round: what an answer, a sum and a holder's memory are about.
export const topicOf = (state) =>
  state.phase === "training" || state.opening?.kind === "round"
    ? `round ${state.round.number}`
    : `question ${state.question?.id}`;
