"use strict";
/* All that a page does. Data comes as JSON and reaches the page as textContent and as attributes of a fixed few names;
   no markup is ever made of it, no address but of a number. Without this script everything can still be read. */
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const parsed = (id, otherwise) => ($(id) ? JSON.parse($(id).textContent) : otherwise);
  const page = parsed("page", {});
  const make = (tag, text, look) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (look) element.className = look;
    return element;
  };
  const minus = (text) => text.replace("-", "\u2212");
  root.classList.add("scripted");

  /* --- light and dark ------------------------------------------------------------------------------------------- */
  const remembered = {
    get() { try { return location.protocol === "file:" ? null : sessionStorage.getItem("theme"); } catch { return null; } },
    set(theme) { try { if (location.protocol !== "file:") sessionStorage.setItem("theme", theme); } catch { /* not kept then */ } },
  };
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const button = $("theme");
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`); };
  if (["dark", "light"].includes(remembered.get())) root.dataset.theme = remembered.get();
  button.hidden = false;
  label();
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; remembered.set(root.dataset.theme); label(); });

  /* --- from anchor to page: one section of a report at a time, and what holds the anchor opened ----------------- */
  let shown = null;
  let marked = null;
  const title = document.title;
  function go(first) {
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { /* no anchor of ours */ }
    if (id === "main") return;
    let target = $(id);
    if (page.report) {
      let section = target && target.closest(".page");
      if (!section) target = section = $("overview");
      if (shown !== section) {
        if (shown) shown.classList.remove("shown");
        section.classList.add("shown");
        shown = section;
      }
      for (const link of document.querySelectorAll(".bar nav a")) {
        if (link.hash === "#" + section.id) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
      }
      const number = section.dataset.experiment;
      document.title = number === undefined ? title : `Experiment ${number} · ${title}`;
      if (target === section) {
        scrollTo(0, 0);
        const heading = section.querySelector("h1");
        if (heading && !first) { heading.tabIndex = -1; heading.focus({ preventScroll: true }); }
        target = null;
      }
    }
    if (marked) marked.classList.remove("target");
    marked = null;
    if (!target || target.classList.contains("page")) return;
    for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    marked = target.closest(".l") || target;
    marked.classList.add("target");
    marked.scrollIntoView({ block: "center" });
  }
  if (page.report) root.classList.add("paged");
  addEventListener("hashchange", () => go(false));
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });

  /* --- the table ------------------------------------------------------------------------------------------------ */
  const N = 0, STATUS = 1, VALUE = 2, GAIN = 3, SECONDS = 4, TRIALS = 5, FINDINGS = 6, GRAVEST = 7, WORDS = 8, WHY = 9, STANDING = 10;
  const GRAVITY = ["", "info", "notice", "warning", "critical"];
  const table = $("experiments");
  const byNumber = new Map();
  const elements = new Map();
  let sort = { column: N, down: false }, at = 0, size = 100;
  const figure = (value) => (value === null ? "\u2013" : minus(value.toFixed(page.places)));
  function cells(row) {
    const link = make("a", row[N]);
    link.href = page.experiments + row[N];
    const number = make("td", undefined, "n");
    number.append(link);
    const status = make("td");
    status.append(make("span", row[STATUS], "chip is-" + row[STATUS]));
    const found = make("td", row[FINDINGS] ? row[FINDINGS] + " " : "", "n");
    if (row[GRAVEST]) found.append(make("span", row[GRAVEST], "grave is-" + row[GRAVEST]));
    const words = make("td", row[WORDS] + " ", "words");
    if (row[STANDING]) words.append(make("span", row[STANDING], "standing"));
    const gain = row[GAIN] === null ? "" : (row[GAIN] > 0 ? "+" : "") + figure(row[GAIN]);
    return [number, status, make("td", figure(row[VALUE]), "n"), make("td", gain, "n"), make("td", row[SECONDS].toFixed(1), "n"), found, words];
  }
  function element(row) {
    const key = JSON.stringify(row), known = elements.get(row[N]);
    if (known && known.key === key) return known.element;
    const tr = known ? known.element : document.createElement("tr");
    tr.replaceChildren(...cells(row));
    elements.set(row[N], { key, element: tr });
    return tr;
  }
  function matching() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = $("status").value, least = $("severity").value;
    const floor = least === "any" ? 1 : GRAVITY.indexOf(least);
    const found = [];
    for (const row of byNumber.values()) {
      if (status && row[STATUS] !== status) continue;
      if (least && GRAVITY.indexOf(row[GRAVEST]) < floor) continue;
      if (words.length) {
        const text = `${row[N]} ${row[STATUS]} ${row[WORDS]} ${row[WHY]} ${row[STANDING]}`.toLowerCase();
        if (!words.every((word) => text.includes(word))) continue;
      }
      found.push(row);
    }
    const { column, down } = sort, sign = down ? -1 : 1;
    const key = (row) => (column === FINDINGS ? GRAVITY.indexOf(row[GRAVEST]) * 1e6 + row[FINDINGS] : row[column]);
    return found.sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === y) return a[N] - b[N];
      if (x === null) return 1;
      if (y === null) return -1;
      return (x < y ? -1 : 1) * sign;
    });
  }
  function render() {
    const found = matching(), focused = document.activeElement;
    const keep = table.contains(focused) && focused.tagName === "A" ? focused.textContent : null;
    at = Math.max(0, Math.min(at, Math.floor((found.length - 1) / size) * size));
    table.tBodies[0].replaceChildren(...found.slice(at, at + size).map(element));
    if (keep !== null && elements.has(Number(keep))) elements.get(Number(keep)).element.querySelector("a").focus({ preventScroll: true });
    $("shown").textContent = found.length === byNumber.size ? `${found.length} experiments` : `${found.length} of ${byNumber.size} experiments`;
    $("pager").hidden = found.length <= size;
    $("range").textContent = `${at + 1} to ${Math.min(at + size, found.length)} of ${found.length}`;
    $("before").disabled = at === 0;
    $("after").disabled = at + size >= found.length;
  }
  function statuses() {
    const select = $("status"), known = new Set(Array.from(select.options, (option) => option.value));
    for (const row of byNumber.values()) {
      if (known.has(row[STATUS])) continue;
      known.add(row[STATUS]);
      const option = make("option", row[STATUS]);
      option.value = row[STATUS];
      select.append(option);
    }
  }
  function fill(rows) {
    for (const row of rows) byNumber.set(row[N], row);
    statuses();
    render();
  }
  if (table) {
    for (const head of table.tHead.querySelectorAll("th")) {
      const column = Number(head.dataset.column), press = make("button", head.textContent.trim());
      press.type = "button";
      head.replaceChildren(press);
      press.addEventListener("click", () => {
        const first = [FINDINGS, GAIN, SECONDS].includes(column);
        sort = { column, down: sort.column === column ? !sort.down : first };
        for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
        at = 0;
        render();
      });
    }
    for (const id of ["search", "status", "severity"]) $(id).addEventListener("input", () => { at = 0; render(); });
    $("before").addEventListener("click", () => { at -= size; render(); });
    $("after").addEventListener("click", () => { at += size; render(); });
    $("tools").hidden = false;
    if (page.rows) fetch(page.rows).then((answer) => answer.json()).then(fill, () => { $("shown").textContent = "The table could not be loaded; load the page again."; });
    else fill(parsed("rows", []));
  }

  /* --- the staircase under the pointer and the keyboard --------------------------------------------------------- */
  const plot = $("plot");
  let dots = (page.chart && page.chart.dots) || [], here = -1;
  const SVG = "http://www.w3.org/2000/svg";
  const shape = (tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of attributes) made.setAttribute(name, String(value));
    if (text !== undefined) made.textContent = text;
    return made;
  };
  function point(index) {
    const tip = $("tip"), ring = $("here"), dot = dots[index];
    here = dot ? index : -1;
    tip.hidden = !dot;
    ring.setAttribute("cx", dot ? dot.x : -50);
    ring.setAttribute("cy", dot ? dot.y : -50);
    if (!dot) return;
    tip.textContent = dot.words;
    plot.setAttribute("aria-valuenow", String(dot.experiment));
    plot.setAttribute("aria-valuetext", dot.words);
    const scale = plot.querySelector("svg").getBoundingClientRect().width / Number($("staircase").dataset.width);
    const left = Math.min(dot.x * scale + 14, plot.clientWidth - tip.offsetWidth - 4);
    const top = dot.y * scale - tip.offsetHeight - 6;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${top < 0 ? dot.y * scale + 26 : top}px`;
  }
  function nearest(event) {
    const box = plot.querySelector("svg").getBoundingClientRect(), scale = Number($("staircase").dataset.width) / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    let best = -1, least = Infinity;
    dots.forEach((dot, index) => {
      const far = (dot.x - x) ** 2 + ((dot.y - y) / 2) ** 2;
      if (far < least) { least = far; best = index; }
    });
    return best;
  }
  const open = (index) => { if (dots[index]) location.href = page.experiments + dots[index].experiment; };
  function bounds() {
    plot.setAttribute("aria-valuemin", String(dots.length ? dots[0].experiment : 0));
    plot.setAttribute("aria-valuemax", String(dots.length ? dots[dots.length - 1].experiment : 0));
  }
  function draw(chart) {
    dots = chart.dots;
    $("stairs").setAttribute("d", chart.line);
    $("dots").replaceChildren(...dots.map((dot) => shape("circle", [["class", "dot " + dot.look], ["cx", dot.x], ["cy", dot.y], ["r", 4]])));
    const right = Number($("staircase").dataset.width) - 16, bottom = Number($("staircase").dataset.height) - 14, axes = [];
    for (const tick of chart.values) {
      axes.push(shape("path", [["class", "grid"], ["d", `M76 ${tick.at}H${right}`]]));
      axes.push(shape("text", [["class", "tick"], ["x", 66], ["y", tick.at], ["text-anchor", "end"], ["dominant-baseline", "middle"]], tick.text));
    }
    for (const tick of chart.experiments) axes.push(shape("text", [["class", "tick"], ["x", tick.at], ["y", bottom], ["text-anchor", "middle"]], tick.text));
    $("axes").replaceChildren(...axes);
    $("caption").textContent = `${chart.caption}.`;
    bounds();
    if (here >= 0) point(Math.min(here, dots.length - 1));
  }
  if (plot && page.chart) {
    for (const native of plot.querySelectorAll("title")) native.remove();
    plot.querySelector("svg").setAttribute("aria-hidden", "true");
    plot.tabIndex = 0;
    plot.setAttribute("role", "slider");
    plot.setAttribute("aria-label", "Experiments; arrows go from one to the next, Enter opens it");
    plot.setAttribute("aria-valuenow", String(dots.length ? dots[0].experiment : 0));
    if (dots.length) plot.setAttribute("aria-valuetext", dots[0].words);
    bounds();
    plot.addEventListener("pointermove", (event) => point(nearest(event)));
    plot.addEventListener("pointerleave", () => point(-1));
    plot.addEventListener("blur", () => point(-1));
    plot.addEventListener("focus", () => { if (here < 0 && plot.matches(":focus-visible")) point(0); });
    plot.addEventListener("click", (event) => open(nearest(event)));
    plot.addEventListener("keydown", (event) => {
      const last = dots.length - 1;
      const to = { ArrowRight: here + 1, ArrowUp: here + 1, ArrowLeft: here - 1, ArrowDown: here - 1, PageDown: here - 10, PageUp: here + 10, Home: 0, End: last }[event.key];
      if (event.key === "Enter") open(here);
      else if (to !== undefined) { event.preventDefault(); point(Math.max(0, Math.min(last, to))); }
    });
  }

  /* --- the list of runs ----------------------------------------------------------------------------------------- */
  const sieve = $("sieve");
  if (sieve) {
    sieve.closest(".tools").hidden = false;
    sieve.addEventListener("input", () => {
      const words = sieve.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const row of $("runs").tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        left += row.hidden ? 0 : 1;
      }
      $("listed").textContent = `${left} runs`;
    });
  }

  /* --- keys ----------------------------------------------------------------------------------------------------- */
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "/") {
      const search = $("search") || sieve;
      if (!search) return;
      event.preventDefault();
      if (page.report && shown !== $("overview")) {
        addEventListener("hashchange", () => search.focus(), { once: true }); /* after the page has been turned */
        location.hash = "#overview";
      } else search.focus();
    } else if (event.key === "j" || event.key === "k") {
      const forward = event.key === "j";
      const inside = page.report ? shown && shown.dataset.experiment !== undefined && shown : document;
      const link = inside && inside.querySelector(forward ? "a[rel=next]" : "a[rel=prev]");
      if (link) {
        if (page.report) { location.hash = link.hash; go(false); /* at once, so that keys pressed fast are not lost */ } else link.click();
        return;
      }
      if (!table || (inside && inside !== document)) return;
      const links = Array.from(table.tBodies[0].querySelectorAll("td:first-child a"));
      const next = links[links.indexOf(document.activeElement) + (forward ? 1 : -1)];
      if (next) next.focus();
    }
  });

  /* --- paper ---------------------------------------------------------------------------------------------------- */
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    for (const block of closed) block.open = true;
    if (table && byNumber.size <= 2000) { size = 2000; render(); }
  });
  addEventListener("afterprint", () => {
    for (const block of closed) block.open = false;
    closed = [];
    if (table) { size = 100; render(); }
  });

  /* --- a run that goes on --------------------------------------------------------------------------------------- */
  if (page.live) {
    const source = new EventSource(page.live);
    source.addEventListener("news", (event) => {
      const news = JSON.parse(event.data);
      $("live-sure").textContent = news.sure;
      $("live-first").textContent = news.sentences[0];
      $("live-further").textContent = news.sentences.slice(1).join(" ");
      const values = $("facts").querySelectorAll("dd");
      news.facts.forEach(([, value], index) => { if (values[index] && values[index].textContent !== value) values[index].textContent = value; });
      if (news.chart && plot) draw(news.chart);
      fill(news.rows);
      $("live").textContent = news.words;
      if (news.over) source.close();
    });
    source.addEventListener("broken", (event) => { $("live").textContent = JSON.parse(event.data); source.close(); });
    addEventListener("pagehide", () => source.close());
  }
  go(true);
  addEventListener("load", () => go(true)); /* the browser has scrolled to the anchor by itself once more */
})();
