"use strict";

// The pages are whole without this. It tells the server the viewer's zone, draws or hides
// what is on the pictures, and adds keys, choosing, minutes of the timeline and what is new.
(() => {
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];

  const cookie = () => (document.cookie.match(/(?:^|; )tz=([^;]*)/) || [])[1];
  const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC");
  if (cookie() !== zone) {
    document.cookie = `tz=${zone};path=/;SameSite=Lax;max-age=31536000`;
    if (cookie() === zone) location.reload();
  }

  const draw = (toggle) => {
    document.documentElement.classList.toggle("no-" + toggle.dataset.toggle, !toggle.checked);
    localStorage.setItem(toggle.dataset.toggle, toggle.checked ? "1" : "0");
  };
  const toggles = all("[data-toggle]");
  for (const toggle of toggles) {
    toggle.checked = localStorage.getItem(toggle.dataset.toggle) !== "0";
    toggle.addEventListener("change", () => draw(toggle));
    draw(toggle);
  }

  const tiles = one("#tiles");
  const count = () => {
    const n = all("#tiles :checked").length;
    one("#zip").disabled = n === 0;
    one("#many").textContent = n ? `${n} chosen` : "";
  };
  if (tiles) {
    tiles.addEventListener("change", count);
    count();
  }

  const timeline = one("#timeline");
  timeline?.addEventListener("click", (event) => {
    const hour = event.target.closest("a[data-minutes]");
    if (!hour || event.detail === 0) return; // the keyboard goes to the whole hour
    event.preventDefault();
    const area = one("rect", hour).getBoundingClientRect();
    const minute = Math.floor((60 * (event.clientX - area.left)) / area.width);
    const to = new URL(hour.getAttribute("href"), location.href);
    if (minute < 59) to.searchParams.set("to", hour.dataset.minutes + String(Math.max(1, minute + 1)).padStart(2, "0"));
    location.assign(to);
  });

  const move = (step) => {
    const links = all("#tiles .tile > a");
    const at = links.indexOf(document.activeElement);
    links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
  };
  const columns = () => getComputedStyle(tiles).gridTemplateColumns.split(" ").length;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input:not([type=checkbox]), select")) return;
    const toggle = toggles.find((t) => t.dataset.toggle[0] === event.key);
    if (toggle) return toggle.click();
    const keys = tiles
      ? { ArrowLeft: () => move(-1), ArrowRight: () => move(1), ArrowUp: () => move(-columns()), ArrowDown: () => move(columns()),
          x: () => one("input", document.activeElement.closest(".tile"))?.click() }
      : { ArrowLeft: () => one("#newer")?.click(), ArrowRight: () => one("#older")?.click(), Escape: () => one("#back")?.click() };
    if (!keys[event.key] || (tiles && event.key === "x" && !document.activeElement.closest(".tile"))) return;
    event.preventDefault();
    keys[event.key]();
  });

  const show = (page) => {
    one("#counts").replaceChildren(...one("#counts", page).childNodes);
    if (!timeline.contains(document.activeElement)) timeline.replaceChildren(...one("#timeline", page).childNodes);
    for (const tile of [...one("#tiles", page).children].reverse()) {
      if (one(`[data-key="${CSS.escape(tile.dataset.key)}"]`)) continue;
      tile.classList.add("new");
      tiles.prepend(tile);
      one("#none")?.remove();
    }
    for (const old of all("#tiles .tile").slice(120)) if (!one(":checked", old)) old.remove();
  };
  const update = async () => {
    const answer = document.hidden ? null : await fetch(location.href).catch(() => null); // it may be away
    if (answer?.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    setTimeout(update, 2000);
  };
  if (tiles?.hasAttribute("data-live")) setTimeout(update, 2000);
})();
