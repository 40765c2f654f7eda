/* Scanning slips and tickets: the camera, the reader, and a queue that survives a line that is down. What the server has not answered is kept on
   this phone; what it refuses is said and let go. */
(() => {
  "use strict";
  const root = document.querySelector("[data-scan]");
  if (!root) return;
  const words = root.dataset;
  const form = root.querySelector("[data-code]");
  const session = form.elements.session.value;
  const answerBox = root.querySelector("[data-answer]");
  const camera = root.querySelector("[data-camera]");
  const video = root.querySelector("video");
  const queueLine = root.querySelector("[data-queue]");

  /* What waits: {code, session, at}. Codes name no ID number. */
  let memory = [];
  const load = () => { try { return JSON.parse(window.localStorage.getItem(words.store)) || []; } catch { return memory; } };
  const save = (list) => {
    memory = list;
    try { window.localStorage.setItem(words.store, JSON.stringify(list)); } catch { /* kept for as long as the page is open */ }
    queueLine.hidden = !list.length;
    queueLine.textContent = words.queued.replace("{n}", list.length);
  };

  const show = (tone, title, text, portrait) => {
    answerBox.hidden = false;
    answerBox.className = `scan-answer ${tone}`;
    answerBox.querySelector("b").textContent = title;
    answerBox.querySelector("span").textContent = text;
    const picture = answerBox.querySelector("img");
    picture.hidden = !portrait;
    if (portrait) picture.src = portrait; else picture.removeAttribute("src");
    answerBox.scrollIntoView({ block: "nearest" });
    if (navigator.vibrate) navigator.vibrate(tone === "ok" ? 60 : [60, 60, 60]);
  };

  let sending = false;
  let wait = 1000;
  const send = async () => {
    const [first] = load();
    if (sending || !first) return;
    sending = true;
    const body = new FormData();
    body.append("csrf_token", form.elements.csrf_token.value);
    body.append("session", first.session);
    body.append("code", first.code);
    body.append("waited", Math.max(0, Math.round((Date.now() - first.at) / 1000)));
    let settled = false;
    try {
      const answer = await fetch(words.scan, { method: "POST", body, headers: { "X-Requested-With": "fetch", Accept: "application/json" } });
      const type = answer.headers.get("Content-Type") || "";
      const found = type.includes("json") ? await answer.json() : {};
      if (answer.ok && found.name) {
        settled = true;
        show(found.tone || (found.again ? "info" : "ok"), found.name, `${found.message} ${found.detail || `${found.occupation} · ${found.enterprise}`}`, found.portrait);
        if (words.count && first.session === session) root.querySelector("[data-counter]").textContent = words.count.replace("{n}", found.scanned).replace("{people}", found.people);
      } else if (found.refused) {
        settled = true;
        show("bad", found.message, "", "");
      } else if (answer.redirected || answer.status < 500) {
        show("warn", words.again, "", "");
      }
    } catch { /* the line is down: again, less often */ }
    sending = false;
    if (settled) {
      wait = 1000;
      save(load().slice(1));
      send();
      return;
    }
    save(load());
    window.setTimeout(send, wait);
    wait = Math.min(wait * 2, 15000);
  };

  const take = (code) => {
    const list = load();
    if (!list.some((each) => each.code === code && each.session === session)) list.push({ code, session, at: Date.now() });
    save(list);
    if (list.length > 1 || !navigator.onLine) show("warn", words.kept, code.length < 9 ? code : "", "");
    queueLine.hidden = list.length < 2 && navigator.onLine;
    send();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    const code = form.elements.code.value.trim();
    form.elements.code.value = "";
    if (code) take(code);
  });
  window.addEventListener("online", () => { wait = 1000; send(); });
  save(load());
  send();

  /* The reader: the browser's own where it has one, else ours, fetched once. */
  const reader = async () => {
    try {
      if ("BarcodeDetector" in window && (await window.BarcodeDetector.getSupportedFormats()).includes("qr_code")) {
        return new window.BarcodeDetector({ formats: ["qr_code"] });
      }
    } catch { /* there in name only */ }
    await new Promise((done, failed) => {
      const script = Object.assign(document.createElement("script"), { src: words.decoder, onload: done, onerror: failed });
      document.head.append(script);
    });
    return new window.qr.BarcodeDetector({ formats: ["qr_code"] });
  };

  const start = async () => {
    const button = root.querySelector("[data-start]");
    button.disabled = true;
    try {
      if (!navigator.mediaDevices) throw new Error(words.insecure);
      const wanted = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } };
      const [stream, detector] = await Promise.all([navigator.mediaDevices.getUserMedia({ video: wanted, audio: false }), reader()]);
      video.srcObject = stream;
      await video.play();
      button.hidden = true;
      camera.textContent = "";
      root.classList.add("on");
      look(detector);
    } catch (error) {
      button.disabled = false;
      camera.textContent = error.message === words.insecure ? words.insecure : words.noCamera;
    }
  };

  /* The middle of the picture, at most 640 pixels: a slip held before a phone fills it, and an old phone keeps up. */
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const seen = new Map();
  const look = async (detector) => {
    if (video.readyState >= 2 && !document.hidden) {
      const side = Math.min(video.videoWidth, video.videoHeight);
      canvas.width = canvas.height = Math.min(side, 640);
      context.drawImage(video, (video.videoWidth - side) / 2, (video.videoHeight - side) / 2, side, side, 0, 0, canvas.width, canvas.height);
      try {
        const [found] = await detector.detect(canvas);
        const last = found ? seen.get(found.rawValue) || 0 : 0;
        /* the same slip stays before the camera for a while */
        if (found && Date.now() - last > 4000) take(found.rawValue);
        if (found) seen.set(found.rawValue, Date.now());
      } catch { /* nothing readable in this picture */ }
    }
    window.setTimeout(() => look(detector), 120);
  };
  root.querySelector("[data-start]").addEventListener("click", start);
})();
