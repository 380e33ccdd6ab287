// Draws dashboards: each panel with the answers that its engine gave, as a page of its own that needs no scripts. A panel
// in which nothing is drawn is an error.
//
// node boards.mjs BOARD.json...: a board as `fleet boards` writes it; BOARD.html is written beside it.

import { readFileSync, writeFileSync } from "node:fs";

// Lines tell apart on white and on a dark ground.
const COLOURS = ["#3b7dd8", "#d97706", "#1f9d6b", "#c2417c", "#8b5cf6", "#0e94a5", "#c4432f", "#7a7a2b"];
// Lines and rows that are shown; more are counted.
const SERIES = 12;
const ROWS = 8;

const escaped = (text) => `${text}`.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

const scaled = (value, steps) => {
  const [factor, name] = steps.find(([factor]) => Math.abs(value) >= factor) ?? steps.at(-1);
  return `${Number((value / factor).toPrecision(3))}${name}`;
};
const seconds = (value) => (value === 0 ? "0" : scaled(value, [[1, " s"], [1e-3, " ms"], [1e-6, " µs"], [1e-9, " ns"]]));
const short = (value) => scaled(value, [[1e6, " M"], [1e4, " k"], [1, ""]]);
const UNITS = {
  s: seconds,
  ms: (value) => seconds(value / 1e3),
  bytes: (value) => scaled(value, [[2 ** 30, " GiB"], [2 ** 20, " MiB"], [2 ** 10, " KiB"], [1, " B"]]),
  percentunit: (value) => `${Number((value * 100).toPrecision(3))} %`,
  ops: (value) => `${short(value)}/s`,
  short,
};
const clock = (time) => new Date(time * 1e3).toISOString().slice(11, 16);
const cell = (value) => {
  if (value === null || value === "") return "–";
  if (typeof value === "number") return `${Number(value.toPrecision(6))}`;
  // Grafana shows times to the second.
  if (/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+$/.test(value)) return value.slice(0, 19);
  return typeof value === "object" ? Object.values(value).map(cell).join(" ") : value;
};

const seriesOf = (panel) =>
  panel.answers.flatMap(({ series }) => series ?? []).map(({ name, points }) => ({
    name: name || panel.title,
    points: points.filter(([, value]) => value !== null),
  }));

// Round numbers from 0 or `least` on, five or so.
const ticks = (least, most, unit) => {
  const rough = (most - least || Math.abs(most) || 1) / 4;
  const power = unit === "bytes" ? 2 ** Math.floor(Math.log2(rough)) : 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= rough);
  const first = Math.floor(least / step);
  return Array.from({ length: Math.max(2, Math.ceil(most / step) - first + 1) }, (_, at) => (first + at) * step);
};

const size = (panel) => ({ width: panel.gridPos.w * 52, height: panel.gridPos.h * 26, left: 64, right: 18, top: 8, bottom: 22 });

const frame = (panel, { width, height, left, right, top, bottom }, times, y, labels, inside) => {
  const x = (time) => left + ((time - times[0]) / (times.at(-1) - times[0] || 1)) * (width - left - right);
  const grid = labels
    .map(([value, label]) => {
      const at = y(value).toFixed(1);
      return `<path class="grid" d="M${left} ${at}H${width - right}"/><text x="${left - 6}" y="${at}" dy="4" text-anchor="end">${escaped(label)}</text>`;
    })
    .join("");
  const hours = times
    .filter((time) => time % 900 === 0)
    .map((time) => `<text x="${x(time).toFixed(1)}" y="${height - 5}" text-anchor="middle">${clock(time)}</text>`)
    .join("");
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(panel.title)}">${grid}${hours}${inside(x)}</svg>`;
};

const timeseries = (panel) => {
  const all = seriesOf(panel).filter(({ points }) => points.length > 0);
  const last = ({ points }) => Math.max(...points.map(([, value]) => value));
  const shown = all.toSorted((one, other) => last(other) - last(one)).slice(0, SERIES);
  const { unit = "short", custom = {} } = panel.fieldConfig.defaults;
  const stacked = custom.stacking?.mode === "normal";
  const times = [...new Set(shown.flatMap(({ points }) => points.map(([time]) => time)))].sort((one, other) => one - other);
  const below = new Map(times.map((time) => [time, 0]));
  const areas = shown.map(({ name, points }) => {
    const values = new Map(points);
    const line = (stacked ? times : points.map(([time]) => time)).map((time) => {
      const low = stacked ? below.get(time) : 0;
      const high = low + (values.get(time) ?? 0);
      if (stacked) below.set(time, high);
      return [time, low, high];
    });
    return { name, line };
  });
  const highs = areas.flatMap(({ line }) => line.map(([, , high]) => high));
  const marks = ticks(Math.min(0, ...highs), Math.max(...highs), unit);
  const place = size(panel);
  const y = (value) =>
    place.height - place.bottom - ((value - marks[0]) / (marks.at(-1) - marks[0])) * (place.height - place.bottom - place.top);
  const format = UNITS[unit] ?? short;
  const drawing = frame(panel, place, times, y, marks.map((mark) => [mark, format(mark)]), (x) =>
    areas
      .map(({ line }, at) => {
        const colour = COLOURS[at % COLOURS.length];
        const at_ = ([time, , high]) => `${x(time).toFixed(1)} ${y(high).toFixed(1)}`;
        const under = line.toReversed().map(([time, low]) => `${x(time).toFixed(1)} ${y(low).toFixed(1)}`);
        const area = stacked ? `<path fill="${colour}" fill-opacity=".35" d="M${[...line.map(at_), ...under].join("L")}Z"/>` : "";
        const dash = at < COLOURS.length ? "" : ' stroke-dasharray="5 3"';
        return `${area}<path class="line" stroke="${colour}"${dash} d="M${line.map(at_).join("L")}"/>`;
      })
      .join(""),
  );
  const legend = areas.map(
    ({ name }, at) => `<li><span style="background:${COLOURS[at % COLOURS.length]}"></span>${escaped(name)}</li>`,
  );
  if (all.length > shown.length) legend.push(`<li>and ${all.length - shown.length} more</li>`);
  return { marks: areas.length, html: `${drawing}<ul>${legend.join("")}</ul>` };
};

// Buckets hold all that is below their bound: what lies between two is what the lower one has not.
const heatmap = (panel) => {
  const bound = (name) => (name === "+Inf" ? Infinity : Number(name));
  const buckets = seriesOf(panel).sort((one, other) => bound(one.name) - bound(other.name));
  const cells = buckets.flatMap(({ name, points }, at) => {
    const lower = new Map(buckets[at - 1]?.points ?? []);
    return points.map(([time, value]) => ({ time, at, name, count: value - (lower.get(time) ?? 0) }));
  });
  const full = cells.filter(({ count }) => count > 0.01);
  const times = [...new Set(cells.map(({ time }) => time))].sort((one, other) => one - other);
  const most = Math.max(...full.map(({ count }) => count));
  const place = size(panel);
  const row = (place.height - place.bottom - place.top) / buckets.length;
  const y = (at) => place.height - place.bottom - at * row;
  const labels = buckets.flatMap(({ name }, at) => (at % 4 === 3 ? [[at + 1, name === "+Inf" ? "∞" : seconds(bound(name))]] : []));
  const wide = (place.width - place.left - place.right) / times.length;
  const html = frame(panel, place, times, y, labels, (x) =>
    full
      .map(({ time, at, count }) => {
        const strength = (0.15 + 0.85 * Math.sqrt(count / most)).toFixed(2);
        return `<rect x="${Math.max(place.left, x(time) - wide).toFixed(1)}" y="${y(at + 1).toFixed(1)}" width="${wide.toFixed(1)}" height="${row.toFixed(1)}" fill="${COLOURS[1]}" fill-opacity="${strength}"/>`;
      })
      .join(""),
  );
  return { marks: full.length, html };
};

const stat = (panel) => {
  const numbers = seriesOf(panel).flatMap(({ points }) => points.map(([, value]) => value));
  const { unit, decimals } = panel.fieldConfig.defaults;
  const format = decimals === 0 ? (value) => value.toFixed() : (UNITS[unit] ?? short);
  return { marks: numbers.length, html: `<p class="stat">${numbers.map((value) => escaped(format(value))).join(" ")}</p>` };
};

const table = (panel) => {
  const [{ columns, rows }] = panel.answers;
  const body = rows.slice(0, ROWS).map((row) => `<tr>${row.map((value) => `<td>${escaped(cell(value))}</td>`).join("")}</tr>`);
  const more = rows.length > ROWS ? `<p class="more">and ${rows.length - ROWS} more rows</p>` : "";
  const head = columns.map((name) => `<th scope="col">${escaped(name)}</th>`).join("");
  const html = `<div class="scrolls" tabindex="0" role="region" aria-label="${escaped(panel.title)}"><table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>${more}`;
  return { marks: rows.length, html };
};

const KINDS = { timeseries, heatmap, stat, table };
const STYLE = `
:root{color-scheme:light dark;--ground:#f4f5f7;--panel:#fff;--text:#1c1e22;--dim:#5a5f69;--line:#d9dce2}
@media(prefers-color-scheme:dark){:root{--ground:#111217;--panel:#1a1c22;--text:#e3e5ea;--dim:#a3a8b3;--line:#33363f}}
body{margin:0;padding:12px;background:var(--ground);color:var(--text);font:13px/1.4 "DejaVu Sans",sans-serif}
h1{grid-column:span 24;font-size:18px;margin:0}h2{font-size:13px;margin:0 0 2px}p{margin:0 0 4px;color:var(--dim)}
main{display:grid;grid-template-columns:repeat(24,minmax(0,1fr));gap:8px;max-width:1416px}
section{grid-column:span var(--wide);background:var(--panel);border:1px solid var(--line);border-radius:3px;padding:8px;min-width:0}
@media(max-width:800px){section{grid-column:span 24}}
svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font-size:11px}.grid{stroke:var(--line)}.line{fill:none;stroke-width:1.6}
ul{list-style:none;margin:4px 0 0;padding:0;display:flex;flex-wrap:wrap;gap:2px 14px;font-size:12px}
li span{display:inline-block;width:12px;height:4px;margin-right:5px;vertical-align:middle}
.stat{font-size:30px;color:var(--text)}.scrolls{overflow-x:auto}table{border-collapse:collapse;font-size:12px;width:100%}
th,td{text-align:left;padding:2px 10px 2px 0;white-space:nowrap;border-bottom:1px solid var(--line)}th{color:var(--dim)}.more{margin:4px 0 0}
`;

const empty = [];
for (const path of process.argv.slice(2)) {
  const board = JSON.parse(readFileSync(path, "utf8"));
  const panels = board.panels
    .toSorted((one, other) => one.gridPos.y - other.gridPos.y || one.gridPos.x - other.gridPos.x)
    .map((panel) => {
      const draw = KINDS[panel.type];
      const { marks, html } = draw ? draw(panel) : { marks: 0, html: "" };
      if (marks === 0 || /NaN|Infinity|undefined/.test(html)) empty.push(`${board.name}: ${panel.title} (${panel.type})`);
      const notes = [panel.description, ...panel.answers.map(({ of }) => of)].filter(Boolean);
      const about = notes.length > 0 ? `<p>${escaped(notes.join(" · "))}</p>` : "";
      return `<section style="--wide:${panel.gridPos.w}"><h2>${escaped(panel.title)}</h2>${about}${html}</section>`;
    });
  const page = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(board.title)}</title><style>${STYLE}</style><main><h1>${escaped(board.title)}</h1>${panels.join("\n")}</main></html>`;
  writeFileSync(path.replace(/\.json$/, ".html"), page);
}
for (const panel of empty) console.log(`nothing is drawn in ${panel}`);
process.exitCode = empty.length > 0 ? 1 : 0;
