/* Forms with photographed papers: show what was chosen, save it at once where the form is a draft, and keep it chosen when
   something else needs correcting. Without this file the forms are sent as usual, and files must be chosen again after a fault. */
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const WIDEST = 1200;

  async function draw(paper, file) {
    const canvas = paper.querySelector("[data-preview]");
    const tip = paper.querySelector("[data-until-chosen]");
    canvas.hidden = true;
    if (tip) tip.hidden = false;
    if (!file) return;
    try {
      const picture = await createImageBitmap(file);
      const scale = Math.min(1, WIDEST / picture.width);
      canvas.width = Math.round(picture.width * scale);
      canvas.height = Math.round(picture.height * scale);
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      picture.close();
      canvas.hidden = false;
      if (tip) tip.hidden = true;
    } catch { /* no picture: the server says so in words */ }
  }

  function putFault(field, words) {
    const help = field.querySelector("[id$='-help']");
    all(".error", help).forEach((old) => old.remove());
    words.forEach((text) => {
      const line = document.createElement("div");
      line.className = "error";
      line.textContent = text;
      help.prepend(line);
    });
    field.classList.toggle("wrong", words.length > 0);
  }

  const headers = () => ({ "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content, "X-Requested-With": "fetch" });

  /* A paper of a draft is sent at once: it is refused while the person still looks at it, and is there after a reload. */
  async function save(paper, input, file) {
    const said = paper.querySelector("[data-said]");
    const tell = (text, css) => said.replaceChildren(Object.assign(document.createElement("span"), { className: css, textContent: text }));
    const body = new FormData();
    body.append("file", file);
    tell(window.portal.words.sending, "muted");
    try {
      const answer = await fetch(paper.dataset.save, { method: "POST", body, headers: headers() });
      const told = await answer.json();
      if (!answer.ok) { said.replaceChildren(); putFault(paper.querySelector(".field"), [told.message]); input.value = ""; return; }
      tell(told.message, "ok");
      if (told.version && input.form.elements.version) input.form.elements.version.value = told.version;
      input.required = false;
      input.value = "";
      paper.querySelectorAll("[data-files]").forEach((list) => list.replaceChildren());
      paper.dispatchEvent(new CustomEvent("saved", { bubbles: true, detail: told }));
    } catch { tell(window.portal.words.offline, "bad"); }
  }

  all("[data-paper]").forEach((paper) => {
    const input = paper.querySelector("input[type=file]");
    const show = () => {
      const file = input.files[0];
      const wanted = paper.dataset.paper;
      const misnamed = file && wanted && file.name !== wanted;
      putFault(paper.querySelector(".field"), misnamed ? [paper.dataset.misnamed] : []);
      draw(paper, file);
      if (file && paper.dataset.save && !misnamed && !input.validationMessage) save(paper, input, file);
    };
    input.addEventListener("change", show);
    if (input.files.length) show();
  });

  /* What is typed into a draft is saved a moment after the last key, quietly. */
  all("form[data-save-typed]").forEach((form) => {
    const said = form.querySelector("[data-saved]");
    let waiting = 0;
    const send = async () => {
      const body = new FormData(form);
      ["password", "again", "code", "captcha", "captcha_token", "csrf_token", "licence", "qualification", "commitment"].forEach((name) => body.delete(name));
      if (!body.has("is_provincial")) body.append("is_provincial", "");
      try {
        const answer = await fetch(form.dataset.saveTyped, { method: "POST", body, headers: headers() });
        const told = await answer.json();
        if (answer.ok && told.version) form.elements.version.value = told.version;
        said.textContent = told.message;
        said.classList.toggle("bad", !answer.ok);
      } catch { /* tried again with the next key */ }
    };
    form.addEventListener("input", (event) => {
      if (event.target.type === "password" || event.target.type === "file") return;
      window.clearTimeout(waiting);
      waiting = window.setTimeout(send, 700);
    });
  });

  /* What a machine reads on the licence: into empty fields, and said beside those that say something else. It only proposes. */
  all("[data-reading]").forEach((box) => {
    const form = box.closest("form");
    const put = (text, known) => Object.entries(known).reduce((said, [name, value]) => said.replace(`{${name}}`, value), text);
    const bare = (text) => text.replace(/\s/g, "").replaceAll("（", "(").replaceAll("）", ")").toUpperCase();
    const note = (input, text, css, value) => {
      const help = document.getElementById(`${input.id}-help`);
      help.querySelector("[data-read]")?.remove();
      const line = Object.assign(document.createElement("div"), { className: css, textContent: text });
      line.dataset.read = "";
      if (value !== undefined) {
        const take = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-small", textContent: box.dataset.take });
        take.addEventListener("click", () => { input.value = value; line.remove(); input.dispatchEvent(new Event("input", { bubbles: true })); });
        line.append(" ", take);
      }
      help.prepend(line);
    };
    function show(fields) {
      Object.entries(fields).forEach(([name, read]) => {
        const input = form.elements[name];
        const n = `${Math.round(read.confidence * 100)}%`;
        if (read.suspect) { note(input, put(box.dataset.doubtful, { value: read.value }), "warned"); return; }
        if (!input.value) { input.value = read.value; input.dispatchEvent(new Event("input", { bubbles: true })); }
        if (bare(input.value) === bare(read.value)) note(input, put(box.dataset.confidence, { n }), "hint");
        else note(input, put(box.dataset.other, { value: read.value, n }), "warned", read.value);
      });
      if (Object.keys(fields).length) form.querySelector("[data-confirm-reading]").hidden = false;
    }
    let turn = 0;
    async function ask(mine) {
      try {
        const answer = await fetch(box.dataset.reading, { headers: headers() });
        if (!answer.ok || mine !== turn) return;
        const told = await answer.json();
        box.textContent = told.message;
        if (told.ended) show(told.fields);
        else window.setTimeout(() => ask(mine), 1500);
      } catch { window.setTimeout(() => ask(mine), 5000); }
    }
    form.addEventListener("saved", (event) => {
      if (!event.target.querySelector("[name=licence]")) return;
      all("[data-read]", form).forEach((line) => line.remove());
      turn += 1;
      ask(turn);
    });
    if (box.hasAttribute("data-begun")) ask(turn);
  });

  /* The form came back with faults: its messages are moved into this page, at the same fields, and the files stay chosen. */
  all("form[data-keep-files]").forEach((form) => form.addEventListener("answered", (event) => {
    const other = new DOMParser().parseFromString(event.detail, "text/html").querySelector("form[data-keep-files]");
    if (!other) return;
    event.preventDefault();
    const theirs = new Map(all("[id$='-help']", other).map((help) => [help.id, all(".error", help).map((line) => line.textContent)]));
    all(".field", form).forEach((field) => {
      const help = field.querySelector("[id$='-help']");
      if (help && theirs.has(help.id)) putFault(field, theirs.get(help.id));
    });
    const box = form.querySelector("[data-faults]");
    box.replaceChildren(...other.querySelector("[data-faults]").childNodes);
    box.scrollIntoView({ block: "center" });
    const summary = box.querySelector("[tabindex]");
    if (summary) summary.focus({ preventScroll: true });
  }));
})();
