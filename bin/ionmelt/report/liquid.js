// A liquid, drawn on a plain canvas: far things first. Positions are 1/100 A. `viewer` makes one of an element of the page, and
// returns what shows a view in it, with a ring around one atom where that is asked for.
const viewer = (root) => {
  const within = (name) => root.querySelector("." + name);
  const holder = within("liquid"), canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  holder.prepend(canvas);
  holder.classList.add("live");
  const pen = canvas.getContext("2d"), slider = within("time"), clock = within("clock"), play = within("play");
  const paint = within("colour");
  let view = null, places = null, n = 0, frames = 0, ions = [], marked = -1;
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
    const names = paint.value === "ion" ? ions : Object.keys(view.looks).filter((name) => view.elements.includes(name));
    within("key").replaceChildren(...names.map((name) => {
      const item = document.createElement("span"), dot = document.createElement("i");
      const i = (paint.value === "ion" ? view.ions : view.elements).indexOf(name);
      dot.style.background = colourOf(i);
      item.append(dot, name);
      return item;
    }));
  };
  let frame = 0, tilt = null, timer = null;
  const draw = () => {
    if (!view) return;
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.lineCap = "round";
    const edges = view.edges_A[frame], [a, b, c] = edges.length === 9
      ? [edges.slice(0, 3), edges.slice(3, 6), edges.slice(6)] : [[edges[0], 0, 0], [0, edges[1], 0], [0, 0, edges[2]]];
    const box = [0, 1, 2].map((k) => a[k] + b[k] + c[k]), diagonal = Math.hypot(...box);
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
    const corners = [...Array(8).keys()].map((k) => seen(...[0, 1, 2].map((i) => a[i] * (k >> 2) + b[i] * ((k >> 1) & 1) + c[i] * (k & 1))));
    for (let i = 0; i < 8; i++) for (const j of [i ^ 1, i ^ 2, i ^ 4]) if (i < j) {
      const far = Math.max(corners[i][2], corners[j][2]) > (view.distance + 0.3) * diagonal;
      things.push([far ? 1e9 : (corners[i][2] + corners[j][2]) / 2, corners[i], corners[j]]);
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
    if (marked >= 0) {
      pen.beginPath();
      pen.strokeStyle = "#d1344b";
      pen.lineWidth = 4;
      pen.arc(at[marked][0], at[marked][1], 2 * view.looks[view.elements[marked]].radius_A * at[marked][3], 0, 2 * Math.PI);
      pen.stroke();
    }
    if (!slider) return;
    slider.value = frame;
    clock.textContent = view.time_ps[frame].toPrecision(3) + " ps";
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  };
  play?.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Pause";
    timer = setInterval(() => {
      frame = (frame + 1) % frames;
      draw();
    }, 90);
  });
  slider?.addEventListener("input", () => {
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
  return (chosen, atom = -1) => {
    view = chosen;
    places = new Int16Array(Uint8Array.from(atob(view.positions), (c) => c.charCodeAt(0)).buffer);
    [n, frames, ions, frame, marked] = [view.elements.length, view.edges_A.length, [...new Set(view.ions)], 0, atom];
    tilt = tilt || [...view.tilt];
    if (slider) slider.max = frames - 1;
    canvas.setAttribute("aria-label", view.title + ": drag or use the arrow keys to turn");
    key();
    draw();
  };
};
