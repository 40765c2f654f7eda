/* Forms with photographed papers: show what was chosen, and keep it chosen when something else needs correcting. Without this
   file the forms are sent as usual, and files must be chosen again after a fault. */
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const WIDEST = 1200;

  async function draw(canvas, file) {
    canvas.hidden = true;
    if (!file) return;
    try {
      const picture = await createImageBitmap(file);
      const scale = Math.min(1, WIDEST / picture.width);
      canvas.width = Math.round(picture.width * scale);
      canvas.height = Math.round(picture.height * scale);
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      picture.close();
      canvas.hidden = false;
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

  all("[data-paper]").forEach((paper) => {
    const input = paper.querySelector("input[type=file]");
    const field = paper.querySelector(".field");
    const show = () => {
      const file = input.files[0];
      const wanted = paper.dataset.paper;
      putFault(field, file && wanted && file.name !== wanted ? [paper.dataset.misnamed] : []);
      draw(paper.querySelector("[data-preview]"), file);
    };
    input.addEventListener("change", show);
    if (input.files.length) show();
    // A dropped file is put into the field without a change event of its own.
    paper.addEventListener("drop", () => window.setTimeout(show, 0));
  });

  function free(form) {
    delete form.dataset.sent;
    all("button", form).forEach((button) => { button.disabled = false; button.removeAttribute("aria-busy"); });
  }

  function tell(form, text) {
    const box = form.querySelector("[data-faults]");
    const notice = document.createElement("div");
    notice.className = "notice notice-bad";
    notice.setAttribute("role", "alert");
    const words = document.createElement("div");
    words.textContent = text;
    notice.append(words);
    box.replaceChildren(notice);
    box.scrollIntoView({ block: "center" });
  }

  /* The page as it came back: its messages are moved into this one, at the same fields. */
  function takeFaults(form, page) {
    const other = page.querySelector("form[data-keep-files]");
    if (!other) { window.location.reload(); return; }
    const theirs = new Map(all(".field", other).map((field) => [(field.querySelector("[id$='-help']") || {}).id, field]));
    all(".field", form).forEach((field) => {
      const help = field.querySelector("[id$='-help']");
      const answer = help && theirs.get(help.id);
      if (answer) putFault(field, all(".error", answer).map((line) => line.textContent));
    });
    const box = form.querySelector("[data-faults]");
    box.replaceChildren(...other.querySelector("[data-faults]").childNodes);
    box.scrollIntoView({ block: "center" });
    const summary = box.querySelector("[tabindex]");
    if (summary) summary.focus({ preventScroll: true });
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("[data-keep-files]") || event.defaultPrevented || (event.submitter && event.submitter.hasAttribute("formaction"))) return;
    event.preventDefault();
    try {
      const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { "X-Requested-With": "fetch" } });
      if (answer.redirected) { window.location.assign(answer.url); return; }
      if ((answer.headers.get("Content-Type") || "").startsWith("application/json")) {
        const said = await answer.json();
        if (said.location) { window.location.assign(said.location); return; }
        tell(form, said.message);
      } else takeFaults(form, new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { tell(form, form.dataset.offline); }
    free(form);
  });
})();
