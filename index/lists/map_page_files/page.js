"use strict";
// Draws the map: every item a dot, some as pictures where there is room, names of clusters on top.
(async function () {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  const count = data.count;
  const places = new Uint16Array((await unpack(data.places)).buffer); // all x, then all y
  const names = JSON.parse(new TextDecoder().decode(await unpack(data.names)));
  const codes = await unpack(data.codes); // one byte for each item, one run for each coloring
  const X = (at) => places[at] / 65535, Y = (at) => places[count + at] / 65535;

  // ---- Buckets, so that only what is in view is looked at
  const SIDE = 128;
  const bucketOf = (at) => Math.min(SIDE - 1, places[at] >> 9) * SIDE + Math.min(SIDE - 1, places[count + at] >> 9);
  const starts = new Uint32Array(SIDE * SIDE + 1), members = new Uint32Array(count);
  for (let at = 0; at < count; at++) starts[bucketOf(at) + 1]++;
  for (let b = 0; b < SIDE * SIDE; b++) starts[b + 1] += starts[b];
  const next = starts.slice();
  for (let at = 0; at < count; at++) members[next[bucketOf(at)]++] = at;

  // ---- State
  const canvas = $("map"), ctx = canvas.getContext("2d");
  let width = 0, height = 0, ratio = 1, scale = 1, left = 0, top = 0, least = 1;
  let coloring = 0, lit = null, picked = -1, hovered = -1, only = -1, waiting = false;
  const images = data.thumbs.map((thumb) => { const image = new Image(); image.onload = redraw; image.src = thumb.uri; return image; });
  const thumbOf = new Map(data.thumbs.map((thumb, at) => [thumb.row, at]));
  let drawnThumbs = [];

  function fit() {
    const narrow = width < 700, aside = narrow || !$("fold").open ? 0 : 290;
    least = Math.min(width - aside - 40, height - 40 - (narrow ? 60 : 0));
    scale = Math.max(100, least);
    left = aside + (width - aside - scale) / 2; top = (height - scale) / 2 + (narrow ? 30 : 0);
    redraw();
  }
  function resize() {
    ratio = window.devicePixelRatio || 1;
    width = window.innerWidth; height = window.innerHeight;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    fit();
  }
  function zoomAt(x, y, factor) {
    const wanted = Math.min(least * 400, Math.max(least * 0.5, scale * factor));
    left = x - (x - left) * wanted / scale; top = y - (y - top) * wanted / scale; scale = wanted;
    redraw();
  }
  function flyTo(x, y, closer) {
    if (closer > scale) scale = closer;
    left = width / 2 + (width > 700 ? 140 : 0) - x * scale; top = height / 2 - y * scale;
    redraw();
  }
  function redraw() { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } }
  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colorOf = (at) => codes[coloring * count + at];
  const isLit = (at) => (lit === null || lit.has(at)) && (only < 0 || colorOf(at) === only);

  function eachInView(visit, margin) {
    const lowX = Math.max(0, Math.floor((-margin - left) / scale * SIDE) - 1), highX = Math.min(SIDE - 1, Math.floor((width + margin - left) / scale * SIDE) + 1);
    const lowY = Math.max(0, Math.floor((-margin - top) / scale * SIDE) - 1), highY = Math.min(SIDE - 1, Math.floor((height + margin - top) / scale * SIDE) + 1);
    for (let bx = lowX; bx <= highX; bx++) for (let by = lowY; by <= highY; by++)
      for (let m = starts[bx * SIDE + by]; m < starts[bx * SIDE + by + 1]; m++) visit(members[m]);
  }

  function draw() {
    const paper = variable("--paper"), ink = variable("--ink"), accent = variable("--accent"), line = variable("--line");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.fillStyle = paper; ctx.fillRect(0, 0, width, height);
    const zoomed = scale / least, colors = data.colorings[coloring].colors;
    const radius = Math.min(7, Math.max(0.8, 90 / Math.sqrt(count)) * Math.pow(zoomed, 0.35));
    const groups = colors.map(() => []), dim = [];
    let inView = 0;
    eachInView((at) => { inView++; if (isLit(at)) groups[colorOf(at)].push(at); else dim.push(at); }, radius);
    const dots = inView > 20000 ? squares : circles;
    dots(dim, line, radius * 0.8);
    groups.forEach((group, code) => dots(group, colors[code], radius, line));
    drawThumbs(zoomed, line);
    drawNames(zoomed, paper, ink);
    for (const at of [hovered, picked]) if (at >= 0) {
      ctx.strokeStyle = accent; ctx.lineWidth = 3; ctx.beginPath();
      ctx.arc(left + X(at) * scale, top + Y(at) * scale, Math.max(6, radius + 4), 0, 7); ctx.stroke();
    }
  }
  function circles(group, color, radius, line) {
    ctx.fillStyle = color; ctx.beginPath();
    for (const at of group) { const x = left + X(at) * scale, y = top + Y(at) * scale; ctx.moveTo(x + radius, y); ctx.arc(x, y, radius, 0, 7); }
    ctx.fill();
    if (line && radius > 2.5) { ctx.strokeStyle = line; ctx.lineWidth = 0.7; ctx.stroke(); }
  }
  function squares(group, color, radius) {
    ctx.fillStyle = color;
    const size = Math.max(1, radius * 1.6);
    for (const at of group) ctx.fillRect(left + X(at) * scale - size / 2, top + Y(at) * scale - size / 2, size, size);
  }
  // Greedy occupancy: the first thumbnails stand for whole regions, later ones appear where there is room.
  function drawThumbs(zoomed, line) {
    const size = Math.min(112, 38 * Math.pow(zoomed, 0.45)), taken = new Map();
    drawnThumbs = [];
    data.thumbs.forEach((thumb, order) => {
      const x = left + X(thumb.row) * scale, y = top + Y(thumb.row) * scale;
      if (x < -size || y < -size || x > width + size || y > height + size || !images[order].complete || !isLit(thumb.row)) return;
      const column = Math.floor(x / size), row = Math.floor(y / size);
      for (let i = -1; i <= 1; i++) for (let j = -1; j <= 1; j++) {
        const other = taken.get(`${column + i},${row + j}`);
        if (other && Math.abs(other[0] - x) < size && Math.abs(other[1] - y) < size) return;
      }
      taken.set(`${column},${row}`, [x, y]);
      const grow = (size - 3) / Math.max(thumb.width, thumb.height), w = thumb.width * grow, h = thumb.height * grow;
      ctx.save(); ctx.beginPath(); ctx.roundRect(x - w / 2, y - h / 2, w, h, size * 0.1); ctx.clip();
      ctx.drawImage(images[order], x - w / 2, y - h / 2, w, h); ctx.restore();
      ctx.strokeStyle = line; ctx.lineWidth = 1; ctx.beginPath(); ctx.roundRect(x - w / 2, y - h / 2, w, h, size * 0.1); ctx.stroke();
      drawnThumbs.push([thumb.row, x, y, w / 2, h / 2]);
    });
  }
  function drawNames(zoomed, paper, ink) {
    const taken = [];
    ctx.textAlign = "center"; ctx.textBaseline = "middle"; ctx.lineJoin = "round";
    const name = (text, x, y, font, gap) => {
      ctx.font = font;
      const w = ctx.measureText(text).width / 2 + gap, h = gap + 8;
      if (x < -w || x > width + w || y < -h || y > height + h) return;
      x = Math.min(Math.max(x, w + 4), width - w - 4);
      if (taken.some((box) => Math.abs(box[0] - x) < box[2] + w && Math.abs(box[1] - y) < box[3] + h)) return;
      taken.push([x, y, w, h]);
      ctx.strokeStyle = paper; ctx.lineWidth = 5; ctx.strokeText(text, x, y); ctx.fillStyle = ink; ctx.fillText(text, x, y);
    };
    for (const cluster of data.clusters) name(cluster.label, left + cluster.x * scale, top + cluster.y * scale, "600 14px system-ui, sans-serif", 6);
    if (zoomed < 2.5 && count > 400 || !data.titled) return;
    for (const row of data.named) if (isLit(row)) name(short(names.titles[row]), left + X(row) * scale, top + Y(row) * scale + 18 + 2 * zoomed ** 0.35, "12px system-ui, sans-serif", 3);
  }
  const short = (text) => text.length > 40 ? text.slice(0, 39) + "…" : text;

  // ---- What is under the pointer
  function at(x, y) {
    for (let i = drawnThumbs.length - 1; i >= 0; i--) {
      const [row, cx, cy, w, h] = drawnThumbs[i];
      if (Math.abs(cx - x) <= w && Math.abs(cy - y) <= h) return row;
    }
    let best = -1, near = 14 * 14;
    const reach = 14 / scale, fromX = (x - left) / scale, fromY = (y - top) / scale;
    for (let bx = Math.floor((fromX - reach) * SIDE); bx <= (fromX + reach) * SIDE; bx++) for (let by = Math.floor((fromY - reach) * SIDE); by <= (fromY + reach) * SIDE; by++) {
      if (bx < 0 || by < 0 || bx >= SIDE || by >= SIDE) continue;
      for (let m = starts[bx * SIDE + by]; m < starts[bx * SIDE + by + 1]; m++) {
        const one = members[m], away = (left + X(one) * scale - x) ** 2 + (top + Y(one) * scale - y) ** 2;
        if (away < near && isLit(one)) { near = away; best = one; }
      }
    }
    return best;
  }
  function tell(row) {
    const tip = $("tip");
    tip.hidden = row < 0;
    if (row < 0) return;
    const thumb = thumbOf.get(row), image = $("tip-image");
    image.hidden = thumb === undefined;
    if (thumb !== undefined) image.src = data.thumbs[thumb].uri; else image.removeAttribute("src");
    $("tip-title").textContent = names.titles[row];
    $("tip-id").textContent = names.ids[row] === names.titles[row] ? "" : names.ids[row];
    $("tip-value").textContent = data.colorings.map((one, c) => one.values[codes[c * count + row]]).filter(Boolean).join(" · ");
    const x = left + X(row) * scale, y = top + Y(row) * scale, box = tip.getBoundingClientRect();
    const away = 20 + (thumbOf.has(row) ? 24 : 0);
    tip.style.left = Math.max(8, Math.min(width - box.width - 8, x + away + box.width > width ? x - away - box.width : x + away)) + "px";
    tip.style.top = Math.max(8, Math.min(height - box.height - 8, y - box.height / 2)) + "px";
  }
  function pick(row, closer) {
    picked = row;
    if (row >= 0 && closer) flyTo(X(row), Y(row), closer);
    redraw(); tell(row);
  }

  // ---- Pointer: drag, pinch, wheel, click
  const fingers = new Map();
  let pressed = null;
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event); pressed = { x: event.clientX, y: event.clientY }; canvas.classList.add("moving"); });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) { const row = at(event.clientX, event.clientY); if (row !== hovered) { hovered = row; tell(row >= 0 ? row : picked); redraw(); } return; }
    if (fingers.size === 1) { left += event.clientX - before.clientX; top += event.clientY - before.clientY; redraw(); tell(-1); }
    else {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const was = Math.hypot(before.clientX - other.clientX, before.clientY - other.clientY), is = Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
      if (was > 0) zoomAt((event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2, is / was);
    }
    fingers.set(event.pointerId, event);
  });
  function lift(event) {
    fingers.delete(event.pointerId); canvas.classList.remove("moving");
    if (event.type === "pointerup" && pressed && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < 5) pick(at(event.clientX, event.clientY), 0);
    pressed = null;
  }
  canvas.addEventListener("pointerup", lift); canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => { hovered = -1; tell(picked); redraw(); });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoomAt(event.clientX, event.clientY, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016))); tell(-1); }, { passive: false });
  canvas.addEventListener("dblclick", (event) => zoomAt(event.clientX, event.clientY, 2));
  $("in").onclick = () => zoomAt(width / 2, height / 2, 1.5);
  $("out").onclick = () => zoomAt(width / 2, height / 2, 1 / 1.5);
  $("all").onclick = () => { pick(-1); fit(); };
  $("theme").onclick = () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark"; redraw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  // ---- Keyboard
  const order = [...data.named, ...Array.from({ length: Math.min(count, 2000) }, (_, i) => i)];
  let step = -1;
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) { if (event.key === "Escape") { event.target.value = ""; event.target.dispatchEvent(new Event("input")); canvas.focus(); } return; }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (move && event.target === canvas) { left += move[0]; top += move[1]; tell(-1); redraw(); }
    else if (event.key === "+" || event.key === "=") $("in").click();
    else if (event.key === "-") $("out").click();
    else if (event.key === "0") $("all").click();
    else if (event.key === "/") $("search").focus();
    else if (event.key === "Escape") pick(-1);
    else if (event.key === "n" || event.key === "p") {
      const from = lit ? [...lit] : order;
      if (!from.length) return;
      step = (step + (event.key === "n" ? 1 : -1) + from.length) % from.length;
      pick(from[step], least * 3);
    } else return;
    event.preventDefault();
  });

  // ---- Panel
  const button = (list, text, small, color, action) => {
    const item = document.createElement("li"), press = document.createElement("button"), span = document.createElement("span");
    press.type = "button"; span.textContent = text;
    if (color) { const dot = document.createElement("canvas"); dot.className = "dot"; dot.width = dot.height = 1; const one = dot.getContext("2d"); one.fillStyle = color; one.fillRect(0, 0, 1, 1); press.append(dot); }
    press.append(span);
    if (small) { const told = document.createElement("small"); told.textContent = small; press.append(told); }
    press.onclick = () => action(press); item.append(press); list.append(item);
    return press;
  };
  function legend() {
    const list = $("legend"), here = data.colorings[coloring];
    list.replaceChildren();
    if (!here.values.length) { list.hidden = true; return; }
    const sizes = new Array(here.colors.length).fill(0);
    for (let one = 0; one < count; one++) sizes[colorOf(one)]++;
    const shown = here.values.map((value, code) => [value, code]).slice(0, 14);
    if (sizes[here.values.length]) shown.push(["others", here.values.length]);
    const all = [];
    for (const [value, code] of shown) all.push(button(list, value, sizes[code].toLocaleString("en"), here.colors[code], (press) => {
      only = only === code ? -1 : code;
      all.forEach((one) => one.setAttribute("aria-pressed", String(one === press && only >= 0)));
      redraw();
    }));
    all.forEach((one) => one.setAttribute("aria-pressed", "false"));
  }
  function search() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean), list = $("matches");
    list.replaceChildren(); step = -1;
    if (!words.length) { lit = null; $("found").textContent = ""; redraw(); return; }
    lit = new Set();
    for (let one = 0; one < count; one++) {
      const text = (names.titles[one] + "\n" + names.ids[one]).toLowerCase();
      if (words.every((word) => text.includes(word))) lit.add(one);
    }
    $("found").textContent = lit.size ? `${lit.size.toLocaleString("en")} found` : "nothing found";
    for (const row of [...lit].slice(0, 50)) button(list, names.titles[row], "", "", () => pick(row, least * 4));
    redraw();
  }
  $("search").addEventListener("input", search);
  $("search").addEventListener("keydown", (event) => { if (event.key === "Enter" && lit && lit.size) { event.preventDefault(); const found = [...lit]; step = (step + 1) % found.length; pick(found[step], least * 4); } });
  $("name").textContent = data.relation; $("told").textContent = data.told;
  data.colorings.forEach((one, at) => { const option = document.createElement("option"); option.value = at; option.textContent = one.name || "none"; $("coloring").append(option); });
  $("by").hidden = data.colorings.length < 2;
  $("coloring").onchange = (event) => { coloring = Number(event.target.value); only = -1; legend(); redraw(); };
  $("styles").hidden = !data.clusters.length;
  for (const cluster of data.clusters) button($("clusters"), cluster.label, cluster.size.toLocaleString("en"), "", () => flyTo(cluster.x, cluster.y, least * 2.2));
  if (window.innerWidth < 700) $("fold").open = false;
  legend();
  window.addEventListener("resize", resize);
  resize();
  document.documentElement.dataset.ready = "yes";
})();
