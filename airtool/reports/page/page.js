"use strict";
document.documentElement.classList.add("js");

// Tables: a press on a heading sorts by that column, a second one the other way round. What is not a number goes last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const rising = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const keyed = [...table.tBodies[0].rows].map((row) => {
        const cell = row.cells[column];
        return { row, text: cell.textContent, value: "v" in cell.dataset ? Number(cell.dataset.v) : null };
      });
      keyed.sort((a, b) => {
        if (a.value === null) return (rising ? 1 : -1) * a.text.localeCompare(b.text, "en", { numeric: true });
        if (Number.isNaN(a.value) || Number.isNaN(b.value)) return Number.isNaN(a.value) - Number.isNaN(b.value);
        return a.value === b.value ? 0 : (rising ? 1 : -1) * (a.value < b.value ? -1 : 1);
      });
      table.tBodies[0].append(...keyed.map((entry) => entry.row));
    });
  });
}

// Pictures: two of the views lie on one another, parted by a line that a slider or a drag moves; zoomed, a drag pans.
for (const exhibit of document.querySelectorAll(".exhibit")) {
  const view = exhibit.querySelector(".view");
  const stack = exhibit.querySelector(".stack");
  const slider = exhibit.querySelector("input[type=range]");
  const sides = [...exhibit.querySelectorAll("select")];
  const zooms = [...exhibit.querySelectorAll(".zoom button")];
  let zoom = 1;

  const part = (percent) => {
    if (!slider) return; // there is only one view
    slider.value = percent;
    view.style.setProperty("--split", `${slider.value}%`);
  };
  const choose = () => {
    for (const image of stack.querySelectorAll("img")) {
      image.classList.toggle("left", image.dataset.view === sides[0].value);
      image.classList.toggle("right", image.dataset.view === sides[1].value);
    }
  };
  const magnify = (factor) => {
    const x = (view.scrollLeft + view.clientWidth / 2) / view.scrollWidth;
    const y = (view.scrollTop + view.clientHeight / 2) / view.scrollHeight;
    zoom = factor;
    view.style.setProperty("--zoom", factor);
    view.classList.toggle("zoomed", factor > 1);
    view.scrollTo(x * view.scrollWidth - view.clientWidth / 2, y * view.scrollHeight - view.clientHeight / 2);
    zooms.forEach((button) => button.setAttribute("aria-pressed", String(Number(button.value) === factor)));
  };
  const drag = (event) => {
    if (zoom === 1) {
      const box = stack.getBoundingClientRect();
      part((100 * (event.clientX - box.left)) / box.width);
    } else if (event.pointerType === "mouse") {
      view.scrollBy(-event.movementX, -event.movementY);
    }
  };

  slider?.addEventListener("input", () => part(slider.value));
  sides.forEach((side) => side.addEventListener("change", choose));
  zooms.forEach((button) => button.addEventListener("click", () => magnify(Number(button.value))));
  stack.addEventListener("dragstart", (event) => event.preventDefault());
  stack.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (zoom === 1 || event.pointerType === "mouse") stack.setPointerCapture(event.pointerId);
    if (zoom === 1) drag(event);
  });
  stack.addEventListener("pointermove", (event) => {
    if (stack.hasPointerCapture(event.pointerId)) drag(event);
  });
}
