"use strict";
for (const controls of document.querySelectorAll(".controls")) {
  const list = document.getElementById(controls.dataset.list);
  const cards = [...list.children].map((card) => {
    const inside = [...card.querySelectorAll(".entry")];
    return { card, entries: inside.length ? inside : [card], text: card.textContent.toLowerCase() };
  });
  const filters = [...controls.querySelectorAll("[data-filter]")];
  const search = controls.querySelector("[data-search]");
  const sort = controls.querySelector("[data-sort]");
  const output = controls.querySelector("output");
  const update = () => {
    const wanted = filters.map((filter) => filter.value).filter(Boolean);
    const words = search.value.toLowerCase();
    let shown = 0;
    for (const { card, entries, text } of cards) {
      let any = false;
      for (const entry of entries) {
        const tags = (entry.dataset.tags || "").split(" ");
        const fits = wanted.every((tag) => tags.includes(tag));
        if (entry !== card) entry.hidden = !fits;
        any = any || fits;
      }
      card.hidden = !(any && text.includes(words));
      shown += card.hidden ? 0 : 1;
    }
    output.textContent = shown + " shown";
  };
  const order = () => {
    const [key, direction] = sort.value.split(":");
    const number = ({ card }) => Number(card.dataset[key]) * Number(direction);
    list.append(...cards.slice().sort((a, b) => number(a) - number(b)).map(({ card }) => card));
  };
  filters.forEach((filter) => filter.addEventListener("change", update));
  search.addEventListener("input", update);
  sort.addEventListener("change", order);
  controls.hidden = false;
  update();
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      const value = (row) => {
        const cell = row.cells[column];
        const given = cell.dataset.order;
        return given !== undefined && given !== "" && !isNaN(given) ? Number(given) : cell.textContent.trim();
      };
      const rows = [...table.tBodies[0].rows].sort((one, two) => {
        const [a, b] = [value(one), value(two)];
        const difference = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
        return difference * down;
      });
      table.tBodies[0].append(...rows);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}
