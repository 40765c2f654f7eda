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

  all("[data-countdown]").forEach((box) => {
    const until = Date.parse(box.dataset.countdown);
    const two = (number) => String(number).padStart(2, "0");
    const tick = () => {
      const left = Math.max(0, Math.floor((until - Date.now()) / 1000));
      const hours = Math.floor(left / 3600);
      box.textContent = left ? `${hours ? `${hours}:` : ""}${two(Math.floor(left / 60) % 60)}:${two(left % 60)}` : box.dataset.over;
      box.classList.toggle("soon", left > 0 && left < 600);
      box.classList.toggle("over", !left);
      if (left) window.setTimeout(tick, 1000);
    };
    tick();
  });
})();
