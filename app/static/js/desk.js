/* The desk: one row read beside the list, decided there, and the next one opened. Without this file a row opens as a page. */
(() => {
  "use strict";
  const { all, say } = window.portal;
  const pane = document.getElementById("pane");
  const rows = all("tr[data-row-of]");
  if (!pane || !rows.length) return;
  const matter = pane.querySelector("[data-matter]");
  let at = -1;
  let asking = 0;

  function mark(index) {
    rows.forEach((row, n) => row.classList.toggle("at", n === index));
    at = index;
    rows[at].scrollIntoView({ block: "nearest" });
  }
  async function open(index) {
    mark(Math.max(0, Math.min(rows.length - 1, index)));
    const address = rows[at].dataset.rowOf;
    const mine = ++asking;
    pane.hidden = false;
    pane.querySelector("[data-open-whole]").href = address;
    try {
      const answer = await fetch(`${address}?pane`);
      const text = await answer.text();
      if (mine !== asking) return;
      if (answer.redirected) { window.location.assign(address); return; }
      matter.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
      pane.scrollTop = 0;
    } catch { if (mine === asking) say(pane.dataset.offline, "bad"); }
  }
  function close() {
    pane.hidden = true;
    matter.replaceChildren();
    if (at >= 0) rows[at].querySelector("a")?.focus({ preventScroll: true });
  }
  function next() {
    const left = rows.findIndex((row, n) => n > at && !row.classList.contains("gone"));
    if (left >= 0) open(left);
    else { close(); say(pane.dataset.last, "ok"); }
  }

  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-row-of]");
    if (row && !event.target.closest("input, button, label, a.btn") && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      open(rows.indexOf(row));
      return;
    }
    if (event.target.closest("[data-close-pane]")) close();
    else if (event.target.closest("[data-previous]")) open(at - 1);
    else if (event.target.closest("[data-next]")) open(at + 1);
  });

  /* A step taken in the pane: the list stays, the row says its new state */
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post" || !form.closest("#pane, dialog") || !matter.contains(form)) return;
    if (!/\/(accept|approve|reject)$/.test(form.action)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    try {
      const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { "X-Requested-With": "fetch" } });
      const told = await answer.json();
      say(told.message, answer.ok ? "ok" : "bad");
      form.closest("dialog")?.close();
      if (!answer.ok) { open(at); return; }
      rows[at].querySelector("[data-state]").replaceChildren(Object.assign(document.createElement("span"), { className: `badge badge-${told.tone}`, textContent: told.state }));
      if (told.decided) { rows[at].classList.add("gone"); const tick = rows[at].querySelector("[data-tick]"); if (tick) { tick.checked = false; tick.disabled = true; } next(); } else open(at);
    } catch { say(pane.dataset.offline, "bad"); }
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
    const acts = {
      j: () => (pane.hidden ? mark(Math.min(rows.length - 1, at + 1)) : open(at + 1)),
      k: () => (pane.hidden ? mark(Math.max(0, at - 1)) : open(at - 1)),
      Enter: () => { if (at >= 0 && !event.target.closest("a, button")) open(at); else return false; return true; },
      x: () => { const tick = at >= 0 && rows[at].querySelector("[data-tick]"); if (tick) tick.click(); },
      Escape: () => { if (!pane.hidden) close(); },
      a: () => act("form[action$='/accept'] button, form[action$='/approve'] button"),
      r: () => act("[data-dialog=reject-one]"),
    };
    if (!Object.hasOwn(acts, event.key)) return;
    if (acts[event.key]() !== false) event.preventDefault();
  });
  /* a and r act on what is being read; a row that is only marked is opened first, so that nobody decides unread */
  function act(selector) {
    if (at < 0) return;
    if (pane.hidden) { open(at); return; }
    const button = matter.querySelector(selector);
    if (button) button.click();
    else say(pane.dataset.none, "bad");
  }
})();
