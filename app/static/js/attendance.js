/* Attendance: each tick is sent by itself and as a difference, so that two people at one class do not undo each other. */
(() => {
  "use strict";
  const { all, say } = window.portal;

  all("[data-attendance]").forEach((form) => {
    const label = (box) => box.closest("label");

    /* The answer says what follows for the person and for the session. */
    const redraw = (told) => {
      const [, absent, missed] = all("[data-totals] .stat b");
      if (absent) {
        absent.textContent = told.absent;
        missed.textContent = Object.values(told.sessions).reduce((sum, each) => sum + each, 0);
      }
      const confirm = document.querySelector('form[action$="/confirm"]');
      if (confirm) confirm.dataset.confirm = told.question;
      Object.entries(told.sessions).forEach(([id, away]) => {
        const place = document.querySelector(`[data-count="${id}"]`);
        if (place) place.textContent = place.textContent.replace(/\d+/, String(away));
      });
      Object.entries(told.people).forEach(([id, person]) => {
        const row = form.querySelector(`[data-person="${id}"]`);
        const missed = row && row.querySelector("[data-missed]");
        if (!missed) return;
        missed.textContent = person.missed || "";
        const whole = row.querySelector(`input[value="${id}-0"]`);
        if (!("sending" in label(whole).dataset)) whole.checked = person.absent;
        if (person.by !== "rule") row.querySelector("[data-by]").textContent = "";
      });
    };

    const send = async (box) => {
      const was = !box.checked;
      const place = label(box);
      const before = place.className;
      const body = new FormData();
      body.append("csrf_token", form.elements.csrf_token.value);
      body.append("shown", was ? box.value : "");
      if (box.checked) body.append("away", box.value);
      place.dataset.sending = "";
      box.disabled = true;
      if (!box.value.endsWith("-0")) place.className = box.checked ? "absent" : "present";
      let told = null;
      let message = form.dataset.failed;
      try {
        const answer = await fetch(form.action, { method: "POST", body, headers: { "X-Requested-With": "fetch", Accept: "application/json" } });
        if (answer.redirected) { window.location.reload(); return; }
        const found = await answer.json();
        if (answer.ok) told = found; else message = found.message || message;
      } catch { /* said below */ }
      delete place.dataset.sending;
      box.disabled = false;
      if (told) redraw(told);
      else { box.checked = was; place.className = before; say(message, "bad"); }
    };

    form.addEventListener("change", (event) => { if (event.target.name === "away") send(event.target); });
    form.addEventListener("submit", (event) => event.preventDefault());
    /* arrows go from cell to cell, as in a sheet */
    form.addEventListener("keydown", (event) => {
      const cell = event.target.closest(".cell");
      if (!cell || !event.key.startsWith("Arrow")) return;
      const column = [...cell.parentNode.children].indexOf(cell);
      const row = { ArrowUp: cell.parentNode.previousElementSibling, ArrowDown: cell.parentNode.nextElementSibling }[event.key] || cell.parentNode;
      const next = { ArrowLeft: column - 1, ArrowRight: column + 1 }[event.key] ?? column;
      const box = row.children[next] && row.children[next].querySelector("input");
      if (box) { event.preventDefault(); box.focus(); }
    });
    /* a reload may bring back ticks of before; the page's own are the truth */
    window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });
  });

  all("[data-settle]").forEach((form) => {
    const boxes = all("input[name=ids]", form);
    const button = form.querySelector(".form-actions button");
    const draw = () => {
      const away = boxes.filter((box) => box.checked).length;
      if (boxes.length) button.textContent = form.dataset.label.replace("{away}", away).replace("{here}", boxes.length - away);
    };
    form.addEventListener("change", draw);
    all("[data-all-here]", form).forEach((here) => here.addEventListener("click", () => {
      boxes.forEach((box) => { box.checked = false; });
      draw();
    }));
    draw();
  });
})();
