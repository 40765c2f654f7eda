/* What pages do beyond plain forms. Everything hangs on data attributes; without this file the forms still work. */
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const token = () => document.querySelector("meta[name=csrf-token]").content;

  /* Menu on a phone */
  const side = document.getElementById("side");
  const menu = document.querySelector("[data-menu]");
  const openMenu = (open) => { side.classList.toggle("open", open); menu.setAttribute("aria-expanded", String(open)); };
  if (menu) {
    menu.addEventListener("click", (event) => { event.stopPropagation(); openMenu(!side.classList.contains("open")); });
    document.addEventListener("click", (event) => { if (!side.contains(event.target)) openMenu(false); });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu) openMenu(false);
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing) {
      const search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); }
    }
  });

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-dismiss], [data-dialog], [data-close], [data-add], [data-remove]");
    if (!target) return;
    if (target.matches("[data-dismiss]")) target.closest("[data-notice]").remove();
    if (target.matches("[data-dialog]")) document.getElementById(target.dataset.dialog).showModal();
    if (target.matches("[data-close]")) target.closest("dialog").close();
    if (target.matches("[data-add]")) addRow(target.closest("[data-rows]"));
    if (target.matches("[data-remove]")) removeRow(target);
  });

  /* Forms: ask before what cannot be undone; a second click sends nothing twice */
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const pressed = event.submitter;
    const question = (pressed && pressed.dataset.confirm) || form.dataset.confirm;
    if (question && !window.confirm(question)) { event.preventDefault(); return; }
    if (form.dataset.from) borrow(form, document.getElementById(form.dataset.from));
    if (form.method === "post") {
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "1";
      window.setTimeout(() => all("button", form).forEach((button) => { button.disabled = true; }), 0);
    }
  });
  window.addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    all("button", form).forEach((button) => { button.disabled = false; });
  }));
  document.addEventListener("change", (event) => { if (event.target.matches("[data-submit]")) event.target.form.requestSubmit(); });

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

  /* Child rows: a copy of the last row with the next number; its values are emptied */
  function renumber(box) {
    const name = box.dataset.rows;
    all("[data-row]", box).forEach((row, index) => all("[name], [id], [for], [aria-describedby]", row).forEach((field) => {
      for (const attribute of ["name", "id", "for", "aria-describedby"]) {
        const value = field.getAttribute(attribute);
        if (value) field.setAttribute(attribute, value.replace(new RegExp(`^${name}-\\d+`), `${name}-${index}`));
      }
    }));
  }
  function addRow(box) {
    const rows = all("[data-row]", box);
    const row = rows[rows.length - 1].cloneNode(true);
    all("input, textarea", row).forEach((field) => {
      if (field.type === "date" && field.value) {
        const next = new Date(`${field.value}T00:00:00Z`);
        next.setUTCDate(next.getUTCDate() + 1);
        field.value = next.toISOString().slice(0, 10);
      } else field.value = "";
    });
    all(".error", row).forEach((error) => error.remove());
    all(".wrong", row).forEach((field) => field.classList.remove("wrong"));
    box.querySelector("[data-list]").append(row);
    all("select", row).forEach((select, n) => { select.selectedIndex = all("select", rows[rows.length - 1])[n].selectedIndex; });
    renumber(box);
    row.querySelector("input:not([type=hidden]), select").focus();
  }
  function removeRow(button) {
    const box = button.closest("[data-rows]");
    if (all("[data-row]", box).length > 1) { button.closest("[data-row]").remove(); renumber(box); }
  }

  /* Bulk: which rows, how many, and the buttons say so */
  all("[data-bulk]").forEach((form) => {
    const ticks = all("[data-tick]");
    const page = form.querySelector("[data-tick-all]");
    const every = form.querySelector("[data-tick-every]");
    const count = form.querySelector("[data-count]");
    const refresh = () => {
      const everything = Boolean(every && every.checked);
      const chosen = everything ? Number(form.dataset.total) : ticks.filter((tick) => tick.checked).length;
      form.querySelector("[data-all]").value = everything ? "1" : "";
      count.textContent = String(chosen);
      all("button", form).forEach((button) => { button.disabled = chosen === 0; });
    };
    page.addEventListener("change", () => { ticks.forEach((tick) => { tick.checked = page.checked; }); refresh(); });
    if (every) every.addEventListener("change", () => { ticks.forEach((tick) => { tick.checked = every.checked; }); page.checked = every.checked; refresh(); });
    ticks.forEach((tick) => tick.addEventListener("change", () => { if (every) every.checked = false; refresh(); }));
    refresh();
  });

  /* Progress of a job */
  all("[data-progress]").forEach((box) => {
    const bar = box.querySelector("progress");
    const ask = async () => {
      try {
        const answer = await fetch(box.dataset.progress, { headers: { "X-Requested-With": "fetch" } });
        if (!answer.ok) throw new Error(String(answer.status));
        const job = await answer.json();
        bar.value = job.percent;
        box.querySelector("[data-percent]").textContent = `${job.percent}%`;
        if (job.state === "done") { window.location.assign(box.dataset.follow || window.location.href); return; }
        if (job.state === "failed") { if (!box.querySelector("[data-error]").textContent) window.location.reload(); return; }
      } catch { /* the line was down for a moment: ask again */ }
      window.setTimeout(ask, 1000);
    };
    window.setTimeout(ask, 600);
  });

  /* Countdown to a deadline */
  all("[data-countdown]").forEach((box) => {
    const until = Date.parse(box.dataset.countdown);
    const tick = () => {
      const left = Math.max(0, Math.floor((until - Date.now()) / 1000));
      box.textContent = left ? `${String(Math.floor(left / 60)).padStart(2, "0")}:${String(left % 60).padStart(2, "0")}` : box.dataset.over;
      box.classList.toggle("over", !left);
      if (left) window.setTimeout(tick, 1000);
    };
    tick();
  });

  /* Files: what was chosen, by name and size, and what is too big */
  all("[data-drop]").forEach((box) => {
    const input = box.querySelector("input");
    const show = () => {
      const list = box.querySelector("[data-files]");
      const most = Number(box.dataset.most);
      list.replaceChildren(...[...input.files].map((file) => {
        const line = document.createElement("li");
        line.textContent = `${file.name}（${(file.size / 1024).toFixed(0)} KB）`;
        if (file.size > most) { line.className = "bad"; line.textContent += ` ${box.dataset.tooBig}`; }
        return line;
      }));
    };
    input.addEventListener("change", show);
    ["dragenter", "dragover"].forEach((name) => box.addEventListener(name, (event) => { event.preventDefault(); box.classList.add("over"); }));
    ["dragleave", "drop"].forEach((name) => box.addEventListener(name, () => box.classList.remove("over")));
    box.addEventListener("drop", (event) => { event.preventDefault(); input.files = event.dataTransfer.files; show(); });
  });

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
        said.textContent = (await answer.json()).message;
        wait = answer.ok ? 60 : 0;
      } catch { said.textContent = button.dataset.offline; }
      const tick = () => {
        button.textContent = wait ? `${label} (${wait})` : label;
        button.disabled = wait > 0;
        if (wait--) window.setTimeout(tick, 1000);
      };
      tick();
    });
  });

  /* Parts of a form that only one choice needs */
  all("[data-shown-when]").forEach((part) => {
    const [name, value] = part.dataset.shownWhen.split("=");
    const refresh = () => { part.hidden = !all(`[name="${name}"]`).some((field) => (field.checked || field.tagName === "SELECT") && field.value === value); };
    all(`[name="${name}"]`).forEach((field) => field.addEventListener("change", refresh));
    refresh();
  });
})();
