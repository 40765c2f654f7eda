/* Forms: child rows, choices with a search, parts that one choice needs, phone codes. */
(() => {
  "use strict";
  const { all, words, say } = window.portal;
  const token = () => document.querySelector("meta[name=csrf-token]").content;

  /* Child rows: a copy of the last row with the next number; its values are emptied */
  function renumber(box) {
    const name = box.dataset.rows;
    const numbered = new RegExp(`(^|\\s)${name}-\\d+`, "g");
    const rows = all("[data-row]", box);
    rows.forEach((row, index) => all("[name], [id], [for], [aria-describedby], [aria-labelledby]", row).forEach((field) => {
      for (const attribute of ["name", "id", "for", "aria-describedby", "aria-labelledby"]) {
        const value = field.getAttribute(attribute);
        if (value) field.setAttribute(attribute, value.replace(numbered, `$1${name}-${index}`));
      }
    }));
    box.classList.toggle("single", rows.length === 1);
  }
  function addRow(box) {
    const rows = all("[data-row]", box);
    const last = rows[rows.length - 1];
    const row = last.cloneNode(true);
    all("input, textarea", row).forEach((field) => {
      field.removeAttribute("aria-invalid");
      if (field.type === "checkbox" || field.type === "radio") return;
      if (field.type === "date" && field.value) {
        const next = new Date(`${field.value}T00:00:00Z`);
        next.setUTCDate(next.getUTCDate() + 1);
        field.value = next.toISOString().slice(0, 10);
      } else field.value = "";
    });
    all(".error", row).forEach((error) => error.remove());
    all(".wrong", row).forEach((field) => field.classList.remove("wrong"));
    const chosen = all("select", last).map((select) => select.selectedIndex);
    box.querySelector("[data-list]").append(row);
    all("select", row).forEach((select, n) => { select.selectedIndex = chosen[n]; });
    renumber(box);
    row.querySelector("input:not([type=hidden]), select").focus();
  }
  function removeRow(button) {
    const box = button.closest("[data-rows]");
    const rows = all("[data-row]", box);
    if (rows.length < 2) return;
    const at = rows.indexOf(button.closest("[data-row]"));
    rows[at].remove();
    renumber(box);
    box.dispatchEvent(new Event("input", { bubbles: true }));
    all("[data-row]", box)[Math.max(0, at - 1)].querySelector("input:not([type=hidden]), select").focus();
    say(words.removed);
  }
  all("[data-rows]").forEach(renumber);
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-add], [data-remove]");
    if (!target) return;
    if (target.matches("[data-add]")) addRow(target.closest("[data-rows]"));
    else removeRow(target);
  });

  /* A multiple select becomes a list of ticks with a search. The select stays, hidden, and is what the form sends. */
  function pick(select) {
    const label = document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
    const make = (tag, values) => Object.assign(document.createElement(tag), values);
    const box = make("div", { className: "picker" });
    const top = make("div", { className: "picker-top" });
    const list = make("div", { className: "picker-list" });
    const none = make("div", { className: "picker-none", textContent: words.none, hidden: true });
    const search = make("input", { type: "search", placeholder: words.filter, ariaLabel: words.filter });
    const count = make("span", { className: "picker-count", ariaLive: "polite" });
    const only = make("input", { type: "checkbox" });
    const onlyLabel = make("label");
    onlyLabel.append(only, words.onlyChosen);
    box.setAttribute("role", "group");
    if (label) box.setAttribute("aria-label", label.textContent);
    const rows = [...select.options].filter((option) => option.value !== "").map((option) => {
      const row = make("label");
      const tick = make("input", { type: "checkbox", checked: option.selected, disabled: option.disabled });
      tick.addEventListener("change", () => {
        option.selected = tick.checked;
        refresh();
        select.dispatchEvent(new Event("change", { bubbles: true }));
      });
      row.append(tick, make("span", { textContent: option.textContent }));
      return { row, tick, text: option.textContent.toLowerCase() };
    });
    function refresh() {
      const parts = search.value.trim().toLowerCase().split(/\s+/);
      let shown = 0;
      rows.forEach(({ row, tick, text }) => {
        row.hidden = !parts.every((part) => text.includes(part)) || (only.checked && !tick.checked);
        shown += row.hidden ? 0 : 1;
      });
      none.hidden = shown > 0;
      list.hidden = shown === 0;
      count.textContent = words.chosen.replace("{n}", String(rows.filter(({ tick }) => tick.checked).length));
    }
    search.addEventListener("input", refresh);
    search.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    only.addEventListener("change", refresh);
    top.append(search, onlyLabel, count);
    list.append(...rows.map(({ row }) => row));
    if (!rows.length) none.textContent = words.nothing;
    /* a handful is seen at a glance */
    box.append(...(rows.length > 8 ? [top] : []), list, none);
    select.hidden = true;
    select.after(box);
    if (label) { label.removeAttribute("for"); label.addEventListener("click", () => box.querySelector("input").focus()); }
    refresh();
  }
  all("select[multiple]:not([data-plain])").filter((select) => !select.closest("[data-row]")).forEach(pick);

  /* A captcha: another one at a click, and after each answer, since one is answered once */
  async function drawCaptcha(button) {
    const field = button.closest(".affix").querySelector("input");
    try {
      const fresh = await (await fetch(button.dataset.captcha, { headers: { "X-Requested-With": "fetch" } })).json();
      button.form.elements.captcha_token.value = fresh.token;
      button.querySelector("img").src = fresh.picture;
      field.value = "";
    } catch { /* the old one stays, and the server says if it will not do */ }
  }
  all("[data-captcha]").forEach((button) => button.addEventListener("click", () => drawCaptcha(button)));

  /* A button that asks for a phone code, then waits a minute */
  all("[data-send-code]").forEach((button) => {
    const label = button.textContent;
    const said = document.getElementById(button.dataset.says);
    button.addEventListener("click", async () => {
      const body = new FormData();
      button.dataset.sends.split(" ").forEach((name) => body.append(name, button.form.elements[name].value));
      button.disabled = true;
      let wait = 0;
      try {
        const answer = await fetch(button.dataset.sendCode, { method: "POST", body, headers: { "X-CSRFToken": token(), "X-Requested-With": "fetch" } });
        const told = await answer.json();
        const captcha = button.form.querySelector("[data-captcha]");
        said.textContent = told.message;
        wait = answer.ok ? 60 : 0;
        if (captcha && (answer.ok || told.field !== "phone")) await drawCaptcha(captcha);
        if (!answer.ok && told.field && button.form.elements[told.field]) button.form.elements[told.field].focus();
      } catch { said.textContent = button.dataset.offline; }
      const tick = () => {
        button.textContent = wait ? `${label} (${wait})` : label;
        button.disabled = wait > 0;
        if (wait--) window.setTimeout(tick, 1000);
      };
      tick();
    });
  });

  /* A phrase chosen from a list goes into the text field, where it can be changed */
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-phrases]") || !event.target.value) return;
    const field = document.getElementById(event.target.dataset.phrases);
    field.value = field.value.trim() ? `${field.value.trim()}；${event.target.value}` : event.target.value;
    event.target.value = "";
    field.focus();
  });

  /* Parts of a form that only one choice needs */
  all("[data-shown-when]").forEach((part) => {
    const [name, value] = part.dataset.shownWhen.split("=");
    const fields = all(`[name="${CSS.escape(name)}"]`);
    const refresh = () => { part.hidden = !fields.some((field) => (field.checked || field.tagName === "SELECT") && field.value === value); };
    fields.forEach((field) => field.addEventListener("change", refresh));
    refresh();
  });
})();
