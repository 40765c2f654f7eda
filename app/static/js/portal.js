/* The frame: menu, messages, dialogs, questions before an act, and one click sending once.
   Everything hangs on data attributes; without these files the forms still work. */
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const words = document.getElementById("words").dataset;

  /* Said by a script, beside what the server says. Tones: info, ok, warn, bad */
  function say(text, tone = "info") {
    const box = document.createElement("div");
    box.className = `notice notice-${tone}`;
    box.dataset.notice = "";
    if (tone === "bad" || tone === "warn") box.setAttribute("role", "alert");
    box.append(Object.assign(document.createElement("div"), { textContent: text }));
    const close = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-quiet btn-small", textContent: "×" });
    close.dataset.dismiss = "";
    close.setAttribute("aria-label", words.close);
    box.append(close);
    document.getElementById("toasts").append(box);
    if (tone === "info" || tone === "ok") window.setTimeout(() => box.remove(), 6000);
  }
  window.portal = { say, words, all };

  /* Menu: a drawer on a phone, a rail of icons on a desk */
  const root = document.documentElement;
  const side = document.getElementById("side");
  const menu = document.querySelector("[data-menu]");
  const narrow = document.querySelector("[data-narrow]");
  const openMenu = (open) => {
    if (side.classList.contains("open") === open) return;
    side.classList.toggle("open", open);
    menu.setAttribute("aria-expanded", String(open));
    if (open) side.querySelector("a").focus(); else menu.focus();
  };
  if (menu) {
    menu.addEventListener("click", () => openMenu(!side.classList.contains("open")));
    document.addEventListener("click", (event) => {
      if (!side.contains(event.target) && !menu.contains(event.target)) openMenu(false);
    });
    side.addEventListener("keydown", (event) => {
      if (event.key !== "Tab" || !side.classList.contains("open")) return;
      const links = all("a, button", side).filter((each) => each.offsetParent);
      const edge = event.shiftKey ? links[0] : links[links.length - 1];
      if (document.activeElement === edge) {
        event.preventDefault();
        (event.shiftKey ? links[links.length - 1] : links[0]).focus();
      }
    });
  }
  if (narrow) {
    narrow.setAttribute("aria-expanded", String(!root.classList.contains("narrow")));
    narrow.addEventListener("click", () => {
      const folded = root.classList.toggle("narrow");
      narrow.setAttribute("aria-expanded", String(!folded));
      try { window.localStorage.setItem("portal.menu", folded ? "narrow" : "wide"); } catch { /* not remembered, no harm */ }
    });
  }
  const current = side && side.querySelector("[aria-current]");
  if (current) current.scrollIntoView({ block: "nearest" });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu) openMenu(false);
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !document.querySelector("dialog[open]")) {
      const search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    }
  });

  /* A text to the clipboard; where that is not allowed (no HTTPS) it is selected, to be copied by hand */
  const copy = async (button) => {
    const place = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(place.textContent.trim());
      say(button.dataset.copied, "ok");
    } catch {
      window.getSelection().selectAllChildren(place);
      if (document.execCommand("copy")) say(button.dataset.copied, "ok");
    }
  };

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-dismiss], [data-dialog], [data-close], [data-back], [data-copy]");
    if (!target) {
      // The second click of two is meant for the button that asked, and not for the ground beside its question.
      if (event.target.matches("dialog[open]") && event.detail < 2) event.target.close();
      return;
    }
    if (target.matches("[data-dismiss]")) target.closest("[data-notice]").remove();
    if (target.matches("[data-dialog]")) document.getElementById(target.dataset.dialog).showModal();
    if (target.matches("[data-close]")) target.closest("dialog").close();
    if (target.matches("[data-back]")) window.history.back();
    if (target.matches("[data-copy]")) copy(target);
  });

  /* A question in a dialog of ours; the act goes on when it is answered with yes */
  function ask(question, label, danger, yes) {
    const box = document.createElement("dialog");
    const inner = Object.assign(document.createElement("div"), { className: "dialog" });
    const text = Object.assign(document.createElement("p"), { textContent: question, id: "question" });
    const row = Object.assign(document.createElement("div"), { className: "actions" });
    const no = Object.assign(document.createElement("button"), { type: "button", className: "btn", textContent: words.cancel });
    const go = Object.assign(document.createElement("button"), { type: "button", textContent: label || words.ok });
    go.className = danger ? "btn btn-danger btn-solid" : "btn btn-primary";
    go.dataset.confirmYes = "";
    box.setAttribute("aria-labelledby", "question");
    no.addEventListener("click", () => box.close());
    go.addEventListener("click", () => { box.close(); yes(); });
    box.addEventListener("close", () => box.remove());
    row.append(no, go);
    inner.append(text, row);
    box.append(inner);
    document.body.append(box);
    box.showModal();
    (danger ? no : go).focus();
  }

  /* A dialog's form takes along what another form has chosen */
  function borrow(form, other) {
    all("[data-borrowed]", form).forEach((field) => field.remove());
    new FormData(other).forEach((value, name) => {
      if (["csrf_token", "step", "remark"].includes(name)) return;
      const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
      field.dataset.borrowed = "1";
      form.append(field);
    });
  }

  const release = (form) => {
    delete form.dataset.sent;
    all("button[data-held]", form).forEach((button) => { button.disabled = false; button.removeAttribute("aria-busy"); delete button.dataset.held; });
  };
  const hold = (form, pressed) => {
    form.dataset.sent = "1";
    if (pressed) pressed.setAttribute("aria-busy", "true");
    /* after the form has been read: a disabled button would not be sent */
    window.setTimeout(() => all("button:not([disabled])", form).forEach((button) => { button.disabled = true; button.dataset.held = ""; }), 0);
    /* an answer that is a file leaves the page standing; a long silence is no reason to lock a person out */
    if ("download" in form.dataset) window.setTimeout(() => release(form), 3000);
    else if (form.enctype !== "multipart/form-data") window.setTimeout(() => release(form), 20000);
  };
  window.portal.release = release;

  /* A question about people who are ticked names how many, and what goes back for them in all; where nobody is, the answer says so */
  const named = (form, question) => {
    const { eachFen, mostFen } = form.dataset;
    if (!question || eachFen === undefined) return question;
    const n = all("[name=ids]:checked:enabled", form).length;
    const yuan = Math.min(n * Number(eachFen), Number(mostFen)) / 100;
    const amount = `¥${yuan.toLocaleString("en-US", { minimumFractionDigits: 2 })}`;
    return n ? question.replace("{n}", String(n)).replace("{amount}", amount) : "";
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const pressed = event.submitter;
    const question = named(form, (pressed && pressed.dataset.confirm) || form.dataset.confirm);
    if (question && !form.dataset.answered) {
      event.preventDefault();
      const about = form.matches("[data-bulk]") ? `${form.dataset.about.replace("{n}", form.querySelector("[data-count]").textContent)}` : "";
      const label = pressed && (pressed.dataset.label || pressed.textContent.trim());
      ask(about + question, label, Boolean(pressed && pressed.matches(".btn-danger")), () => {
        form.dataset.answered = "1";
        form.requestSubmit(pressed);
      });
      return;
    }
    delete form.dataset.answered;
    if (form.dataset.from) borrow(form, document.getElementById(form.dataset.from));
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    hold(form, pressed);
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) all("form[data-sent]").forEach(release); });
  document.addEventListener("change", (event) => { if (event.target.matches("[data-submit]")) event.target.form.requestSubmit(); });

  /* What went wrong is read first */
  const fault = document.querySelector("[data-focus]");
  if (fault) fault.focus({ preventScroll: false });
})();
