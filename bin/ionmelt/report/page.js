// The figures of the page, in the colours of the screen or of paper, and the section that is being read.
const unpacked = async (name) => {
  const bytes = Uint8Array.from(atob(document.getElementById(name).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const dark = matchMedia("(prefers-color-scheme: dark)");
const ink = (printing) => (dark.matches && !printing ? "#e8ebf0" : "#1c2430");
const options = { responsive: true, displaylogo: false, showSendToCloud: false, toImageButtonOptions: { format: "svg" },
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
let figures = {}, clicked = null;
const drawn = new Set();
// A figure in a folded section has no width: it is drawn when the section is opened.
const waiting = () => Object.keys(figures).filter((name) => !drawn.has(name) &&
  !document.getElementById("fig-" + name).closest("details:not([open])"));
const draw = (name) => {
  const figure = figures[name];
  drawn.add(name);
  figure.layout.font.color = ink(false);
  Plotly.newPlot("fig-" + name, figure.data, figure.layout, options);
  if (name.startsWith("parity")) document.getElementById("fig-" + name).on("plotly_click", (e) => clicked(e.points[0]));
};
// From the top, a few at a time, so that the page can be read and scrolled meanwhile.
const drawAll = async () => {
  for (let name, since = performance.now(); (name = waiting()[0]);) {
    draw(name);
    if (performance.now() - since < 300) continue;
    await new Promise((done) => setTimeout(done));
    since = performance.now();
  }
};
const restyle = (printing) => {
  for (const name of drawn) {
    const figure = document.getElementById("fig-" + name);
    // A page of A4 holds 1030 pixels, with the heading and what is said before it: no figure is cut in two.
    figure.style.zoom = printing ? Math.min(0.6, 840 / figures[name].layout.height) : "";
    figure.style.minHeight = printing ? "0" : "";
    Plotly.relayout(figure, { "font.color": ink(printing), width: printing ? 1140 : null });
  }
};
// Frames of the test set: one is chosen by its name, or by a click on a point of a parity plot (customdata: frame, component).
const framesOf = (frames) => {
  const root = document.getElementById("frame-view");
  if (!root) return () => {};
  const show = viewer(root), which = root.querySelector(".which"), said = root.querySelector(".said");
  const open = (k, atom) => {
    which.value = k;
    show({ ...frames.look, ...frames.structures[k], edges_A: [frames.structures[k].cell_A] }, atom);
  };
  which.addEventListener("change", () => {
    said.textContent = "";
    open(Number(which.value));
  });
  open(0);
  return (point) => {
    const [k, component] = point.customdata || [-1], force = point.data.meta.quantity === "force";
    if (k === undefined) return;
    if (k < 0) {
      said.textContent = "The page does not carry the frame of that point: it has those with the largest errors.";
      return;
    }
    const frame = frames.structures[k], atom = force ? Math.floor(component / 3) : -1;
    const axis = force ? ", " + "xyz"[component % 3] + " of atom " + (atom + 1) + " (" + frame.elements[atom] + " of " + frame.ions[atom] + ", ringed)" : "";
    const [label, model] = [point.x, point.y].map((x) => String(x).replace("-", "−"));
    said.textContent = point.data.name + axis + ": label " + label + ", model " + model + " " + point.data.meta.unit + ".";
    open(k, atom);
    root.scrollIntoView({ block: "nearest" });
  };
};
const start = async () => {
  const view = JSON.parse(await unpacked("liquid-data"));
  if (view) viewer(document.getElementById("liquid-view"))(view);
  const showPoint = framesOf(JSON.parse(await unpacked("frames")));
  figures = JSON.parse(await unpacked("figures"));
  for (const [name, figure] of Object.entries(figures)) {
    document.getElementById("fig-" + name).style.minHeight = figure.layout.height + "px";
  }
  const plotly = document.createElement("script");
  plotly.textContent = await unpacked("plotly");
  document.head.append(plotly);
  clicked = showPoint;
  document.addEventListener("toggle", drawAll, true);
  dark.addEventListener("change", () => restyle(false));
  addEventListener("beforeprint", () => {
    waiting().forEach(draw);
    restyle(true);
  });
  addEventListener("afterprint", () => restyle(false));
  await drawAll();
  document.documentElement.dataset.ready = "yes";
};
start();
const links = [...document.querySelectorAll("nav a")];
const seen = new IntersectionObserver((entries) => entries.forEach((e) => {
  if (e.isIntersecting) links.forEach((a) => a.classList.toggle("here", a.hash === "#" + e.target.id));
}), { rootMargin: "0px 0px -70% 0px" });
document.querySelectorAll("section").forEach((s) => seen.observe(s));
