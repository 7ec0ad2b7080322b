"use strict";
// Filters what is there; without it everything is shown.
(() => {
  const form = document.getElementById("filter");
  const rows = [...document.querySelectorAll("[data-verdict]")].map((element) => ({
    element, text: element.textContent.toLowerCase(),
    verdicts: element.dataset.verdict.split(" "), level: element.dataset.level, section: element.dataset.section,
  }));
  const groups = [...document.querySelectorAll("section[data-group]")];
  const apply = () => {
    const verdicts = new Set([...form.querySelectorAll("[name=verdict]:checked")].map((box) => box.value));
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const level = form.elements.level.value, section = form.elements.section.value;
    let shown = 0;
    for (const row of rows) {
      const fits = row.verdicts.some((verdict) => verdicts.has(verdict)) && (!level || row.level === level) &&
        (!section || row.section === section) && words.every((word) => row.text.includes(word));
      row.element.hidden = !fits;
      shown += fits;
    }
    for (const group of groups) group.hidden = !group.querySelector("[data-verdict]:not([hidden])");
    form.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
  };
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) { target.hidden = false; target.open = true; target.scrollIntoView(); }
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) {
      event.preventDefault();
      form.elements.text.focus();
    }
  });
  addEventListener("hashchange", reveal);
  apply();
  reveal();
})();
