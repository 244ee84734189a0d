// The figures of the page, in the colours of the screen or of paper, and the section that is being read.
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const ink = (printing) => (dark.matches && !printing ? "#e8ebf0" : "#1c2430");
const options = { responsive: true, displaylogo: false, showSendToCloud: false, toImageButtonOptions: { format: "svg" },
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
for (const [name, figure] of Object.entries(figures)) {
  figure.layout.font.color = ink(false);
  Plotly.newPlot("fig-" + name, figure.data, figure.layout, options);
}
const restyle = (printing) => {
  for (const name of Object.keys(figures)) {
    Plotly.relayout("fig-" + name, { "font.color": ink(printing), width: printing ? 980 : null });
  }
};
dark.addEventListener("change", () => restyle(false));
addEventListener("beforeprint", () => restyle(true));
addEventListener("afterprint", () => restyle(false));
const links = [...document.querySelectorAll("nav a")];
const seen = new IntersectionObserver((entries) => entries.forEach((e) => {
  if (e.isIntersecting) links.forEach((a) => a.classList.toggle("here", a.hash === "#" + e.target.id));
}), { rootMargin: "0px 0px -70% 0px" });
document.querySelectorAll("section").forEach((s) => seen.observe(s));
document.documentElement.dataset.ready = "yes";
