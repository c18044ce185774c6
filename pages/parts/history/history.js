// One entry of the browser's history per page: what changes the query alone replaces the entry.
const DONE = Symbol.for("hefl.history");

function oneEntryPerPage() {
  if (window[DONE]) return;
  window[DONE] = true;
  const push = window.history.pushState.bind(window.history);
  window.history.pushState = (state, unused, url) => {
    const to = new URL(url ?? location.href, location.href);
    const stays = to.pathname === location.pathname && to.hash === location.hash;
    if (stays) window.history.replaceState(state, unused, url);
    else push(state, unused, url);
  };
}

export default function ({ data }) {
  oneEntryPerPage();
  if (data.query && location.search.slice(1) !== data.query) {
    window.history.replaceState({}, "", `${location.pathname}?${data.query}`);
  }
}
