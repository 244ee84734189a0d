// Who reads with the keys alone can come to what scrolls sideways, and is told what the search is.
const makeReachable = (wide) => { if (!wide.hasAttribute("tabindex")) wide.tabIndex = 0; };
// the theme takes it off code again where no mouse is seen, as on a tablet with a keyboard
const restored = new MutationObserver((changes) => changes.forEach((change) => makeReachable(change.target)));
document.querySelectorAll("pre > code, .md-typeset table").forEach((wide) => {
  makeReachable(wide);
  restored.observe(wide, { attributes: true, attributeFilter: ["tabindex"] });
});
document.querySelector('.md-search[role="dialog"]')?.setAttribute("aria-label", "Search");
