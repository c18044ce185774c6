// What Streamlit's own markup lacks for people who do not see the screen or use no pointer. Each repair carries its name, so
// that a test can take it away again and see that it is still needed.
const DONE = Symbol.for("hefl.access");

function mend(element, name, attributes) {
  if (element.dataset.mended === name && Object.entries(attributes).every(([key, value]) => element.getAttribute(key) === value)) return;
  element.dataset.mended = name;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
}

const words = (element) => element?.textContent.trim() ?? "";

function navigation() {
  for (const list of document.querySelectorAll("ul[data-testid=stSidebarNavItems]")) {
    mend(list, "navigation", { role: "none" });  // its children are sections, not items
    for (const section of list.querySelectorAll(":scope > div")) {
      mend(section, "navigation", { role: "group", "aria-label": words(section.querySelector("header p")) });
      for (const item of section.querySelectorAll("li")) mend(item, "navigation", { role: "none" });
    }
  }
}

function uploads() {
  for (const zone of document.querySelectorAll("[data-testid=stFileUploaderDropzone]")) mend(zone, "upload", { role: "group" });
}

function pictures() {
  for (const chart of document.querySelectorAll("[data-testid=stPlotlyChart]")) {
    const said = [...chart.querySelectorAll(".gtitle, .xtitle, .ytitle, .legendtext, .annotation-text")].map(words);
    const label = [...new Set(said)].filter(Boolean).join("; ");
    if (label) mend(chart, "picture", { role: "figure", "aria-label": label });
  }
}

function scrolled() {
  for (const box of document.querySelectorAll(".katex-display, [data-testid=stMarkdown] pre, [data-testid=stCode] pre")) {
    if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible") mend(box, "scrolled", { tabindex: "0" });
  }
}

function everything() {
  navigation();
  uploads();
  pictures();
  scrolled();
}

function watch() {
  let waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; if (!window[DONE].off) everything(); }, 100);
  };
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
  addEventListener("resize", soon);
}

export default function ({ data }) {
  document.documentElement.lang = data.language;
  if (!window[DONE]) {
    window[DONE] = { off: false };
    watch();
  }
  everything();
}
