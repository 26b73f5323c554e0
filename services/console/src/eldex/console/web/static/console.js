// What plain HTML and htmx cannot do alone: the dialog, the folding of the waterfall, calm refreshing.
"use strict";
(() => {
  const dialog = document.getElementById("dialog");

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === dialog && !dialog.open) dialog.showModal();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close-dialog]") && dialog.open) {
      event.preventDefault();
      dialog.close();
    }
  });

  // A part that refreshes itself waits while somebody is reading it closely, or nobody looks.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const part = event.detail.elt;
    if (!(part.getAttribute("hx-trigger") || "").startsWith("every")) return;
    if (dialog.open || document.hidden || part.contains(document.activeElement)) event.preventDefault();
  });

  // Rows below a folded one are hidden; opening it again keeps what was folded deeper.
  const waterfall = document.querySelector(".waterfall");
  if (waterfall) {
    const level = (row) => Number(row.dataset.level);
    const arrange = () => {
      let hiddenBelow = Infinity;
      for (const row of waterfall.children) {
        row.hidden = level(row) > hiddenBelow;
        if (row.hidden) continue;
        const fold = row.querySelector(".fold");
        hiddenBelow = fold && fold.getAttribute("aria-expanded") === "false" ? level(row) : Infinity;
      }
    };
    waterfall.addEventListener("click", (event) => {
      const fold = event.target.closest(".fold");
      if (!fold) return;
      const open = fold.getAttribute("aria-expanded") !== "true";
      fold.setAttribute("aria-expanded", String(open));
      fold.setAttribute("aria-label", open ? waterfall.dataset.close : waterfall.dataset.open);
      arrange();
    });
    const aim = () => {
      const row = location.hash.startsWith("#span-") && document.getElementById(location.hash.slice(1));
      if (!row) return;
      row.querySelector("details").open = true;
      row.scrollIntoView({ block: "center" });
    };
    window.addEventListener("hashchange", aim);
    aim();
  }

  const choice = document.getElementById("window");
  if (choice) {
    const custom = document.getElementById("custom-time");
    const show = () => { custom.hidden = choice.value !== "custom"; };
    choice.addEventListener("change", show);
    show();
  }
})();
