/* What moves by itself: a job's bar, a deadline. */
(() => {
  "use strict";
  const { all } = window.portal;

  all("[data-progress]").forEach((box) => {
    const bar = box.querySelector("progress");
    const percent = box.querySelector("[data-percent]");
    const error = box.querySelector("[data-error]");
    if (error.textContent) return;
    let wait = 800;
    const ask = async () => {
      try {
        const answer = await fetch(box.dataset.progress, { headers: { "X-Requested-With": "fetch" } });
        /* signed out meanwhile: the page itself says what to do */
        if (answer.redirected || [401, 403, 404].includes(answer.status)) { window.location.reload(); return; }
        if (!answer.ok) throw new Error(String(answer.status));
        const job = await answer.json();
        wait = 800;
        bar.value = job.percent;
        percent.textContent = job.total ? `${job.percent}%（${job.done} / ${job.total}）` : `${job.percent}%`;
        if (job.state === "done") {
          if (box.dataset.follow) window.location.assign(box.dataset.follow); else window.location.reload();
          return;
        }
        if (job.state === "failed") { window.location.reload(); return; }
      } catch { wait = Math.min(wait * 2, 10000); /* the line was down for a moment: ask again, less often */ }
      window.setTimeout(ask, wait);
    };
    window.setTimeout(ask, 500);
  });

  /* A deadline by the server's clock: what the page said at its birth, and the time since, which no change of the person's clock
     moves. A sleeping machine stops counting, so whoever comes back asks. */
  all("[data-countdown]").forEach((box) => {
    const two = (number) => String(number).padStart(2, "0");
    const born = performance.getEntriesByType("navigation")[0];
    let ends = (born ? born.responseStart : 0) + Date.parse(box.dataset.countdown) - Date.parse(box.dataset.now);
    let over = false;
    let next = 0;

    const show = () => {
      const left = Math.max(0, Math.ceil((ends - performance.now()) / 1000));
      const hours = Math.floor(left / 3600);
      box.textContent = left ? `${hours ? `${hours}:` : ""}${two(Math.floor(left / 60) % 60)}:${two(left % 60)}` : box.dataset.over;
      box.classList.toggle("soon", left > 0 && left < 600);
      box.classList.toggle("over", !left);
      if (over !== !left) {
        over = !left;
        all("[data-until-over]").forEach((part) => { part.hidden = over; });
        all("[data-once-over]").forEach((part) => { part.hidden = !over; });
        if (over) ask();
      }
    };
    const tick = () => { show(); window.setTimeout(tick, 1000 - (performance.now() % 1000)); };

    /* How it stands there: every quarter of a minute, more often once the time is over, until something has happened. */
    const ask = async () => {
      window.clearTimeout(next);
      if (!box.dataset.ask) return;
      next = window.setTimeout(ask, over ? 4000 : 15000);
      if (document.hidden) return;
      try {
        const answer = await fetch(box.dataset.ask, { headers: { "X-Requested-With": "fetch" }, cache: "no-store" });
        if (answer.redirected || [401, 403, 404].includes(answer.status)) { window.location.reload(); return; }
        if (!answer.ok) return;
        const told = await answer.json();
        if (told.state !== box.dataset.state) { window.location.reload(); return; }
        ends = performance.now() + told.seconds * 1000;
        show();
      } catch { /* the line was down for a moment: the clock goes on by itself */ }
    };
    tick();
    next = window.setTimeout(ask, 15000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
    window.addEventListener("pageshow", (event) => { if (event.persisted) ask(); });
  });
})();
