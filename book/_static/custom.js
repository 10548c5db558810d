// What is wider than its box scrolls in it; a keyboard must be able to reach it. And buttons say what they do.
window.addEventListener("load", () => {
  for (const box of document.querySelectorAll("div.math, .table-scroll, .cell_output, .figure, div.highlight pre")) {
    if (box.scrollWidth > box.clientWidth + 1) box.setAttribute("tabindex", "0");
  }
  for (const button of document.querySelectorAll("button.copybtn")) button.setAttribute("aria-label", "Copy this code");
});

// On paper everything is unfolded, and dark on light.
let theme = "";
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((each) => (each.open = true));
  theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
window.addEventListener("afterprint", () => (document.documentElement.dataset.theme = theme));
