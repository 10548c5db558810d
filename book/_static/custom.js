// Wide formulas scroll in their own box; a keyboard must be able to reach them.
window.addEventListener("load", () => {
  for (const box of document.querySelectorAll("div.math, .table-scroll, .cell_output")) {
    if (box.scrollWidth > box.clientWidth + 1) box.setAttribute("tabindex", "0");
  }
});

// On paper everything is unfolded.
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
