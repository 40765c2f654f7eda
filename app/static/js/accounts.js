/* Forms with photographed papers: show what was chosen, and keep it chosen when something else needs correcting. Without this
   file the forms are sent as usual, and files must be chosen again after a fault. */
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

  all("[data-paper]").forEach((paper) => {
    const input = paper.querySelector("input[type=file]");
    const show = () => {
      const file = input.files[0];
      const wanted = paper.dataset.paper;
      putFault(paper.querySelector(".field"), file && wanted && file.name !== wanted ? [paper.dataset.misnamed] : []);
      draw(paper, file);
    };
    input.addEventListener("change", show);
    if (input.files.length) show();
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
