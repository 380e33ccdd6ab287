// Looks at pages as a person would: at two widths, light and dark, with scripts and without. Says what is wrong, one
// line each, and exits with 1 where anything is.
//
// node look.mjs CHROMIUM FOLDER PAGE...: pictures are left in the folder.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [chromium, folder, ...pages] = process.argv.slice(2);
const wrong = [];
let looks = 0;

// What of a page is too wide for its window, and does not scroll by itself.
const overflow = () => {
  const width = document.documentElement.clientWidth;
  const scrolls = (element) => {
    for (let at = element.parentElement; at; at = at.parentElement) {
      if (/auto|scroll|hidden/.test(getComputedStyle(at).overflowX)) return true;
    }
    return false;
  };
  const wide = [...document.body.querySelectorAll("*")].filter(
    (element) => !element.closest("svg") && element.getBoundingClientRect().right > width + 1 && !scrolls(element),
  );
  const page = document.documentElement.scrollWidth > width ? ["the page"] : [];
  return page.concat(wide.slice(0, 3).map((element) => element.outerHTML.slice(0, 80)));
};

// Everything that the keyboard should reach, by its number.
const numbered = () => {
  const all = "a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex='-1'])";
  const shown = [...document.querySelectorAll(all)].filter(
    (element) => element.checkVisibility() && !element.disabled,
  );
  shown.forEach((element, number) => (element.dataset.eyes = number));
  return shown.length;
};

const reached = async (page) => {
  const many = await page.evaluate(numbered);
  const seen = new Set();
  for (let press = 0; press < 2 * many + 5; press += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => document.activeElement?.dataset?.eyes);
    if (at !== undefined) seen.add(at);
  }
  return many - seen.size;
};

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
for (const path of pages) {
  for (const width of [1440, 390]) {
    for (const scheme of ["light", "dark"]) {
      for (const scripts of [true, false]) {
        const name = `${basename(path, ".html")}-${width}-${scheme}${scripts ? "" : "-without-scripts"}`;
        const say = (what) => wrong.push(`${name}: ${what}`);
        const page = await browser.newPage();
        page.on("pageerror", (error) => say(`script error: ${error.message}`));
        page.on("console", (line) => line.type() === "error" && say(`console: ${line.text()}`));
        page.on("request", (request) => request.url().startsWith("file:") || say(`fetches ${request.url()}`));
        await page.setViewport({ width, height: 900 });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await page.setJavaScriptEnabled(scripts);
        await page.goto(pathToFileURL(path).href, { waitUntil: "load" });
        // Its own scripts were passed over; those below are ours.
        await page.setJavaScriptEnabled(true);
        for (const what of await page.evaluate(overflow)) say(`wider than the window: ${what}`);
        await page.evaluate(axe);
        const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        for (const { id, nodes } of found.violations) {
          say(`axe: ${id} at ${nodes.length} places, first ${nodes[0].html.slice(0, 120)}`);
        }
        if (scripts) {
          const missed = await reached(page);
          if (missed > 0) say(`${missed} elements are not reached by the keyboard`);
        }
        // A picture of it as it opens, not of where the keyboard went.
        await page.evaluate(() => {
          document.activeElement?.blur();
          scrollTo(0, 0);
        });
        await page.screenshot({ path: join(folder, `${name}.png`) });
        await page.close();
        looks += 1;
      }
    }
  }
}
await browser.close();
for (const line of wrong) console.log(line);
console.log(`${looks} looks, ${wrong.length} things are wrong`);
process.exitCode = wrong.length > 0 ? 1 : 0;
