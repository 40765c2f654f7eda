/* The form of a training plan: its name checked while it is typed, teachers who are booked twice, enterprises found by name or
   code, and what was typed kept by itself. Without this file the form is sent as usual and says the same after it. */
(() => {
  "use strict";
  const { all } = window.portal;
  const form = document.querySelector("form[data-plan]");
  if (!form) return;
  const field = (name) => form.elements[name];
  const later = (act, wait) => { let timer = 0; return () => { window.clearTimeout(timer); timer = window.setTimeout(act, wait); }; };
  const address = (path, values = []) => {
    const query = new URLSearchParams(values);
    if (form.dataset.plan) query.append("plan", form.dataset.plan);
    return `${form.dataset.typing}${path}?${query}`;
  };
  const asked = async (path, values) => {
    const answer = await fetch(address(path, values), { headers: { "X-Requested-With": "fetch" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  };
  /* Words under a field, apart from the faults the server has put there. */
  function note(input, text, css) {
    const help = document.getElementById(`${input.id}-help`);
    help.querySelector("[data-note]")?.remove();
    if (!text) return null;
    const line = Object.assign(document.createElement("div"), { className: css, textContent: text });
    line.dataset.note = "";
    help.prepend(line);
    return line;
  }
  const rows = () => all("[data-rows=days] [data-row]", form);
  const part = (row, name) => row.querySelector(`[name$="-${name}"]`);

  /* The name: what is wrong with it, and one that is free */
  let asking = 0;
  async function checkName() {
    const start = rows().map((row) => part(row, "day").value).filter(Boolean).sort()[0] || "";
    const mine = ++asking;
    try {
      const told = await asked("name", [["name", field("name").value], ["start", start]]);
      if (mine !== asking) return;
      if (told.message && field("name").value && field("name").value === field("proposed").value) { /* nobody typed it: it follows the days */
        field("name").value = field("proposed").value = told.free;
        note(field("name"), form.dataset.follows.replace("{name}", told.free), "warned");
        keep();
        return;
      }
      const line = note(field("name"), told.message, "error");
      if (line && told.free !== field("name").value) {
        const use = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-small", textContent: form.dataset.use.replace("{name}", told.free) });
        use.addEventListener("click", () => { field("name").value = told.free; note(field("name"), ""); keep(); });
        line.append(" ", use);
      }
    } catch { /* said when the form is sent */ }
  }

  /* Teachers and rooms that are taken at that hour */
  async function checkBookings() {
    const values = rows().flatMap((row) => [["day", part(row, "day").value], ["session", part(row, "session").value], ["teacher", part(row, "teacher_id").value], ["room", part(row, "room_id").value]]);
    try {
      const told = await asked("bookings", values);
      rows().forEach((row, n) => ["teacher_id", "room_id"].forEach((name) => note(part(row, name), told.clashes.filter((each) => each.row === n && each.part === name).map((each) => each.message).join(" "), "warned")));
    } catch { /* said before it is submitted */ }
  }

  /* What was typed is kept, quietly, until the form is saved */
  const said = form.querySelector("[data-kept]");
  const send = async () => {
    try {
      const answer = await fetch(address("keep"), { method: "POST", body: new FormData(form), headers: { "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content, "X-Requested-With": "fetch" } });
      said.textContent = (await answer.json()).message;
    } catch { /* tried again with the next key */ }
  };
  const keep = later(send, 1200);
  const nameSoon = later(checkName, 350);
  const bookingsSoon = later(checkBookings, 350);
  form.addEventListener("input", (event) => {
    keep();
    const name = event.target.name || "";
    if (name === "name" || name.endsWith("-day")) nameSoon();
    if (/-(day|session|teacher_id|room_id)$/.test(name)) bookingsSoon();
  });
  form.addEventListener("click", (event) => { if (event.target.closest("[data-add], [data-remove]")) { keep(); bookingsSoon(); } });

  /* Enterprises: those chosen, and a search among all */
  const select = field("enterprise_ids");
  const box = document.getElementById("enterprise-search");
  const input = box.querySelector("input");
  const found = box.querySelector("[data-found]");
  const chosen = box.querySelector("[data-chosen]");
  const line = (label, act, css, words) => {
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button", className: `btn btn-small ${css}`, textContent: words });
    button.setAttribute("aria-label", `${words} ${label}`);
    button.addEventListener("click", act);
    item.append(Object.assign(document.createElement("span"), { textContent: label }), button);
    return item;
  };
  function draw() {
    const options = [...select.options].filter((option) => option.selected);
    chosen.replaceChildren(...options.map((option) => line(option.textContent, () => { option.selected = false; draw(); keep(); }, "btn-quiet", box.dataset.leave)));
    box.querySelector("[data-count]").textContent = box.dataset.chosen.replace("{n}", String(options.length));
  }
  function take(each) {
    let option = [...select.options].find((one) => one.value === String(each.id));
    if (!option) { option = new Option(each.label, each.id); select.append(option); }
    option.selected = true;
    draw();
    keep();
    search();
  }
  let searching = 0;
  async function search() {
    const text = input.value.trim();
    const mine = ++searching;
    if (text.length < 2) { found.replaceChildren(); return; }
    try {
      const told = await asked("enterprises", [["q", text]]);
      if (mine !== searching) return;
      const taken = new Set([...select.options].filter((option) => option.selected).map((option) => option.value));
      const items = told.found.filter((each) => !taken.has(String(each.id))).map((each) => line(each.label, () => take(each), "", box.dataset.take));
      if (!items.length) items.push(Object.assign(document.createElement("li"), { className: "muted", textContent: box.dataset.none }));
      if (told.more) items.push(Object.assign(document.createElement("li"), { className: "muted", textContent: box.dataset.more }));
      found.replaceChildren(...items);
    } catch { /* the next key asks again */ }
  }
  input.addEventListener("input", later(search, 250));
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); search(); } });
  box.hidden = false;
  select.closest(".field").hidden = true;
  draw();
  checkBookings();
})();
