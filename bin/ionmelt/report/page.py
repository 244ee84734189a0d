"""The page of report.html: one file with plotly.js inside, which needs no network and prints well."""

import json
from typing import Any

import jinja2
import plotly.offline
from plotly.utils import PlotlyJSONEncoder

MAX_ROWS = 400  # rows of one table shown in the page; all are in tables/

STYLE = """
:root { --ink: #1c2430; --soft: #55606e; --line: #d9dee5; --page: #f6f7f9; --card: #ffffff; --accent: #0072B2;
  --tint: #eef4f9; --warn: #fff6e0; --warnline: #E69F00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf0; --soft: #a9b3c0; --line: #39424f; --page:
  #14181e;
  --card: #1c222b; --accent: #6cb8ea; --tint: #202c38; --warn: #332a14; --warnline: #E69F00; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; color: var(--ink); background: var(--page); font: 16px/1.55 Inter, "Segoe UI", Helvetica,
  Arial, sans-serif; }
a { color: var(--accent); }
nav { position: fixed; top: 0; bottom: 0; left: 0; width: 208px; padding: 26px 14px 20px 22px; overflow-y:
  auto;
  border-right: 1px solid var(--line); background: var(--card); font-size: 14px; }
nav b { display: block; font-size: 17px; margin-bottom: 12px; }
nav a { display: block; padding: 4px 8px; margin-left: -8px; border-radius: 5px; color: var(--soft);
  text-decoration: none; }
nav a:hover, nav a:focus, nav a.here { color: var(--ink); background: var(--tint); }
main { margin-left: 208px; padding: 34px clamp(18px, 3vw, 52px) 90px; max-width: 1500px; }
h1 { font-size: 34px; line-height: 1.15; margin: 0 0 8px; letter-spacing: -0.01em; }
h2 { font-size: 23px; margin: 0 0 4px; }
h3 { font-size: 17px; margin: 26px 0 4px; }
.lead { font-size: 18px; max-width: 76ch; color: var(--soft); margin: 0 0 22px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 22px 26px;
  margin: 0 0 22px;
  scroll-margin-top: 14px; }
.see { max-width: 92ch; color: var(--soft); margin: 0 0 10px; }
.asked { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 0 0 24px; color:
  var(--soft); }
.asked dt { font-weight: 600; } .asked dd { margin: 0; max-width: 96ch; }
.say { font-size: 18px; line-height: 1.5; max-width: 88ch; margin: 12px 0 18px; padding: 12px 18px; background: var(--tint);
  border-left: 4px solid var(--accent); border-radius: 4px; }
.say p { margin: 4px 0; }
.short { display: grid; grid-template-columns: max-content 1fr; gap: 11px 20px; margin: 14px 0 6px; }
.short dt { font-weight: 650; }
.short dd { margin: 0; max-width: 94ch; }
.short .care { background: var(--warn); border-left: 4px solid var(--warnline); padding: 5px 12px;
  border-radius: 4px; }
figure { margin: 6px 0 10px; }
.figure { min-width: 860px; }
.scroll { overflow-x: auto; }
.tall { max-height: 760px; overflow-y: auto; }
table { border-collapse: collapse; font-size: 14px; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--line); padding: 6px 12px 6px 0;
  vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: 5px 12px 5px 0; vertical-align: top; overflow-wrap:
  anywhere; min-width: 13ch; }
td.n { white-space: nowrap; min-width: 5ch; }
td:last-child:not(.n) { min-width: 22ch; }
td details { margin: 0; min-width: 34ch; }
td summary { color: inherit; font-weight: inherit; }
@media (hover: none), print { .modebar { display: none; } }
details { margin: 10px 0 4px; }
summary { cursor: pointer; color: var(--accent); font-weight: 550; }
.liquid { max-width: 900px; }
.liquid canvas { width: 100%; aspect-ratio: 880 / 560; touch-action: pan-y; cursor: grab; display: block; border-radius: 6px; }
.liquid svg { width: 100%; height: auto; display: block; }
.liquid.live svg { display: none; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 14px; font-size: 14px; }
.controls input { flex: 1 1 180px; accent-color: var(--accent); }
.controls button, .controls select { font: inherit; color: var(--ink); background: var(--tint); border: 1px solid var(--line);
  border-radius: 5px; padding: 3px 12px; cursor: pointer; }
.controls output { min-width: 9ch; font-variant-numeric: tabular-nums; }
.key span { display: inline-block; margin-right: 14px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 5px; border: 1px solid #7a7a7a; }
pre { font-size: 13px; background: var(--tint); padding: 14px; border-radius: 6px; overflow-x: auto; }
.none { color: var(--soft); font-style: italic; }
@media screen and (max-width: 960px) {
  nav { position: static; width: auto; border: 0; border-bottom: 1px solid var(--line); padding: 12px 18px; }
  nav a { display: inline-block; margin: 0 4px 0 0; }
  main { margin: 0; }
  section { padding: 16px; }
  .short { grid-template-columns: 1fr; gap: 2px; }
  .short dd { margin-bottom: 10px; }
}
@page { size: A4 landscape; margin: 12mm; }
@media print {
  :root { --ink: #000; --soft: #333; --line: #bbb; --page: #fff; --card: #fff; --tint: #f3f3f3;
    --warn: #fff6e0; }
  nav, .liquid canvas, .controls { display: none; }
  .liquid.live svg { display: block; }
  main { margin: 0; padding: 0; max-width: none; }
  section { border: 0; padding: 0; }
  figure, tr, .see, .short dd { break-inside: avoid; }
  h2, h3, .see, summary { break-after: avoid; }
  .tall, .scroll { max-height: none; overflow: visible; }
  .figure { min-width: 0; }
  td { min-width: 5ch; }
  td.n { white-space: normal; }
  body { font-size: 10.5pt; }
  table { font-size: 8.5pt; }
}
"""

SCRIPT = """
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const ink = (printing) => (dark.matches && !printing ? "#e8ebf0" : "#1c2430");
const options = { responsive: true, displaylogo: false, toImageButtonOptions: { format: "svg" },
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
"""

# The liquid, drawn on a plain canvas: far things first. Positions are 1/100 A.
VIEWER = """
const view = JSON.parse(document.getElementById("liquid-data").textContent);
if (view) {
  const bytes = Uint8Array.from(atob(view.positions), (c) => c.charCodeAt(0));
  const places = new Int16Array(bytes.buffer), n = view.elements.length, frames = view.time_ps.length;
  const holder = document.getElementById("liquid-view"), canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("aria-label", view.title + ": drag or use the arrow keys to turn");
  holder.prepend(canvas);
  holder.classList.add("live");
  const pen = canvas.getContext("2d"), slider = document.getElementById("liquid-time");
  const clock = document.getElementById("liquid-clock"), play = document.getElementById("liquid-play");
  const paint = document.getElementById("liquid-colour");
  const ions = [...new Set(view.ions)];
  const mix = (hex, f) => "#" + [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16))
    .map((x) => Math.round(f > 0 ? x + (255 - x) * f : x * (1 + f)).toString(16).padStart(2, "0")).join("");
  const sprites = {};
  const sprite = (colour) => {
    if (sprites[colour]) return sprites[colour];
    const ball = document.createElement("canvas"), p = ball.getContext("2d");
    ball.width = ball.height = 96;
    const shine = p.createRadialGradient(34, 30, 2, 44, 42, 62);
    shine.addColorStop(0, mix(colour, 0.75));
    shine.addColorStop(0.45, colour);
    shine.addColorStop(1, mix(colour, -0.55));
    p.fillStyle = shine;
    p.beginPath();
    p.arc(48, 48, 47, 0, 2 * Math.PI);
    p.fill();
    return (sprites[colour] = ball);
  };
  const colourOf = (i) => paint.value === "ion" ? view.ion_colours[ions.indexOf(view.ions[i]) % view.ion_colours.length]
    : view.looks[view.elements[i]].colour;
  const key = () => {
    const names = paint.value === "ion" ? ions : Object.keys(view.looks);
    document.getElementById("liquid-key").replaceChildren(...names.map((name) => {
      const item = document.createElement("span"), dot = document.createElement("i");
      const i = (paint.value === "ion" ? view.ions : view.elements).indexOf(name);
      dot.style.background = colourOf(i);
      item.append(dot, name);
      return item;
    }));
  };
  let frame = 0, tilt = [...view.tilt], timer = null;
  const draw = () => {
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.lineCap = "round";
    const box = view.edges_A[frame], diagonal = Math.hypot(...box);
    const [cx, sx, cy, sy] = [Math.cos(tilt[0]), Math.sin(tilt[0]), Math.cos(tilt[1]), Math.sin(tilt[1])];
    const seen = (px, py, pz) => {
      const [x, y, z] = [px - box[0] / 2, py - box[1] / 2, pz - box[2] / 2];
      const u = x * cy + z * sy, w = z * cy - x * sy, v = y * cx - w * sx, q = y * sx + w * cx;
      const depth = view.distance * diagonal - q, scale = 0.98 * Math.min(height, 0.8 * width) * view.distance / depth;
      return [width / 2 + u * scale, height / 2 - v * scale, depth, scale];
    };
    const at = [], things = [], start = 3 * n * frame;
    for (let i = 0; i < n; i++) {
      const k = start + 3 * i;
      at.push(seen(places[k] / 100, places[k + 1] / 100, places[k + 2] / 100));
      things.push([at[i][2], i, -1]);
    }
    for (const [i, j] of view.bonds) {
      const middle = (at[i][2] + at[j][2]) / 2;
      things.push([Math.max(at[i][2], middle) + 0.01, i, j], [Math.max(at[j][2], middle) + 0.01, j, i]);
    }
    const corners = [...Array(8).keys()].map((k) => seen(box[0] * (k >> 2), box[1] * ((k >> 1) & 1), box[2] * (k & 1)));
    for (let a = 0; a < 8; a++) for (const b of [a ^ 1, a ^ 2, a ^ 4]) if (a < b) {
      const far = Math.max(corners[a][2], corners[b][2]) > (view.distance + 0.3) * diagonal;
      things.push([far ? 1e9 : (corners[a][2] + corners[b][2]) / 2, corners[a], corners[b]]);
    }
    things.sort((a, b) => b[0] - a[0]);
    for (const [, a, b] of things) {
      pen.beginPath();
      if (Array.isArray(a)) {
        pen.strokeStyle = "#7a7a7a";
        pen.lineWidth = 1;
        pen.moveTo(a[0], a[1]);
        pen.lineTo(b[0], b[1]);
        pen.stroke();
      } else if (b < 0) {
        const radius = view.looks[view.elements[a]].radius_A * at[a][3];
        pen.drawImage(sprite(colourOf(a)), at[a][0] - radius, at[a][1] - radius, 2 * radius, 2 * radius);
      } else {
        pen.strokeStyle = mix(colourOf(a), -0.25);
        pen.lineWidth = 0.11 * (at[a][3] + at[b][3]);
        pen.moveTo(at[a][0], at[a][1]);
        pen.lineTo((at[a][0] + at[b][0]) / 2, (at[a][1] + at[b][1]) / 2);
        pen.stroke();
      }
    }
    slider.value = frame;
    clock.textContent = view.time_ps[frame].toPrecision(3) + " ps";
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Pause";
    timer = setInterval(() => {
      frame = (frame + 1) % frames;
      draw();
    }, 90);
  });
  slider.max = frames - 1;
  slider.addEventListener("input", () => {
    frame = Number(slider.value);
    draw();
  });
  paint.addEventListener("change", () => {
    key();
    draw();
  });
  let held = null;
  canvas.addEventListener("pointerdown", (e) => {
    held = [e.clientX, e.clientY];
    canvas.setPointerCapture(e.pointerId);
  });
  canvas.addEventListener("pointermove", (e) => {
    if (!held) return;
    tilt = [tilt[0] + (e.clientY - held[1]) / 150, tilt[1] + (e.clientX - held[0]) / 150];
    held = [e.clientX, e.clientY];
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { held = null; });
  canvas.addEventListener("keydown", (e) => {
    const turn = { ArrowLeft: [0, -0.1], ArrowRight: [0, 0.1], ArrowUp: [-0.1, 0], ArrowDown: [0.1, 0] }[e.key];
    if (!turn) return;
    e.preventDefault();
    tilt = [tilt[0] + turn[0], tilt[1] + turn[1]];
    draw();
  });
  new ResizeObserver(draw).observe(canvas);
  key();
  draw();
}
"""

TEMPLATE = """
{%- macro table(t, file, tall=true) -%}
{%- if t and t.rows -%}
<div class="scroll {{ 'tall' if tall }}"><table><thead><tr>{% for h in t.head %}<th scope="col">{{ h
  }}</th>{% endfor %}</tr></thead>
<tbody>{% for line in t.rows[:max_rows] %}<tr>{% for cell in line %}<td{% if cell|length < 34 %} class="n"{%
  endif %}>{% if cell|length > 200 %}<details><summary>{{ cell|truncate(120, leeway=0, end="\u00a0\u2026")
  }}</summary>{{ cell }}</details>{% else %}{{ cell }}{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{%- if t.rows|length > max_rows %}<p class="none">{{ t.rows|length - max_rows }} more rows in tables/{{ file
  }}.csv.</p>{% endif -%}
{%- else -%}<p class="none">Nothing to list.</p>{%- endif -%}
{%- endmacro -%}
{%- macro plot(name, label) -%}
{%- if name -%}<figure class="scroll"><div id="fig-{{ name }}" class="figure" role="img"
  aria-label="{{ label }}"></div>
</figure>
{%- else -%}<p class="none">No figure: there is nothing to draw.</p>{%- endif -%}
{%- endmacro -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} – Ionmelt report</title>
<link rel="icon" href="data:,">
<style>{{ style|safe }}</style>
<script>{{ plotly|safe }}</script>
</head>
<body>
<nav aria-label="Sections"><b>{{ title }}</b>
{% for id, name in sections if id != "rounds" or rounds %}<a href="#{{ id }}">{{ name }}</a>
{% endfor %}</nav>
<main>
<h1>Which force field may I trust?</h1>
{% if description %}<p class="lead">{{ description }}</p>
{% endif %}<dl class="asked">{% for heading, text in asked %}<dt>{{ heading }}</dt><dd>{{ text }}</dd>
{% endfor %}</dl>

<section id="verdicts"><h2>In short</h2>
<div class="say"><p>{{ recommendation[0] }}</p><p>{{ recommendation[1] }}</p></div>
<dl class="short">{% for heading, text in in_short %}<dt>{{ heading }}</dt>
<dd{% if heading == "Read with care" %} class="care"{% endif %}>{% for line in text %}<div>{{ line
  }}</div>{% endfor %}</dd>
{% endfor %}</dl>
<h2 style="margin-top:28px">Verdicts</h2>
<p class="see">Each line is a difference, first minus second, between two models or a model and the
  reference, with its 95 % interval, corrected for the number of tests of one property (Holm). Where
the interval crosses the line at 0, the data show no difference, which is no proof that there is none: the interval says how large it
  may be. A verdict is given only when both sides are
converged; hollow ones are not, and their intervals are not corrected. Without a reference, a larger value is not a better one, so
  nobody wins.</p>
{% for v in verdicts %}<h3>{{ v.title }}</h3>
{% if v.figure %}{{ plot(v.figure, "Differences between models with corrected 95 % intervals: " ~ v.title) }}
{% else %}<p class="none">No difference could be measured: no two values with an interval.</p>{% endif %}
<details{% if loop.first and v.figure %} open{% endif %}><summary>Every {{ v.title|lower }} verdict in words ({{
  v.table.rows|length }})</summary>{{ table(v.table, "verdicts") }}</details>
{% else %}<p class="none">No two models could be compared.</p>{% endfor %}
</section>

<section id="liquid"><h2>The liquid</h2>
{% if liquid %}<p class="see">{{ liquid.title }}: run {{ liquid.run_id }}, {{ liquid.time_ps|length }} frames of its last phase. Ions are
whole and drawn in the box by their centres{% if liquid.left_out %}; {{ liquid.left_out }}{% endif %}. Drag to turn.</p>
<div class="liquid" id="liquid-view">{{ still|safe }}</div>
<div class="controls liquid"><button id="liquid-play" type="button">Play</button>
<input id="liquid-time" type="range" min="0" value="0" aria-label="time"><output id="liquid-clock"></output>
<label>colour by <select id="liquid-colour"><option value="element">element</option><option value="ion">ion</option></select></label></div>
<p class="see key" id="liquid-key"></p>
{% else %}<p class="none">No run left a trajectory to draw.</p>{% endif %}</section>

<section id="density"><h2>Density</h2>
<p class="see">Mean density at constant pressure with its 95 % interval. Grey: the reference and its range.
  Hollow points are not converged. Small
dots are single runs.</p>
{{ plot(density[0], "Density of each model against the reference") }}
<details open><summary>Values</summary>{{ table(density[1], "summary") }}</details></section>

<section id="diffusion"><h2>Diffusion</h2>
<p class="see">Self-diffusion coefficient of each ion, as simulated in this box, with its 95 % interval, on
  a logarithmic axis. Hollow points are
not converged. Where the viscosity is known and there is a reference, the pale bar has the correction for the size of the box added: it
  is what the reference is compared with. The correction is in the table.</p>
{{ plot(diffusion[0], "Diffusion coefficient of each ion and model") }}
<details open><summary>Values</summary>{{ table(diffusion[1], "summary") }}</details></section>

<section id="transport"><h2>Conductivity and viscosity</h2>
<p class="see">Conductivity from the collective displacement of all charges (Einstein), beside what independent ions of
the same diffusion would give (Nernst-Einstein); their ratio is the ionicity. Viscosity from the pressure tensor (Green-Kubo).
All need far longer runs than a density.</p>
{% for title, name, plot_name, rows in transport %}<h3>{{ title }}</h3>
{{ plot(plot_name, title ~ " of each model") }}
<details><summary>Values</summary>{{ table(rows, "summary") }}</details>
{% else %}<p class="none">Neither was measured.</p>{% endfor %}
{% if conductivity %}<details><summary>Run by run, with the ionicity</summary>{{ table(conductivity, "conductivity")
  }}</details>{% endif %}</section>

<section id="structure"><h2>Structure and kinetics</h2>
<p class="see">Models overlaid: curves that lie on each other mean the same neighbours at the same distance. The curves are
means over the runs; the errors of every run are in tables/structure.csv.</p>
{% for title, name, plot_name in structure %}{% if plot_name or loop.first %}<h3>{{ title }}</h3>
{{ plot(plot_name, title) }}{% endif %}{% endfor %}
{% for title, name, rows in numbers %}<details><summary>{{ title }} ({{ rows.rows|length }})</summary>
<p class="see">Value with its 95 % interval, runs combined. In brackets: not converged.</p>{{ table(rows, name) }}</details>
{% endfor %}</section>

<section id="errors"><h2>Errors against the labels</h2>
<p class="see">Test frames, from trajectories that no model was trained on. The force on each ion is split:
  translation and rotation of the whole
ion come from the forces between ions, vibration from those inside. Density and diffusion depend on the
  former, which a total error hides.
Bars are 95 % intervals; seeds are averaged; hollow: the error of the frames that the model answered, it failed on others. For models that were not trained on these labels a constant
energy is taken off first.</p>
{{ plot(errors[0], "Force errors by motion, element, ion and recipe") }}
<details><summary>All errors: RMSE [95 %]</summary>{{ table(errors[1], "errors") }}</details>
<h3>Parity</h3>
<p class="see">Force components on the test frames, first seed of each model, thinned for drawing. On the
  line the model equals the label.</p>
{{ plot(parity, "Predicted against reference forces") }}
{% if leakage.rows %}<h3>What a random split would have said</h3>
<p class="see">Force errors on frames drawn at random from the trajectories a model was trained on, beside those on trajectories it
  never saw. A ratio above 1 is what a random split would have hidden; the errors elsewhere in this report are split by
  trajectory. Intervals are those of all seeds together; of one frame there is none.</p>
{{ table(leakage, "errors") }}{% endif %}
{% if transfer.rows %}<h3>Liquids that were left out</h3>
<p class="see">Models trained without a liquid, judged on it, beside models trained on it too. A ratio near 1: the model knew it
  without having seen it. Intervals are those of all seeds together.</p>
{{ table(transfer, "errors") }}{% endif %}
{% if calibration[1].rows %}<h3>What the spread between seeds is worth</h3>
<p class="see">Where models that differ by their seed disagree, their mean should be wrong by as much. Usually it is wrong by
  more, since they share their data: the spread is stretched until its intervals hold the share of errors they promise, each
  test trajectory by the scale of the others. On the grey line an interval keeps its promise; pale: before stretching.</p>
{{ plot(calibration[0], "Share of errors inside the intervals of the committees") }}
<details{% if not calibration[0] %} open{% endif %}><summary>Values</summary>{{ table(calibration[1], "uncertainty") }}</details>{% endif %}
{% if forgetting[0] %}<h3>What tuning kept</h3>
{% for line in forgetting[1] %}<p>{{ line }}</p>{% endfor %}
<details><summary>Values</summary>{{ table(forgetting[0], "forgetting") }}</details>{% endif %}
{% if dimers %}<h3>Pairs of atoms</h3>
<p class="see">Energy of two neutral atoms in vacuum against their distance, less that of the two alone. Thick grey: the
engine of the labels, where it is cheap. A liquid shows a model few such pairs, so this is what its training left at short
range: a hole there ends a run.</p>
{{ plot(dimers, "Energy of every pair of elements against distance") }}{% endif %}</section>

<section id="committee"><h2>Training seeds</h2>
<p class="see">Models that differ by their training seed alone: the standard deviation between their means, beside the
statistical error of one of them. Where seeds differ beyond that error, a longer run of one model makes its number no
more certain.</p>
{% if committee %}{{ table(committee, "committee") }}
{% else %}<p class="none">No model was trained with more than one seed.</p>{% endif %}</section>

<section id="scan"><h2>Frozen-ion volume scan</h2>
<p class="see">The box is scaled while the ions stay rigid, so only the forces between ions matter. A model
  whose pressure crosses 0 at another
scale than the labels (thick grey) will find another density. Curves are means over boxes and seeds.</p>
{{ plot(scan, "Energy and pressure against the scale of the box") }}</section>

<section id="worth"><h2>What the data were worth</h2>
{% if worth[2] %}<p class="see">Errors of models that differ in their training data alone, and of models on the same data. The error of a
  density or a diffusion coefficient is the distance from the method of the labels itself, run from the same boxes, where the
  study has it as a model; else from experiment. Models of one dataset are paired by box and seed. Tests of one
  question and error are corrected for their number (Holm); one training seed is no claim.</p>
{% for question, lines in worth[1] %}<h3>{{ question }}</h3>
{% for line in lines %}<p>{{ line }}</p>{% endfor %}
{% endfor %}
{% if worth[0] %}<h3>Errors over frames and over what their labels took</h3>
<p class="see">Each dataset cut to the training frames that differ most, a smaller cut being part of every larger one.
  A line that still falls at its right end asks for more frames. Hollow points are not converged. Labels of validation frames
  count too; the share of runs that broke is that of all seeds and boxes.</p>
{{ plot(worth[0], "Errors against the number of training frames and the cost of their labels") }}{% endif %}
<details><summary>Every comparison ({{ worth[2].rows|length }})</summary>{{ table(worth[2], "worth") }}</details>
{% else %}<p class="none">Nothing to compare: no dataset holds another one, and there is one size of each.</p>{% endif %}</section>

<section id="curves"><h2>Learning curves</h2>
{% for line in trainings[0] %}<p>{{ line }}</p>
{% endfor %}<p class="see">Bold: validation. Pale: training. A gap that widens is overfitting; a bold line still falling
  could use more steps.</p>
{{ plot(curves, "Learning curves") }}
{% if trainings[1] %}<h3>What was trained</h3>
<p class="see">Energy, forces and stress (DeePMD: virial) share the gradient that each training step follows: with next to none of it a
  quantity is not trained. Errors are medians of neighbouring points of the curves.</p>
<details><summary>Every term of every training ({{ trainings[1].rows|length }})</summary>{{ table(trainings[1], "trainings") }}</details>{% endif %}</section>

{% if rounds %}<section id="rounds"><h2>Rounds of active learning</h2>
<p>{{ rounds.words }}</p>
<p class="see">Each round, committees of models that differ by their seed walk through the liquid; frames on which they disagree more
  than on their validation frames are worth a label, the most different of them are labelled, and the models go on from their last
  weights. A round counts as unchanged where survival and density stay within a tolerance, whatever the force errors do.</p>
{% if rounds.figure %}{{ plot(rounds.figure, "Survival and density of every round") }}{% endif %}
{% if rounds.walks %}<h3>Walks of this round</h3>
<p class="see">Largest standard deviation over the committee of the force on an atom. Dotted: above it a frame is worth a label.
  Dashed: there the walk stops.</p>
{{ plot(rounds.walks, "Disagreement of each committee along its walks") }}{% endif %}
<details><summary>Values</summary>{{ table(rounds.table, "rounds") }}</details></section>
{% endif %}
<section id="survival"><h2>Survival</h2>
<p class="see">How far each run came. A cross marks a run that ended early: it is censored there, with the
  reason. Such runs are never averaged in
and never left out.</p>
<div class="tall">{{ plot(survival, "Survived and planned time of every run") }}</div></section>

<section id="domain"><h2>Beyond the training data</h2>
<p class="see">Where a run went that no training frame of its model was: density, temperature of the bath, composition, and the
  surroundings of the atoms (distance of SOAP descriptors to the nearest training frame of a bounded number; the limit holds 95 % of
  the training frames, each held against other trajectories than its own). A number measured there is extrapolated. Inside: 5 % of
  the frames at most are beyond; outside: more than half.</p>
{% for line in domain[1] %}<p>{{ line }}</p>{% endfor %}
{% if domain[0] %}{{ table(domain[0], "domain") }}{% else %}<p class="none">No run was compared with its training data.</p>{% endif %}</section>

<section id="cost"><h2>Cost</h2>
<p class="see">{% if cost[2] %}{{ cost[2].tasks }} tasks: {{ "%.3g"|format(cost[2].core_h) }} core-hours, {{
  "%.3g"|format(cost[2].wall_h) }} hours of wall
time summed over tasks (tasks run side by side, so the study took less). {% endif %}Time on an accelerator
  counts as wall time; what killed attempts took is not known.</p>
{{ plot(cost[0], "Wall hours and core-hours of every process") }}
<details><summary>Values</summary>{{ table(cost[1], "cost") }}</details>
{% if bill[0] %}<h3>The bill: planned and spent</h3>
<p class="see">Spent is the CPU time of tasks that succeeded. The estimate was made before the study began, for two cores
without a GPU, and is good to a factor of a few; <code>--estimate</code> measures a label first.</p>
{{ table(bill[0], "cost") }}{% endif %}
{% if bill[1] %}<details open><summary>What a label took</summary>{{ table(bill[1], "labels") }}</details>{% endif %}
<h3>Error against cost</h3>
<p class="see">Lower is closer to the reference (or, for forces, to the labels); further left is cheaper. The cost of
a model is that of its labels, of training one seed, and of one nanosecond of this box. On the front: better than
every cheaper model beyond the error. Not: a cheaper model is better beyond the error. Undecided: the data cannot
tell. Hollow points are not converged. Properties without a reference are not shown.</p>
{{ plot(pareto[0], "Error of density, diffusion and forces against the cost of each model") }}
{% if pareto[1] %}<details open><summary>Values</summary>{{ table(pareto[1], "pareto") }}</details>{% endif %}</section>

<section id="failures"><h2>What failed, and why</h2>
<p class="see">Every failed label, refused frame, model that could not be used, broken or missing run and every
  measurement that is not converged.
{{ failures.rows|length }} in all.</p>
{{ table(failures, "failures, survival, labels, density, diffusion, conductivity and viscosity") }}</section>

<section id="dataset"><h2>Training data</h2>
<p class="see">Labelled frames by dataset and split. Labels: {{ theory }}.
{% if dataset[2] %}Splits follow the {{ dataset[2] }} trajectory groups: {{ "no group is in two splits" if
  not dataset[1] else dataset[1] ~ " groups are in more than one split, so the errors above are too good"
  }}.{% endif %}</p>
{{ plot(dataset[0], "Frames by dataset, split and recipe") }}</section>

<section id="references"><h2>References</h2>
<p class="see">What the models are held against. Each file says what its ranges are: standard uncertainties, 95 % intervals,
  quartiles or extremes over data sets; each becomes a standard uncertainty, not narrowed by the number of data sets, since
  laboratories share water, impurities and instruments. Where there is none the reference counts as exact, and each verdict says so. Values
are interpolated between temperatures of one source, never extrapolated; a value without a temperature is
  shown and not used. Second-hand: taken from a text about the source, not from the source.</p>
{{ table(references, "summary") }}</section>

<section id="methods"><h2>Models, versions and settings</h2>
{% if models %}<h3>Model cards</h3>{{ table(models, "") }}{% endif %}
{% if theory_id %}<p class="see">Level of theory {{ theory }}; theory_id {{ theory_id|join(", ") }}.</p>{%
  endif %}
<details><summary>Versions of the libraries</summary>{{ table(versions, "versions") }}</details>
<details><summary>How numbers are combined and judged</summary>
<p class="see">Runs of one liquid, temperature, model and dataset are averaged. Their interval is Student's
  t, from the spread between model seeds and between
replicas added together, or from the error within the runs where that is wider. A single run has only its
  own error, which knows nothing of the
spread between runs. A value is converged when every planned run of it is. Two models that differ in one
thing are compared. Where both ran from the same boxes (two or more), the difference is taken box by box, so that what a box
adds to both cancels; its error is the spread of these pairs, with each model's spread over its training seeds added, or the
error within the runs where that is wider. Else the two count as independent (Welch), which errs on the wide side. Every
interval is one of 95 %; p-values are corrected by Holm over all tests of one property, and intervals of differences are those at the
level of that test, so that they hold 0 exactly where the test finds nothing (columns <code>holm_low</code> and <code>holm_high</code>
of the table; <code>ci95_low</code> and <code>ci95_high</code> are not corrected). A winner on a property of the liquid
must differ from the other, and the reference must lie on its side of their midpoint, both beyond the error. In the
recommendation a model is named only where the uncorrected interval of its difference from the reference holds 0.
The test set is common to all models: its sampling error is kept whole in force errors. Volume scans are
  compared point by point (paired
jackknife); neighbouring points are correlated, so that interval is a lower bound.</p></details>
<details><summary>The study, as it was planned</summary><pre>{{ settings }}</pre></details></section>
</main>
<script id="figures" type="application/json">{{ figures|safe }}</script>
<script id="liquid-data" type="application/json">{{ liquid_data|safe }}</script>
<script>{{ viewer|safe }}</script>
<script>{{ script|safe }}</script>
</body>
</html>
"""

SECTIONS = (
    ("verdicts", "Verdicts"), ("liquid", "The liquid"), ("density", "Density"), ("diffusion", "Diffusion"), ("transport", "Conductivity, viscosity"),
    ("structure", "Structure, kinetics"),
    ("errors", "Errors"), ("committee", "Training seeds"), ("scan", "Volume scan"), ("worth", "What data were worth"),
    ("curves", "Learning curves"), ("rounds", "Rounds"), ("survival", "Survival"), ("domain", "Beyond training"),
    ("cost", "Cost"), ("failures", "Failures"), ("dataset", "Training data"), ("references", "References"),
    ("methods", "Models and settings"),
)  # fmt: skip


def render(content: dict[str, Any], figures: dict[str, Any]) -> str:
    """Return the page: ``content`` fills the template, ``figures`` are plotly's data and layout by element
    id."""
    specs = json.dumps(figures, cls=PlotlyJSONEncoder, sort_keys=True, separators=(",", ":"))
    liquid = json.dumps(content["liquid"], sort_keys=True, separators=(",", ":"))
    environment = jinja2.Environment(autoescape=True, trim_blocks=False, undefined=jinja2.StrictUndefined)
    return environment.from_string(TEMPLATE).render(
        **content, sections=SECTIONS, style=STYLE, script=SCRIPT, max_rows=MAX_ROWS, viewer=VIEWER,
        plotly=plotly.offline.get_plotlyjs(), figures=specs.replace("<", "\\u003c"),
        liquid_data=liquid.replace("<", "\\u003c"),
    )  # fmt: skip
