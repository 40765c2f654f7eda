// Counts the remaining seconds down; at zero the page is asked for again, and the server says what is so.
for (const place of document.querySelectorAll("[data-countdown]")) {
  const end = Date.now() + Number(place.dataset.countdown) * 1000;
  const timer = setInterval(() => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    place.textContent = `${Math.floor(left / 60)} 分 ${left % 60} 秒`;
    if (left === 0) {
      clearInterval(timer);
      location.reload();
    }
  }, 500);
}
